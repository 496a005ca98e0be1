import type { MoneyBackView } from './views/money-back.ts';

/**
 * What a Remix loader or action is given. `app/` imports these types and nothing else from
 * `server/`; the values arrive through `getLoadContext`.
 *
 * Money in these views is `bigint` micros; loaders turn it into decimal strings for the browser.
 */

export interface SessionUser {
  id: string;
  email: string;
  role: 'user' | 'support';
}

export interface WalletView {
  walletId: string;
  userId: string;
  currency: string;
  timezone: string;
  mode: 'live' | 'deferred';
  status: 'open' | 'frozen' | 'closed';
  balanceMicros: bigint;
  heldMicros: bigint;
  availableMicros: bigint;
  arrearsMicros: bigint;
  overdraftLimitMicros: bigint;
  /** Promotional credit within the balance, which is spent before paid money. */
  grantsMicros: bigint;
  /** When some of it expires next; null when all of it is for ever. */
  grantsExpireAt: Date | null;
  /** Whether it has spending limits. */
  limited: boolean;
  /** What any usage may cost now: what is available, within the limits that are for all usage. */
  affordableMicros: bigint;
  /** Sequence number of the wallet's newest event; the view is exact as of that event. */
  seq: bigint;
}

export interface EventView {
  seq: bigint;
  type: string;
  balanceDeltaMicros: bigint;
  heldDeltaMicros: bigint;
  arrearsDeltaMicros: bigint;
  balanceMicros: bigint;
  heldMicros: bigint;
  arrearsMicros: bigint;
  actor: string;
  occurredAt: Date;
  recordedAt: Date;
  /** Lower-case hex SHA-256 of the event, chained to the one before it. */
  hash: string;
  /** For a charge: `{usage, referenceId, breakdown}`; for a top-up: `{topUpId, paymentIntentId, card?}`. */
  detail: Record<string, unknown>;
}

/** A charge's price, calculated anew. */
export interface PricedAnew {
  seq: bigint;
  /** Null when what the charge says cannot be priced. */
  recomputedMicros: bigint | null;
  /** What earlier events of the same hold had billed of it. */
  alreadyBilledMicros: bigint;
  /** The event is as it was written, and billed what it costs. */
  matches: boolean;
}

export interface EventPage {
  events: EventView[];
  /** Pass it back to get the next (older) page; null on the last page. */
  nextCursor: string | null;
}

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
  | {
      ok: false;
      /** The field that is wrong, or null when it is none of them. */
      field: 'threshold' | 'amount' | 'monthlyCap' | 'consent' | null;
      message: string;
    };

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

/** Usage of one type: how often, how many of its units, and what it cost. */
export interface UsageLine {
  type: string;
  count: number;
  units: number;
  amountMicros: bigint;
}

export interface StatementView {
  /** Human number, for example `2026-10-000042`: unique, never reused. */
  number: string;
  /** The wallet's calendar month, `YYYY-MM`, and its half-open UTC instants. */
  period: string;
  startsAt: Date;
  endsAt: Date;
  currency: string;
  openingBalanceMicros: bigint;
  closingBalanceMicros: bigint;
  /** Sums of the period, signed as they moved the balance. */
  topUpsMicros: bigint;
  grantsMicros: bigint;
  usageMicros: bigint;
  feesMicros: bigint;
  refundsMicros: bigint;
  otherMicros: bigint;
  arrearsMicros: bigint;
  lines: UsageLine[];
  /** What a deferred wallet reserved in the period, which is deducted in the next. */
  accruedMicros: bigint;
  accruedLines: UsageLine[];
  fromSeq: bigint;
  toSeq: bigint;
  /** Lower-case hex head of the wallet's hash chain at the period's end. */
  headHash: string;
  closedAt: Date;
}

export interface SavedCard {
  /** Stripe's `pm_…`. */
  id: string;
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
  /** What its user calls it, if anything. */
  name: string | null;
  /** `soon` is within 60 days. */
  expiry: 'valid' | 'soon' | 'expired';
}

export interface SavedCards {
  /** The default first, then its backups in order. */
  cards: SavedCard[];
  /** False when Stripe, who keeps them, could not be asked just now. */
  isCurrent: boolean;
}

export type StartCardSetup =
  | { ok: true; clientSecret: string }
  | { ok: false; code: 'THROTTLED' | 'PAYMENT_PROVIDER_UNAVAILABLE'; message: string };

export type CardChange =
  | { ok: true }
  | {
      ok: false;
      code: 'NOT_FOUND' | 'INVALID_NAME' | 'PAYMENT_PROVIDER_UNAVAILABLE';
      message: string;
    };

export interface BillingStatus {
  runId: string | null;
  period: string;
  status: 'not_started' | 'running' | 'finished';
  wallets: { total: number; billed: number; failed: number; pending: number };
  startedAt: Date | null;
  finishedAt: Date | null;
  nextRunAt: Date;
}

export interface InboxSummary {
  received: number;
  applied: number;
  ignored: number;
  /** Refunds and disputes of payments that are in quarantine, or that do not fit their payment. */
  unhandled: number;
  waiting: number;
  /** Given up: a person has to look. */
  dead: number;
  /** Payments that are not what was asked for and are not credited: a person decides. */
  quarantined: number;
}

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

