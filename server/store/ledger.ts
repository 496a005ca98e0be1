/** Reading the whole ledger: verification, the projection's rebuild, exports, the trial balance. */
import type { StoredEvent } from '../ledger/hash.ts';
import { arrayLiteral, only, type Sql } from './sql.ts';

/** Wallet ids from `from` to `to`, both included. */
export interface WalletRange {
  readonly from: string;
  readonly to: string;
}

export const EVERY_WALLET: WalletRange = {
  from: '00000000-0000-0000-0000-000000000000',
  to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};

/**
 * Cuts all possible wallet ids into at most so many ranges of about as many events, each of
 * `leastEvents` or more; together the ranges cover events without a wallet too. A wallet is never
 * cut; one of `longEvents` or more begins a range, however small. Those who share the ranges out,
 * `lanes` of them, end at about the same time: there are as many ranges for each, and the largest
 * come first.
 */
export async function walletRanges(
  sql: Sql,
  size: {
    readonly atMost: number;
    readonly leastEvents: number;
    readonly lanes: number;
    readonly longEvents?: number;
  },
): Promise<WalletRange[]> {
  const { atMost, leastEvents, lanes, longEvents = null } = size;
  // A wallet belongs to the range that its middle event falls into.
  const parts = await sql<{ from: string; events: bigint; longBefore: bigint }[]>`
    select (array_agg(id order by id))[1] as from, sum(seq)::bigint as events, long as "longBefore"
    from (
      select id, seq, count(*) filter (where seq >= ${longEvents}::bigint) over (order by id) as long,
        div(sum(seq) over (order by id) - seq / 2, ceil(events / (fitting - case
          when fitting > ${lanes}::int then fitting % ${lanes}::int else 0 end))) as part
      from wallets
      cross join (
        select sum(seq) as events,
          greatest(least(div(sum(seq), ${leastEvents}::int), ${atMost}::int), 1) as fitting
        from wallets
      ) total
    ) w
    group by long, part order by long, part`;
  const [first] = parts;
  const { from } = EVERY_WALLET;
  const all =
    first?.longBefore === 0n ? parts.with(0, { ...first, from }) : [{ from, events: 0n }, ...parts];
  return all
    .map(({ from, events }, index) => {
      const next = all[index + 1]?.from;
      return { from, to: next === undefined ? EVERY_WALLET.to : idBefore(next), events };
    })
    .sort((a, b) => Number(b.events - a.events));
}

