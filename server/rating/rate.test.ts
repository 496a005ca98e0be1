import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultRateCard } from './default-rate-card.ts';
import { roundings } from './exact.ts';
import { affordable, type Breakdown, rate, recompute } from './rate.ts';
import { compileRateCard, type RateCardJson, rateCardSchema } from './rate-card.ts';
import { maxUnitsOfType, type Usage, type UsageType } from './usage.ts';

type RuleJson = RateCardJson['rules'][number];
type CallRuleJson = Extract<RuleJson, { type: 'call' }>;

const defaults = compileRateCard(rateCardSchema.parse(defaultRateCard));

const callRule: CallRuleJson = {
  id: 'call',
  type: 'call',
  prefix: '',
  connectionFeeMicros: '0',
  pricePerMinuteMicros: '50000',
  initialSeconds: 1,
  nextSeconds: 1,
};

function compile(...rules: RuleJson[]) {
  return compileRateCard(rateCardSchema.parse({ ...defaultRateCard, rules }));
}

function amount(compiled: ReturnType<typeof compile>, usage: Usage): bigint {
  const result = rate(compiled, usage);
  if (!result.ok) {
    throw new Error(result.detail);
  }
  return result.amountMicros;
}

function breakdownOf(compiled: ReturnType<typeof compile>, usage: Usage): Breakdown {
  const result = rate(compiled, usage);
  if (!result.ok) {
    throw new Error(result.detail);
  }
  return result.breakdown;
}

function call(durationSeconds: number, to = '15550100'): Usage {
  return { type: 'call', durationSeconds, to };
}

function usageOf(type: UsageType, units: number): Usage {
  switch (type) {
    case 'call':
      return call(units);
    case 'sms':
      return { type, to: '15550100', segments: units };
    case 'email':
      return { type, recipients: units };
    case 'fax':
      return { type, to: '15550100', pages: units };
    case 'file_transfer':
      return { type, transfers: units };
    default: {
      const unknown: never = type;
      throw new TypeError(`unknown type ${String(unknown)}`);
    }
  }
}

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
    const [low, high] = (limits ?? []).sort((a, b) => Number(a) - Number(b));
    return {
      ...callRule,
      ...fields,
      ...(low !== undefined && high !== undefined && { minimumMicros: low, maximumMicros: high }),
    };
  });
const durations = fc.integer({ min: 0, max: 20_000 });

describe('the default prices', () => {
  test.each<[string, Usage, bigint]>([
    ['a 5.5-minute call', call(330), 375_000n],
    ['a one-second call, rounded half up', call(1), 100_833n],
    ['a call of 31 days', call(maxUnitsOfType.call), 2_232_100_000n],
    ['one SMS', { type: 'sms', to: '1' }, 20_000n],
    ['an SMS text of two segments', { type: 'sms', to: '1', body: 'ж'.repeat(71) }, 40_000n],
    ['one email', { type: 'email' }, 10_000n],
    ['a mailing', { type: 'email', recipients: 1_000_000 }, 10_000_000_000n],
    ['a fax of three pages', { type: 'fax', pages: 3, to: '1' }, 450_000n],
    ['a file transfer', { type: 'file_transfer', bytes: 10 ** 12 }, 50_000n],
    ['a call to a name', call(60, 'sip:alice@example.org'), 150_000n],
  ])('%s', (_name, usage, micros) => {
    expect(rate(defaults, usage)).toMatchObject({ ok: true, amountMicros: micros });
  });
});

