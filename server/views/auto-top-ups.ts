/** Automatic top-up and the payments that wait for their user, as pages see them. */
import type { Refused } from './refused.ts';
import type { TopUpLimits } from './top-ups.ts';

export type AutoTopUpStatus = 'on' | 'paused' | 'off';
/** `restore`: up to an amount available. `add`: an amount, or as many times that as it takes. */
export type AutoTopUpMode = 'restore' | 'add';

/** Why it is paused or off; while it is on, why it waits. */
export type AutoTopUpReason =
  | 'user'
  | 'cap_reached'
  | 'declined'
  /** No card is left that may be asked. */
  | 'cards_refused'
  | 'no_card'
  | 'authentication_required'
  /** Usage looked like fraud. */
  | 'velocity'
  | 'wallet_frozen'
  | 'wallet_closed'
  | 'dispute'
  | 'fraud_warning'
  | 'under_review';

export interface AutoTopUpView {
  currency: string;
  timezone: string;
  /** The text that is agreed to when it is turned on. */
  consent: { version: string; text: string };
  /** What one charge may be; `presetsMicros` are offered as amounts. */
  limits: TopUpLimits;
  hasCard: boolean;
  /** Null when it was never turned on. */
  settings: {
    status: AutoTopUpStatus;
    reason: AutoTopUpReason | null;
    /** With `velocity`: the prefix, and how many charges went there at what cost. */
    burst: { prefix: string; charges: number; amountMicros: bigint } | null;
    thresholdMicros: bigint;
    mode: AutoTopUpMode;
    amountMicros: bigint;
    monthlyCapMicros: bigint;
    /** Charged in the wallet's month, with what is being charged. */
    usedMicros: bigint;
    monthEndsAt: Date;
    nextTryAt: Date | null;
    consentedAt: Date;
    consentVersion: string;
  } | null;
  /** Newest first. */
  attempts: {
    topUpId: string;
    state: 'charging' | 'awaiting_user' | 'canceling' | 'under_review' | 'succeeded' | 'failed';
    amountMicros: bigint;
    createdAt: Date;
    /** The cards that were asked, in their order. */
    tries: { brand: string; last4: string; failureCode: string | null }[];
  }[];
}

export type SaveAutoTopUp =
  | { ok: true }
  | Refused<'threshold' | 'amount' | 'monthlyCap' | 'consent'>;

/** A payment that the bank wants its user to confirm, as the holder of its link sees it. */
export interface RecoveryView {
  topUpId: string;
  state: 'open' | 'used' | 'expired' | 'paid' | 'over';
  currency: string;
  amountMicros: bigint;
  card: { brand: string; last4: string };
}

export type StartRecovery =
  | { ok: true; clientSecret: string; paymentMethodId: string }
  | { ok: false; message: string };

/** Setting automatic top-up, and confirming what it could not charge alone. */
export interface AutoTopUpServices {
  get(userId: string): Promise<AutoTopUpView>;
  /**
   * Turns it on with these terms, or changes them, and records the consent. Amounts are what the
   * person typed, in the currency's own decimals.
   */
  save(input: {
    userId: string;
    threshold: string;
    mode: AutoTopUpMode;
    amount: string;
    monthlyCap: string;
    /** The version of the text that was agreed to; null when it was not. */
    consentVersion: string | null;
  }): Promise<SaveAutoTopUp>;
  turnOff(userId: string): Promise<void>;
  /** Goes on after a pause. */
  resume(userId: string): Promise<SaveAutoTopUp>;
  /**
   * A new link's token for the payment that waits for its user, which puts out the ones before;
   * null when none waits.
   */
  renewRecovery(userId: string): Promise<string | null>;
  /** Null for a token that this program did not sign. Using it up is `startRecovery`'s. */
  findRecovery(token: string): Promise<RecoveryView | null>;
  /** What the browser needs to confirm the payment. A token works once. */
  startRecovery(token: string): Promise<StartRecovery>;
}
