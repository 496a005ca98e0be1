/** What can happen to a wallet. Amounts are micros and never negative; `deltasOf` gives the signs. */
import type { SpendingLimit } from './limit-list.ts';
import type { Dispute, PaymentRefund } from './payments.ts';
import type { GrantPart, Hold } from './state.ts';
import type { Subscription } from './subscriptions.ts';
import type { Window } from './window.ts';

export type Detail = Readonly<Record<string, unknown>>;

/** The caller's idempotency key (a uuid) and the SHA-256, in hex, of what was asked with it. */
export interface Keyed {
  readonly key: string;
  readonly requestHash: string;
}

export type WalletMode = 'live' | 'deferred';

interface Opened {
  readonly type: 'wallet_opened';
  readonly userId: string;
  readonly currency: string;
  readonly timezone: string;
  readonly mode: WalletMode;
}

/** Paid money came in. */
interface ToppedUp extends Keyed {
  readonly type: 'top_up';
  readonly amountMicros: bigint;
  readonly detail: Detail;
}

/** Promotional credit came in, for ever when it does not say until when. */
interface Granted extends Keyed {
  readonly type: 'grant';
  readonly amountMicros: bigint;
  readonly expiresAtMs?: number;
  readonly detail: Detail;
}

/** Promotional credit ended unspent. What of it was no longer there cannot be taken. */
interface GrantExpired {
  readonly type: 'grant_expired';
  readonly grantSeq: bigint;
  readonly expiresAtMs: number;
  readonly endedMicros: bigint;
  readonly takenMicros: bigint;
}

/** What spending burned of promotional credit, which is spent before paid money. */
interface Spending {
  readonly grants?: readonly GrantPart[];
}

/** A re-rating charges usage once more, which had cost too little. */
interface OfRerating {
  readonly rerating?: {
    readonly reratingId: string;
    /** The event that had billed it. */
    readonly originalSeq: bigint;
    /** The hold that this ended, with the credit that it burns now. */
    readonly hold?: Hold;
  };
}

/** Usage of a live wallet: taken from the balance, and the rest owed. */
interface Charged extends Partial<Keyed>, OfHold, OfRerating, Spending {
  readonly type: 'charge';
  readonly takenMicros: bigint;
  readonly owedMicros: bigint;
  readonly detail: Detail;
}

/** Usage of a deferred wallet: reserved until the month is closed, and the rest owed. */
interface Accrued extends Partial<Keyed>, OfHold, OfRerating, Spending {
  readonly type: 'accrual';
  readonly reservedMicros: bigint;
  readonly owedMicros: bigint;
  readonly detail: Detail;
}

/** Usage that nobody pays: the detail says what it costs. */
interface Goodwill extends Partial<Keyed>, OfHold {
  readonly type: 'goodwill';
  readonly detail: Detail;
}

/** What belongs to a hold says how it leaves that hold. */
interface OfHold {
  readonly hold?: Hold;
}

interface HoldPlaced extends Keyed {
  readonly type: 'hold_placed';
  readonly amountMicros: bigint;
  readonly hold: Hold;
  readonly detail: Detail;
}

/** A heartbeat: usage so far, a later expiry, and what was reserved in addition. */
interface HoldExtended {
  readonly type: 'hold_extended';
  readonly raisedMicros: bigint;
  readonly hold: Hold;
  readonly detail: Detail;
}

/**
 * A hold ended: all of it was released, and in a live wallet its usage taken, and the rest owed. In
 * a deferred wallet the accrual behind this event has the usage.
 */
interface HoldEnded extends Spending {
  readonly releasedMicros: bigint;
  readonly takenMicros: bigint;
  readonly owedMicros: bigint;
  readonly hold: Hold;
  readonly detail: Detail;
}

interface HoldCaptured extends HoldEnded, Keyed {
  readonly type: 'hold_captured';
}

interface HoldExpired extends HoldEnded {
  readonly type: 'hold_expired';
}

interface HoldVoided extends Keyed {
  readonly type: 'hold_voided';
  readonly releasedMicros: bigint;
  readonly hold: Hold;
  readonly detail: Detail;
}

/** Usage is given back: a hold had billed too much, or an original is refunded or re-rated. */
export interface UsageRefunded extends Partial<Keyed>, OfHold {
  readonly type: 'usage_refund';
  /** What comes back of the promotional credit that it had burned. */
  readonly grants?: readonly GrantPart[];
  readonly amountMicros: bigint;
  /** The event that had billed it; absent when a late record of a hold corrects it. */
  readonly originalSeq?: bigint;
  /** The part of it that re-ratings had charged; negative for what they had given back. */
  readonly correctionMicros?: bigint;
  /** The re-rating that gives all of it back. */
  readonly reratingId?: string;
  readonly detail: Detail;
}