describe('what costs nothing', () => {
  test('a call that was not answered, with the reason', () => {
    const usage: Usage = { type: 'call', durationSeconds: 40, to: '1', answered: false };
    expect(breakdownOf(defaults, usage)).toMatchObject({
      free: 'not_answered',
      units: 40,
      amountMicros: '0',
    });
  });

  test.each(['call', 'sms', 'email', 'fax', 'file_transfer'] as const)(
    'zero units of %s, not even where there is a fee and a minimum',
    (type) => {
      const rule = defaultRateCard.rules.find((candidate) => candidate.type === type) ?? callRule;
      const compiled = compile({ ...rule, connectionFeeMicros: '5', minimumMicros: '9' });
      expect(breakdownOf(compiled, usageOf(type, 0))).toMatchObject({
        free: 'no_usage',
        amountMicros: '0',
      });
    },
  );

  test('also when the card has no price for it, and then names no rule', () => {
    const breakdown = breakdownOf(compile(), call(0));
    expect(breakdown).toMatchObject({ free: 'no_usage', amountMicros: '0' });
    expect(breakdown).not.toHaveProperty('ruleId');
  });
});

describe('rules', () => {
  test('the longest prefix of the dialled digits decides', () => {
    const compiled = compile(
      callRule,
      { ...callRule, id: 'uk', prefix: '44', pricePerMinuteMicros: '60' },
      { ...callRule, id: 'uk-mobile', prefix: '447', pricePerMinuteMicros: '120' },
    );
    expect(breakdownOf(compiled, call(60, '+44 7700 900000'))).toMatchObject({
      ruleId: 'uk-mobile',
      prefix: '447',
      amountMicros: '120',
    });
    expect(breakdownOf(compiled, call(60, '00442079460000')).ruleId).toBe('uk');
    expect(breakdownOf(compiled, call(60, '+33123')).ruleId).toBe('call');
  });

  test('a destination without a rule is NO_RATE, and the detail does not hold the number', () => {
    const result = rate(compile({ ...callRule, prefix: '44' }), call(60, '+15550100'));
    expect(result).toEqual({
      ok: false,
      code: 'NO_RATE',
      detail: 'rate card "Default prices" version 1 has no call price for this destination',
    });
  });

  test.each([
    [60, 60, [60, 60, 120, 180], [1, 1, 2, 3]],
    [30, 6, [30, 60, 66, 126], [1, 6, 7, 17]],
    [1, 1, [1, 60, 61, 121], [1, 60, 61, 121]],
  ])('increments %i/%i bill whole blocks', (initialSeconds, nextSeconds, billed, counts) => {
    const compiled = compile({ ...callRule, initialSeconds, nextSeconds });
    const billing = [1, 60, 61, 121].map((seconds) => breakdownOf(compiled, call(seconds)).price);
    expect(billing.map((price) => price?.billedUnits)).toEqual(billed);
    expect(billing.map((price) => price?.increments?.count)).toEqual(counts);
  });

  test('minimum and maximum replace the amount and say so', () => {
    const compiled = compile({ ...callRule, minimumMicros: '10000', maximumMicros: '90000' });
    const priced = [1, 60, 600].map((seconds) => breakdownOf(compiled, call(seconds)));
    expect(priced.map(({ amountMicros }) => amountMicros)).toEqual(['10000', '50000', '90000']);
    expect(priced.map(({ price }) => price?.applied)).toEqual(['minimum', undefined, 'maximum']);
  });

  test("a rule's own rounding goes before the card's", () => {
    const rounded = roundings.map((rounding) =>
      amount(compile({ ...callRule, pricePerMinuteMicros: '90', rounding }), call(1)),
    );
    expect(rounded).toEqual([2n, 2n, 2n, 1n]);
    expect(amount(compile({ ...callRule, pricePerMinuteMicros: '90' }), call(3))).toBe(5n);
  });

  test('the size of a transfer chooses its tier; without a size the plain price holds', () => {
    const compiled = compile({
      id: 'transfer',
      type: 'file_transfer',
      prefix: '',
      connectionFeeMicros: '0',
      pricePerUnitMicros: '500',
      sizeTiers: [
        { upToBytes: 1_000, pricePerUnitMicros: '1' },
        { upToBytes: 2_000, pricePerUnitMicros: '10' },
        { upToBytes: null, pricePerUnitMicros: '100' },
      ],
    });
    const amounts = [0, 1_000, 1_001, 2_000, 2_001].map((bytes) =>
      amount(compiled, { type: 'file_transfer', transfers: 2, bytes }),
    );
    expect(amounts).toEqual([2n, 2n, 20n, 20n, 200n]);
    expect(amount(compiled, { type: 'file_transfer' })).toBe(500n);
  });

  test('the highest prices times the most units still fit a 64-bit amount', () => {
    const highest = '1000000000000';
    for (const rule of defaultRateCard.rules) {
      const dearest: RuleJson =
        rule.type === 'call'
          ? { ...rule, connectionFeeMicros: highest, pricePerMinuteMicros: highest }
          : { ...rule, connectionFeeMicros: highest, pricePerUnitMicros: highest };
      const micros = amount(compile(dearest), usageOf(rule.type, maxUnitsOfType[rule.type]));
      expect(BigInt.asIntN(64, micros)).toBe(micros);
    }
  });
});

