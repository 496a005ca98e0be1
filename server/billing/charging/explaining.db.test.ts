import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RateCardJson } from '../../rating/rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import type { WalletView } from '../../views/wallets.ts';
import type { ChargeName, Explanation } from './explaining.ts';
import {
  actor,
  callOf,
  createPricingWorld,
  type PricingWorld,
  startsAt,
  to,
} from './pricing.fixtures.ts';

let world: PricingWorld;
let wallet: WalletView;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

beforeEach(async () => {
  wallet = await world.walletWith(5_000_000n);
});

function charge(usage: Usage, overrun: 'refuse' | 'arrears' = 'refuse', referenceId = 'r') {
  return world.charging.charge({ wallet, usage, referenceId, overrun }, actor);
}

async function explain(name: ChargeName): Promise<Explanation[]> {
  const answer = await world.explaining.explain(wallet, name);
  expect.assert(answer.ok);
  expect(answer).toMatchObject({ walletId: wallet.walletId, currency: 'USD' });
  return answer.charges;
}

const usages: [string, Usage][] = [
  ['a call', callOf(330)],
  ['a call of no whole minute', callOf(61)],
  ['a call that was not answered', { ...callOf(20), answered: false } as Usage],
  ['an SMS by segments', { type: 'sms', to, segments: 3 }],
  ['an SMS by its text', { type: 'sms', to, body: 'ß'.repeat(200) }],
  ['an email', { type: 'email', recipients: 7 }],
  ['a fax', { type: 'fax', pages: 3, to }],
  ['a small file transfer', { type: 'file_transfer', transfers: 2, bytes: 500 }],
  ['a large file transfer', { type: 'file_transfer', transfers: 2, bytes: 5_000_000 }],
  ['a file transfer of unknown size', { type: 'file_transfer' }],
];

describe('a charge priced anew costs the same micros', () => {
  it.each(usages)('%s at the default prices', async (_what, usage) => {
    const charged = await charge(usage);
    expect.assert(charged.ok);
    const [explanation, ...others] = await explain({ type: usage.type, referenceId: 'r' });
    expect(others).toEqual([]);
    expect(explanation).toMatchObject({
      seq: charged.seq,
      type: 'charge',
      rateCardId: charged.breakdown.rateCardId,
      rateCardVersion: charged.breakdown.rateCardVersion,
      breakdown: charged.breakdown,
      amountMicros: charged.amountMicros,
      billedMicros: charged.amountMicros,
      recomputedMicros: charged.amountMicros,
      intact: true,
      matches: true,
    });
  });

  describe('with increments, tiers, prefixes, limits and roundings', () => {
    let card: RateCardJson;
    beforeAll(async () => {
      await world.setNow(startsAt);
      const common = { prefix: '', connectionFeeMicros: '0' } as const;
      const callPrice = { type: 'call', initialSeconds: 30, nextSeconds: 6 } as const;
      card = await world.publish({
        rules: [
          { ...common, ...callPrice, id: 'call', pricePerMinuteMicros: '12345', rounding: 'up' },
          {
            ...callPrice,
            id: 'call-us',
            prefix: '1415',
            connectionFeeMicros: '7',
            pricePerMinuteMicros: '33333',
            minimumMicros: '20000',
          },
          { ...common, id: 'sms', type: 'sms', pricePerUnitMicros: '12001' },
          { ...common, id: 'email', type: 'email', pricePerUnitMicros: '3', maximumMicros: '20' },
          { ...common, id: 'fax', type: 'fax', pricePerUnitMicros: '150001' },
          {
            ...common,
            id: 'file',
            type: 'file_transfer',
            pricePerUnitMicros: '5',
            sizeTiers: [
              { upToBytes: 1_000, pricePerUnitMicros: '11' },
              { upToBytes: null, pricePerUnitMicros: '99' },
            ],
          },
        ],
      });
    });

    it.each([...usages, ['a call abroad', callOf(31, '+498912345')] as [string, Usage]])(
      '%s',
      async (_what, usage) => {
        const charged = await charge(usage);
        expect.assert(charged.ok);
        const [explanation] = await explain({ type: usage.type, referenceId: 'r' });
        expect(explanation).toMatchObject({
          rateCardId: card.id,
          rateCardVersion: card.version,
          recomputedMicros: charged.amountMicros,
          matches: true,
        });
      },
    );

    it('says the rule and the increments', async () => {
      await charge(callOf(31));
      expect(await explain({ type: 'call', referenceId: 'r' })).toMatchObject([
        {
          ruleId: 'call-us',
          units: 31,
          breakdown: {
            prefix: '1415',
            price: {
              billedUnits: 36,
              increments: { initialSeconds: 30, nextSeconds: 6, count: 2 },
            },
          },
        },
      ]);
    });

    it('also after a newer card was published', async () => {
      const charged = await charge(callOf(61));
      await world.publish({});
      expect.assert(charged.ok);
      const quote = await world.charging.quote(wallet, callOf(61));
      expect(quote).not.toMatchObject({ amountMicros: charged.amountMicros });
      expect(await explain({ type: 'call', referenceId: 'r' })).toMatchObject([
        { rateCardId: card.id, recomputedMicros: charged.amountMicros, matches: true },
      ]);
    });
  });
});

