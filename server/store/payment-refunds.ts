/** Refunds to the card, of which the ledger and Stripe must know the same. */
import { type LedgerOutcome, outcomeColumns, type WriteKey } from './charges.ts';
import { only, type Sql } from './sql.ts';

/** What Stripe calls the states of a refund. */
export type StripeRefundStatus =
  | 'pending'
  | 'requires_action'
  | 'succeeded'
  | 'failed'
  | 'canceled';

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
  code: 'OK' | 'WALLET_NOT_FOUND' | 'WALLET_CLOSED' | 'KEY_REUSED' | 'NOT_REFUNDABLE';
};

/** Takes the money of a refund before Stripe is asked for it; its id is the key. */
export async function reservePaymentRefund(
  sql: Sql,
  refund: WriteKey & {
    walletId: string;
    topUpId: string;
    /** Null for all that may go back. */
    amountMicros: bigint | null;
    reason: string | null;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<ReserveOutcome> {
  const [outcome] = await sql<ReserveOutcome[]>`
    select ${outcomeColumns(sql)} from reserve_payment_refund(
      ${refund.walletId}, ${refund.key}, ${refund.requestHash}, ${refund.topUpId},
      ${refund.amountMicros}, ${refund.reason}, ${refund.actor},
      ${JSON.stringify(refund.detail)}::text::jsonb)`;
  return only(outcome);
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

/** Takes up to so many reservations whose end nobody knows; nobody else takes them for a while. */
export async function claimPaymentRefunds(
  sql: Sql,
  limit: number,
): Promise<{ walletId: string; refundId: string; attempt: number }[]> {
  return sql<{ walletId: string; refundId: string; attempt: number }[]>`
    select wallet_id as "walletId", id as "refundId", attempt from claim_payment_refunds(${limit})`;
}
