import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ForecastInput, forecast } from './forecast.ts';

const input: ForecastInput = {
  now: new Date('2026-11-15T00:00:00Z'),
  windowStartsAt: new Date('2026-11-01T00:00:00Z'),
  windowMicros: 14_000_000n,
  monthEndsAt: new Date('2026-12-01T00:00:00Z'),
  spentMicros: 14_000_000n,
  availableMicros: 9_500_000n,
  fees: [],
};

describe('a forecast', () => {
  it('goes on at the rate of the last days', () => {
    expect(forecast(input)).toEqual({
      kind: 'rate',
      perDayMicros: 1_000_000n,
      monthUsageMicros: 30_000_000n,
      runsOutAt: new Date('2026-11-24T12:00:00Z'),
      daysLeft: 9,
    });
  });

  it('of a wallet that used nothing is none, and says so', () => {
    expect(forecast({ ...input, windowMicros: 0n })).toEqual({ kind: 'no_usage' });
  });

  it('of a wallet that is younger than a day would be a guess', () => {
    const windowStartsAt = new Date('2026-11-14T00:00:00.001Z');
    expect(forecast({ ...input, windowStartsAt })).toEqual({ kind: 'too_early' });
    const aDay = new Date('2026-11-14T00:00:00Z');
    expect(forecast({ ...input, windowStartsAt: aDay })).toMatchObject({
      perDayMicros: 14_000_000n,
      daysLeft: 0,
    });
  });

  it('without money ends now, also below zero', () => {
    for (const availableMicros of [0n, -5_000_000n]) {
      expect(forecast({ ...input, availableMicros })).toMatchObject({
        runsOutAt: input.now,
        daysLeft: 0,
      });
    }
  });

  it('does not name a day that is more than a year away', () => {
    expect(forecast({ ...input, availableMicros: 365_000_000n })).toMatchObject({ daysLeft: 365 });
    expect(forecast({ ...input, availableMicros: 366_000_000n })).toMatchObject({
      runsOutAt: null,
      daysLeft: null,
    });
  });

  it('is over when a fee takes what usage has left', () => {
    const feeOf = (amountMicros: bigint, month = 12) => ({
      dueAt: new Date(Date.UTC(2026, month - 1)),
      amountMicros,
    });
    const over = (availableMicros: bigint, ...fees: ReturnType<typeof feeOf>[]) =>
      forecast({ ...input, availableMicros, fees });
    // 16.00 is used until the month ends, then 2.50 is due and 1.00 a day goes on.
    expect(over(16_000_000n, feeOf(2_500_000n))).toMatchObject({
      runsOutAt: new Date('2026-12-01T00:00:00Z'),
      daysLeft: 16,
    });
    expect(over(18_499_999n, feeOf(2_500_000n))).toMatchObject({ daysLeft: 16 });
    expect(over(20_500_000n, feeOf(2_500_000n))).toMatchObject({
      runsOutAt: new Date('2026-12-03T00:00:00Z'),
      daysLeft: 18,
    });
    expect(over(62_000_000n, feeOf(2_500_000n), feeOf(13_000_000n, 13))).toMatchObject({
      runsOutAt: new Date('2027-01-01T00:00:00Z'),
    });
    // Of a month that is over and not closed yet.
    expect(over(12_000_000n, feeOf(2_500_000n, 11))).toMatchObject({ daysLeft: 9 });
  });

  it('of a wallet that only pays fees ends with one of them', () => {
    const fees = [12, 13, 14].map((month) => ({
      dueAt: new Date(Date.UTC(2026, month - 1)),
      amountMicros: 4_000_000n,
    }));
    expect(forecast({ ...input, windowMicros: 0n, windowStartsAt: input.now, fees })).toEqual({
      kind: 'rate',
      perDayMicros: 0n,
      monthUsageMicros: 14_000_000n,
      runsOutAt: new Date('2027-02-01T00:00:00Z'),
      daysLeft: 78,
    });
  });

  it('never loses a digit or fails, whatever the amounts', () => {
    const micros = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(micros, micros, micros, (windowMicros, spentMicros, availableMicros) => {
        const found = forecast({ ...input, windowMicros, spentMicros, availableMicros });
        expect(found.kind).toBe(windowMicros === 0n ? 'no_usage' : 'rate');
        if (found.kind === 'rate') {
          expect(found.monthUsageMicros).toBe(spentMicros + (windowMicros * 16n) / 14n);
          expect(found.daysLeft === null).toBe(found.runsOutAt === null);
        }
      }),
    );
  });
});