describe('an explanation', () => {
  const name = { type: 'call', referenceId: 'r' } as const;

  it('says what was taken, owed and refunded, and the wallet before and after', async () => {
    await world.publish({});
    // 100 minutes: $5.10 of $5.00.
    await charge(callOf(6_000), 'arrears');
    await world.refunds.refund(
      { wallet, type: 'call', referenceId: 'r', amountMicros: 50_000n, key: 'k', reason: 'noise' },
      actor,
    );
    const position = { balanceMicros: 0n, heldMicros: 0n, arrearsMicros: 0n };
    expect(await explain(name)).toMatchObject([
      {
        actor,
        referenceId: 'r',
        usage: { ...callOf(6_000), answered: true },
        takenMicros: 5_000_000n,
        reservedMicros: 0n,
        owedMicros: 100_000n,
        billedMicros: 5_100_000n,
        refundedMicros: 50_000n,
        grants: [{ seq: '2', micros: '5000000' }],
        before: { ...position, balanceMicros: 5_000_000n },
        after: { ...position, arrearsMicros: 100_000n },
        hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        matches: true,
      },
    ]);
    expect(await explain({ seq: 3n })).toEqual(await explain(name));
  });

  it('of a deferred wallet says what was reserved', async () => {
    wallet = await world.walletWith(5_000_000n, { mode: 'deferred' });
    await charge({ type: 'email' });
    expect(await explain({ type: 'email', referenceId: 'r' })).toMatchObject([
      { type: 'accrual', takenMicros: 0n, reservedMicros: 10_000n, matches: true },
    ]);
  });

  it.each([
    ['another reference', { type: 'call', referenceId: 'other' }],
    ['another type', { type: 'sms', referenceId: 'r' }],
    ['an event that bills nothing', { seq: 2n }],
    ['an event that is not there', { seq: 99n }],
  ] as [string, ChargeName][])('of %s is none', async (_what, unknown) => {
    await charge(callOf(1));
    expect(await world.explaining.explain(wallet, unknown)).toEqual({
      ok: false,
      code: 'USAGE_NOT_FOUND',
    });
    expect(await world.explaining.explain({ userId: 'nobody' }, unknown)).toEqual({
      ok: false,
      code: 'WALLET_NOT_FOUND',
    });
  });
});

