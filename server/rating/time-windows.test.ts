import { describe, expect, test } from 'vitest';
import { defaultRateCard } from './default-rate-card.ts';
import { amount, breakdownOf, call, callRule, compile, usageOf } from './rate.fixtures.ts';
import { recompute } from './rate.ts';
import { rateCardSchema } from './rate-card.ts';
import { type TimeWindow, windowAt } from './time-windows.ts';

const night: TimeWindow = { from: '22:00', to: '06:00' };
const saturdayNight: TimeWindow = { days: ['sat'], from: '22:00', to: '06:00' };
const weekend: TimeWindow = { days: ['sat', 'sun'], from: '00:00', to: '24:00' };

function isIn(window: TimeWindow, at: string, timezone = 'UTC'): boolean {
  return windowAt([window], new Date(at), timezone) !== undefined;
}

describe('a window', () => {
  test.each([
    ['2026-11-23T21:59:59.999Z', false],
    ['2026-11-23T22:00:00Z', true],
    ['2026-11-24T05:59:59.999Z', true],
    ['2026-11-24T06:00:00Z', false],
  ])('over midnight is half-open: %s', (at, holds) => {
    expect(isIn(night, at)).toBe(holds);
  });

  test.each([
    // 21 November 2026 is a Saturday.
    ['2026-11-21T05:00:00Z', false],
    ['2026-11-21T23:00:00Z', true],
    ['2026-11-22T05:00:00Z', true],
    ['2026-11-22T23:00:00Z', false],
  ])('over midnight belongs to the day on which it begins: %s', (at, holds) => {
    expect(isIn(saturdayNight, at)).toBe(holds);
  });

  test('of a whole day ends at midnight of the zone, not of UTC', () => {
    expect(isIn(weekend, '2026-11-23T04:59:59Z', 'America/New_York')).toBe(true);
    expect(isIn(weekend, '2026-11-23T05:00:00Z', 'America/New_York')).toBe(false);
    expect(isIn(weekend, '2026-11-20T10:00:00Z', 'Pacific/Kiritimati')).toBe(true);
  });

  test.each([
    // Clocks go from 01:59:59 EST to 03:00 EDT: 02:30 does not happen.
    ['2026-03-08T06:59:59Z', '01:30', '02:00', true],
    ['2026-03-08T07:00:00Z', '02:00', '03:00', false],
    ['2026-03-08T07:00:00Z', '03:00', '04:00', true],
    // Clocks go from 01:59:59 EDT back to 01:00 EST: 01:30 happens twice.
    ['2026-11-01T05:30:00Z', '01:00', '02:00', true],
    ['2026-11-01T06:30:00Z', '01:00', '02:00', true],
    ['2026-11-01T07:00:00Z', '01:00', '02:00', false],
    ['2026-11-01T07:00:00Z', '02:00', '03:00', true],
  ])('at %s of New York, %s to %s, is what the clock on the wall says', (at, from, to, holds) => {
    expect(isIn({ from, to }, at, 'America/New_York')).toBe(holds);
  });

  test('that stands first of those that fit counts', () => {
    const windows = [weekend, night];
    expect(windowAt(windows, new Date('2026-11-21T23:00:00Z'), 'UTC')).toBe(weekend);
    expect(windowAt(windows, new Date('2026-11-23T23:00:00Z'), 'UTC')).toBe(night);
  });
});

describe('a rule with windows', () => {
  const card = compile({
    ...callRule,
    connectionFeeMicros: '10000',
    windows: [
      { from: '22:00', to: '06:00', pricePerMinuteMicros: '20000' },
      { days: ['sat', 'sun'], from: '00:00', to: '24:00', connectionFeeMicros: '0' },
    ],
  });
  const at = (instant: string) => ({ at: new Date(instant), timezone: 'Europe/Berlin' });

  test.each([
    ['by day', '2026-11-23T12:00:00Z', 60_000n],
    ['by night, with the fee of the day', '2026-11-23T21:00:00Z', 30_000n],
    ['at the weekend, with the price of the week', '2026-11-21T12:00:00Z', 50_000n],
  ])('prices %s', (_when, instant, micros) => {
    expect(amount(card, call(60), at(instant))).toBe(micros);
  });

  test('says which window it was, and the same amount again from that', () => {
    const { timeOfDay, ...breakdown } = breakdownOf(card, call(60), at('2026-11-23T21:00:00Z'));
    expect(timeOfDay).toEqual({
      at: '2026-11-23T21:00:00.000Z',
      timezone: 'Europe/Berlin',
      window: night,
    });
    expect(recompute(breakdown)).toBe(30_000n);
  });

  test('prices a call that goes on past the window by its beginning', () => {
    const instant = '2026-11-23T20:59:59Z';
    expect(amount(card, call(3_600), at(instant))).toBe(10_000n + 60n * 50_000n);
  });

  test.each([
    [{ from: '22:00', to: '22:00', connectionFeeMicros: '1' }],
    [{ from: '24:00', to: '06:00', connectionFeeMicros: '1' }],
    [{ from: '9:00', to: '17:00', connectionFeeMicros: '1' }],
    [{ from: '09:60', to: '17:00', connectionFeeMicros: '1' }],
    [{ days: [], from: '09:00', to: '17:00', connectionFeeMicros: '1' }],
    [{ days: ['monday'], from: '09:00', to: '17:00', connectionFeeMicros: '1' }],
    [{ from: '09:00', to: '17:00' }],
    [{ from: '09:00', to: '17:00', pricePerUnitMicros: '1' }],
  ])('is refused with window %j', (window) => {
    const rules = [{ ...callRule, windows: [window] }];
    expect(rateCardSchema.safeParse({ ...defaultRateCard, rules }).success).toBe(false);
  });
});

test('every type of usage has windows', () => {
  for (const type of ['sms', 'email', 'fax', 'file_transfer'] as const) {
    const card = compile({
      id: type,
      type,
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '9',
      windows: [{ from: '00:00', to: '24:00', pricePerUnitMicros: '7' }],
    });
    expect(amount(card, usageOf(type, 2))).toBe(14n);
  }
});
