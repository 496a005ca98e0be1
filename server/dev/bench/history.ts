/** Wallets with long histories: does a page, a balance or a charge get slower with them? */
import { connect, type Sql } from '../../store/sql.ts';
import { balanceAt, eventsPage } from '../../store/wallets.ts';
import { definitionOf, dropConstraint } from './catalogue.ts';
import { type HttpTarget, openConnection } from './http-connection.ts';
import { closedLoop, type LoadResult } from './load.ts';
import type { ChargeSample } from './sample.ts';
import { createTraffic, PLAIN, type Tally } from './traffic.ts';
import { fundWallets, openWallets } from './wallets.ts';

export interface LongWallet {
  readonly userId: string;
  readonly walletId: string;
  readonly events: number;
  readonly generationSeconds: number;
}

export interface HistoryMeasure {
  readonly what: 'first page' | 'page in the middle' | 'balance at an instant' | 'single charge';
  /** The store's statement over one connection, or the API with one caller. */
  readonly through: 'SQL' | 'API';
  readonly events: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Between two events of a history. */
const STEP_MS = 100;

/**
 * Makes wallets with so many events, as if they had been charged every tenth of a second until now.
 * Their chains of hashes are right: verification finds nothing. Needs the owner.
 */
export async function makeHistories(
  sql: Sql,
  sample: ChargeSample,
  sizes: readonly number[],
): Promise<LongWallet[]> {
  await sql.unsafe(GENERATOR);
  const clock = await definitionOf(sql, 'ledger_now()');
  const wallets: LongWallet[] = [];
  // Checked once over all rows below, instead of once a row.
  const followPrevious = await dropConstraint(
    sql,
    'wallet_events',
    'wallet_events_follow_previous',
  );
  for (const events of sizes) {
    const startedAtMs = performance.now();
    const name = `history${events}`;
    const openedAt = new Date(Date.now() - events * STEP_MS - 60_000);
    await sql.unsafe(`create or replace function ledger_now() returns timestamptz language sql
      return timestamptz '${openedAt.toISOString()}'`);
    await openWallets(sql, name, 1);
    await fundWallets(sql, name);
    await sql.unsafe(clock);
    const [wallet] = await sql<{ walletId: string; seq: bigint }[]>`
      select id as "walletId", seq from wallets where user_id = ${`${name}-1`}`;
    if (wallet === undefined) {
      throw new Error('no wallet was opened for a history');
    }
    await sql`
      select bench_history(${wallet.walletId}, ${events - Number(wallet.seq)}::int,
        ${sample.amountMicros}, ${`${STEP_MS} milliseconds`}::interval, ${sample.actor},
        ${sample.detailText})`;
    const generationSeconds = (performance.now() - startedAtMs) / 1000;
    wallets.push({ userId: `${name}-1`, walletId: wallet.walletId, events, generationSeconds });
  }
  await sql.unsafe(followPrevious);
  await sql.unsafe('drop function bench_history');
  await sql.unsafe('vacuum analyze');
  return wallets;
}

/** Measures every kind of access on one wallet, each for so many seconds. */
export async function measureHistory(options: {
  url: string;
  target: HttpTarget;
  wallet: LongWallet;
  seconds: number;
  tally: Tally;
}): Promise<HistoryMeasure[]> {
  const { url, target, wallet, seconds, tally } = options;
  const { walletId, userId, events } = wallet;
  const measured: HistoryMeasure[] = [];
  const keep = (
    what: HistoryMeasure['what'],
    through: HistoryMeasure['through'],
    { p50Ms, p99Ms }: LoadResult,
  ) => measured.push({ what, through, events, p50Ms, p99Ms });

  const filter = { limit: 50, types: null, from: null, to: null };
  const anySeq = () => BigInt(51 + Math.floor(Math.random() * (events - 51)));
  const anyInstant = () => new Date(Date.now() - 60_000 - Math.random() * events * STEP_MS);

  const sql = connect(url, { max: 1 });
  try {
    const bySql = (call: () => Promise<{ events: unknown[] } | { seq: bigint } | null>) =>
      oneCaller(seconds, async () => {
        const found = await call();
        if (found === null || ('events' in found && found.events.length !== filter.limit)) {
          throw new Error(`history of ${events} events: an answer is not whole`);
        }
      });
    keep(
      'first page',
      'SQL',
      await bySql(() => eventsPage(sql, walletId, { ...filter, beforeSeq: null })),
    );
    keep(
      'page in the middle',
      'SQL',
      await bySql(() => eventsPage(sql, walletId, { ...filter, beforeSeq: anySeq() })),
    );
    keep('balance at an instant', 'SQL', await bySql(() => balanceAt(sql, walletId, anyInstant())));
  } finally {
    await sql.end({ timeout: 1 });
  }

  const connection = await openConnection(target);
  try {
    const byApi = (procedure: string, input: () => object, expected: string) =>
      oneCaller(seconds, async () => {
        const answer = await connection.post(`/trpc/${procedure}`, JSON.stringify(input()));
        if (!answer.includes(expected)) {
          throw new Error(`${procedure} of ${events} events: ${answer.slice(0, 300)}`);
        }
      });
    keep('first page', 'API', await byApi('wallets.events', () => ({ userId }), '"nextCursor":"'));
    keep(
      'page in the middle',
      'API',
      await byApi('wallets.events', () => ({ userId, cursor: String(anySeq()) }), '"nextCursor":'),
    );
    keep(
      'balance at an instant',
      'API',
      await byApi('wallets.balanceAt', () => ({ userId, at: anyInstant() }), '"balanceMicros":'),
    );
    const traffic = createTraffic({
      wallets: { users: [userId], walletIds: [walletId], hot: { userId, walletId }, empty: userId },
      hot: true,
      mix: PLAIN,
      tally,
    });
    keep(
      'single charge',
      'API',
      await oneCaller(seconds, async () => {
        const charge = traffic.next();
        const body = JSON.stringify(charge.input);
        traffic.check(charge, await connection.post('/trpc/usage.charge', body));
      }),
    );
  } finally {
    connection.close();
  }
  return measured;
}

function oneCaller(seconds: number, call: () => Promise<void>): Promise<LoadResult> {
  return closedLoop({
    callers: 1,
    seconds,
    open: async () => ({
      async call() {
        await call();
        return 'called';
      },
      close: () => undefined,
    }),
  });
}

/** Copies the wallet's last event forward, with the deltas of a charge. */
const GENERATOR = `
  create function bench_history(p_wallet_id uuid, p_events int, p_amount_micros bigint,
    p_step interval, p_actor text, p_detail text) returns void
  language plpgsql as $$
  declare
    columns constant text := (
      select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
      where attrelid = 'wallet_events'::regclass and attnum > 0 and not attisdropped
        and attgenerated = '');
    e wallet_events;
    batch wallet_events[] := '{}';
  begin
    select events.* into e from wallet_events events
    join wallets w on w.id = events.wallet_id and w.seq = events.seq
    where w.id = p_wallet_id for no key update of w;
    e.type := 'charge';
    e.balance_delta_micros := -p_amount_micros;
    e.held_delta_micros := 0;
    e.arrears_delta_micros := 0;
    e.actor := p_actor;
    e.detail := p_detail::json;
    for i in 1 .. p_events loop
      e.seq := e.seq + 1;
      e.balance_micros := e.balance_micros - p_amount_micros;
      e.key := gen_random_uuid();
      e.request_hash := sha256(uuid_send(e.key));
      e.recorded_at := e.recorded_at + p_step;
      e.occurred_at := e.recorded_at;
      e.hash := event_hash(e.hash, e);
      batch := batch || e;
      if i % 1000 = 0 or i = p_events then
        execute format('insert into wallet_events (%1$s) select %1$s from unnest($1)', columns)
        using batch;
        batch := '{}';
      end if;
    end loop;
    update wallets set balance_micros = e.balance_micros, seq = e.seq, head_hash = e.hash,
      updated_at = e.recorded_at
    where id = p_wallet_id;
  end $$`;
