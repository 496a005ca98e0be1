import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BillingClient, createBillingClient } from '../client/client.ts';
import { createRouterWorld, type RouterWorld } from './router-world.fixtures.ts';

let world: RouterWorld;
let client: BillingClient;
let userId: string;

beforeAll(async () => {
  world = await createRouterWorld();
  ({ client } = world);
});

afterAll(() => world?.close());

beforeEach(async () => {
  userId = await world.newUser();
});

const fund = (amountMicros: string) => world.fund(userId, amountMicros);

describe('processCommunicationBilling', () => {
  it.each([
    ['call', { duration: 5.5, to: '+14155550132' }, '375000'],
    ['sms', { to: '+14155550132' }, '20000'],
    ['email', {}, '10000'],
    ['fax', { pages: 1, to: '+14155550132' }, '150000'],
    ['file_transfer', {}, '50000'],
  ] as const)('charges a %s at the default price', async (type, details, amountMicros) => {
    await fund('1000000');
    const answer = await client.processCommunicationBilling(userId, type, {
      ...details,
      referenceId: 'one',
    });
    expect(answer).toMatchObject({
      success: true,
      replayed: false,
      amountMicros,
      balanceMicros: (1_000_000n - BigInt(amountMicros)).toString(),
    });
  });

  it('charges the same referenceId once', async () => {
    await fund('1000000');
    const call = () =>
      client.processCommunicationBilling(userId, 'sms', { to: '+14155550132', referenceId: 'r' });
    const first = await call();
    const again = await call();
    expect(again).toEqual({ ...first, replayed: true });
    expect(await client.wallets.get.query({ userId })).toMatchObject({ balanceMicros: '980000' });
  });

  it('says what is missing when the wallet is empty, and charges the same key after a top-up', async () => {
    const call = () =>
      client.processCommunicationBilling(userId, 'call', {
        duration: 5.5,
        to: '+14155550132',
        referenceId: 'r',
      });
    expect(await call()).toMatchObject({
      success: false,
      code: 'INSUFFICIENT_FUNDS',
      error: 'Insufficient funds: 0.375 USD needed, 0.00 USD available, 0.375 USD missing.',
      refusal: { requiredMicros: '375000', availableMicros: '0', shortfallMicros: '375000' },
    });
    await fund('375000');
    expect(await call()).toMatchObject({ success: true, replayed: false, balanceMicros: '0' });
  });

  it('answers bad input and an unreachable service without throwing', async () => {
    expect(
      await client.processCommunicationBilling(userId, 'call', { duration: -1 }),
    ).toMatchObject({
      success: false,
      code: 'BAD_REQUEST',
      error: 'duration: must be a number of minutes, 0 or more',
    });
    expect(
      await client.processCommunicationBilling(userId, 'fax', { pages: 1.5, to: 'x' }),
    ).toMatchObject({
      success: false,
      code: 'BAD_REQUEST',
      error: expect.stringContaining('usage.pages'),
    });
    const unreachable = createBillingClient({
      url: 'http://127.0.0.1:1',
      apiKey: 'sk_x',
      maxTries: 2,
    });
    expect(await unreachable.processCommunicationBilling(userId, 'email', {})).toMatchObject({
      success: false,
      code: 'UNREACHABLE',
    });
  });
});

describe('usage.charge', () => {
  const usage = { type: 'sms', to: '+14155550132' } as const;

  it('refuses a key that was used for another usage', async () => {
    await fund('1000000');
    await client.usage.charge.mutate({ userId, usage, referenceId: 'r' });
    expect(
      await client.usage.charge.mutate({
        userId,
        usage: { ...usage, segments: 2 },
        referenceId: 'r',
      }),
    ).toEqual({ ok: false, code: 'KEY_REUSED', seq: '3' });
  });

  it('books what the wallet cannot fund as arrears, which the next credit repays first', async () => {
    await fund('5000');
    expect(
      await client.usage.charge.mutate({ userId, usage, referenceId: 'r', overrun: 'arrears' }),
    ).toMatchObject({
      ok: true,
      amountMicros: '20000',
      balanceMicros: '0',
      arrearsMicros: '15000',
    });
    await client.wallets.grant.mutate({ userId, amountMicros: '50000', key: 'g2', reason: 'test' });
    expect(await client.wallets.get.query({ userId })).toMatchObject({
      balanceMicros: '35000',
      arrearsMicros: '0',
    });
  });

  it('spends promotional credit first, and says what became of each grant', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const grant = { userId, amountMicros: '5000', key: 'promo', reason: 'Welcome', expiresAt };
    await fund('30000');
    expect(await client.wallets.grant.mutate(grant)).toMatchObject({ ok: true, seq: '3' });
    await client.usage.charge.mutate({ userId, usage, referenceId: 'r' });
    expect(await client.wallets.get.query({ userId })).toMatchObject({
      balanceMicros: '15000',
      grantsMicros: '15000',
      grantsExpireAt: null,
    });
    expect(await client.wallets.grants.query({ userId, limit: 1 })).toEqual({
      grants: [
        {
          seq: '3',
          status: 'spent',
          grantedMicros: '5000',
          leftMicros: '0',
          expiredMicros: '0',
          expiresAt,
          grantedAt: expect.any(String),
          reason: 'Welcome',
        },
      ],
      nextCursor: '3',
    });
    const late = new Date(Date.now() + 7_200_000).toISOString();
    expect(await client.wallets.grant.mutate({ ...grant, expiresAt: late })).toMatchObject({
      ok: false,
      code: 'KEY_REUSED',
    });
  });

  it.each(['2026-01-01T00:00:00Z', 'tomorrow'])(
    'refuses a grant until %s by the name of its field',
    async (expiresAt) => {
      const grant = { userId, amountMicros: '5000', key: 'promo', reason: 'Welcome', expiresAt };
      await client.wallets.open.mutate({ userId });
      await expect(client.wallets.grant.mutate(grant)).rejects.toMatchObject({
        code: 'BAD_REQUEST',
        message: expect.stringContaining('expiresAt'),
      });
    },
  );

  it('rates usage by the card that was in effect when it happened', async () => {
    await fund('1000000');
    expect(
      await client.usage.charge.mutate({
        userId,
        usage,
        referenceId: 'r',
        occurredAt: '1999-12-31T23:59:59Z',
      }),
    ).toMatchObject({ ok: false, code: 'NO_RATE' });
  });

  it('keeps amounts beyond 2^53 exact from end to end', async () => {
    const amountMicros = (2n ** 53n + 1n).toString();
    await fund(amountMicros);
    expect(await client.wallets.get.query({ userId })).toMatchObject({
      balanceMicros: amountMicros,
    });
  });

  it('gives each item of a batch its own verdict', async () => {
    await fund('25000');
    const items = ['a', 'b', 'c'].map((referenceId) => ({ userId, usage, referenceId }));
    const answers = await client.usage.chargeBatch.mutate({
      items: [...items, { userId: 'nobody', usage, referenceId: 'd' }],
    });
    expect(answers.map((answer) => (answer.ok ? 'OK' : answer.code))).toEqual([
      'OK',
      'INSUFFICIENT_FUNDS',
      'INSUFFICIENT_FUNDS',
      'WALLET_NOT_FOUND',
    ]);
  });

  it('charges nothing of a batch in which an item is malformed, and names the item', async () => {
    await fund('1000000');
    const item = { userId, usage: { type: 'email' as const }, referenceId: 'first' };
    const future = { ...item, referenceId: 'second', occurredAt: '2999-01-01T00:00:00Z' };
    await expect(client.usage.chargeBatch.mutate({ items: [item, future] })).rejects.toMatchObject({
      message: 'items.1.occurredAt: must not be in the future',
      code: 'BAD_REQUEST',
    });
    expect(await client.wallets.get.query({ userId })).toMatchObject({ balanceMicros: '1000000' });
  });
});

