/** What the pages are told of money that went back. Amounts in micros. */

/** What came back of a payment: by refunds, and by its bank. */
export interface MoneyBackView {
  /** On the card again. */
  refundedMicros: bigint;
  /** Taken from the wallet, and not on the card yet. */
  refundingMicros: bigint;
  /** The bank's decision; `open` until it is made, null without a dispute. An inquiry is none. */
  dispute: 'open' | 'won' | 'lost' | null;
  /** Taken by the bank, and not given back. */
  disputedMicros: bigint;
}
