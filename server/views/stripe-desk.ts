/** What operators see of Stripe: its events, payments in quarantine, differences from the ledger. */
import type { TopUpStatus } from './top-ups.ts';

export type InboxStatus = 'waiting' | 'applied' | 'ignored' | 'unhandled' | 'dead';

/** Which events of the inbox to list; null asks for all. */
export interface InboxFilter {
  status: InboxStatus | null;
  /** How the type begins, such as `payment_intent.`. */
  type: string | null;
  /** Stripe's id of the object that the event tells of. */
  objectId: string | null;
}

/** A webhook of Stripe's as the inbox has it. */
export interface InboxEventView {
  eventId: string;
  type: string;
  objectId: string | null;
  livemode: boolean;
  status: InboxStatus;
  /** What applying it came to. */
  outcome: string | null;
  dispatches: number;
  failures: number;
  lastError: string | null;
  receivedAt: Date;
  finishedAt: Date | null;
}

export interface InboxEventDetail extends InboxEventView {
  apiVersion: string | null;
  /** When it is sent to be applied again, while it waits. */
  nextDispatchAt: Date;
  /** When all but the event's own ids was taken out of the payload. */
  trimmedAt: Date | null;
  /** Indented JSON without personal data. */
  payload: string;
}

/** A payment that succeeded at Stripe and is not what was asked for. */
export interface QuarantineView {
  paymentIntentId: string;
  reason: string;
  createdAt: Date;
  /** What Stripe says was paid; null for entries that are older than this record. */
  paid: {
    currency: string;
    /** Null when the ledger does not have the currency. */
    amountMicros: bigint | null;
    customerId: string | null;
    livemode: boolean;
  } | null;
  /** The top-up that the payment claims. */
  asked: {
    topUpId: string;
    walletId: string;
    userId: string;
    status: TopUpStatus;
    currency: string;
    amountMicros: bigint;
    customerId: string | null;
    livemode: boolean;
    paymentIntentId: string | null;
  } | null;
  resolved: {
    as: 'credited' | 'refunded' | 'dismissed';
    at: Date;
    by: string;
    note: string;
    walletId: string | null;
    seq: bigint | null;
  } | null;
}

/** Why a decision about a payment in quarantine does not fit what the ledger knows. */
export type ResolveConflict =
  | 'NOT_FOUND'
  | 'ALREADY_RESOLVED'
  | 'ALREADY_CREDITED'
  | 'WALLET_NOT_FOUND'
  | 'WALLET_CLOSED'
  | 'CURRENCY_DIFFERS'
  | 'CHANGED_AT_STRIPE';

export type ResolveQuarantine =
  | { ok: true; replayed: boolean; seq: bigint | null }
  | {
      ok: false;
      code:
        | ResolveConflict
        | 'LIVEMODE_DIFFERS'
        | 'NOT_PAID'
        | 'REFUNDED_AT_STRIPE'
        | 'DISPUTED_AT_STRIPE'
        | 'NOT_REFUNDED_AT_STRIPE'
        | 'PAYMENT_PROVIDER_UNAVAILABLE';
      message: string;
    };

/** Something on which Stripe and the ledger disagree. */
export interface DifferenceView {
  id: bigint;
  kind: string;
  objectId: string;
  problem: string;
  /** The problem in words. */
  meaning: string;
  happenedAt: Date;
  walletId: string | null;
  topUpId: string | null;
  atStripe: Record<string, string | null> | null;
  inLedger: Record<string, string | null> | null;
  firstSeenAt: Date;
  lastSeenAt: Date;
}

export interface StripeDesk {
  /** Events, newest first. */
  events(
    filter: InboxFilter,
    page: { cursor?: string | undefined; limit?: number | undefined },
  ): Promise<{ events: InboxEventView[]; nextCursor: string | null }>;
  event(eventId: string): Promise<InboxEventDetail | null>;
  /** Applies the event again; null when there is none. What it could not do, it says. */
  replay(eventId: string): Promise<{ ok: boolean; outcome: string } | null>;
  /** Payments in quarantine, the newest first. */
  quarantine(page: {
    resolved: boolean;
    cursor?: string | undefined;
    limit?: number | undefined;
  }): Promise<{ payments: QuarantineView[]; nextCursor: string | null }>;
  quarantined(paymentIntentId: string): Promise<QuarantineView | null>;
  /**
   * Decides about a payment in quarantine, once: credits it to a wallet, records that it was refunded
   * at Stripe (which is checked there), or dismisses it. `actor` is who decided, `note` is why.
   */
  resolve(input: {
    paymentIntentId: string;
    as: 'credited' | 'refunded' | 'dismissed';
    /** The wallet to credit. */
    walletId: string | null;
    note: string;
    actor: string;
  }): Promise<ResolveQuarantine>;
  /** Open differences, newest first. */
  differences(page: { cursor?: string | undefined; limit?: number | undefined }): Promise<{
    differences: DifferenceView[];
    nextCursor: string | null;
    /** The last daily comparison: when it ended, and of which payments; null before the first. */
    compared: { at: Date; from: Date; to: Date } | null;
  }>;
}
