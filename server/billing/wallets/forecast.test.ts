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
};

describe('a forecast', () => {
  it('goes on at the rate of the last days', () => {
    expect(forecast(input)).toEqual({
      kind: 'rate',
      perDayMicros: 1_000_000n,
      monthMicros: 30_000_000n,
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

  it('never loses a digit or fails, whatever the amounts', () => {
    const micros = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(micros, micros, micros, (windowMicros, spentMicros, availableMicros) => {
        const found = forecast({ ...input, windowMicros, spentMicros, availableMicros });
        expect(found.kind).toBe(windowMicros === 0n ? 'no_usage' : 'rate');
        if (found.kind === 'rate') {
          expect(found.monthMicros).toBe(spentMicros + (windowMicros * 16n) / 14n);
          expect(found.daysLeft === null).toBe(found.runsOutAt === null);
        }
      }),
    );
  });
});
