import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultRateCard } from './default-rate-card.ts';
import {
  compileRateCard,
  findRule,
  maxPriceMicros,
  type RateCard,
  type RateCardJson,
  rateCardSchema,
  rateRuleToJson,
} from './rate-card.ts';
import { usageTypes } from './usage.ts';

type RuleJson = RateCardJson['rules'][number];

const callRule: RuleJson = {
  id: 'call',
  type: 'call',
  prefix: '',
  connectionFeeMicros: '0',
  pricePerMinuteMicros: '1',
  initialSeconds: 60,
  nextSeconds: 6,
};
const transferRule: RuleJson = {
  id: 'transfer',
  type: 'file_transfer',
  prefix: '',
  connectionFeeMicros: '0',
  pricePerUnitMicros: '5',
};

function cardOf(...rules: unknown[]): unknown {
  return { ...defaultRateCard, rules };
}

function writtenRules({ rules }: RateCard): unknown[] {
  return rules.map((rule) => JSON.parse(rateRuleToJson(rule)));
}

describe('rateCardSchema', () => {
  test('the default card has a price for every type of usage and reads back as written', () => {
    const card = rateCardSchema.parse(defaultRateCard);
    expect(card.rules.map((rule) => rule.type)).toEqual([...usageTypes]);
    expect(card.effectiveFrom).toEqual(new Date('2000-01-01T00:00:00Z'));
    expect(writtenRules(card)).toEqual(defaultRateCard.rules);
  });

  test('every optional field survives the way to JSON and back', () => {
    const rules = [
      { ...callRule, minimumMicros: '7', maximumMicros: '900', rounding: 'up' },
      {
        ...transferRule,
        sizeTiers: [
          { upToBytes: 1000, pricePerUnitMicros: '1' },
          { upToBytes: null, pricePerUnitMicros: maxPriceMicros.toString() },
        ],
      },
    ];
    const card = rateCardSchema.parse(cardOf(...rules));
    expect(writtenRules(card)).toEqual(rules);
    expect(rateCardSchema.parse(cardOf(...writtenRules(card)))).toEqual(card);
  });

  test.each(['1e3', '1.5', '-1', '-0', '007', '', ' 1', 1, '1000000000001'])(
    'refuses %s as a price',
    (price) => {
      const result = rateCardSchema.safeParse(cardOf({ ...callRule, pricePerMinuteMicros: price }));
      expect(result.error?.issues[0]?.path).toEqual(['rules', 0, 'pricePerMinuteMicros']);
    },
  );

  test.each([
    ['a prefix with a plus', { ...callRule, prefix: '+44' }],
    [
      'a prefix for email, which has no destination',
      { ...transferRule, type: 'email', prefix: '4' },
    ],
    ['increments of zero seconds', { ...callRule, nextSeconds: 0 }],
    ['a minimum above the maximum', { ...callRule, minimumMicros: '2', maximumMicros: '1' }],
    ['an unknown rounding', { ...callRule, rounding: 'nearest' }],
    ['a field that this version does not know', { ...callRule, timeOfDay: '08:00' }],
    ['a price per minute for a fax', { ...callRule, type: 'fax' }],
    ['no tiers', { ...transferRule, sizeTiers: [] }],
    [
      'tiers without an open end',
      { ...transferRule, sizeTiers: [{ upToBytes: 5, pricePerUnitMicros: '1' }] },
    ],
    [
      'tiers out of order',
      {
        ...transferRule,
        sizeTiers: [
          { upToBytes: 5, pricePerUnitMicros: '1' },
          { upToBytes: 5, pricePerUnitMicros: '2' },
          { upToBytes: null, pricePerUnitMicros: '3' },
        ],
      },
    ],
  ])('refuses %s', (_name, rule) => {
    expect(rateCardSchema.safeParse(cardOf(rule)).success).toBe(false);
  });

  test('refuses two rules with one id, and two for one type and prefix', () => {
    const sameId = rateCardSchema.safeParse(cardOf(callRule, { ...callRule, prefix: '44' }));
    expect(sameId.error?.issues.map((issue) => issue.path)).toEqual([['rules', 1, 'id']]);
    const sameTarget = rateCardSchema.safeParse(cardOf(callRule, { ...callRule, id: 'other' }));
    expect(sameTarget.error?.issues.map((issue) => issue.path)).toEqual([['rules', 1, 'prefix']]);
  });
});

describe('findRule', () => {
  test('finds the same rule as looking through all of them for the longest prefix', () => {
    const digits = fc.string({ unit: fc.constantFrom('0', '1', '2'), maxLength: 6 });
    const prefixes = fc.uniqueArray(digits, { maxLength: 40 });
    fc.assert(
      fc.property(prefixes, digits, (uniquePrefixes, dialled) => {
        const rules = uniquePrefixes.map((prefix) => ({ ...callRule, id: `p${prefix}`, prefix }));
        const card = rateCardSchema.parse(cardOf(...rules));
        const [longest] = uniquePrefixes
          .filter((prefix) => dialled.startsWith(prefix))
          .sort((a, b) => b.length - a.length);
        expect(findRule(compileRateCard(card), 'call', dialled)?.prefix).toBe(longest);
      }),
    );
  });

  test('never takes a rule of another type', () => {
    const compiled = compileRateCard(rateCardSchema.parse(cardOf(callRule)));
    expect(findRule(compiled, 'sms', '44')).toBeUndefined();
    expect(findRule(compiled, 'call', '44')?.id).toBe('call');
  });

  test('looks a destination up among 100,000 prefixes in microseconds', () => {
    const card = rateCardSchema.parse(cardOf(callRule));
    const rule = card.rules.find((candidate) => candidate.type === 'call');
    if (rule === undefined) {
      throw new Error('the card has no call rule');
    }
    const rules = Array.from({ length: 100_000 }, (_, index) => ({
      ...rule,
      id: `rule-${index}`,
      prefix: `${index + 100_000}`,
    }));
    const compiled = compileRateCard({ ...card, rules });
    const started = performance.now();
    for (let index = 0; index < 100_000; index += 1) {
      assertSame(findRule(compiled, 'call', `${index + 100_000}5550199`)?.id, `rule-${index}`);
    }
    // 20 µs each leaves room for a busy machine; looking through all rules would take 1,000 times that.
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

/** A comparison without the cost of the test library's own, for loops that are timed. */
function assertSame(actual: string | undefined, expected: string): void {
  if (actual !== expected) {
    throw new Error(`found ${actual} instead of ${expected}`);
  }
}
