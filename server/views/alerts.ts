/** Alerts of a low balance, as pages see them. */

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

/** Reading and changing the alerts. */
export interface AlertServices {
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
  /**
   * Whether alerts are mailed for the wallet that the signed link of a mail names; null for a link
   * that this program did not sign.
   */
  mailsOfLink(token: string): Promise<boolean | null>;
  /** Stops those mails; false for a link that this program did not sign. */
  stopMailsOfLink(token: string): Promise<boolean>;
  /** The lowest threshold that the available balance is below now, having been above it. */
  lowBalance(
    userId: string,
  ): Promise<{ currency: string; thresholdMicros: bigint; availableMicros: bigint } | null>;
}
