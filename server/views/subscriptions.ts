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

/** A recurring fee that was agreed on. */
export interface SubscriptionView {
  subscriptionId: string;
  kind: 'plan' | 'number';
  description: string;
  /** Of a whole month. */
  monthlyMicros: bigint;
  startsAt: Date;
  /** Null until somebody ends it. */
  endsAt: Date | null;
  /** The end of the newest month whose fee was posted. */
  billedTo: Date | null;
}

export interface SubscriptionServices {
  /** Those of a wallet that have not ended, in the order in which they were added. */
  current(walletId: string): Promise<SubscriptionView[]>;
}
