/** Holds: placing, heartbeats, ending, and reading them. Each write is one SQL function call. */
import type { HoldPricing, Report } from '../ledger/state.ts';
import type { UsageType } from '../rating/usage.ts';
import {
  type LedgerOutcome,
  outcomeColumns,
  type PricedOutcome,
  type QueuedOutcome,
  type WriteKey,
} from './charges.ts';
import { type ArrayElement, arrayLiteral, oneEach, only, type Sql } from './sql.ts';

/** What a hold's functions may answer beside the refusals of every write. */
export type HoldRefusalCode =
  | 'HOLD_NOT_FOUND'
  | 'HOLD_NOT_OPEN'
  /** A capture of a hold whose usage was never reported must say it. */
  | 'USAGE_REQUIRED'
  /** A hold of calls bills calls. */
  | 'USAGE_TYPE_DIFFERS';

export type HoldLedgerOutcome = Omit<LedgerOutcome, 'code'> & {
  code: PricedOutcome['code'] | HoldRefusalCode;
};

/**
 * The caller and the wallet's name came from memory; the database checks both. A new hold or a plain
 * capture is answered without its detail, which the caller sent.
 */
export type QueuedHoldOutcome = Omit<LedgerOutcome, 'code'> & {
  code: QueuedOutcome['code'] | HoldRefusalCode;
  /** Set for a hold that was placed and is answered without its detail; else null. */
  expiresAt: Date | null;
};

/** `hold_outcome` of db/migrations: the hold as it stands after a heartbeat. */
export interface HeartbeatOutcome {
  code: Exclude<HoldLedgerOutcome['code'], 'KEY_REUSED' | 'USAGE_REQUIRED' | 'UNITS_MOVED'>;
  seq: bigint;
  heldMicros: bigint;
  expiresAt: Date;
  amountSoFarMicros: bigint;
  unitsSoFar: bigint;
  /** Less is reserved ahead of the usage so far than was asked for. */
  lowBalance: boolean;
  availableMicros: bigint;
  /** The most that the limits let the hold come to; null when none is for it. */
  headroomMicros: bigint | null;
  /** With LIMIT_EXCEEDED by a spending limit: which one. */
  detail: Record<string, unknown> | null;
}

/** What prices a hold's usage beside its rate card. */
export type StoredPricing = HoldPricing & {
  /** The instant whose prices it keeps. */
  readonly at: string;
  /** The general card, when the rate card is the customer's own. */
  readonly fallbackRateCardId?: string;
};

/** A hold, with what is needed to price its usage. */
export interface HoldRow {
  holdId: string;
  walletId: string;
  userId: string;
  currency: string;
  rateCardId: string;
  /** Null in holds placed before the ledger kept it. */
  pricing: StoredPricing | null;
  timezone: string;
  placedAt: Date;
  usageType: UsageType | null;
  destination: string | null;
  placedMicros: bigint;
  aheadMicros: bigint;
}

/** An open hold, for people. */
export interface OpenHold {
  holdId: string;
  /** The caller's own key of it. */
  referenceId: string;
  usageType: string | null;
  heldMicros: bigint;
  /** The price of the usage reported so far. */
  amountSoFarMicros: bigint;
  unitsSoFar: bigint;
  placedAt: Date;
  expiresAt: Date;
}

/** Whose hold is written, and by whom. */
interface HoldWrite {
  readonly walletId: string;
  readonly holdId: string;
  readonly actor: string;
}

/** A hold to be placed. */
export interface HoldPlacing extends HoldWrite, WriteKey {
  readonly kind: 'authorize';
  /** The caller named a user and no currency: the wallet must be that user's only one. */
  readonly alone?: boolean;
  /**
   * Null when no rate was found, so that the database can still answer a replay, or name what
   * stands before the rate in the order of refusals.
   */
  readonly amountMicros: bigint | null;
  readonly referenceId: string;
  readonly rateCardId: string | null;
  /** What prices its usage beside the card. */
  readonly pricing: HoldPricing;
  readonly usageType: string | null;
  readonly destination: string | null;
  readonly ttlSeconds: number;
  readonly detail: Record<string, unknown>;
}

/** Usage so far, at `amountMicros` (null without a rate), and a later expiry. */
export interface HoldHeartbeat extends HoldWrite {
  readonly report: Report | null;
  readonly amountMicros: bigint | null;
  readonly addMicros: bigint | null;
  readonly ttlSeconds: number | null;
}

