import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { roundings } from '../../rating/exact.ts';
import type { RuleJson } from '../../rating/rate.fixtures.ts';
import { actor, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

let world: PricingWorld;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

const price = fc.nat(90_000).map(String);
const limits = fc.constantFrom(
  {},
  { minimumMicros: '30000' },
  { maximumMicros: '200000' },
  { minimumMicros: '30000', maximumMicros: '200000' },
);
const hours = fc.constantFrom({ from: '22:00', to: '06:00' }, { from: '08:00', to: '18:00' });
const common = fc.record({ connectionFeeMicros: price, rounding: fc.constantFrom(...roundings) });

const callRules = fc
  .record({
    common,
    limits,
    prefix: fc.constantFrom('', '44', '4420'),
    seconds: fc.constantFrom(1, 6, 30, 60),
    prices: fc.tuple(price, price, price),
    hours: fc.option(hours, { freq: 2 }),
    above: fc.option(fc.integer({ min: 1, max: 400 }), { freq: 2 }),
  })
  .map(
    ({ common, limits, prefix, seconds, prices, hours, above }): RuleJson => ({
      ...common,
      ...limits,
      id: `call${prefix}`,
      type: 'call',
      prefix,
      initialSeconds: seconds,
      nextSeconds: seconds,
      pricePerMinuteMicros: prices[0],
      ...(hours !== null && { windows: [{ ...hours, pricePerMinuteMicros: prices[1] }] }),
      ...(above !== null && {
        monthlyTiers: [{ aboveUnits: above, pricePerMinuteMicros: prices[2] }],
      }),
    }),
  );
const smsRule = fc
  .record({ common, limits, prices: fc.tuple(price, price), above: fc.integer({ min: 1, max: 9 }) })
  .map(
    ({ common, limits, prices, above }): RuleJson => ({
      ...common,
      ...limits,
      id: 'sms',
      type: 'sms',
      prefix: '',
      pricePerUnitMicros: prices[0],
      monthlyTiers: [{ aboveUnits: above, pricePerUnitMicros: prices[1] }],
    }),
  );
const otherRules = fc
  .record({ common, limits, prices: fc.tuple(price, price, price), upToBytes: fc.nat(5_000) })
  .map(({ common, limits, prices, upToBytes }): RuleJson[] => {
    const rule = { ...common, ...limits, prefix: '' as const, pricePerUnitMicros: prices[0] };
    const sizeTiers = [
      { upToBytes, pricePerUnitMicros: prices[1] },
      { upToBytes: null, pricePerUnitMicros: prices[2] },
    ];
    return [
      { ...rule, id: 'email', type: 'email' },
      { ...rule, id: 'fax', type: 'fax', prefix: '44' },
      { ...rule, id: 'file', type: 'file_transfer', sizeTiers },
    ];
  });
const rules = fc
  .tuple(fc.uniqueArray(callRules, { selector: ({ id }) => id, maxLength: 3 }), smsRule, otherRules)
  .map(([calls, sms, others]) => [...calls, sms, ...others]);

const number = fc.constantFrom('+442079460000', '00 44 161 496 0000', '+14155550132', '112');
const usages = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant('call' as const),
      durationSeconds: fc.nat(400),
      to: fc.oneof(number, fc.constant('*98')),
    }),
    fc.record({ type: fc.constant('sms' as const), segments: fc.nat(6), to: number }),
    fc.record({
      type: fc.constant('sms' as const),
      body: fc.string({ unit: 'binary' }),
      to: number,
    }),
    fc.record({ type: fc.constant('email' as const), recipients: fc.nat(50) }),
    fc.record({ type: fc.constant('fax' as const), pages: fc.nat(9), to: number }),
    fc.record({ type: fc.constant('file_transfer' as const), bytes: fc.nat(9_000) }),
  ),
  { minLength: 1, maxLength: 6 },
);

it('what is quoted is what is charged, at once or by a hold, to the micro, whatever the cards say', {
  timeout: 90_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      rules,
      fc.option(rules, { freq: 2 }),
      usages,
      fc.constantFrom('UTC', 'Asia/Tokyo'),
      fc.integer({ min: 1, max: 600 }),
      async (general, own, usages, timezone, minutesAgo) => {
        await world.publish({ rules: general, alwaysConnect: ['112'] });
        const wallet = await world.walletWith(100_000_000n, { timezone });
        if (own !== null) {
          await world.publish({ rules: own, userId: wallet.userId, version: 1 });
        }
        // Within the last minute that the newest cards have been in effect.
        const occurredAt = new Date(world.now().getTime() - minutesAgo * 100);
        for (const usage of usages) {
          const quoted = await world.charging.quote(wallet, usage, occurredAt);
          const charged = await world.charge(wallet, usage, { occurredAt });
          if (!quoted.ok || !charged.ok) {
            expect(charged).toEqual(quoted);
            continue;
          }
          expect(charged.breakdown).toEqual(quoted.breakdown);
          expect(charged.amountMicros).toBe(quoted.amountMicros);
          const explained = await world.explaining.explain(wallet, { seq: charged.seq });
          expect(explained).toMatchObject({ charges: [{ matches: true }] });
        }
        for (const usage of usages) {
          const quoted = await world.charging.quote(wallet, usage);
          const placed = await world.authorize(wallet, usage);
          if (!quoted.ok || !placed.ok) {
            expect(placed).toEqual(quoted);
            continue;
          }
          expect(placed.heldMicros).toBe(quoted.amountMicros);
          const { holdId } = placed;
          const captured = await world.holds.capture({ holdId, usage, overrun: 'refuse' }, actor);
          expect.assert(captured.ok);
          expect(captured.breakdown).toEqual(quoted.breakdown);
          expect(captured.amountMicros).toBe(quoted.amountMicros);
        }
        await world.setNow(world.now().getTime() + 7 * 3_600_000);
      },
    ),
    { numRuns: 25 },
  );
});
