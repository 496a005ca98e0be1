/** Saved cards, as pages see them. */

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

/** Adding, naming, ordering and removing cards. */
export interface CardServices {
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
}
