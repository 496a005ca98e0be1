import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BillingClient } from '../client/client.ts';
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

describe('subscriptions', () => {
  const plan = { kind: 'plan', description: 'Team plan', monthlyMicros: '30000000' } as const;

  it('are added once per key, listed, and ended', async () => {
    const request = { userId, key: 'plan-1', ...plan };
    const added = await client.subscriptions.add.mutate(request);
    expect(added).toMatchObject({ ok: true, replayed: false, seq: '2' });
    expect(await client.subscriptions.add.mutate(request)).toEqual({ ...added, replayed: true });
    expect(await client.subscriptions.add.mutate({ ...request, monthlyMicros: '1' })).toEqual({
      ok: false,
      code: 'KEY_REUSED',
    });
    if (!added.ok) throw new Error(added.code);
    const { subscriptionId } = added;
    const listed = () => client.subscriptions.list.query({ userId });
    expect(await listed()).toMatchObject({
      currency: 'USD',
      subscriptions: [{ subscriptionId, ...plan, endsAt: null, billedTo: null }],
    });
    const end = { userId, subscriptionId };
    expect(await client.subscriptions.end.mutate(end)).toMatchObject({ ok: true, changed: true });
    expect(await client.subscriptions.end.mutate(end)).toMatchObject({ ok: true, changed: false });
    expect(await listed()).toMatchObject({
      subscriptions: [{ endsAt: expect.stringMatching(/^\d{4}-.*Z$/) }],
    });
    expect(await client.wallets.close.mutate({ userId, reason: 'asked for' })).toMatchObject({
      code: 'WALLET_NOT_EMPTY',
      openSubscriptions: 1,
    });
  });

  it('that are not there cannot be ended, and none starts in a month that is over', async () => {
    const subscriptionId = '11111111-1111-4111-8111-111111111111';
    expect(await client.subscriptions.end.mutate({ userId, subscriptionId })).toEqual({
      ok: false,
      code: 'SUBSCRIPTION_NOT_FOUND',
    });
    const early = { userId, key: 'early', ...plan, startsAt: '2020-01-01T00:00:00Z' };
    expect(await client.subscriptions.add.mutate(early)).toEqual({
      ok: false,
      code: 'MONTH_CLOSED',
    });
  });

  it('name what is wrong with them, and need a scope of their own', async () => {
    const request = { userId, key: 'plan-1', ...plan };
    await expect(
      client.subscriptions.add.mutate({ ...request, monthlyMicros: '1000000000000001' }),
    ).rejects.toMatchObject({ message: expect.stringContaining('monthlyMicros') });
    const opener = await world.clientWith('wallets:write');
    await expect(opener.subscriptions.add.mutate(request)).rejects.toMatchObject({
      message: 'This API key lacks the scope subscriptions:write.',
    });
  });
});
