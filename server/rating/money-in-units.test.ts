import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { moneyInUnits } from './money-in-units.ts';
import {
  amount,
  call,
  callRule,
  compile,
  defaults,
  circumstances as now,
} from './rate.fixtures.ts';
import type { CompiledRateCard } from './rate-card.ts';
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

  it('is sold at the tiers that the month has come to', () => {
    const tiered = compile({
      id: 'sms',
      type: 'sms',
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '20000',
      monthlyTiers: [
        { aboveUnits: 100, pricePerUnitMicros: '15000' },
        { aboveUnits: 200, pricePerUnitMicros: '10000' },
      ],
    });
    const bought = (micros: bigint, used: number) =>
      moneyInUnits([tiered], 'sms', micros, {
        ...now,
        unitsThisMonth: { 'sms/sms': used },
      });
    expect(bought(2_000_000n, 0)).toBe(100);
    expect(bought(2_014_999n, 0)).toBe(100);
    expect(bought(2_015_000n, 0)).toBe(101);
    expect(bought(4_000_000n, 90)).toBe(10 + 100 + 230);
    expect(bought(1_000_000n, 5_000)).toBe(100);
  });

  it('of calls is what they cost one after the other, however the tiers cut them', () => {
    const money = fc.bigInt({ min: 0n, max: 10n ** 10n });
    const tiers = fc.uniqueArray(fc.integer({ min: 1, max: 3 * maxUnitsOfType.call }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(money, tiers, fc.integer({ min: 0, max: 10 ** 7 }), (micros, bounds, used) => {
        const card = compile({
          ...callRule,
          monthlyTiers: bounds
            .sort((a, b) => a - b)
            .map((aboveUnits, index) => ({
              aboveUnits,
              pricePerMinuteMicros: `${40_000 - 9_000 * index}`,
            })),
        });
        const seconds = moneyInUnits([card], 'call', micros, withUsed(used)) ?? -1;
        expect(costOfCalls(card, seconds, used)).toBeLessThanOrEqual(micros);
        expect(costOfCalls(card, seconds + 1, used)).toBeGreaterThan(micros);
      }),
    );
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

const withUsed = (used: number) => ({
  ...now,
  unitsThisMonth: { [`call/${callRule.id}`]: used },
});

/** What calls as long as they may be, and a last one, cost together. */
function costOfCalls(card: CompiledRateCard, seconds: number, used: number): bigint {
  let cost = 0n;
  for (let done = 0; done < seconds; done += maxUnitsOfType.call) {
    const durationSeconds = Math.min(maxUnitsOfType.call, seconds - done);
    cost += amount(card, call(durationSeconds), withUsed(used + done));
  }
  return cost;
}
