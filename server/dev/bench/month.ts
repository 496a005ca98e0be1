/** Closing a month of many wallets: the run as servers do it, beside the same SQL run directly. */
import { createMonthWork, defaultPeriod } from '../../billing/month/month.ts';
import { RANGES_AT_ONCE } from '../../inngest/functions.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { dropConstraint } from './catalogue.ts';
import type { ChargeSample } from './sample.ts';

export interface MonthMeasure {
  /** Closed by the run. */
  readonly wallets: number;
  readonly events: number;
  readonly generationSeconds: number;
  /** Some more wallets, whose statements the closing function alone wrote just before. */
  readonly floor: Closing;
  /** Statements as servers write them: planned, fenced, in ranges, each with its status. */
  readonly run: Closing;
  /** Memory of the process that drove the run, after its first range and at its highest (RSS). */
  readonly firstBytes: number;
  readonly peakBytes: number;
}

interface Closing {
  readonly seconds: number;
  readonly perSecond: number;
}

/** The opening of each wallet, and its usage in the month. */
const EVENTS_PER_WALLET = 10;
const WALLETS_PER_INSERT = 5_000;
/** As the run plans them. */
const WALLETS_PER_RANGE = 1_000;
/** A wallet whose usage is deducted with the month, to every nine that pay at once. */
const DEFERRED_EVERY = 10;

/**
 * Makes wallets with a month of usage, whose chains of hashes are right, and closes it: for the
 * some wallets directly, for all others by a run. Needs the owner and a database without wallets.
 * @throws Error when a statement is missing, or they do not add up to the ledger
 */
