import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { moneyInUnits } from './money-in-units.ts';
import { callRule, compile, defaults, circumstances as now } from './rate.fixtures.ts';
import { maxUnitsOfType } from './usage.ts';

describe('money in units of usage', () => {
  it.each([
    // 0.10 and 0.05 a minute.
    ['call', 9_700_000n, 11_520],
    ['call', 99_999n, 0],
    ['sms', 4_800_000n, 240],
    ['sms', 4_819_999n, 240],
    ['email', 15_000n, 1],
    ['fax', 450_000n, 3],
    ['file_transfer', 49_999n, 0],
    ['sms', 0n, 0],
  ] as const)('is what the price list asks: %s for %d', (type, micros, units) => {
    expect(moneyInUnits([defaults], type, micros, now)).toBe(units);
  });

  it('goes beyond the longest call and the longest message', () => {
    const longest = maxUnitsOfType.call;
    const price = 100_000n + (50_000n * BigInt(longest)) / 60n;
    expect(moneyInUnits([defaults], 'call', 2n * price, now)).toBe(2 * longest);
    expect(moneyInUnits([defaults], 'sms', 20_000_000_000n, now)).toBe(1_000_000);
  });

  it('is nothing that can be said where there is no price, or none to pay', () => {
    const free = { ...callRule, connectionFeeMicros: '0', pricePerMinuteMicros: '0' };
    expect(moneyInUnits([compile(free)], 'call', 1_000_000n, now)).toBeNull();
    expect(moneyInUnits([compile(callRule)], 'sms', 1_000_000n, now)).toBeNull();
    expect(moneyInUnits([], 'sms', 1_000_000n, now)).toBeNull();
  });

  it('never falls as the money grows', () => {
    const micros = fc.bigInt({ min: 0n, max: 10n ** 12n });
    fc.assert(
      fc.property(micros, micros, (some, more) => {
        const units = (amount: bigint) => moneyInUnits([defaults], 'call', amount, now) ?? -1;
        expect(units(some + more)).toBeGreaterThanOrEqual(units(some));
      }),
    );
  });
});
