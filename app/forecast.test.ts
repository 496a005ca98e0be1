import { describe, expect, it } from 'vitest';
import type { LimitView } from '../server/views/spending-limits.ts';
import type { Forecast } from '../server/views/usage.ts';
import { describeForecast, describeReach } from './forecast.ts';
import type { Wire } from './wire.ts';

const wallet = { currency: 'USD', timezone: 'UTC', availableMicros: '9500000' };
const rate = {
  kind: 'rate',
  perDayMicros: '1037037',
  monthUsageMicros: '30123456',
  runsOutAt: '2026-11-24T12:00:00.000Z',
  daysLeft: 9,
} as const;

const reached: Wire<LimitView> = {
  period: 'day',
  amountMicros: '15000000',
  spentMicros: '15000000',
  reservedMicros: '0',
  leftMicros: '0',
  resetsAt: '2026-11-16T00:00:00.000Z',
};
const usage = { feesMicros: '0', windowDays: 14, reach: [{ type: 'call', units: 600 }] };
const say = (forecast: Wire<Forecast>, ...[limit]: Wire<LimitView>[]) =>
  describeForecast({ ...usage, forecast }, wallet, limit);

describe('a forecast in words', () => {
  it('says roughly how long the money lasts, and by what', () => {
    expect(say(rate)).toEqual({
      month: '$30.12',
      end: 'In about 9 days',
      endsOn: '24 Nov 2026',
      basis: 'At $1.04 a day, as in the last 14 days.',
    });
    expect(say({ ...rate, daysLeft: 0 }).end).toBe('In less than a day');
    expect(say({ ...rate, daysLeft: 1 }).end).toBe('In about 1 day');
    const far = { ...rate, runsOutAt: null, daysLeft: null };
    expect(say(far)).toMatchObject({ end: 'In more than a year', endsOn: null });
  });

  it('keeps what is small and rounds to what the currency has', () => {
    const small = { ...rate, perDayMicros: '375', monthUsageMicros: '11250' };
    expect(say(small)).toMatchObject({
      month: '$0.0113',
      basis: expect.stringContaining('At $0.000375 a day'),
    });
    const yen = { ...wallet, currency: 'JPY' };
    const forecast = { ...rate, monthUsageMicros: '1234567890' };
    expect(describeForecast({ ...usage, forecast }, yen).month).toBe('¥1,235');
  });

  it('adds the fees of the month, which no spending limit lowers', () => {
    const withFees = { ...usage, forecast: rate, feesMicros: '5500000' };
    expect(describeForecast(withFees, wallet)).toMatchObject({
      month: '$35.62',
      basis: 'At $1.04 a day, as in the last 14 days, and with monthly fees as they fall due.',
    });
    const limit = { ...reached, period: 'month', leftMicros: '9000000' } as const;
    expect(describeForecast(withFees, wallet, limit).month).toBe('$20.50');
    const idle = { ...rate, perDayMicros: '0', monthUsageMicros: '0' };
    expect(describeForecast({ ...withFees, forecast: idle }, wallet)).toMatchObject({
      month: '$5.50',
      basis: 'Nothing was used in the last 14 days; monthly fees go on.',
    });
  });

  it('says why there is none', () => {
    expect(say({ kind: 'no_usage' })).toEqual({
      month: null,
      end: 'Not at this rate',
      endsOn: null,
      basis: 'Nothing was used in the last 14 days.',
    });
    expect(say({ kind: 'too_early' }).end).toBe('Too early to say');
  });

  it('of an empty wallet says that nothing is left, whatever the rate', () => {
    for (const forecast of [rate, { kind: 'no_usage' }, { kind: 'too_early' }] as const) {
      const empty = { ...wallet, availableMicros: '-1' };
      expect(describeForecast({ ...usage, forecast }, empty, reached).end).toBe(
        'Nothing is left to spend',
      );
    }
  });

  it('names a reached limit instead of the day on which the money would run out', () => {
    for (const forecast of [rate, { kind: 'no_usage' }, { kind: 'too_early' }] as const) {
      expect(say(forecast, reached)).toMatchObject({
        end: 'A limit stops usage',
        endsOn: 'until 16 Nov 2026, 00:00',
      });
    }
  });

  it('lets no month cost more than its limit, or than was spent before the limit was set', () => {
    const monthly = { ...reached, period: 'month', leftMicros: '9000000' } as const;
    expect(say(rate, { ...monthly, amountMicros: '20000000' })).toMatchObject({
      month: '$20.00',
      end: 'In about 9 days',
      basis: expect.stringMatching(/Your spending limit may keep it lower\.$/),
    });
    expect(say(rate, { ...monthly, amountMicros: '5000000' }).month).toBe('$15.00');
    expect(say(rate, { ...monthly, amountMicros: '40000000' }).month).toBe('$30.12');
  });
});

describe('a balance in human units', () => {
  it('is calls, or SMS', () => {
    const calls = { type: 'call', units: 11_525 };
    expect(describeReach([calls, { type: 'sms', units: 1_240 }])).toBe(
      '3 h 12 min of calls, or 1,240 SMS',
    );
    expect(describeReach([{ type: 'call', units: 95 }])).toBe('1 min 35 s of calls');
    expect(describeReach([])).toBeNull();
  });
});
