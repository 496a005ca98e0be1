/** Disputes of payments, and the card networks' warnings of fraud. */
import type { DisputeView, FraudWarningView } from '../views/wallet-desk.ts';
import { outcomeColumns } from './charges.ts';
import type { MoneyBackOutcome } from './payment-refunds.ts';
import { only, type Sql } from './sql.ts';

/** Brings the ledger to what Stripe says of a dispute; `replayed` when nothing happened. */
export async function applyDispute(
  sql: Sql,
  dispute: {
    disputeId: string;
    paymentIntentId: string;
    currency: string;
    amountMinor: bigint;
    state: 'inquiry' | 'inquiry_closed' | 'open' | 'lost' | 'won';
    /** Stripe's own word. */
    status: string;
    reason: string | null;
    /** All that was ever taken for it, and given back. */
    withdrawnMinor: bigint;
    reinstatedMinor: bigint;
    actor: string;
    occurredAt: Date;
    detail: Record<string, unknown>;
  },
): Promise<MoneyBackOutcome> {
  const [outcome] = await sql<MoneyBackOutcome[]>`
    select ${outcomeColumns(sql)} from apply_dispute(
      ${dispute.disputeId}, ${dispute.paymentIntentId}, ${dispute.currency}, ${dispute.amountMinor},
      ${dispute.state}, ${dispute.status}, ${dispute.reason},
      ${dispute.withdrawnMinor}, ${dispute.reinstatedMinor}, ${dispute.actor},
      ${dispute.occurredAt}, ${JSON.stringify(dispute.detail)}::text::jsonb)`;
  return only(outcome);
}

const disputeColumns = (sql: Sql) => sql`
  d.dispute_id as "disputeId", d.wallet_id as "walletId", d.top_up_id as "topUpId", t.currency,
  d.state, d.status, d.reason, d.amount_micros as "amountMicros",
  d.withdrawn_micros as "withdrawnMicros", d.reinstated_micros as "reinstatedMicros", d.freezes,
  d.created_at as "createdAt"
  from payment_disputes d join top_ups t on t.id = d.top_up_id`;

/** All disputes and inquiries of a wallet, newest first. */
export async function disputesOfWallet(sql: Sql, walletId: string): Promise<DisputeView[]> {
  return sql<DisputeView[]>`
    select ${disputeColumns(sql)} where d.wallet_id = ${walletId} order by d.created_at desc`;
}

/** A page of a list of all wallets: `before` is the last row of the page before. */
interface Page {
  before: [at: string, id: string] | null;
  limit: number;
}

/** Disputes and inquiries of all wallets, newest first. */
export async function listDisputes(
  sql: Sql,
  { before, limit }: Page,
): Promise<(DisputeView & { cursorAt: string })[]> {
  return sql<(DisputeView & { cursorAt: string })[]>`
    select d.created_at::text as "cursorAt", ${disputeColumns(sql)}
    ${
      before === null
        ? sql``
        : sql`where (d.created_at, d.dispute_id) < (${before[0]}::text::timestamptz, ${before[1]})`
    }
    order by d.created_at desc, d.dispute_id desc limit ${limit}`;
}

const warningColumns = (sql: Sql) => sql`
  f.warning_id as "warningId", f.wallet_id as "walletId", f.top_up_id as "topUpId", t.currency,
  t.amount_micros as "amountMicros", f.fraud_type as "fraudType", f.actionable,
  f.created_at as "createdAt"
  from payment_fraud_warnings f join top_ups t on t.id = f.top_up_id`;

/** All warnings of fraud about payments to a wallet, newest first. */
export async function warningsOfWallet(sql: Sql, walletId: string): Promise<FraudWarningView[]> {
  return sql<FraudWarningView[]>`
    select ${warningColumns(sql)} where f.wallet_id = ${walletId} order by f.created_at desc`;
}

/** Warnings of fraud of all wallets, newest first. */
export async function listFraudWarnings(
  sql: Sql,
  { before, limit }: Page,
): Promise<(FraudWarningView & { cursorAt: string })[]> {
  return sql<(FraudWarningView & { cursorAt: string })[]>`
    select f.created_at::text as "cursorAt", ${warningColumns(sql)}
    ${
      before === null
        ? sql``
        : sql`where (f.created_at, f.warning_id) < (${before[0]}::text::timestamptz, ${before[1]})`
    }
    order by f.created_at desc, f.warning_id desc limit ${limit}`;
}

/**
 * Remembers a warning, which pauses the wallet's automatic top-up the first time; false when its
 * payment is none of ours.
 */
export async function recordFraudWarning(
  sql: Sql,
  warning: {
    warningId: string;
    paymentIntentId: string;
    fraudType: string;
    actionable: boolean;
    createdAt: Date;
  },
): Promise<boolean> {
  const [row] = await sql<{ recorded: boolean }[]>`
    select record_fraud_warning(${warning.warningId}, ${warning.paymentIntentId},
      ${warning.fraudType}, ${warning.actionable}, ${warning.createdAt}) as recorded`;
  return row?.recorded === true;
}
