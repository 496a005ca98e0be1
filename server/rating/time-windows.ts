/** Times of the week at which a rule has other prices, on the wall clock of the wallet's time zone. */
import { z } from 'zod';
import { wallClock } from './wall-clock.ts';

/** In the order of `Date.prototype.getUTCDay`. */
export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Weekday = (typeof weekdays)[number];

/** A time of every day, or of some. Half-open; over midnight when it ends before it begins. */
export interface TimeWindow {
  /** The days on which it begins; every day when left out. */
  readonly days?: readonly Weekday[] | undefined;
  /** `HH:MM` from 00:00 to 24:00. */
  readonly from: string;
  readonly to: string;
}

const maxWindows = 48;

const timeOfDay = z
  .string()
  .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, 'must be a time of day from 00:00 to 24:00');

/** A rule's windows, each with the prices that it sets, of which there must be one. */
export function timeWindows<Prices extends z.ZodRawShape>(prices: Prices) {
  const window = z.strictObject({
    days: z.array(z.enum(weekdays)).min(1).max(weekdays.length).optional(),
    from: timeOfDay,
    to: timeOfDay,
    ...prices,
  });
  return z
    .array(
      window.superRefine((value, context) => {
        const { from, to } = value as TimeWindow;
        if (from === to || from === '24:00') {
          context.addIssue({ code: 'custom', path: ['from'], message: 'must be another than to' });
        }
        if (
          Object.keys(prices).every(
            (name) => (value as Record<string, unknown>)[name] === undefined,
          )
        ) {
          context.addIssue({ code: 'custom', message: 'must set a price or a fee' });
        }
      }),
    )
    .min(1)
    .max(maxWindows);
}

/**
 * The first of the windows that an instant lies in. What the clock on the wall says counts: an hour
 * that clocks repeat lies in its windows twice, one that they skip in none.
 */
export function windowAt<Window extends TimeWindow>(
  windows: readonly Window[],
  at: Date,
  timezone: string,
): Window | undefined {
  const { year, month, day, hour, minute } = wallClock(at.getTime(), timezone);
  const today = new Date(Date.UTC(year, month - 1, day)).getUTCDay();
  const time = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
  return windows.find((window) => holds(window, today, time));
}

/** Times of day are texts of one length, so that they compare as times do. */
function holds({ days, from, to }: TimeWindow, today: number, time: string): boolean {
  const begins = (day: number) => days === undefined || days.some((name) => name === weekdays[day]);
  return from < to
    ? begins(today) && from <= time && time < to
    : (begins(today) && from <= time) || (begins((today + 6) % 7) && time < to);
}
