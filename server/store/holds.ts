/** Holds: placing, heartbeats, ending, and reading them. Each write is one SQL function call. */
import type { Report } from '../ledger/state.ts';
import type { UsageType } from '../rating/usage.ts';
import { type LedgerOutcome, outcomeColumns, type WriteKey } from './charges.ts';
import { only, type Sql } from './sql.ts';

/** What a hold's functions may answer beside the refusals of every write. */
export type HoldRefusalCode =
  | 'HOLD_NOT_FOUND'
  | 'HOLD_NOT_OPEN'
  /** A capture of a hold whose usage was never reported must say it. */
  | 'USAGE_REQUIRED'
  /** A hold of calls bills calls. */
  | 'USAGE_TYPE_DIFFERS';

export type HoldLedgerOutcome = Omit<LedgerOutcome, 'code'> & {
  code: LedgerOutcome['code'] | HoldRefusalCode;
};

/** `hold_outcome` of db/migrations: the hold as it stands after a heartbeat. */
export interface HeartbeatOutcome {
  code: Exclude<HoldLedgerOutcome['code'], 'KEY_REUSED' | 'USAGE_REQUIRED'>;
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
  /** Of LIMIT_EXCEEDED by a spending limit, which one. */
  detail: Record<string, unknown> | null;
}

/** A hold, with what is needed to price its usage. */
export interface HoldRow {
  holdId: string;
  walletId: string;
  userId: string;
  currency: string;
  rateCardId: string;
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

/**
 * Places a hold. `amountMicros` is null when no rate was found, so that the database can still
 * answer a replay, or name what stands before the rate in the order of refusals.
 */
export async function authorizeHold(
  sql: Sql,
  hold: WriteKey & {
    walletId: string;
    holdId: string;
    amountMicros: bigint | null;
    referenceId: string;
    rateCardId: string | null;
    usageType: string | null;
    destination: string | null;
    ttlSeconds: number;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<HoldLedgerOutcome> {
  const [outcome] = await sql<HoldLedgerOutcome[]>`
    select ${outcomeColumns(sql)} from authorize_hold(
      ${hold.walletId}, ${hold.holdId}, ${hold.key}, ${hold.requestHash}, ${hold.amountMicros},
      ${hold.referenceId}, ${hold.rateCardId}, ${hold.usageType}, ${hold.destination},
      ${hold.ttlSeconds}, ${hold.actor}, ${JSON.stringify(hold.detail)}::text::jsonb)`;
  return only(outcome);
}

/** A heartbeat: usage so far, at `amountMicros` (null without a rate), and a later expiry. */
export async function extendHold(
  sql: Sql,
  heartbeat: {
    walletId: string;
    holdId: string;
    report: Report | null;
    amountMicros: bigint | null;
    addMicros: bigint | null;
    ttlSeconds: number | null;
    actor: string;
  },
): Promise<HeartbeatOutcome> {
  const [outcome] = await sql<HeartbeatOutcome[]>`
    select code, seq, held_micros as "heldMicros", expires_at as "expiresAt",
      amount_so_far_micros as "amountSoFarMicros", units_so_far as "unitsSoFar",
      low_balance as "lowBalance", available_micros as "availableMicros",
      headroom_micros as "headroomMicros", detail
    from extend_hold(
      ${heartbeat.walletId}, ${heartbeat.holdId}, ${json(heartbeat.report)}::text::jsonb,
      ${heartbeat.amountMicros}, ${heartbeat.addMicros}, ${heartbeat.ttlSeconds},
      ${heartbeat.actor})`;
  return only(outcome);
}

/** Posts the final usage of a hold: `report` at `amountMicros`, or what was reported last. */
export async function captureHold(
  sql: Sql,
  capture: WriteKey & {
    walletId: string;
    holdId: string;
    report: Report | null;
    amountMicros: bigint | null;
    overrun: 'refuse' | 'arrears';
    actor: string;
  },
): Promise<HoldLedgerOutcome> {
  const [outcome] = await sql<HoldLedgerOutcome[]>`
    select ${outcomeColumns(sql)} from capture_hold(
      ${capture.walletId}, ${capture.holdId}, ${capture.key}, ${capture.requestHash},
      ${json(capture.report)}::text::jsonb, ${capture.amountMicros}, ${capture.overrun},
      ${capture.actor})`;
  return only(outcome);
}

/** Releases a hold; nothing of it is billed. */
export async function voidHold(
  sql: Sql,
  hold: WriteKey & { walletId: string; holdId: string; actor: string },
): Promise<HoldLedgerOutcome> {
  const [outcome] = await sql<HoldLedgerOutcome[]>`
    select ${outcomeColumns(sql)} from void_hold(
      ${hold.walletId}, ${hold.holdId}, ${hold.key}, ${hold.requestHash}, ${hold.actor})`;
  return only(outcome);
}

/** The hold of an id, whatever has become of it. */
export async function findHold(sql: Sql, holdId: string): Promise<HoldRow | null> {
  const [row] = await sql<HoldRow[]>`
    select h.id as "holdId", h.wallet_id as "walletId", w.user_id as "userId", w.currency,
      h.rate_card_id as "rateCardId", h.usage_type as "usageType", h.destination,
      h.placed_micros as "placedMicros", h.ahead_micros as "aheadMicros"
    from holds h join wallets w on w.id = h.wallet_id
    where h.id = ${holdId}`;
  return row ?? null;
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
