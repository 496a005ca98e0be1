import { describe, expect, it } from 'vitest';
import { describeForecast, describeReach } from './forecast.ts';

const wallet = { currency: 'USD', timezone: 'UTC', availableMicros: '9500000' };
const rate = {
  kind: 'rate',
  perDayMicros: '1037037',
  monthMicros: '30123456',
  runsOutAt: '2026-11-24T12:00:00.000Z',
  daysLeft: 9,
} as const;

describe('a forecast in words', () => {
  it('says roughly how long the money lasts, and by what', () => {
    expect(describeForecast(rate, 14, wallet)).toEqual({
      month: '$30.12',
      end: 'In about 9 days, 24 Nov 2026',
      basis: 'At $1.04 a day, as in the last 14 days.',
    });
    expect(describeForecast({ ...rate, daysLeft: 0 }, 14, wallet).end).toMatch(/^In less than a/);
    expect(describeForecast({ ...rate, daysLeft: 1 }, 14, wallet).end).toMatch(/^In about 1 day,/);
    const far = { ...rate, runsOutAt: null, daysLeft: null };
    expect(describeForecast(far, 14, wallet).end).toBe('In more than a year');
  });

  it('keeps what is small and rounds to what the currency has', () => {
    const small = { ...rate, perDayMicros: '375', monthMicros: '11250' };
    expect(describeForecast(small, 14, wallet)).toMatchObject({
      month: '$0.0113',
      basis: 'At $0.000375 a day, as in the last 14 days.',
    });
    const yen = { ...wallet, currency: 'JPY' };
    expect(describeForecast({ ...rate, monthMicros: '1234567890' }, 14, yen).month).toBe('¥1,235');
  });

  it('says why there is none', () => {
    expect(describeForecast({ kind: 'no_usage' }, 14, wallet)).toEqual({
      month: null,
      end: 'Not at this rate',
      basis: 'Nothing was used in the last 14 days.',
    });
    expect(describeForecast({ kind: 'too_early' }, 14, wallet).end).toBe('Too early to say');
  });

  it('of an empty wallet says that nothing is left, whatever the rate', () => {
    for (const forecast of [rate, { kind: 'no_usage' }, { kind: 'too_early' }] as const) {
      const empty = { ...wallet, availableMicros: '-1' };
      expect(describeForecast(forecast, 14, empty).end).toBe('Nothing is left to spend');
    }
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
