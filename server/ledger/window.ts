/** The calendar days and months of a time zone, as instants. The twin of the SQL `limit_window`. */
import { wallClock } from '../rating/wall-clock.ts';

export const windowPeriods = ['day', 'month'] as const;
export type WindowPeriod = (typeof windowPeriods)[number];

/** Half-open. */
export interface Window {
  readonly startsAtMs: number;
  readonly endsAtMs: number;
}

interface CalendarDay {
  readonly year: number;
  /** 1 to 12; what lies beyond belongs to the years around, as in `Date.UTC`. */
  readonly month: number;
  readonly day: number;
}

const dayMs = 86_400_000;

/**
 * The day or month that an instant belongs to. Where clocks are set back across midnight the wall
 * says the new day twice and the day begins the second time; where they are set forward over it the
 * day begins when they are.
 * @throws RangeError when there is no such time zone
 */
export function windowOf(period: WindowPeriod, atMs: number, timezone: string): Window {
  const { year, month, day } = wallClock(atMs, timezone);
  const first = { year, month, day: period === 'day' ? day : 1 };
  const startsAtMs = startOf(first, timezone);
  if (atMs < startsAtMs) {
    return { startsAtMs: startOf(shift(first, period, -1), timezone), endsAtMs: startsAtMs };
  }
  return { startsAtMs, endsAtMs: startOf(shift(first, period, 1), timezone) };
}

function shift(day: CalendarDay, period: WindowPeriod, by: number): CalendarDay {
  return period === 'day' ? { ...day, day: day.day + by } : { ...day, month: day.month + by };
}

/** Midnight, read with the offset before or after the nearest change of clocks as PostgreSQL does. */
function startOf({ year, month, day }: CalendarDay, timezone: string): number {
  const midnightMs = Date.UTC(year, month - 1, day);
  const beforeMs = offsetMs(midnightMs - dayMs, timezone);
  const afterMs = offsetMs(midnightMs + dayMs, timezone);
  const late = midnightMs - afterMs;
  return offsetMs(late, timezone) === afterMs ? late : midnightMs - beforeMs;
}

/**
 * How far the wall clock of a time zone is ahead of UTC at an instant.
 * @throws RangeError when there is no such time zone
 */
export function offsetMs(atMs: number, timezone: string): number {
  const { year, month, day, hour, minute, second } = wallClock(atMs, timezone);
  const wallMs = Date.UTC(year, month - 1, day, hour, minute, second);
  return wallMs - Math.floor(atMs / 1_000) * 1_000;
}