export type ResolveQuarantine =
  | { ok: true; replayed: boolean; seq: bigint | null }
  | {
      ok: false;
      code:
        | 'NOT_FOUND'
        | 'ALREADY_RESOLVED'
        | 'ALREADY_CREDITED'
        | 'WALLET_NOT_FOUND'
        | 'WALLET_CLOSED'
        | 'CURRENCY_DIFFERS'
        | 'LIVEMODE_DIFFERS'
        | 'CHANGED_AT_STRIPE'
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

/** At which available balances a user is alerted. */
export interface BalanceAlerts {
  byMail: boolean;
  /** Highest first. */
  thresholds: {
    thresholdMicros: bigint;
    /** Whether less was available, as of a few seconds ago. */
    below: boolean;
    /** When it last fell below; null when it has not been above yet. */
    since: Date | null;
  }[];
}

/** How many mails stand where. */
export interface MailSummary {
  waiting: number;
  /** Of those, the ones whose last attempt failed. */
  failing: number;
  sent: number;
  /** Given up after three days: a person has to look. */
  dead: number;
  /** The newest failure's code. */
  lastError: string | null;
}

export type SignIn =
  | { ok: true; user: SessionUser; setCookie: string }
  | {
      ok: false;
      code: 'INVALID_CREDENTIALS' | 'EMAIL_TAKEN' | 'WEAK_PASSWORD' | 'INVALID_EMAIL' | 'THROTTLED';
      message: string;
      retryAfterSeconds?: number;
    };

export interface Services {
  accounts: {
    /** Creates the user and its wallet, and signs it in. `setCookie` is the `Set-Cookie` value. */
    signUp(input: { email: string; password: string; ip: string }): Promise<SignIn>;
    signIn(input: { email: string; password: string; ip: string }): Promise<SignIn>;
    /** Ends the session that the request's cookie names; returns the `Set-Cookie` value that clears it. */
    signOut(cookieHeader: string | null): Promise<string>;
    changePassword(input: {
      userId: string;
      currentPassword: string;
      newPassword: string;
      ip: string;
    }): Promise<SignIn>;
  };
  wallets: {
    /** The user's first wallet; opens it when the user has none yet. */
    ofUser(userId: string): Promise<WalletView>;
    events(
      walletId: string,
      options: {
        cursor?: string | undefined;
        limit?: number | undefined;
        types?: string[] | undefined;
        from?: Date | undefined;
        to?: Date | undefined;
      },
    ): Promise<EventPage>;
    /** Prices anew those of the events that billed usage, by the cards that priced them then. */
    explainEvents(walletId: string, seqs: readonly bigint[]): Promise<PricedAnew[]>;
    /** Charges of the current calendar month of the wallet, by usage type. */
    usageThisMonth(walletId: string): Promise<UsageLine[]>;
  };
  topUps: {
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
    /** Null when there is none of that id that belongs to the user. */
    get(userId: string, topUpId: string): Promise<TopUpView | null>;
    list(userId: string, limit?: number): Promise<TopUpView[]>;
  };
  autoTopUps: {
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
  };
  alerts: {
    get(userId: string): Promise<BalanceAlerts>;
    /**
     * Replaces the alerts. `amounts` are what the person typed; empty ones are left out. `problems`
     * are by their place in `amounts`.
     */
    save(input: {
      userId: string;
      amounts: readonly string[];
      byMail: boolean;
    }): Promise<{ ok: true } | { ok: false; problems: Record<number, string> }>;
    /** The lowest threshold that the available balance is below now, having been above it. */
    lowBalance(
      userId: string,
    ): Promise<{ currency: string; thresholdMicros: bigint; availableMicros: bigint } | null>;
  };
  statements: {
    list(userId: string): Promise<StatementView[]>;
    get(userId: string, number: string): Promise<StatementView | null>;
  };
  paymentMethods: {
    /** The user's cards, read again at Stripe where it answers in time. */
    list(userId: string): Promise<SavedCards>;
    /**
     * Begins to save a card, or finds what the attempt key began: the browser confirms the setup
     * intent of the client secret with the card.
     */
    startAdding(input: { userId: string; attemptKey: string }): Promise<StartCardSetup>;
    /** Names a card; an empty text takes the name away. */
    rename(userId: string, paymentMethodId: string, name: string): Promise<CardChange>;
    /** Moves a card to a position; 1 is the default, the others are its backups in order. */
    move(userId: string, paymentMethodId: string, position: number): Promise<CardChange>;
    /** Removes a card at Stripe, then here. */
    remove(userId: string, paymentMethodId: string): Promise<CardChange>;
    /**
     * The client secret with which the Payment Element shows the user's saved cards and offers to
     * save one; null when Stripe does not give it in time, and cards can only be typed.
     */
    session(userId: string): Promise<string | null>;
  };
  admin: {
    billing(): Promise<BillingStatus>;
    startBilling(actor: string): Promise<BillingStatus>;
    inbox(): Promise<InboxSummary>;
    mail(): Promise<MailSummary>;
    /** Tries the mails again that were given up; returns how many. */
    reviveMails(): Promise<number>;
    ledger(): Promise<{
      wallets: number;
      events: bigint;
      totals: { currency: string; balanceMicros: bigint }[];
    }>;
    findWallets(query: string): Promise<WalletView[]>;
  };
  /** What operators see of Stripe: its events, payments in quarantine, differences from the ledger. */
  stripeDesk: StripeDesk;
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
  differences(page: {
    cursor?: string | undefined;
    limit?: number | undefined;
  }): Promise<{ differences: DifferenceView[]; nextCursor: string | null }>;
}

export interface LoadContext {
  requestId: string;
  cspNonce: string;
  /** The signed-in user, or null. Pages under /account redirect to /login without one. */
  user: SessionUser | null;
  ip: string;
  services: Services;
  /** Logs, with the request id, an error that no page expected. */
  reportError(error: unknown): void;
  config: {
    appName: string;
    appUrl: string;
    stripePublishableKey: string;
    /** When set, a plain `<script>` in `<head>` loads Stripe.js from here; otherwise stripe-js does. */
    stripeScriptUrl: string | null;
    /** Shown on the sign-in page in development; null in production. */
    demoSignIn: { email: string; password: string } | null;
  };
}