describe.each(['live', 'deferred'] as const)('a hold of a %s wallet', (mode) => {
  const name = { type: 'call', referenceId: 'call-1' } as const;
  let holdId: string;
  beforeEach(async () => {
    wallet = await world.walletWith(5_000_000n, { mode });
    const estimate = { usage: callOf(60) };
    const request = { wallet, key: 'call-1', estimate, ttlSeconds: 300 };
    const placed = await world.holds.authorize(request, actor);
    expect.assert(placed.ok);
    holdId = placed.holdId;
  });

  const capture = (seconds: number) =>
    world.holds.capture({ holdId, usage: callOf(seconds), overrun: 'refuse' }, actor);
  async function runOut(seconds: number): Promise<void> {
    await world.holds.extend({ holdId, usageSoFar: callOf(seconds) }, actor);
    await world.wait(301);
  }
  const billed = (explanations: Explanation[]) =>
    explanations.map(({ billedMicros, alreadyBilledMicros, matches }) => ({
      billedMicros,
      alreadyBilledMicros,
      matches,
    }));

  it('that was captured is explained by its usage, also by the event that released it', async () => {
    await capture(90);
    const explanations = await explain(name);
    expect(billed(explanations)).toEqual([
      { billedMicros: 175_000n, alreadyBilledMicros: 0n, matches: true },
    ]);
    expect(explanations).toMatchObject([{ holdId, recomputedMicros: 175_000n, units: 90 }]);
    expect(await explain({ seq: 4n })).toEqual(explanations);
  });

  it('that ran out is explained with its late corrections, each by what came before', async () => {
    await runOut(60);
    await world.holds.extend({ holdId, usageSoFar: callOf(90) }, actor);
    await capture(30);
    expect(billed(await explain(name))).toEqual([
      { billedMicros: 150_000n, alreadyBilledMicros: 0n, matches: true },
      { billedMicros: 25_000n, alreadyBilledMicros: 150_000n, matches: true },
      { billedMicros: -50_000n, alreadyBilledMicros: 175_000n, matches: true },
    ]);
  });

  it('that ran out and was voided is explained as given back, also after a refund', async () => {
    await runOut(60);
    const refund = { wallet, ...name, amountMicros: 40_000n, key: 'k', reason: 'noise' };
    await world.refunds.refund(refund, actor);
    await world.holds.void({ holdId }, actor);
    expect(billed(await explain(name))).toEqual([
      { billedMicros: 150_000n, alreadyBilledMicros: 0n, matches: true },
      { billedMicros: -110_000n, alreadyBilledMicros: 150_000n, matches: true },
    ]);
  });
});

describe('a charge that was tampered with does not match', () => {
  it.each([
    ['its amount', 'balance_delta_micros = balance_delta_micros + 1'],
    ['the rest owed', 'arrears_delta_micros = 1'],
    [
      'its usage',
      `detail = replace(detail::text, '"durationSeconds":60', '"durationSeconds":61')::json`,
    ],
    ['its units', `detail = replace(detail::text, '"units":60', '"units":59')::json`],
    ['its price', `detail = replace(detail::text, '"150000"', '"150001"')::json`],
    ['its card', `detail = replace(detail::text, '"rateCardId":"', '"rateCardId":"x')::json`],
    ['its destination', `detail = replace(detail::text, '+1415', '+1416')::json`],
    ['its usage, gone', `detail = (detail::jsonb - 'usage')::json`],
    ['whoever made it', `actor = 'service:other'`],
  ])('in %s', async (_what, change) => {
    await world.publish({});
    await charge(callOf(60));
    expect(await explain({ seq: 3n })).toMatchObject([{ matches: true }]);
    await world.database.owner.unsafe(`set local session_replication_role = replica;
      update wallet_events set ${change} where wallet_id = '${wallet.walletId}' and seq = 3`);
    expect(await explain({ seq: 3n })).toMatchObject([{ intact: false, matches: false }]);
  });

  it('not even when its hash was made anew', async () => {
    await world.publish({});
    await charge(callOf(60));
    await world.database.owner.unsafe(`set local session_replication_role = replica;
      update wallet_events set balance_delta_micros = -1 where wallet_id = '${wallet.walletId}' and seq = 3;
      update wallet_events e set hash = event_hash(
        (select hash from wallet_events p where p.wallet_id = e.wallet_id and p.seq = 2), e)
      where wallet_id = '${wallet.walletId}' and seq = 3`);
    expect(await explain({ seq: 3n })).toMatchObject([
      { intact: true, recomputedMicros: 150_000n, billedMicros: 1n, matches: false },
    ]);
  });
});
