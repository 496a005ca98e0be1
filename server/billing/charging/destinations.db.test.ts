import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callRule } from '../../rating/rate.fixtures.ts';
import { actor, callOf, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

let world: PricingWorld;

const rules = [
  callRule,
  { ...callRule, id: 'london', prefix: '4420', pricePerMinuteMicros: '70000' },
];

beforeAll(async () => {
  world = await createPricingWorld();
  await world.publish({ rules });
});

afterAll(() => world?.database.close());

const writings = [
  '+442079460000',
  '00442079460000',
  '011 44 20 7946 0000',
  '+44 (0)20 7946\u20110000',
  '\u200e+44\u00a020\u200b79460000',
  '＋４４２０７９４６００００',
  'tel:+44-20-7946-0000',
];

describe.each(writings)('destination %j', (to) => {
  it('finds the price of its prefix', async () => {
    const wallet = await world.walletWith(1_000_000n);
    expect(await world.charging.quote(wallet, callOf(60, to))).toMatchObject({
      amountMicros: 70_000n,
      breakdown: { ruleId: 'london' },
    });
  });

  it('is held to the limit of its prefix, charged and authorized', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const limit = { period: 'day', amountMicros: 70_000n, type: null, prefix: '4420' } as const;
    await world.limits.set(wallet, [limit], actor);
    expect(await world.charge(wallet, callOf(60, to))).toMatchObject({ amountMicros: 70_000n });
    const refused = { code: 'LIMIT_EXCEEDED', limit: { prefix: '4420' } };
    expect(await world.charge(wallet, callOf(1, to))).toMatchObject(refused);
    expect(await world.authorize(wallet, callOf(60, to))).toMatchObject(refused);
    const { walletId } = wallet;
    const estimate = { amountMicros: 1n, type: 'call', to } as const;
    expect(
      await world.holds.authorize(
        { wallet: { walletId }, key: 'a', estimate, ttlSeconds: 60 },
        actor,
      ),
    ).toMatchObject(refused);
  });
});

it('what is no destination is a bad request that names the field and not the number', async () => {
  const wallet = await world.walletWith(1_000_000n);
  const usage = callOf(60, '++44 20 7946');
  const message = /^usage\.to: must be a number that can be dialled, or a name$/;
  const bad = { code: 'BAD_REQUEST', publicMessage: expect.stringMatching(message) };
  await expect(world.charge(wallet, usage)).rejects.toMatchObject(bad);
  await expect(world.charging.quote(wallet, usage)).rejects.toMatchObject(bad);
  await expect(world.authorize(wallet, usage)).rejects.toMatchObject(bad);
  const batch = [callOf(60), usage].map((usage, index) => {
    return { wallet, usage, referenceId: `bad-${index}`, overrun: 'refuse' as const };
  });
  await expect(world.charging.chargeBatch(batch, actor)).rejects.toMatchObject({
    publicMessage: expect.stringMatching(/^items\.1\.usage\.to: /),
  });
});

it('messages and faxes go to numbers and short codes alone, calls also to names', async () => {
  const wallet = await world.walletWith(1_000_000n);
  const message = 'usage.to: must be a number that can be dialled';
  for (const to of ['front-desk', 'sip:alice@pbx.example', '*98', '1-800-FLOWERS', '4420,7946']) {
    for (const usage of [
      { type: 'sms', to },
      { type: 'fax', to, pages: 1 },
    ] as const) {
      await expect(world.charging.quote(wallet, usage)).rejects.toMatchObject({
        code: 'BAD_REQUEST',
        publicMessage: message,
      });
    }
    const estimate = { amountMicros: 1n, type: 'sms', to } as const;
    const hold = { wallet: { walletId: wallet.walletId }, key: to, estimate, ttlSeconds: 60 };
    await expect(world.holds.authorize(hold, actor)).rejects.toMatchObject({
      publicMessage: 'to: must be a number that can be dialled',
    });
  }
  for (const to of ['72404', '+442079460000']) {
    const answer = await world.charging.quote(wallet, { type: 'sms', to });
    expect(answer).not.toMatchObject({ code: 'BAD_REQUEST' });
  }
  for (const to of ['front-desk', 'sip:alice@pbx.example', '*98']) {
    expect(await world.charging.quote(wallet, callOf(60, to))).toMatchObject({ ok: true });
  }
});

it('a card with a country reads the national numbers of its callers', async () => {
  await world.publish({ rules, country: 'GB', alwaysConnect: ['999'] });
  const wallet = await world.walletWith(1_000_000n);
  const ruleOf = async (to: string) => {
    const quoted = await world.charging.quote(wallet, callOf(60, to));
    return quoted.ok ? quoted.breakdown.ruleId : quoted.code;
  };
  expect(await ruleOf('020 7946 0000')).toBe('london');
  expect(await ruleOf('+1 415 555 0132')).toBe('call');
  expect(await ruleOf('100')).toBe('call');
  const charged = await world.charge(wallet, callOf(60, '020 7946 0000'));
  expect.assert(charged.ok);
  const explained = await world.explaining.explain(wallet, { seq: charged.seq });
  expect(explained).toMatchObject({ charges: [{ matches: true }] });
});

it('the same reference again is a replay, whatever the card makes of its destination', async () => {
  const wallet = await world.walletWith(1_000_000n);
  const once = { referenceId: 'once' };
  const usage = callOf(60, '00 44 20 7946 0000');
  expect(await world.charge(wallet, usage, once)).toMatchObject({ ok: true, replayed: false });
  expect(await world.charge(wallet, usage, once)).toMatchObject({ ok: true, replayed: true });
});
