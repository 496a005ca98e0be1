/** What pages show of recurring fees. */

/** A fee on a statement: of a month, or of the part of it in which the subscription ran. */
export interface FeeLine {
  kind: 'plan' | 'number';
  description: string;
  /** The wallet's month that it is for, `YYYY-MM`. */
  period: string;
  /** Half-open. */
  from: Date;
  to: Date;
  /** What was taken, and what is owed. */
  amountMicros: bigint;
}