/** A closed month's accruals were debited. */
interface AccrualSettled extends Keyed {
  readonly type: 'accrual_settled';
  readonly settledMicros: bigint;
  readonly detail: Detail;
}

/** Arrears were repaid out of the credit `bySeq`, in the same operation. */
interface ArrearsRepaid extends Spending {
  readonly type: 'arrears_repaid';
  readonly repaidMicros: bigint;
  readonly bySeq: bigint;
}

/** What the wallet may be used for changed; the detail says why. */
interface StatusChanged {
  readonly type: 'wallet_frozen' | 'wallet_unfrozen' | 'wallet_closed';
  /** A dispute froze it, and not support staff. */
  readonly byDispute?: true;
  /** Arrears that were not paid in time froze it. */
  readonly bySuspension?: true;
  readonly detail: Detail;
}

/** Money goes back to the card; keyed when it is our refund. A failed one is credited again. */
interface PaymentRefunded extends Partial<Keyed> {
  readonly type: 'payment_refund' | 'payment_refund_failed';
  readonly amountMicros: bigint;
  readonly refund: PaymentRefund;
  readonly detail: Detail;
}

/** The bank's money moves: taken for a dispute, or given back. */
interface DisputeMoved {
  readonly type: 'dispute_withdrawn' | 'dispute_reinstated';
  readonly amountMicros: bigint;
  readonly dispute: Dispute;
  readonly detail: Detail;
}

/** The bank disputes a payment, or has decided; no money moves by it. */
interface DisputeTold {
  readonly type: 'dispute_opened' | 'dispute_closed';
  readonly dispute: Dispute;
  readonly detail: Detail;
}

/** Spending limits took the place of those before. */
interface LimitsChanged {
  readonly type: 'limits_changed';
  readonly limits: readonly SpendingLimit[];
}

/** What is owed is to be paid until an instant, at which the wallet is suspended. */
interface ArrearsDemanded extends Keyed {
  readonly type: 'arrears_demanded';
  readonly period: string;
  readonly arrearsMicros: bigint;
  readonly suspendAtMs: number;
}

/** A recurring fee was agreed on, or its end. The detail tells the subscription as it is then. */
interface SubscriptionChanged {
  readonly subscription: Subscription;
}

interface SubscriptionAdded extends SubscriptionChanged, Keyed {
  readonly type: 'subscription_added';
}

interface SubscriptionEnded extends SubscriptionChanged {
  readonly type: 'subscription_ended';
}

/** A closed month's fee: taken from the balance, and the rest owed. */
interface FeePosted extends SubscriptionChanged, Keyed, Spending {
  readonly type: 'fee';
  readonly takenMicros: bigint;
  readonly owedMicros: bigint;
  readonly period: string;
  /** When in that month the subscription ran. */
  readonly part: Window;
}

const EVERY_TYPE: Record<WalletEvent['type'], true> = {
  wallet_opened: true,
  top_up: true,
  grant: true,
  grant_expired: true,
  charge: true,
  accrual: true,
  accrual_settled: true,
  goodwill: true,
  arrears_repaid: true,
  arrears_demanded: true,
  hold_placed: true,
  hold_extended: true,
  hold_captured: true,
  hold_voided: true,
  hold_expired: true,
  usage_refund: true,
  payment_refund: true,
  payment_refund_failed: true,
  dispute_opened: true,
  dispute_withdrawn: true,
  dispute_reinstated: true,
  dispute_closed: true,
  wallet_frozen: true,
  wallet_unfrozen: true,
  wallet_closed: true,
  limits_changed: true,
  subscription_added: true,
  subscription_ended: true,
  fee: true,
};

export const WALLET_EVENT_TYPES = Object.keys(EVERY_TYPE) as readonly WalletEvent['type'][];

export type WalletEvent = { readonly actor: string } & (
  | Opened
  | ToppedUp
  | Granted
  | GrantExpired
  | Charged
  | Accrued
  | Goodwill
  | AccrualSettled
  | ArrearsRepaid
  | ArrearsDemanded
  | HoldPlaced
  | HoldExtended
  | HoldCaptured
  | HoldVoided
  | HoldExpired
  | UsageRefunded
  | PaymentRefunded
  | DisputeMoved
  | DisputeTold
  | StatusChanged
  | LimitsChanged
  | SubscriptionAdded
  | SubscriptionEnded
  | FeePosted
);
