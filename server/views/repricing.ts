/** Usage of the past, priced again: what support staff see of rehearsals and re-ratings. */

/** A customer's usage, before and after. */
export interface CustomerChange {
  walletId: string;
  userId: string;
  usages: number;
  beforeMicros: bigint;
  afterMicros: bigint;
  /** Usage that the card has no rate for, which is in neither amount, and what it was billed. */
  withoutRate: number;
  withoutRateMicros: bigint;
}

/** All customers together, and those who gain and lose most. */
export interface Totals extends Omit<CustomerChange, 'walletId' | 'userId'> {
  customers: number;
  changed: number;
  /** Who pays least compared with before, first. */
  gainers: CustomerChange[];
  losers: CustomerChange[];
}

/** What a run has done so far. Amounts are above zero. */
export interface ReratingProgress {
  usages: number;
  credits: number;
  creditedMicros: bigint;
  debits: number;
  debitedMicros: bigint;
  /** Usage that the card has no rate for: it stays as it is. */
  withoutRate: number;
  /** How much was not posted, by reason. */
  refused: Record<string, number>;
}

/** From an instant on and before another. */
export interface Span {
  readonly from: Date;
  readonly to: Date;
}

/** Calculations for a page end after some seconds; `finished` is false for what came only so far. */
export interface RepricingDesk {
  /** Null when there is no such card. */
  rehearse(cardId: string, span: Span): Promise<{ totals: Totals; finished: boolean } | null>;
  /** Every customer's change as CSV, in pieces of whole lines; null when there is no such card. */
  rehearsalCsv(cardId: string, span: Span): Promise<AsyncGenerator<string> | null>;
  /** What a re-rating would post; null when there is no such published card. */
  preview(
    cardId: string,
    span: Span,
    debits: boolean,
  ): Promise<{ totals: Totals; finished: boolean } | null>;
  /** Posts differences; under the same id it goes on with what is not done. */
  rerate(
    terms: Span & { id: string; cardId: string; debits: boolean; reason: string },
    actor: string,
  ): Promise<
    { ok: true; progress: ReratingProgress; finished: boolean } | { ok: false; message: string }
  >;
}
