/** Refunds to the card, of which the ledger and Stripe must know the same. */
import type { RefundBacklog } from '../views/admin.ts';
import type { PaymentRefundView, RefundableTopUp } from '../views/payment-refunds.ts';
import { type LedgerOutcome, outcomeColumns, type WriteKey } from './charges.ts';
import { only, type Sql } from './sql.ts';

/** What Stripe calls the states of a refund. */
export type StripeRefundStatus = Exclude<PaymentRefundView['status'], 'reserved'>;

/** What comes back of a payment is applied to the top-up that it credited. */
export type MoneyBackOutcome = Omit<LedgerOutcome, 'code'> & {
  code:
    | 'OK'
    | 'WALLET_NOT_FOUND'
    /** The payment was not credited, or is another one than its top-up's. */
    | 'PAYMENT_NOT_CREDITED'
    /** Another currency, another payment than before, or more than was paid. */
    | 'PAYMENT_DIFFERS';
};

export type ReserveOutcome = Omit<LedgerOutcome, 'code'> & {
  code:
    | 'OK'
    | 'WALLET_NOT_FOUND'
    | 'KEY_REUSED'
    | 'WALLET_CLOSED'
    | 'WALLET_FROZEN'
    /** Less may go back: the answer's amount says how much. */
    | 'NOT_REFUNDABLE';
};

/**
 * Takes the money of a refund before Stripe is asked for it. Its parts, one for each top-up, are
 * `refundsOfRequest` with the key; the answer's numbers are the wallet's after the last of them.
 */
