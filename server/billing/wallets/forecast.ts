/**
 * How a wallet goes on if it is used as in the last days: the cost of the last
 * {@link FORECAST_DAYS} days, today included, over the time that they took so far. One rate, no
 * weekdays and no trend: whoever reads the page can do the sum.
 */
import type { Forecast } from '../../http/views/usage.ts';
import { most } from '../../ledger/money.ts';

export const FORECAST_DAYS = 14;

const DAY_MS = 86_400_000;
const FARTHEST_DAYS = 365;

export interface ForecastInput {
  readonly now: Date;
  /** When the days that are looked at began, or the wallet was opened if that was later. */
  readonly windowStartsAt: Date;
  /** What was used since then. */
  readonly windowMicros: bigint;
  readonly monthEndsAt: Date;
  /** What was used since the month began. */
  readonly spentMicros: bigint;
  readonly availableMicros: bigint;
}

/** Rounds money down to the micro and days to whole ones. */
export function forecast(input: ForecastInput): Forecast {
  const { now, windowStartsAt, windowMicros, monthEndsAt, spentMicros } = input;
  const elapsedMs = now.getTime() - windowStartsAt.getTime();
  if (windowMicros <= 0n) {
    return { kind: 'no_usage' };
  }
  // A busy first hour says little of a month.
  if (elapsedMs < DAY_MS) {
    return { kind: 'too_early' };
  }
  const elapsed = BigInt(elapsedMs);
  const leftInMonthMs = BigInt(Math.max(0, monthEndsAt.getTime() - now.getTime()));
  const leftMs = Number((most(input.availableMicros, 0n) * elapsed) / windowMicros);
  const isFar = leftMs > FARTHEST_DAYS * DAY_MS;
  return {
    kind: 'rate',
    perDayMicros: (windowMicros * BigInt(DAY_MS)) / elapsed,
    monthMicros: spentMicros + (windowMicros * leftInMonthMs) / elapsed,
    runsOutAt: isFar ? null : new Date(now.getTime() + leftMs),
    daysLeft: isFar ? null : Math.floor(leftMs / DAY_MS),
  };
}