function idBefore(id: string): string {
  const hex = (BigInt(`0x${id.replaceAll('-', '')}`) - 1n).toString(16).padStart(32, '0');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Some of a wallet's events: those after `afterSeq`, null for the very first, up to `upToSeq`. */
export interface HistoryPart {
  readonly walletId: string;
  readonly afterSeq: bigint | null;
  readonly upToSeq: bigint;
}

/**
 * Cuts the histories of the range's wallets into parts of so many events, in their order. The last
 * events of a wallet, fewer than a part, are left.
 */
export function historyParts(
  sql: Sql,
  range: WalletRange,
  partEvents: number,
): Promise<HistoryPart[]> {
  return sql<HistoryPart[]>`
    select w.id as "walletId", nullif(last - ${partEvents}::bigint, 0) as "afterSeq", last as "upToSeq"
    from wallets w
    cross join generate_series(${partEvents}::bigint, w.seq, ${partEvents}::bigint) last
    where w.id between ${range.from} and ${range.to} and w.seq >= ${partEvents}::bigint
    order by w.id, last`;
}

/** What a part of a history comes to, in the database's own words. */
export type ReplayedPart = string;

/** Replays a part. Null when there are no such events. */
export async function replayPart(
  sql: Sql,
  { walletId, afterSeq, upToSeq }: HistoryPart,
): Promise<ReplayedPart | null> {
  const [row] = await sql<{ replayed: ReplayedPart }[]>`
    select r::text as replayed from replayed_wallets(${walletId}, ${walletId}, ${afterSeq}, ${upToSeq}) r`;
  return row?.replayed ?? null;
}

/** Something that does not add up, in a wallet or, with `seq`, in one of its events. */
export interface LedgerDifference {
  readonly walletId: string;
  readonly seq: string | null;
  readonly problem: string;
  readonly message: string;
}

export interface Verification {
  readonly wallets: bigint;
  readonly events: bigint;
  /** All differences, also those that `differences` has no room for. */
  readonly found: bigint;
  readonly differences: readonly LedgerDifference[];
}

/**
 * Replays every event of the range and compares what stands on them, wallets, holds, refunds,
 * grants, limits, automatic top-ups, subscriptions, re-ratings, arrears, the units of the month and
 * the days of usage, at one moment. Lists at most so many differences of each. Needs the owner.
 * `parts` are those of the range's first wallet that were replayed already, from its first event on:
 * what was appended stays as it is.
 */
export async function verifyRange(
  sql: Sql,
  range: WalletRange,
  listAtMost: number,
  parts: readonly ReplayedPart[] = [],
): Promise<Verification> {
  const replayed =
    parts.length === 0
      ? sql`replayed_wallets(${range.from}, ${range.to})`
      : sql`replayed_after(${range.from}, ${range.to}, ${arrayLiteral(parts)}::replayed_wallet[])`;
  const [row] = await sql<Verification[]>`
    select w.wallets, w.events,
      w.found + h.found + r.found + g.found + l.found + a.found + p.found + s.found
        + c.found + d.found + m.found + u.found as found,
      w.differences || h.differences || r.differences || g.differences
        || l.differences || a.differences || p.differences || s.differences
        || c.differences || d.differences || m.differences || u.differences as differences
    from (
      select array_agg(r) as wallets from ${replayed} r
    ) replayed
    cross join verify_wallets(${range.from}, ${range.to}, ${listAtMost}, replayed.wallets) w
    cross join verify_holds(${range.from}, ${range.to}, ${listAtMost}, replayed.wallets) h
    cross join verify_refunds(${range.from}, ${range.to}, ${listAtMost}) r
    cross join verify_grants(${range.from}, ${range.to}, ${listAtMost}) g
    cross join verify_limits(${range.from}, ${range.to}, ${listAtMost}) l
    cross join verify_auto_top_ups(${range.from}, ${range.to}, ${listAtMost}) a
    cross join verify_payments(${range.from}, ${range.to}, ${listAtMost}) p
    cross join verify_subscriptions(${range.from}, ${range.to}, ${listAtMost}) s
    cross join verify_reratings(${range.from}, ${range.to}, ${listAtMost}) c
    cross join verify_arrears(${range.from}, ${range.to}, ${listAtMost}) d
    cross join verify_monthly_units(${range.from}, ${range.to}, ${listAtMost}) m
    cross join verify_usage_days(${range.from}, ${range.to}, ${listAtMost}) u`;
  return only(row);
}

export interface RebuildDifference {
  readonly walletId: string;
  readonly problem:
    | 'WALLET_DIFFERS'
    | 'EVENTS_CONTRADICT'
    | 'EVENTS_WITHOUT_WALLET'
    | 'WALLET_WITHOUT_EVENTS'
    | 'USAGE_DAYS_DIFFER';
  readonly message: string;
  readonly repaired: boolean;
}

export interface Rebuild {
  readonly wallets: bigint;
  readonly events: bigint;
  readonly differences: readonly RebuildDifference[];
}

/**
 * Computes the range's wallets and their days of usage anew from their events and writes those that
 * differ, if asked to.
 */
export async function rebuildRange(
  sql: Sql,
  range: WalletRange,
  repair: boolean,
): Promise<Rebuild> {
  const [row] = await sql<Rebuild[]>`
    select wallets, events, differences
    from rebuild_wallets(${range.from}, ${range.to}, ${repair})`;
  const [days] = await sql<Pick<Rebuild, 'differences'>[]>`
    select differences from rebuild_usage_days(${range.from}, ${range.to}, ${repair})`;
  const { differences, ...counted } = only(row);
  return { ...counted, differences: [...differences, ...only(days).differences] };
}

/** An event with all that its hash covers, and the hash in lower-case hex. */
export type ExportedEvent = StoredEvent & { readonly hash: string };

/** All that an event's hash covers, and the hash, of `wallet_events e`. */
export const exportedColumns = (sql: Sql) => sql`
  e.wallet_id as "walletId", e.seq, e.type,
    e.balance_delta_micros as "balanceDeltaMicros", e.held_delta_micros as "heldDeltaMicros",
    e.arrears_delta_micros as "arrearsDeltaMicros", e.balance_micros as "balanceMicros",
    e.held_micros as "heldMicros", e.arrears_micros as "arrearsMicros",
    e.overdraft_limit_micros as "overdraftLimitMicros", e.key,
    encode(e.request_hash, 'hex') as "requestHash", e.actor,
    (extract(epoch from e.occurred_at) * 1000000)::bigint as "occurredAtMicroseconds",
    (extract(epoch from e.recorded_at) * 1000000)::bigint as "recordedAtMicroseconds",
    e.detail::text as "detailText", encode(e.hash, 'hex') as hash`;

const ROWS_PER_FETCH = 1_000;

/** All events, or those of one wallet, by wallet and sequence, as of one moment. */
export function streamEvents(
  sql: Sql,
  walletId: string | null,
): AsyncIterable<readonly ExportedEvent[]> {
  return sql<ExportedEvent[]>`
    select ${exportedColumns(sql)}
    from wallet_events e
    ${walletId === null ? sql`` : sql`where e.wallet_id = ${walletId}`}
    order by e.wallet_id, e.seq`.cursor(ROWS_PER_FETCH);
}

/** One side of an event in double entry; what the books owe is positive. */
export interface JournalEntry {
  readonly walletId: string;
  readonly seq: bigint;
  /** The day it was recorded, in UTC. */
  readonly date: string;
  readonly type: string;
  readonly currency: string;
  readonly exponent: number;
  readonly account: string | null;
  readonly amountMicros: bigint;
}

/** The journal, or that of one wallet; the entries of one event come one after the other. */
export function streamJournal(
  sql: Sql,
  walletId: string | null,
): AsyncIterable<readonly JournalEntry[]> {
  return sql<JournalEntry[]>`
    select j.wallet_id as "walletId", j.seq,
      to_char(j.recorded_at at time zone 'UTC', 'YYYY-MM-DD') as date, j.type, j.currency,
      c.exponent, j.account, j.amount_micros as "amountMicros"
    from journal j
    join currencies c on c.code = j.currency
    ${walletId === null ? sql`` : sql`where j.wallet_id = ${walletId}`}
    order by j.wallet_id, j.seq, j.account`.cursor(ROWS_PER_FETCH);
}

/**
 * An account's total by the journal and, for the two that wallets are, by the wallets. Credits are
 * positive.
 */
export interface AccountBalance {
  readonly currency: string;
  readonly exponent: number;
  readonly account: string | null;
  readonly journalMicros: bigint;
  readonly walletsMicros: bigint | null;
}

/** The trial balance of one moment, by currency and account. */
export async function trialBalance(sql: Sql): Promise<AccountBalance[]> {
  type Row = Omit<AccountBalance, 'journalMicros' | 'walletsMicros'> & {
    // A sum over many wallets need not fit 64 bits.
    journalMicros: string;
    walletsMicros: string | null;
  };
  const rows = await sql<Row[]>`
    select currency, c.exponent, account, coalesce(t.amount_micros, 0)::text as "journalMicros",
      o.amount_micros::text as "walletsMicros"
    from trial_balance t
    full join (
      select w.currency, a.account, sum(a.amount_micros) as amount_micros
      from wallets w
      cross join lateral (values
        ('liabilities:wallets', w.balance_micros), ('assets:receivable', -w.arrears_micros)
      ) as a (account, amount_micros)
      group by w.currency, a.account
    ) o using (currency, account)
    join currencies c on c.code = currency
    order by currency, account`;
  return rows.map((row) => ({
    ...row,
    journalMicros: BigInt(row.journalMicros),
    walletsMicros: row.walletsMicros === null ? null : BigInt(row.walletsMicros),
  }));
}

/** Whether there is such a wallet. */
export async function walletExists(sql: Sql, walletId: string): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`
    select exists (select from wallets where id = ${walletId}) as found`;
  return only(row).found;
}