describe('the breakdown', () => {
  test('holds card, rule, increments and the exact amount before rounding', () => {
    expect(breakdownOf(defaults, { ...call(61), to: '+15550100' } as Usage)).toEqual({
      schema: 1,
      rateCardId: defaultRateCard.id,
      rateCardVersion: 1,
      currency: 'USD',
      type: 'call',
      unit: 'second',
      units: 61,
      ruleId: 'call-any',
      prefix: '',
      price: {
        connectionFeeMicros: '100000',
        priceMicros: '50000',
        perUnits: 60,
        billedUnits: 61,
        increments: { initialSeconds: 1, nextSeconds: 1, count: 61 },
        usageMicros: { numerator: '152500', denominator: '3' },
        rounding: 'half_up',
      },
      amountMicros: '150833',
    });
  });

  test('never holds the number dialled', () => {
    const usage: Usage = { type: 'call', durationSeconds: 9, to: '+15550100', from: '+15550199' };
    expect(JSON.stringify(breakdownOf(defaults, usage))).not.toContain('5550');
  });

  test('gives the same amount again after a trip through JSON', () => {
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

describe('affordable', () => {
  test('is the largest usage that the money pays for', () => {
    fc.assert(
      fc.property(callRules, fc.bigInt({ min: 0n, max: 5_000_000n }), (rule, available) => {
        const compiled = compile(rule);
        const result = affordable(compiled, 'call', '1', available);
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

  test.each<[UsageType, bigint, number]>([
    ['call', 375_000n, 330],
    ['call', 374_999n, 329],
    ['call', 100_832n, 0],
    ['sms', 59_999n, 2],
    ['email', 10_000n, 1],
    ['fax', 149_999n, 0],
    ['file_transfer', 1_000_000n, 20],
  ])('of %s with %s micros at the default prices is %i', (type, available, maxUnits) => {
    expect(affordable(defaults, type, '15550100', available)).toMatchObject({ ok: true, maxUnits });
  });

  test('is nothing when there is less than no money', () => {
    expect(affordable(defaults, 'call', '1', -1n)).toMatchObject({ ok: true, maxUnits: 0 });
  });

  test("is the type's limit where the price is nothing or capped", () => {
    const free = compile({ ...callRule, pricePerMinuteMicros: '0' });
    expect(affordable(free, 'call', '1', 0n)).toMatchObject({ maxUnits: maxUnitsOfType.call });
    const capped = compile({ ...callRule, maximumMicros: '70000' });
    expect(affordable(capped, 'call', '1', 70_000n)).toMatchObject({
      maxUnits: maxUnitsOfType.call,
    });
  });

  test('is NO_RATE where there is no price', () => {
    expect(affordable(compile(), 'sms', '1', 10n)).toMatchObject({ ok: false, code: 'NO_RATE' });
  });
});
