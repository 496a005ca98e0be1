/** Recurring fees of wallets. Adding and ending one is one SQL function call each. */

import type { SubscriptionKind } from '../ledger/subscriptions.ts';
import type { FeeLine, SubscriptionView } from '../views/subscriptions.ts';
import { type LedgerOutcome, outcomeColumns, type WriteKey } from './charges.ts';
import { only, type Sql } from './sql.ts';

export type SubscriptionOutcome = Omit<LedgerOutcome, 'code'> & {
  code:
    | 'OK'
    | 'WALLET_NOT_FOUND'
    | 'KEY_REUSED'
    | 'WALLET_CLOSED'
    | 'SUBSCRIPTION_NOT_FOUND'
    /** What it cost in a month before the wallet's present one does not change. */
    | 'MONTH_CLOSED';
};

/** Adds a subscription, once per key. */
export async function addSubscription(
  sql: Sql,
  request: WriteKey & {
    walletId: string;
    subscriptionId: string;
    kind: SubscriptionKind;
    description: string;
    monthlyMicros: bigint;
    /** Null for now. */
    startsAt: Date | null;
    endsAt: Date | null;
    actor: string;
  },
): Promise<SubscriptionOutcome> {
  const [outcome] = await sql<SubscriptionOutcome[]>`
    select ${outcomeColumns(sql)} from add_subscription(
      ${request.walletId}, ${request.subscriptionId}, ${request.key}, ${request.requestHash},
      ${request.kind}, ${request.description}, ${request.monthlyMicros}, ${request.startsAt},
      ${request.endsAt}, ${request.actor})`;
  return only(outcome);
}

/** Ends a subscription, by default now; the same end again is answered as replayed. */
export async function endSubscription(
  sql: Sql,
  request: { walletId: string; subscriptionId: string; endsAt: Date | null; actor: string },
): Promise<SubscriptionOutcome> {
  const [outcome] = await sql<SubscriptionOutcome[]>`
    select ${outcomeColumns(sql)} from end_subscription(
      ${request.walletId}, ${request.subscriptionId}, ${request.endsAt}, ${request.actor})`;
  return only(outcome);
}

/** A wallet's subscriptions, also those that have ended, in the order in which they were added. */
export async function subscriptionsOf(sql: Sql, walletId: string): Promise<SubscriptionView[]> {
  return sql<SubscriptionView[]>`
    select ${viewColumns(sql)} from subscriptions where wallet_id = ${walletId} order by added_seq`;
}

/** A wallet's subscriptions that have not ended, in the order in which they were added. */
export async function currentSubscriptions(
  sql: Sql,
  walletId: string,
): Promise<SubscriptionView[]> {
  return sql<SubscriptionView[]>`
    select ${viewColumns(sql)} from subscriptions
    where wallet_id = ${walletId} and (ends_at is null or ends_at > ledger_now())
    order by added_seq`;
}

function viewColumns(sql: Sql) {
  return sql`id as "subscriptionId", kind, description, amount_micros as "monthlyMicros",
    starts_at as "startsAt", ends_at as "endsAt", billed_to as "billedTo"`;
}

/** The fees among a wallet's events from one to another, both included. */
export async function feesBetween(
  sql: Sql,
  { walletId, fromSeq, toSeq }: { walletId: string; fromSeq: bigint; toSeq: bigint },
): Promise<FeeLine[]> {
  return sql<FeeLine[]>`
    select detail ->> 'kind' as kind, detail ->> 'description' as description,
      detail ->> 'period' as period, (detail ->> 'from')::timestamptz as "from",
      (detail ->> 'to')::timestamptz as "to",
      arrears_delta_micros - balance_delta_micros as "amountMicros"
    from wallet_events
    where wallet_id = ${walletId} and seq between ${fromSeq} and ${toSeq} and type = 'fee'
    order by seq`;
}
