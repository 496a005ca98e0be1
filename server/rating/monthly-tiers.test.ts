import { describe, expect, test } from 'vitest';
import { defaultRateCard } from './default-rate-card.ts';
import { partsOf } from './monthly-tiers.ts';
import { amount, breakdownOf, call, callRule, circumstances, compile } from './rate.fixtures.ts';
import { affordable, recompute } from './rate.ts';
import { rateCardSchema } from './rate-card.ts';

const smsRule = {
  id: 'sms',
  type: 'sms',
  prefix: '',
  connectionFeeMicros: '0',
  pricePerUnitMicros: '20000',
} as const;
const tiers = [
  { aboveUnits: 1_000, pricePerUnitMicros: '15000' },
  { aboveUnits: 5_000, pricePerUnitMicros: '10000' },
];
const card = compile({ ...smsRule, monthlyTiers: tiers });
const sms = (segments: number) => ({ type: 'sms', to: '1', segments }) as const;
const having = (units: number) => ({ ...circumstances, unitsThisMonth: { 'sms/sms': units } });

describe('monthly tiers', () => {
  test.each([
    ['the first of the month', 0, 1, 20_000n],
    ['the thousandth', 999, 1, 20_000n],
    ['the one behind it', 1_000, 1, 15_000n],
    ['some of two tiers', 998, 5, 2n * 20_000n + 3n * 15_000n],
    ['the last tier', 9_999, 2, 20_000n],
  ])('price %s', (_which, before, segments, micros) => {
    expect(amount(card, sms(segments), having(before))).toBe(micros);
  });

  test('of three tiers may all be burned by one usage, and the breakdown says each', () => {
    const breakdown = breakdownOf(
      compile({
        ...smsRule,
        monthlyTiers: [1, 3].map((aboveUnits) => ({
          aboveUnits,
          pricePerUnitMicros: `${aboveUnits}`,
        })),
      }),
      sms(7),
    );
    expect(breakdown.price?.monthly).toEqual({
      counter: 'sms/sms',
      unitsBefore: 0,
      parts: [
        { units: 1, priceMicros: '20000' },
        { units: 2, priceMicros: '1' },
        { units: 4, priceMicros: '3' },
      ],
    });
    expect(breakdown.amountMicros).toBe('20014');
    expect(recompute(breakdown)).toBe(20_014n);
  });

  test('of calls count billed seconds', () => {
    const calls = compile({
      ...callRule,
      initialSeconds: 60,
      nextSeconds: 60,
      monthlyTiers: [{ aboveUnits: 120, pricePerMinuteMicros: '30000' }],
    });
    expect(amount(calls, call(150))).toBe(2n * 50_000n + 30_000n);
    expect(breakdownOf(calls, call(61)).price).toMatchObject({
      billedUnits: 120,
      monthly: { parts: [{ units: 120 }] },
    });
  });

  test("give way to a window's own price, and its units count", () => {
    const windows = [{ from: '00:00', to: '24:00', pricePerUnitMicros: '7' }];
    const breakdown = breakdownOf(
      compile({ ...smsRule, monthlyTiers: tiers, windows }),
      sms(2),
      having(2_000),
    );
    expect(breakdown.amountMicros).toBe('14');
    expect(breakdown.price?.monthly).toMatchObject({ unitsBefore: 2_000 });
  });

  test('know how much money reaches over them', () => {
    expect(affordable([card], 'sms', '1', 2n * 20_000n + 15_000n, having(998))).toMatchObject({
      maxUnits: 3,
    });
  });

  test.each([
    [[{ aboveUnits: 0, pricePerUnitMicros: '1' }]],
    [[...tiers].reverse()],
    [[tiers[0], tiers[0]]],
    [[]],
    [[{ aboveUnits: 1 }]],
  ])('are refused as %j', (monthlyTiers) => {
    const rules = [{ ...smsRule, monthlyTiers }];
    expect(rateCardSchema.safeParse({ ...defaultRateCard, rules }).success).toBe(false);
  });

  test('deal out every unit once', () => {
    const list = [0, 3, 4, 9].map((aboveUnits, index) => ({
      aboveUnits,
      priceMicros: BigInt(index),
    }));
    for (let before = 0; before < 12; before += 1) {
      const whole = partsOf(list, before, 8);
      expect(whole.reduce((sum, { units }) => sum + units, 0)).toBe(8);
    }
  });
});
