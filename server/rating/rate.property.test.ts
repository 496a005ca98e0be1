import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundings } from './exact.ts';
import {
  amount,
  breakdownOf,
  type CallRuleJson,
  call,
  callRule,
  circumstances,
  compile,
} from './rate.fixtures.ts';
import { affordable, type Breakdown, recompute } from './rate.ts';
import { maxUnitsOfType, type Usage } from './usage.ts';

const prices = fc.bigInt({ min: 0n, max: 1_000_000n }).map(String);
const callRules: fc.Arbitrary<CallRuleJson> = fc
  .record({
    connectionFeeMicros: prices,
    pricePerMinuteMicros: prices,
    initialSeconds: fc.integer({ min: 1, max: 90 }),
    nextSeconds: fc.integer({ min: 1, max: 90 }),
    rounding: fc.constantFrom(...roundings),
    limits: fc.option(fc.tuple(prices, prices)),
  })
  .map(({ limits, ...fields }) => {
    const [low, high] = (limits ?? []).toSorted((a, b) => Number(a) - Number(b));
    return {
      ...callRule,
      ...fields,
      ...(low !== undefined && high !== undefined && { minimumMicros: low, maximumMicros: high }),
    };
  });
const durations = fc.integer({ min: 0, max: 20_000 });

test('a breakdown gives the same amount again after a trip through JSON', () => {
  fc.assert(
    fc.property(callRules, durations, fc.boolean(), (rule, durationSeconds, answered) => {
      const usage: Usage = { type: 'call', durationSeconds, to: '1', answered };
      const breakdown = breakdownOf(compile(rule), usage);
      const stored = JSON.parse(JSON.stringify(breakdown)) as Breakdown;
      expect(stored).toEqual(breakdown);
      expect(recompute(stored)).toBe(BigInt(breakdown.amountMicros));
    }),
  );
});

describe('amounts', () => {
  test('are never negative and never fall as a call goes on', () => {
    fc.assert(
      fc.property(callRules, durations, durations, (rule, one, other) => {
        const compiled = compile(rule);
        const shorter = amount(compiled, call(Math.min(one, other)));
        expect(shorter).toBeGreaterThanOrEqual(0n);
        expect(amount(compiled, call(Math.max(one, other)))).toBeGreaterThanOrEqual(shorter);
      }),
    );
  });

  test('bill the fewest whole increments that cover the call', () => {
    fc.assert(
      fc.property(callRules, durations.filter(Boolean), (rule, seconds) => {
        const billed = breakdownOf(compile(rule), call(seconds)).price?.billedUnits ?? 0;
        let covering = rule.initialSeconds;
        while (covering < seconds) {
          covering += rule.nextSeconds;
        }
        expect(billed).toBe(covering);
      }),
    );
  });

  test('of a call split in two are at least those of the whole, rounded up and without limits', () => {
    const unlimited = callRules.map(({ minimumMicros: _low, maximumMicros: _high, ...rule }) => ({
      ...rule,
      nextSeconds: rule.initialSeconds,
      rounding: 'up' as const,
    }));
    fc.assert(
      fc.property(unlimited, durations, durations, (rule, first, second) => {
        const compiled = compile(rule);
        const parts = amount(compiled, call(first)) + amount(compiled, call(second));
        expect(parts).toBeGreaterThanOrEqual(amount(compiled, call(first + second)));
      }),
    );
  });

  test('are the exact rational price, rounded once', () => {
    fc.assert(
      fc.property(callRules, durations.filter(Boolean), (rule, seconds) => {
        const { minimumMicros: _low, maximumMicros: _high, ...unlimited } = rule;
        const { price, amountMicros } = breakdownOf(compile(unlimited), call(seconds));
        const sixtieths =
          BigInt(rule.connectionFeeMicros) * 60n +
          BigInt(price?.billedUnits ?? 0) * BigInt(rule.pricePerMinuteMicros);
        const error = BigInt(amountMicros) * 60n - sixtieths;
        expect(error > -60n && error < 60n).toBe(true);
      }),
    );
  });
});

test('affordable is the largest usage that the money pays for', () => {
  fc.assert(
    fc.property(callRules, fc.bigInt({ min: 0n, max: 5_000_000n }), (rule, available) => {
      const compiled = compile(rule);
      const result = affordable([compiled], 'call', '1', available, circumstances);
      if (!result.ok) {
        throw new Error(result.detail);
      }
      const { maxUnits } = result;
      expect(amount(compiled, call(maxUnits))).toBeLessThanOrEqual(available);
      if (maxUnits < maxUnitsOfType.call) {
        expect(amount(compiled, call(maxUnits + 1))).toBeGreaterThan(available);
      }
    }),
  );
});
