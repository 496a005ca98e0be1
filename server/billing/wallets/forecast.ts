/**
 * How a wallet goes on if it is used as in the last days: the cost of the last
 * {@link FORECAST_DAYS} days, today included, over the time that they took so far, and the recurring
 * fees as they fall due. One rate, no weekdays and no trend: whoever reads the page can do the sum.
 */

import { most } from '../../ledger/money.ts';
import type { Forecast } from '../../views/usage.ts';
import type { DueFees } from './fees-to-come.ts';

export const FORECAST_DAYS = 14;
export const FARTHEST_DAYS = 365;

const DAY_MS = 86_400_000;

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
  /** Of {@link FARTHEST_DAYS} to come, the next ones first. */
  readonly fees: readonly DueFees[];
}

/** Usage that cost so much in so many milliseconds. */
interface Rate {
  readonly micros: bigint;
  readonly perMs: bigint;
}

/** Rounds money down to the micro and days to whole ones. */
export function forecast(input: ForecastInput): Forecast {
  const { now, windowStartsAt, monthEndsAt, spentMicros } = input;
  const elapsedMs = now.getTime() - windowStartsAt.getTime();
  const micros = most(input.windowMicros, 0n);
  if (micros === 0n && input.fees.length === 0) {
    return { kind: 'no_usage' };
  }
  // A busy first hour says little of a month.
  if (micros > 0n && elapsedMs < DAY_MS) {
    return { kind: 'too_early' };
  }
  const rate = { micros, perMs: most(BigInt(elapsedMs), 1n) };
  const runsOutAt = runsOut(input, rate);
  return {
    kind: 'rate',
    perDayMicros: costOf(DAY_MS, rate),
    monthUsageMicros:
      spentMicros + costOf(Math.max(0, monthEndsAt.getTime() - now.getTime()), rate),
    runsOutAt,
    daysLeft: runsOutAt && Math.floor((runsOutAt.getTime() - now.getTime()) / DAY_MS),
  };
}

function costOf(ms: number, { micros, perMs }: Rate): bigint {
  return (micros * BigInt(ms)) / perMs;
}

/** When usage, and fees as they fall due, have taken what is available; null when that is far. */
function runsOut({ now, availableMicros, fees }: ForecastInput, rate: Rate): Date | null {
  let atMs = now.getTime();
  let left = most(availableMicros, 0n);
  const farthest = { dueAt: new Date(atMs + FARTHEST_DAYS * DAY_MS), amountMicros: 0n };
  for (const { dueAt, amountMicros } of [...fees, farthest]) {
    const untilMs = Math.max(atMs, dueAt.getTime());
    const lastsMs = lastsFor(left, rate);
    if (atMs + lastsMs <= untilMs) {
      return new Date(atMs + lastsMs);
    }
    left -= costOf(untilMs - atMs, rate);
    if (left < amountMicros) {
      return new Date(untilMs);
    }
    left -= amountMicros;
    atMs = untilMs;
  }
  return null;
}

function lastsFor(left: bigint, { micros, perMs }: Rate): number {
  if (left === 0n) return 0;
  return micros === 0n ? Number.POSITIVE_INFINITY : Number((left * perMs) / micros);
}