/** The final usage of a hold: `report` at `amountMicros`, or what was reported last. */
export interface HoldCapture extends HoldWrite, WriteKey {
  readonly kind: 'capture';
  readonly report: Report | null;
  readonly amountMicros: bigint | null;
  readonly overrun: 'refuse' | 'arrears';
}

export interface HoldVoid extends HoldWrite, WriteKey {}

/** Places and captures holds in one transaction, and answers each, in order. */
export async function writeHolds(
  sql: Sql,
  writes: readonly (HoldPlacing | HoldCapture)[],
): Promise<QueuedHoldOutcome[]> {
  const column = (value: (write: HoldPlacing | HoldCapture) => ArrayElement) =>
    arrayLiteral(writes.map(value));
  const placing = (value: (write: HoldPlacing) => ArrayElement) =>
    column((write) => (write.kind === 'authorize' ? value(write) : null));
  const capture = (value: (write: HoldCapture) => ArrayElement) =>
    column((write) => (write.kind === 'capture' ? value(write) : null));
  // One JSON a line: as an array's text, each quote of it would be escaped and read again.
  const lines = (value: (write: HoldPlacing | HoldCapture) => object | null) =>
    writes.map((write) => JSON.stringify(value(write))).join('\n');
  const outcomes = await sql<QueuedHoldOutcome[]>`
    select ${outcomeColumns(sql)}, expires_at as "expiresAt" from write_holds(
      ${column(({ kind }) => kind)}::text[],
      ${column(({ walletId }) => walletId)}::uuid[],
      ${placing(({ alone }) => alone === true)}::boolean[],
      ${column(({ holdId }) => holdId)}::uuid[],
      ${column(({ key }) => key)}::uuid[],
      ${column(({ requestHash }) => requestHash)}::bytea[],
      ${column(({ amountMicros }) => amountMicros)}::bigint[],
      ${column(({ actor }) => actor)}::text[],
      string_to_array(${lines(detailOf)}, E'\\n', 'null')::json[],
      ${placing(({ referenceId }) => referenceId)}::text[],
      ${placing(({ rateCardId }) => rateCardId)}::uuid[],
      string_to_array(${lines(pricingOf)}, E'\\n', 'null')::jsonb[],
      ${column(usageTypeOf)}::text[],
      ${placing(({ destination }) => destination)}::text[],
      ${placing(({ ttlSeconds }) => ttlSeconds)}::integer[],
      ${capture(({ overrun }) => overrun)}::text[])
    order by ord`;
  return oneEach(outcomes, writes);
}

function detailOf(write: HoldPlacing | HoldCapture): object | null {
  return write.kind === 'authorize' ? write.detail : write.report;
}

function pricingOf(write: HoldPlacing | HoldCapture): object | null {
  return write.kind === 'authorize' ? write.pricing : null;
}

function usageTypeOf(write: HoldPlacing | HoldCapture): string | null {
  return write.kind === 'authorize' ? write.usageType : (write.report?.usage.type ?? null);
}

/** Takes heartbeats in one transaction, and answers each, in order. */
export async function extendHolds(
  sql: Sql,
  heartbeats: readonly HoldHeartbeat[],
): Promise<HeartbeatOutcome[]> {
  return inWalletOrder(
    heartbeats,
    (column) => sql`
      select w.place, code, seq, held_micros as "heldMicros", expires_at as "expiresAt",
        amount_so_far_micros as "amountSoFarMicros", units_so_far as "unitsSoFar",
        low_balance as "lowBalance", available_micros as "availableMicros",
        headroom_micros as "headroomMicros", detail
      from unnest(
        ${column(({ walletId }) => walletId)}::uuid[],
        ${column(({ holdId }) => holdId)}::uuid[],
        ${column(({ report }) => json(report))}::jsonb[],
        ${column(({ amountMicros }) => amountMicros)}::bigint[],
        ${column(({ addMicros }) => addMicros)}::bigint[],
        ${column(({ ttlSeconds }) => ttlSeconds)}::integer[],
        ${column(({ actor }) => actor)}::text[]
      ) with ordinality w(wallet, hold, report, amount, addition, ttl, by, place)
      cross join lateral extend_hold(w.wallet, w.hold, w.report, w.amount, w.addition, w.ttl, w.by)`,
  );
}

