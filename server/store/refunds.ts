/** Refunds of usage. */
import { type LedgerOutcome, outcomeColumns, type WriteKey } from './charges.ts';
import { only, type Sql } from './sql.ts';

export type RefundLedgerOutcome = Omit<LedgerOutcome, 'code'> & {
  /** With NOT_REFUNDABLE the amount is what is left to refund. */
  code:
    | Exclude<LedgerOutcome['code'], 'INSUFFICIENT_FUNDS' | 'NO_RATE' | 'WALLET_FROZEN'>
    | 'NOT_REFUNDABLE';
};

/** Gives back what a charge, or else a hold, was billed: an amount, or all that is left (null). */
export async function refundUsage(
  sql: Sql,
  refund: WriteKey & {
    walletId: string;
    chargeKey: string;
    holdKey: string;
    usageType: string;
    amountMicros: bigint | null;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<RefundLedgerOutcome> {
  const [outcome] = await sql<RefundLedgerOutcome[]>`
    select ${outcomeColumns(sql)} from refund_usage(
      ${refund.walletId}, ${refund.key}, ${refund.requestHash}, ${refund.chargeKey},
      ${refund.holdKey}, ${refund.usageType}, ${refund.amountMicros}, ${refund.actor},
      ${JSON.stringify(refund.detail)}::text::jsonb)`;
  return only(outcome);
}
