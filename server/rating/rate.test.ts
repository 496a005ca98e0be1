import { describe, expect, test } from 'vitest';
import { defaultRateCard } from './default-rate-card.ts';
import { roundings } from './exact.ts';
import {
  amount,
  breakdownOf,
  call,
  callRule,
  circumstances,
  compile,
  defaults,
  type RuleJson,
  usageOf,
} from './rate.fixtures.ts';
import { affordable, rate } from './rate.ts';
import { maxUnitsOfType, type Usage, type UsageType } from './usage.ts';

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
    expect(rate([defaults], usage, circumstances)).toMatchObject({
      ok: true,
      amountMicros: micros,
    });
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
    const result = rate(
      [compile({ ...callRule, prefix: '44' })],
      call(60, '+15550100'),
      circumstances,
    );
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
});

describe('affordable', () => {
  test.each<[UsageType, bigint, number]>([
    ['call', 375_000n, 330],
    ['call', 374_999n, 329],
    ['call', 100_832n, 0],
    ['sms', 59_999n, 2],
    ['email', 10_000n, 1],
    ['fax', 149_999n, 0],
    ['file_transfer', 1_000_000n, 20],
  ])('of %s with %s micros at the default prices is %i', (type, available, maxUnits) => {
    expect(affordable([defaults], type, '15550100', available, circumstances)).toMatchObject({
      ok: true,
      maxUnits,
    });
  });

  test('is nothing when there is less than no money', () => {
    expect(affordable([defaults], 'call', '1', -1n, circumstances)).toMatchObject({
      ok: true,
      maxUnits: 0,
    });
  });

  test("is the type's limit where the price is nothing or capped", () => {
    const free = compile({ ...callRule, pricePerMinuteMicros: '0' });
    expect(affordable([free], 'call', '1', 0n, circumstances)).toMatchObject({
      maxUnits: maxUnitsOfType.call,
    });
    const capped = compile({ ...callRule, maximumMicros: '70000' });
    expect(affordable([capped], 'call', '1', 70_000n, circumstances)).toMatchObject({
      maxUnits: maxUnitsOfType.call,
    });
  });

  test('is NO_RATE where there is no price', () => {
    expect(affordable([compile()], 'sms', '1', 10n, circumstances)).toMatchObject({
      ok: false,
      code: 'NO_RATE',
    });
  });
});
