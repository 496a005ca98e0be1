/** Spending limits of wallets. Setting them is one SQL function call. */
import type { SpendingLimit } from '../ledger/limit-list.ts';
import type { LedgerOutcome } from './charges.ts';
import { outcomeColumns } from './charges.ts';
import { only, type Sql } from './sql.ts';

/** A limit, and how it stands now. */
export interface LimitRow extends SpendingLimit {
  readonly spentMicros: bigint;
  /** What open holds reserve of the rest. */
  readonly reservedMicros: bigint;
  readonly leftMicros: bigint;
  /** When the next day or month of the wallet's time zone begins. */
  readonly resetsAt: Date;
}

/** Replaces the limits of a wallet; the same limits again are answered as replayed. */
export async function setLimits(
  sql: Sql,
  request: { walletId: string; limits: readonly SpendingLimit[]; actor: string },
): Promise<LedgerOutcome> {
  const limits = request.limits.map((limit) => ({
    ...limit,
    amountMicros: limit.amountMicros.toString(),
  }));
  const [outcome] = await sql<LedgerOutcome[]>`
    select ${outcomeColumns(sql)} from set_limits(
      ${request.walletId}, ${JSON.stringify(limits)}::text::jsonb, ${request.actor})`;
  return only(outcome);
}

/** A wallet's limits as they stand at this moment; none when it has none. */
export async function limitsOf(sql: Sql, walletId: string): Promise<LimitRow[]> {
  type Row = Omit<LimitRow, 'spentMicros' | 'reservedMicros'> & {
    // Sums of many charges need not fit 64 bits.
    spentMicros: string;
    reservedMicros: string;
  };
  const rows = await sql<Row[]>`
    select l.period, l.usage_type as type, l.prefix, l.amount_micros as "amountMicros",
      l.spent_micros::text as "spentMicros", l.reserved_micros::text as "reservedMicros",
      l.left_micros as "leftMicros", l.resets_at as "resetsAt"
    from wallets w cross join lateral limit_standings(w, null) l
    where w.id = ${walletId}`;
  return rows.map((row) => ({
    ...row,
    spentMicros: BigInt(row.spentMicros),
    reservedMicros: BigInt(row.reservedMicros),
  }));
}
