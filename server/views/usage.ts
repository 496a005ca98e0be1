/** What a wallet uses, as pages see it. */
import type { UsageLine, WalletView } from './wallets.ts';

/** Usage of one type on one day of the wallet's time zone, `YYYY-MM-DD`. */
export interface UsageOfDay extends UsageLine {
  day: string;
}

/** How the wallet goes on if it is used as in the last days. */
export type Forecast =
  /** Nothing was used in the last days, and no fees are to come. */
  | { kind: 'no_usage' }
  /** The wallet is younger than a day. */
  | { kind: 'too_early' }
  | {
      kind: 'rate';
      perDayMicros: bigint;
      /** What the month's usage will have cost at its end. */
      monthUsageMicros: bigint;
      /** When usage and fees have taken what is available; null when that is more than a year away. */
      runsOutAt: Date | null;
      /** Whole days until then. */
      daysLeft: number | null;
    };

/** What is available, in usage of one type at the default destination. */
export interface Reach {
  type: string;
  units: number;
}

export interface UsageOverview {
  /** The wallet's calendar month, `YYYY-MM`, and the day in it. */
  period: string;
  today: string;
  /** The month's usage by type, the dearest first, and by day. */
  lines: UsageLine[];
  days: UsageOfDay[];
  spentMicros: bigint;
  /** The month's recurring fees, as they are agreed on now; closing it takes them. */
  feesMicros: bigint;
  /** How many days the forecast looks back. */
  windowDays: number;
  forecast: Forecast;
  reach: Reach[];
}

/** What pages read of a wallet's usage. */
export interface UsageServices {
  overview(wallet: WalletView): Promise<UsageOverview>;
}