/** Releases holds, billing nothing, in one transaction, and answers each, in order. */
export async function voidHolds(
  sql: Sql,
  holds: readonly HoldVoid[],
): Promise<HoldLedgerOutcome[]> {
  return inWalletOrder(
    holds,
    (column) => sql`
      select w.place, ${outcomeColumns(sql)}
      from unnest(
        ${nameAndKey(sql, column)},
        ${column(({ actor }) => actor)}::text[]
      ) with ordinality w(wallet, hold, write_key, request, by, place)
      cross join lateral void_hold(w.wallet, w.hold, w.write_key, w.request, w.by)`,
  );
}

type Column<Write> = (value: (write: Write) => ArrayElement) => string;

/** The first columns of a write that happens once: wallet, hold, write_key, request. */
function nameAndKey(sql: Sql, column: Column<HoldWrite & WriteKey>) {
  return sql`
    ${column(({ walletId }) => walletId)}::uuid[],
    ${column(({ holdId }) => holdId)}::uuid[],
    ${column(({ key }) => key)}::uuid[],
    ${column(({ requestHash }) => requestHash)}::bytea[]`;
}

/**
 * Sends writes as columns in the order of their wallets' ids, so that batches of several processes
 * lock wallets in one order, and gives the answers back in the order of the writes. `query` calls
 * the function of one write for each row, and answers its place among them.
 */
async function inWalletOrder<Write extends { readonly walletId: string }, Outcome>(
  writes: readonly Write[],
  query: (column: Column<Write>) => PromiseLike<readonly unknown[]>,
): Promise<Outcome[]> {
  const sent = [...writes.entries()].sort(([, a], [, b]) => (a.walletId < b.walletId ? -1 : 1));
  const rows = await query((value) => arrayLiteral(sent.map(([, write]) => value(write))));
  const outcomes: Outcome[] = [];
  for (const { place, ...outcome } of rows as (Outcome & { place: bigint })[]) {
    const [index] = sent[Number(place) - 1] ?? [];
    if (index !== undefined) {
      outcomes[index] = outcome as Outcome;
    }
  }
  return outcomes;
}

/** The holds of these ids, open or ended, in the order of the ids; null where there is none. */
export async function findHolds(sql: Sql, holdIds: readonly string[]): Promise<(HoldRow | null)[]> {
  const rows = await sql<HoldRow[]>`
    select h.id as "holdId", h.wallet_id as "walletId", w.user_id as "userId", w.currency,
      h.rate_card_id as "rateCardId", h.pricing, w.timezone, h.placed_at as "placedAt",
      h.usage_type as "usageType", h.destination,
      h.placed_micros as "placedMicros", h.ahead_micros as "aheadMicros"
    from unnest(${arrayLiteral(holdIds)}::uuid[]) asked(id)
    -- One look-up for each, whatever the planner thinks of the number of them.
    cross join lateral (select * from holds where id = asked.id limit 1) h
    join wallets w on w.id = h.wallet_id`;
  const byId = new Map(rows.map((row) => [row.holdId, row]));
  return holdIds.map((holdId) => byId.get(holdId.toLowerCase()) ?? null);
}

/** The wallet's holds that are open and have not run out, oldest first. */
export async function openHolds(sql: Sql, walletId: string, limit: number): Promise<OpenHold[]> {
  return sql<OpenHold[]>`
    select id as "holdId", reference_id as "referenceId", usage_type as "usageType",
      held_micros as "heldMicros", amount_so_far_micros as "amountSoFarMicros",
      units_so_far as "unitsSoFar", placed_at as "placedAt", expires_at as "expiresAt"
    from holds
    where wallet_id = ${walletId} and status = 'open' and expires_at > ledger_now()
    order by placed_at, id limit ${limit}`;
}

/** Settles wallets on which something is due; any number of processes may do it at once. */
export async function settleDueWallets(
  sql: Sql,
  limit: number,
): Promise<{ settled: number; failed: { walletId: string; sqlstate: string }[] }> {
  const [row] = await sql<
    { settled: number; failed: { walletId: string; sqlstate: string }[] }[]
  >`select settled, failed from settle_due_wallets(${limit})`;
  return only(row);
}

function json(value: Report | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