describe('usage.refund', () => {
  const refund = { type: 'fax', referenceId: 'f', key: 'r', reason: 'blank page' } as const;

  it('gives back what was charged, micros as decimal strings', async () => {
    await fund('1000000');
    const usage = { type: 'fax', pages: 2, to: '+14155550132' } as const;
    const charged = await client.usage.charge.mutate({ userId, usage, referenceId: 'f' });
    expect(charged).toMatchObject({ ok: true, seq: '3', amountMicros: '300000' });
    expect(
      await client.usage.refund.mutate({ userId, ...refund, amountMicros: '100000' }),
    ).toMatchObject({
      ok: true,
      originalSeq: '3',
      amountMicros: '100000',
      balanceMicros: '800000',
    });
    expect(await client.usage.refund.mutate({ userId, ...refund, key: 'r2' })).toMatchObject({
      ok: true,
      amountMicros: '200000',
    });
    expect(await client.usage.refund.mutate({ userId, ...refund, key: 'r3' })).toEqual({
      ok: false,
      code: 'NOT_REFUNDABLE',
      refundableMicros: '0',
    });
  });

  it('needs a scope of its own', async () => {
    const opener = await world.clientWith('wallets:write');
    await expect(opener.usage.refund.mutate({ userId, ...refund })).rejects.toMatchObject({
      message: 'This API key lacks the scope usage:refund.',
    });
  });

  it.each([
    ['amountMicros', '0'],
    ['amountMicros', '-1'],
    ['amountMicros', '1.5'],
    ['amountMicros', '1e3'],
    ['type', 'telex'],
    ['key', ''],
    ['reason', ' '],
  ])('refuses %s %j by name', async (field, value) => {
    const input = { userId, ...refund, [field]: value };
    await expect(client.usage.refund.mutate(input)).rejects.toMatchObject({
      message: expect.stringContaining(field),
      code: 'BAD_REQUEST',
    });
  });
});

describe('usage.explain', () => {
  it('explains a charge on the wire, by its reference and by its number', async () => {
    await fund('1000000');
    const usage = { type: 'fax', pages: 2, to: '+14155550132' } as const;
    await client.usage.charge.mutate({ userId, usage, referenceId: 'f' });
    const byReference = await client.usage.explain.query({ userId, type: 'fax', referenceId: 'f' });
    expect(byReference).toMatchObject({
      ok: true,
      currency: 'USD',
      charges: [
        {
          seq: '3',
          usage,
          ruleId: 'fax-any',
          rateCardVersion: 1,
          recomputedMicros: '300000',
          before: { balanceMicros: '1000000' },
          after: { balanceMicros: '700000' },
          matches: true,
        },
      ],
    });
    expect(await client.usage.explain.query({ userId, seq: '3' })).toEqual(byReference);
  });

  it.each([
    ['nothing', {}],
    ['a type alone', { type: 'fax' }],
    ['a number and a type', { seq: '3', type: 'fax' }],
    ['a number that is none', { seq: '0' }],
    ['a number of another kind', { seq: '1.5' }],
  ] as const)('refuses %s', async (_what, name) => {
    await expect(client.usage.explain.query({ userId, ...name })).rejects.toMatchObject({
      message: expect.stringContaining('seq'),
      code: 'BAD_REQUEST',
    });
  });
});
