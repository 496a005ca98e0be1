/** Wallets and their events, as pages see them. */

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
  /** When usage stops unless what is owed is paid before; null when nothing is demanded. */
  suspendsAt: Date | null;
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

export interface WalletPage {
  wallets: WalletView[];
  /** Pass it back to get the next page; null on the last page. */
  nextCursor: string | null;
}

export interface EventPage {
  events: EventView[];
  /** Pass it back to get the next (older) page; null on the last page. */
  nextCursor: string | null;
}

/** Usage of one type: how often, how many of its units, and what it cost. */
export interface UsageLine {
  type: string;
  count: number;
  units: number;
  amountMicros: bigint;
}

/** What pages read of a user's wallet. */
export interface WalletServices {
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
}
