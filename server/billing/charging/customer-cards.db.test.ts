import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callRule } from '../../rating/rate.fixtures.ts';
import { rateRuleSchema } from '../../rating/rate-card.ts';
import { actor, callOf, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

let world: PricingWorld;

const london = { ...callRule, id: 'london', prefix: '4420', pricePerMinuteMicros: '70000' };
const fax = {
  id: 'fax',
  type: 'fax',
  prefix: '',
  connectionFeeMicros: '0',
  pricePerUnitMicros: '150000',
} as const;

beforeAll(async () => {
  world = await createPricingWorld();
  await world.publish({ rules: [callRule, london, fax], alwaysConnect: ['112'] });
});

afterAll(() => world?.database.close());

async function customer() {
  const userId = `user-${randomUUID()}`;
  return { userId, wallet: await world.walletWith(5_000_000n, { userId }) };
}

describe('a card of one customer', () => {
  it("stays this customer's when a draft of it is described anew", async () => {
    const { userId } = await customer();
    const { drafts } = world.rateCards;
    const id = randomUUID();
    const card = { name: 'Own', currency: 'USD', rounding: 'up', userId } as const;
    expect(await drafts.create({ id, card }, actor)).toEqual({ ok: true });
    expect(await drafts.describe(id, { ...card, name: 'Renamed' }, actor)).toEqual({ ok: true });
    for (const other of [undefined, 'somebody-else']) {
      expect(await drafts.describe(id, { ...card, userId: other }, actor)).toMatchObject({
        code: 'CUSTOMER_DIFFERS',
      });
    }
    expect(await drafts.get(id)).toMatchObject({ card: { userId, name: 'Renamed' } });
  });

  it('wins over the general card, for that customer alone, and leaves to it what it lacks', async () => {
    const { userId, wallet } = await customer();
    const stranger = await world.walletWith(5_000_000n);
    const own = { ...callRule, pricePerMinuteMicros: '30000' };
    const { id } = await world.publish({ userId, version: 1, rules: [own] });
    const price = (to: string) => world.charging.quote(wallet, callOf(60, to));
    const breakdown = { rateCardId: id, rateCardVersion: 1 };
    expect(await price('+14155550132')).toMatchObject({ amountMicros: 30_000n, breakdown });
    // Its own rule wins, also over the longer prefix of the general card.
    expect(await price('+442079460000')).toMatchObject({ amountMicros: 30_000n, breakdown });
    expect(await price('112')).toMatchObject({ breakdown: { goodwillMicros: '30000' } });
    const page = { type: 'fax', pages: 1, to: '+14155550132' } as const;
    expect(await world.charging.quote(wallet, page)).toMatchObject({
      amountMicros: 150_000n,
      breakdown: { ruleId: 'fax', rateCardVersion: 2 },
    });
    expect(await world.charging.quote(stranger, callOf(60))).toMatchObject({
      amountMicros: 50_000n,
    });
    const charged = await world.charge(wallet, callOf(60));
    expect.assert(charged.ok);
    const explained = await world.explaining.explain(wallet, { seq: charged.seq });
    expect(explained).toMatchObject({
      charges: [{ rateCardId: id, recomputedMicros: 30_000n, matches: true }],
    });
  });

  it('has versions of its own, which take effect on their dates and do not change', async () => {
    const { userId, wallet } = await customer();
    const before = world.now();
    const first = await world.publish({ userId, version: 1, rules: [callRule] });
    await expect(world.publish({ userId, version: 1, rules: [callRule] })).rejects.toMatchObject({
      publicMessage: 'version: the next version of this card is 2',
    });
    await expect(
      world.publish({ userId, version: 2, rules: [], effectiveFrom: first.effectiveFrom }),
    ).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await world.publish({ userId, version: 2, rules: [] });
    const versionAt = async (at: Date) => {
      const quoted = await world.charging.quote(wallet, callOf(60), at);
      return quoted.ok ? [quoted.breakdown.rateCardId === first.id, quoted.amountMicros] : quoted;
    };
    expect(await versionAt(new Date(first.effectiveFrom))).toEqual([true, 50_000n]);
    expect(await versionAt(before)).toEqual([false, 50_000n]);
    // A version without rules gives all back to the general card.
    expect(await versionAt(world.now())).toEqual([false, 50_000n]);
  });

  it('prices a call that began before it by the cards of that time', async () => {
    const { userId, wallet } = await customer();
    await world.publish({ userId, version: 1, rules: [london] });
    const placed = await world.authorize(wallet, callOf(60));
    expect.assert(placed.ok);
    await world.publish({
      userId,
      version: 2,
      rules: [{ ...callRule, pricePerMinuteMicros: '900000' }],
    });
    const { holdId } = placed;
    // The rule of the general card, which stands behind the customer's.
    const usage = callOf(120);
    expect(await world.holds.capture({ holdId, usage, overrun: 'refuse' }, actor)).toMatchObject({
      amountMicros: 100_000n,
    });
  });

  it('is drafted and published like any other', async () => {
    const { userId, wallet } = await customer();
    const { drafts } = world.rateCards;
    const id = randomUUID();
    const card = { name: 'Own', currency: 'USD', rounding: 'half_up', userId } as const;
    await drafts.create({ id, card }, actor);
    const rule = rateRuleSchema.parse({ ...callRule, pricePerMinuteMicros: '30000' });
    await drafts.changeRules(id, { put: [rule], remove: [] }, actor);
    const { revision } = (await drafts.get(id)) ?? { revision: 0 };
    const effectiveFrom = new Date(world.now().getTime() + 60_000);
    expect(await drafts.publish({ id, revision, effectiveFrom }, actor)).toEqual({
      ok: true,
      version: 1,
    });
    await world.setNow(effectiveFrom.getTime() + 20_000);
    expect(await world.charging.quote(wallet, callOf(60))).toMatchObject({
      amountMicros: 30_000n,
    });
  });
});
