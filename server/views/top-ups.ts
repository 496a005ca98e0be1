/** Top-ups by card, as pages see them. */
import type { MoneyBackView } from './money-back.ts';

export type TopUpStatus =
  | 'created'
  | 'requires_action'
  | 'processing'
  | 'succeeded'
  | 'failed'
  | 'canceled'
  | 'quarantined';

export interface TopUpView extends MoneyBackView {
  topUpId: string;
  /** `auto`: charged to a saved card by the automatic top-up. */
  kind: 'manual' | 'auto';
  status: TopUpStatus;
  currency: string;
  amountMicros: bigint;
  /** Stripe's code and its message for people, when the last attempt failed. */
  failureCode: string | null;
  failureMessage: string | null;
  /** The event that credited it, once it is credited. */
  creditedSeq: bigint | null;
  createdAt: Date;
  updatedAt: Date;
}

export interface TopUpLimits {
  currency: string;
  /** Number of decimals of the currency: JPY 0, USD 2, KWD 3. */
  exponent: number;
  minMicros: bigint;
  maxMicros: bigint;
  presetsMicros: bigint[];
}

export type StartTopUp =
  | { ok: true; topUpId: string; status: TopUpStatus; clientSecret: string; amountMinor: number }
  | {
      ok: false;
      code:
        | 'INVALID_AMOUNT'
        | 'BELOW_MINIMUM'
        | 'ABOVE_MAXIMUM'
        | 'KEY_REUSED'
        | 'WALLET_FROZEN'
        | 'WALLET_CLOSED'
        | 'THROTTLED'
        | 'PAYMENT_PROVIDER_UNAVAILABLE';
      message: string;
    };

/** Topping a wallet up. */
export interface TopUpServices {
  limits(currency: string): TopUpLimits;
  /**
   * Starts a top-up, or returns the one the attempt key already started.
   * `amount` is what the person typed, in the currency's own decimals ("25", "25.00").
   * Stripe mails a receipt to `receiptEmail` when it is paid.
   */
  start(input: {
    userId: string;
    attemptKey: string;
    amount: string;
    receiptEmail?: string | undefined;
  }): Promise<StartTopUp>;
  /**
   * The page was told that the payment went through. Records what Stripe says of that: that it is on
   * its way, never that it is credited. Resolves in any case.
   */
  noteConfirmed(userId: string, topUpId: string): Promise<void>;
  /** Null when there is none of that id that belongs to the user. */
  get(userId: string, topUpId: string): Promise<TopUpView | null>;
  list(userId: string, limit?: number): Promise<TopUpView[]>;
  /** Those whose disputes keep the wallet frozen, newest first. */
  freezing(userId: string): Promise<TopUpView[]>;
}