export async function measureMonth(options: {
  url: string;
  wallets: number;
  sample: ChargeSample;
}): Promise<MonthMeasure> {
  const { url, wallets, sample } = options;
  const sql = connect(url, { max: RANGES_AT_ONCE, statementTimeoutMs: 0 });
  try {
    const period = defaultPeriod(new Date());
    // A range for each lane at least.
    const apart = Math.max(wallets / 10, RANGES_AT_ONCE * WALLETS_PER_RANGE);
    const all = wallets + apart;
    const generationSeconds = await timed(() => makeWallets(sql, all, period, sample));
    const floorSeconds = await timed(() => closeDirectly(sql, apart, period));
    const memory = { first: 0, peak: 0 };
    const runSeconds = await timed(() => closeByRun(sql, all, period, memory));
    await assertClosed(sql, all, period);
    return {
      wallets,
      events: wallets * EVENTS_PER_WALLET,
      generationSeconds,
      floor: { seconds: floorSeconds, perSecond: apart / floorSeconds },
      run: { seconds: runSeconds, perSecond: wallets / runSeconds },
      firstBytes: memory.first,
      peakBytes: memory.peak,
    };
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAtMs = performance.now();
  await work();
  return (performance.now() - startedAtMs) / 1000;
}

async function makeWallets(
  sql: Sql,
  wallets: number,
  period: string,
  sample: ChargeSample,
): Promise<void> {
  // Checked once over all rows below, instead of once a row.
  const standOnHead = await dropConstraint(sql, 'wallets', 'wallets_stand_on_head_event');
  const followPrevious = await dropConstraint(
    sql,
    'wallet_events',
    'wallet_events_follow_previous',
  );
  for (let made = 0; made < wallets; made += WALLETS_PER_INSERT) {
    await sql.unsafe(GENERATOR, [
      made + 1,
      Math.min(made + WALLETS_PER_INSERT, wallets),
      EVENTS_PER_WALLET,
      DEFERRED_EVERY,
      `${period}-02T00:00:00Z`,
      sample.amountMicros,
      sample.actor,
      sample.detailText,
    ]);
  }
  await sql.unsafe(followPrevious);
  await sql.unsafe(standOnHead);
  await sql.unsafe('vacuum analyze');
}

/** The closing function by itself, for the first wallets, over ranges as large as a run's. */
async function closeDirectly(sql: Sql, wallets: number, period: string): Promise<void> {
  const ranges = await sql<{ from: string; to: string }[]>`
    select min(id::text) as "from", max(id::text) as "to"
    from (
      select id, (row_number() over (order by id) - 1) / ${WALLETS_PER_RANGE} as part from wallets
      order by id limit ${wallets}
    ) w
    group by part order by part`;
  await inLanes(ranges, async ({ from, to }) => {
    await sql`
      select close_wallets(array(
        select id from wallets where id between ${from} and ${to} order by id), ${period},
        ledger_now())`;
  });
}

/** Plans, fences and closes as servers do, so many ranges at once. */
async function closeByRun(
  sql: Sql,
  wallets: number,
  period: string,
  memory: { first: number; peak: number },
): Promise<void> {
  const work = createMonthWork({ sql, longSql: sql, clock: () => new Date() });
  const requested = await work.request({ period, actor: 'cli:bench' });
  if (!requested.ok) {
    throw new Error(requested.message);
  }
  const { runId } = requested;
  let closed = 0;
  for (let cursor: string | null = null, pages = 0; pages === 0 || cursor !== null; pages += 1) {
    const page: Awaited<ReturnType<typeof work.planMonth>> = await work.planMonth(runId, cursor);
    await inLanes(page.ranges, async (range) => {
      const outcome = await work.closeRange({ runId, period, ...range });
      closed += outcome.closed;
      const { rss } = process.memoryUsage();
      memory.first ||= rss;
      memory.peak = Math.max(memory.peak, rss);
    });
    cursor = page.nextCursor;
  }
  if (closed !== wallets) {
    throw new Error(`${closed} of ${wallets} wallets were closed`);
  }
}

async function inLanes<Item>(items: readonly Item[], work: (item: Item) => Promise<void>) {
  // The lanes take their items from one iterator.
  const queue = items.values();
  await Promise.all(
    Array.from({ length: RANGES_AT_ONCE }, async () => {
      for (const item of queue) {
        await work(item);
      }
    }),
  );
}

/** Every wallet has its statement, and that says what its events do. */
async function assertClosed(sql: Sql, wallets: number, period: string): Promise<void> {
  const [row] = await sql<{ statements: bigint; wrong: bigint }[]>`
    select count(*) as statements, count(*) filter (
      where (s.usage_micros, s.accrued_micros) is distinct from (e.usage, e.accrued)) as wrong
    from statements s
    cross join lateral (
      select coalesce(sum(balance_delta_micros) filter (where type = 'charge'), 0) as usage,
        coalesce(sum(held_delta_micros) filter (where type = 'accrual'), 0) as accrued
      from wallet_events where wallet_id = s.wallet_id and seq <= ${EVENTS_PER_WALLET}
    ) e
    where s.period = ${period} and s.to_seq = ${EVENTS_PER_WALLET}`;
  if (row?.statements !== BigInt(wallets) || row.wrong !== 0n) {
    throw new Error(`${row?.statements} of ${wallets} statements are written, ${row?.wrong} wrong`);
  }
}

/**
 * Wallets $1 to $2 with $3 events each, every $4th deferred, from $5 on. They spend of an overdraft:
 * credit would need its own records.
 */
const GENERATOR = `
  with made as (
    select i, gen_random_uuid() as id,
      case when i % $4::int = 0 then 'deferred' else 'live' end as mode
    from generate_series($1::int, $2::int) i
  ), planned as (
    select m.id, m.i, m.mode, k as seq,
      case when k = 1 then 'wallet_opened' when m.mode = 'live' then 'charge' else 'accrual' end
        as type,
      case when k > 1 and m.mode = 'live' then -$6::bigint else 0 end as balance_delta,
      case when k > 1 and m.mode = 'deferred' then $6::bigint else 0 end as held_delta,
      gen_random_uuid() as key,
      $5::timestamptz + k * interval '1 hour' as recorded_at,
      case when k = 1 then json_build_object('userId', 'month-' || m.i, 'currency', 'USD',
             'timezone', 'UTC', 'mode', m.mode)
           else $8::text::json end as detail
    from made m cross join generate_series(1, $3::int) k
  ), summed as (
    select p.*, sum(p.balance_delta) over chain as balance, sum(p.held_delta) over chain as held,
      sha256(uuid_send(p.key)) as request_hash
    from planned p window chain as (partition by p.id order by p.seq)
  ), hashed as (
    select s.*, chain_hash(
        decode(repeat('00', 32), 'hex'),
        concat_ws(E'\\n', 'v1', s.id, s.seq, s.type, s.balance_delta, s.held_delta, 0,
          s.balance, s.held, 0, 1000000000000000, s.key, encode(s.request_hash, 'hex'), $7::text,
          (extract(epoch from s.recorded_at) * 1000000)::bigint,
          (extract(epoch from s.recorded_at) * 1000000)::bigint, s.detail)
      ) over (partition by s.id order by s.seq rows unbounded preceding) as hash
    from summed s
  ), written as (
    insert into wallet_events (
      wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
      balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
      actor, occurred_at, recorded_at, detail, hash
    )
    select id, seq, type, balance_delta, held_delta, 0, balance, held, 0, 1000000000000000, key,
      request_hash, $7::text, recorded_at, recorded_at, detail, hash
    from hashed
  )
  insert into wallets (
    id, user_id, currency, timezone, mode, status, balance_micros, held_micros, arrears_micros,
    overdraft_limit_micros, seq, head_hash, opened_at, updated_at
  )
  select id, 'month-' || i, 'USD', 'UTC', mode, 'open', balance, held, 0, 1000000000000000, seq,
    hash, $5::timestamptz + interval '1 hour', recorded_at
  from hashed where seq = $3::int`;
