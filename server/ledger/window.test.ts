import { describe, expect, it } from 'vitest';
import { type WindowPeriod, windowOf } from './window.ts';

function windowAt(period: WindowPeriod, at: string, timezone: string): [string, string] {
  const { startsAtMs, endsAtMs } = windowOf(period, Date.parse(at), timezone);
  return [new Date(startsAtMs).toISOString(), new Date(endsAtMs).toISOString()];
}

describe('a window is the calendar day or month of the time zone', () => {
  it.each<[string, WindowPeriod, string, string, string, string]>([
    ['a day', 'day', '2026-10-05T12:00:00Z', 'UTC', '2026-10-05T00:00', '2026-10-06T00:00'],
    [
      'a day of 23 hours',
      'day',
      '2026-03-29T12:00:00Z',
      'Europe/Berlin',
      '2026-03-28T23:00',
      '2026-03-29T22:00',
    ],
    [
      'a day of 25 hours',
      'day',
      '2026-10-25T12:00:00Z',
      'Europe/Berlin',
      '2026-10-24T22:00',
      '2026-10-25T23:00',
    ],
    [
      'a month in which the clocks change',
      'month',
      '2026-03-15T00:00:00Z',
      'America/New_York',
      '2026-03-01T05:00',
      '2026-04-01T04:00',
    ],
    [
      'the last month of a year',
      'month',
      '2026-12-31T15:00:00Z',
      'Asia/Tokyo',
      '2026-12-31T15:00',
      '2027-01-31T15:00',
    ],
    [
      'a day that begins at 1 o’clock, when clocks are set forward at midnight',
      'day',
      '2026-04-24T10:00:00Z',
      'Africa/Cairo',
      '2026-04-23T22:00',
      '2026-04-24T21:00',
    ],
    [
      'the end of a day whose last hour the wall calls the next day already',
      'day',
      '2026-11-01T04:30:00Z',
      'America/Havana',
      '2026-10-31T04:00',
      '2026-11-01T05:00',
    ],
    [
      'a month that begins when clocks were set back across midnight',
      'month',
      '2026-11-01T05:00:00Z',
      'America/Havana',
      '2026-11-01T05:00',
      '2026-12-01T05:00',
    ],
  ])('%s', (_what, period, at, timezone, startsAt, endsAt) => {
    expect(windowAt(period, at, timezone)).toEqual([`${startsAt}:00.000Z`, `${endsAt}:00.000Z`]);
  });

  it('half-open: its end begins the next', () => {
    const [, end] = windowAt('day', '2026-10-25T12:00:00Z', 'Europe/Berlin');
    const before = new Date(Date.parse(end) - 1).toISOString();
    expect(windowAt('day', before, 'Europe/Berlin')[1]).toBe(end);
    expect(windowAt('day', end, 'Europe/Berlin')[0]).toBe(end);
  });

  it('of no other zone than the database has', () => {
    expect(() => windowOf('day', 0, 'Europe/Nowhere')).toThrow(RangeError);
  });
});