export async function reservePaymentRefund(
  sql: Sql,
  refund: WriteKey & {
    walletId: string;
    /** Null for unspent money of all top-ups, those credited last first. */
    topUpId: string | null;
    /** Null for all that may go back. */
    amountMicros: bigint | null;
    livemode: boolean;
    whileFrozen: boolean;
    reason: string | null;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<ReserveOutcome> {
  const [outcome] = await sql<ReserveOutcome[]>`
    select ${outcomeColumns(sql)} from reserve_payment_refund(
      ${refund.walletId}, ${refund.key}, ${refund.requestHash}, ${refund.topUpId},
      ${refund.amountMicros}, ${refund.livemode}, ${refund.whileFrozen}, ${refund.reason},
      ${refund.actor}, ${JSON.stringify(refund.detail)}::text::jsonb)`;
  return only(outcome);
}

const refundColumns = (sql: Sql) => sql`
  r.id as "refundId", r.request_id as "requestId", r.top_up_id as "topUpId",
  r.amount_micros as "amountMicros", r.status, r.failure_code as "failureCode", r.reason,
  r.requested_by as "requestedBy", r.attempts, r.created_at as "createdAt"
  from payment_refunds r`;

/** What a request comes to: a refund for each top-up, in the order in which they were reserved. */
export async function refundsOfRequest(
  sql: Sql,
  walletId: string,
  requestId: string,
): Promise<PaymentRefundView[]> {
  return sql<PaymentRefundView[]>`
    select ${refundColumns(sql)}
    join wallet_events e on e.wallet_id = r.wallet_id and e.key = r.id
    where r.wallet_id = ${walletId} and r.request_id = ${requestId} order by e.seq`;
}

/** The newest refunds of a wallet, also those made at Stripe. */
export async function listPaymentRefunds(
  sql: Sql,
  walletId: string,
  limit: number,
): Promise<PaymentRefundView[]> {
  return sql<PaymentRefundView[]>`
    select ${refundColumns(sql)}
    where r.wallet_id = ${walletId} order by r.created_at desc, r.id limit ${limit}`;
}

/** How many refunds of a wallet somebody has asked for in the last hour. */
export async function countRefundRequests(
  sql: Sql,
  walletId: string,
  requestedBy: string,
): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(distinct request_id)::int as count from payment_refunds
    where wallet_id = ${walletId} and requested_by = ${requestedBy}
      and created_at > now() - interval '1 hour'`;
  return only(row).count;
}

/** How much unspent money of a wallet may go back to cards now. */
export async function refundableMicros(
  sql: Sql,
  walletId: string,
  livemode: boolean,
): Promise<bigint> {
  const [row] = await sql<{ micros: bigint }[]>`
    select refundable_micros(w, ${livemode}) as micros
    from wallets stored cross join lateral wallet_now(stored) w where stored.id = ${walletId}`;
  return only(row).micros;
}

/** The top-ups of a wallet that were credited last, and how much of each may go back now. */
export async function listRefundableTopUps(
  sql: Sql,
  walletId: string,
  livemode: boolean,
  limit: number,
): Promise<RefundableTopUp[]> {
  return sql<RefundableTopUp[]>`
    select t.id as "topUpId", t.kind, t.credited_seq as "creditedSeq",
      t.amount_micros as "amountMicros", refundable_micros(w, t) as "refundableMicros",
      t.created_at as "createdAt"
    from wallets stored cross join lateral wallet_now(stored) w
    join top_ups t on t.wallet_id = stored.id
    where stored.id = ${walletId} and t.status = 'succeeded' and t.livemode = ${livemode}
    order by t.credited_seq desc limit ${limit}`;
}

/** A refund whose money is taken and whose end at Stripe is not known. */
export interface ReservedRefund {
  walletId: string;
  refundId: string;
  paymentIntentId: string;
  currency: string;
  amountMicros: bigint;
}

/** Null when its end is known. */
export async function findReservedRefund(
  sql: Sql,
  walletId: string,
  refundId: string,
): Promise<ReservedRefund | null> {
  const [row] = await sql<ReservedRefund[]>`
    select r.wallet_id as "walletId", r.id as "refundId",
      t.payment_intent_id as "paymentIntentId", t.currency, r.amount_micros as "amountMicros"
    from payment_refunds r join top_ups t on t.id = r.top_up_id
    where r.wallet_id = ${walletId} and r.id = ${refundId} and r.status = 'reserved'`;
  return row ?? null;
}

/** Brings the ledger to what Stripe says of a refund; `replayed` when nothing moved. */
export async function applyPaymentRefund(
  sql: Sql,
  refund: {
    stripeRefundId: string;
    /** The reservation that Stripe's refund names. */
    ownId: string | null;
    paymentIntentId: string;
    currency: string;
    amountMinor: bigint;
    status: StripeRefundStatus;
    failureCode: string | null;
    reason: string | null;
    actor: string;
    occurredAt: Date | null;
    detail: Record<string, unknown>;
  },
): Promise<MoneyBackOutcome> {
  const [outcome] = await sql<MoneyBackOutcome[]>`
    select ${outcomeColumns(sql)} from apply_payment_refund(
      ${refund.stripeRefundId}, ${refund.ownId}, ${refund.paymentIntentId},
      ${refund.currency}, ${refund.amountMinor}, ${refund.status}, ${refund.failureCode},
      ${refund.reason}, ${refund.actor}, ${refund.occurredAt ?? new Date()},
      ${JSON.stringify(refund.detail)}::text::jsonb)`;
  return only(outcome);
}

/** Gives a reservation's money back, which Stripe refused; false when Stripe has the refund. */
export async function releasePaymentRefund(
  sql: Sql,
  refund: {
    walletId: string;
    refundId: string;
    failureCode: string;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<boolean> {
  const [row] = await sql<{ released: boolean }[]>`
    select release_payment_refund(${refund.walletId}, ${refund.refundId}, ${refund.failureCode},
      ${refund.actor}, ${JSON.stringify(refund.detail)}::text::jsonb) as released`;
  return only(row).released;
}

/** A refund that is not finished, as far as is known here. */
export interface UnfinishedRefund {
  walletId: string;
  refundId: string;
  /** Null as long as it is not known whether Stripe has made it. */
  stripeRefundId: string | null;
}

/** Takes up to so many refunds whose end nobody knows; nobody else takes them for a while. */
export async function claimPaymentRefunds(
  sql: Sql,
  livemode: boolean,
  limit: number,
): Promise<UnfinishedRefund[]> {
  return sql<UnfinishedRefund[]>`
    select wallet_id as "walletId", id as "refundId", stripe_refund_id as "stripeRefundId"
    from claim_payment_refunds(${livemode}, ${limit})`;
}

/** Refunds that are not finished, by how they stand: how many, and how old the oldest is. */
export async function unfinishedRefunds(sql: Sql): Promise<RefundBacklog[]> {
  return sql<RefundBacklog[]>`
    select status, count(r.id)::int as refunds,
      coalesce(extract(epoch from clock_timestamp() - min(r.created_at)), 0)::float8
        as "oldestSeconds"
    from unnest(array['reserved', 'pending', 'requires_action']) as s (status)
    left join payment_refunds r using (status)
    group by status order by status`;
}
