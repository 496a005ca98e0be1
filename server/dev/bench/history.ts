/** Wallets with long histories: does a page, a balance or a charge get slower with them? */
import { randomUUID } from 'node:crypto';
import { connect, type Sql } from '../../store/sql.ts';
import { balanceAt, eventsPage } from '../../store/wallets.ts';
import { definitionOf, dropConstraint } from './catalogue.ts';
import { type HttpTarget, openConnection } from './http-connection.ts';
import { type LoadResult, summary } from './load.ts';
import type { ChargeSample } from './sample.ts';
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
/** Between a history's last event and the time of its making. */
const QUIET_MS = 60_000;

/**
 * Makes wallets with so many events, as if they had been charged ten times a second until now.
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
    const openedAt = new Date(Date.now() - events * STEP_MS - QUIET_MS);
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

const PAGE = { limit: 50, types: null, from: null, to: null };

/**
 * Measures every kind of access, each for so many seconds a wallet. One caller goes round the
 * wallets, so that whatever else the machine does falls on long and short histories alike.
 */
export async function measureHistories(options: {
  url: string;
  target: HttpTarget;
  wallets: readonly LongWallet[];
  secondsEach: number;
}): Promise<HistoryMeasure[]> {
  const { wallets } = options;
  const sql = connect(options.url, { max: 1 });
  const connection = await openConnection(options.target);
  const seconds = options.secondsEach * wallets.length;
  const measured: HistoryMeasure[] = [];

  const measure = async (
    what: HistoryMeasure['what'],
    through: HistoryMeasure['through'],
    call: (wallet: LongWallet) => Promise<void>,
  ) => {
    await goRound(wallets, 0.3, call);
    for (const [wallet, { p50Ms, p99Ms }] of await goRound(wallets, seconds, call)) {
      measured.push({ what, through, events: wallet.events, p50Ms, p99Ms });
    }
  };
  const pageBySql = async ({ walletId, events }: LongWallet, beforeSeq: bigint | null) => {
    const page = await eventsPage(sql, walletId, { ...PAGE, beforeSeq });
    if (page.events.length !== PAGE.limit) {
      throw new Error(`a page of ${events} events has ${page.events.length}`);
    }
  };
  const byApi = async (procedure: string, input: object, expected: string) => {
    const answer = await connection.post(`/trpc/${procedure}`, JSON.stringify(input));
    if (!answer.includes(expected)) {
      throw new Error(`${procedure} with a long history: ${answer.slice(0, 300)}`);
    }
  };

  try {
    await measure('first page', 'SQL', (wallet) => pageBySql(wallet, null));
    await measure('page in the middle', 'SQL', (wallet) => pageBySql(wallet, anySeq(wallet)));
    await measure('balance at an instant', 'SQL', async (wallet) => {
      if ((await balanceAt(sql, wallet.walletId, anyInstant(wallet))) === null) {
        throw new Error(`no balance in ${wallet.events} events`);
      }
    });
    await measure('first page', 'API', ({ userId }) =>
      byApi('wallets.events', { userId }, '"nextCursor":"'),
    );
    await measure('page in the middle', 'API', (wallet) => {
      const { userId } = wallet;
      return byApi('wallets.events', { userId, cursor: `${anySeq(wallet)}` }, '"nextCursor":');
    });
    await measure('balance at an instant', 'API', (wallet) => {
      const { userId } = wallet;
      return byApi('wallets.balanceAt', { userId, at: anyInstant(wallet) }, '"balanceMicros":');
    });
    await measure('single charge', 'API', ({ userId }) => {
      const usage = { type: 'sms', to: '+14155550132' };
      return byApi('usage.charge', { userId, usage, referenceId: randomUUID() }, '"ok":true');
    });
    return measured;
  } finally {
    connection.close();
    await sql.end({ timeout: 1 });
  }
}

/** Calls with one wallet after the other until the time is over. */
async function goRound(
  wallets: readonly LongWallet[],
  seconds: number,
  call: (wallet: LongWallet) => Promise<void>,
): Promise<[LongWallet, LoadResult][]> {
  const latenciesMs = new Map(wallets.map((wallet): [LongWallet, number[]] => [wallet, []]));
  for (const untilMs = performance.now() + seconds * 1000; performance.now() < untilMs; ) {
    for (const [wallet, own] of latenciesMs) {
      const sentAtMs = performance.now();
      await call(wallet);
      own.push(performance.now() - sentAtMs);
    }
  }
  return [...latenciesMs].map(([wallet, own]) => [wallet, summary(own, seconds)]);
}

/** Where a page of the wallet's history can begin. */
function anySeq({ events }: LongWallet): bigint {
  return BigInt(PAGE.limit + 1 + Math.floor(Math.random() * (events - PAGE.limit)));
}

function anyInstant({ events }: LongWallet): Date {
  return new Date(Date.now() - QUIET_MS - Math.random() * (events - 10) * STEP_MS);
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
      -- Busy and quiet times by turns: an even history would flatter the search for an instant.
      e.recorded_at := e.recorded_at + p_step * (1 - 0.9 * sin(i / 20000.0));
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
