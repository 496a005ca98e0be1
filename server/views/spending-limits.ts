/** Spending limits of a wallet, as pages and services see them. */

/** What a limit is for, in the words of the API, which leaves out what it does not ask for. */
export interface LimitTerms {
  period: 'day' | 'month';
  type?: string;
  /** The first digits of the destination, without +. */
  prefix?: string;
}

/** A limit, and how it stands now. */
export interface LimitView extends LimitTerms {
  amountMicros: bigint;
  spentMicros: bigint;
  /** What open holds reserve of the rest. */
  reservedMicros: bigint;
  leftMicros: bigint;
  /** When the next day or month of the wallet's time zone begins. */
  resetsAt: Date;
}

export interface LimitServices {
  /** The limits that an operator has set for the user's wallet. */
  ofUser(userId: string): Promise<LimitView[]>;
}
