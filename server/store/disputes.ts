/** Disputes of payments, and the card networks' warnings of fraud. */
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
