/** The ledger's side of refunds and disputes in a comparison with Stripe's lists. */
import { arrayLiteral, type Sql } from './sql.ts';

/** A refund as the ledger has it. */
export interface LedgerRefund {
  refundId: string;
  /** Null while Stripe has not answered, and when it refused the refund. */
  stripeRefundId: string | null;
  walletId: string;
  topUpId: string;
  paymentIntentId: string | null;
  currency: string;
  amountMicros: bigint;
  debitedMicros: bigint;
  status: 'reserved' | 'pending' | 'requires_action' | 'succeeded' | 'failed' | 'canceled';
  createdAt: Date;
  updatedAt: Date;
}

/** A dispute as the ledger has it. */
export interface LedgerDispute {
  disputeId: string;
  walletId: string;
  topUpId: string;
  paymentIntentId: string | null;
  currency: string;
  amountMicros: bigint;
  state: 'inquiry' | 'inquiry_closed' | 'open' | 'lost' | 'won';
  withdrawnMicros: bigint;
  reinstatedMicros: bigint;
  createdAt: Date;
  updatedAt: Date;
}

interface KeysetRange {
  from: Date;
  to: Date;
  afterId: string;
  limit: number;
}

const ledgerRefund = (sql: Sql) => sql`
  r.id as "refundId", r.stripe_refund_id as "stripeRefundId", r.wallet_id as "walletId",
  r.top_up_id as "topUpId", t.payment_intent_id as "paymentIntentId", t.currency,
  r.amount_micros as "amountMicros", r.debited_micros as "debitedMicros", r.status,
  r.created_at as "createdAt", r.updated_at as "updatedAt"
  from payment_refunds r join top_ups t on t.id = r.top_up_id`;

/** Refunds that Stripe names so, or that Stripe's name as the reservation they were made for. */
export async function refundsInLedger(
  sql: Sql,
  wanted: { stripeRefundIds: readonly string[]; refundIds: readonly string[] },
): Promise<LedgerRefund[]> {
  return sql<LedgerRefund[]>`
    select ${ledgerRefund(sql)}
    where r.stripe_refund_id = any (${arrayLiteral(wanted.stripeRefundIds)}::text[])
    union
    select ${ledgerRefund(sql)} where r.id = any (${arrayLiteral(wanted.refundIds)}::uuid[])`;
}

/** Refunds that were made or reserved in `[from, to)`, by id above `afterId`. */
export async function refundsMade(sql: Sql, range: KeysetRange): Promise<LedgerRefund[]> {
  return sql<LedgerRefund[]>`
    select ${ledgerRefund(sql)}
    where r.created_at >= ${range.from} and r.created_at < ${range.to} and r.id > ${range.afterId}
    order by r.id limit ${range.limit}`;
}

const ledgerDispute = (sql: Sql) => sql`
  d.dispute_id as "disputeId", d.wallet_id as "walletId", d.top_up_id as "topUpId",
  t.payment_intent_id as "paymentIntentId", t.currency, d.amount_micros as "amountMicros",
  d.state, d.withdrawn_micros as "withdrawnMicros", d.reinstated_micros as "reinstatedMicros",
  d.created_at as "createdAt", d.updated_at as "updatedAt"
  from payment_disputes d join top_ups t on t.id = d.top_up_id`;

/** Disputes, and inquiries, of these ids. */
export async function disputesInLedger(
  sql: Sql,
  disputeIds: readonly string[],
): Promise<LedgerDispute[]> {
  return sql<LedgerDispute[]>`
    select ${ledgerDispute(sql)} where d.dispute_id = any (${arrayLiteral(disputeIds)}::text[])`;
}

/** Disputes that were opened in `[from, to)`, by id above `afterId`. */
export async function disputesOpened(sql: Sql, range: KeysetRange): Promise<LedgerDispute[]> {
  return sql<LedgerDispute[]>`
    select ${ledgerDispute(sql)}
    where d.created_at >= ${range.from} and d.created_at < ${range.to}
      and d.dispute_id > ${range.afterId}
    order by d.dispute_id limit ${range.limit}`;
}
