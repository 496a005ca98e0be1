import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BillingClient } from '../client/client.ts';
import type { TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { createRouterWorld, type RouterWorld } from './router-world.fixtures.ts';

let world: RouterWorld;
let database: TestDatabase;
let client: BillingClient;
let userId: string;

beforeAll(async () => {
  world = await createRouterWorld();
  ({ database, client } = world);
});

afterAll(() => world?.close());

beforeEach(async () => {
  userId = await world.newUser();
});

const fund = (amountMicros: string) => world.fund(userId, amountMicros);

describe('wallets', () => {
  it('whoever may open a wallet may not fill it', async () => {
    const opener = await world.clientWith('wallets:write');
    const granted = { userId, amountMicros: '1', key: 'k', reason: 'r' };
    await opener.wallets.open.mutate({ userId });
    await expect(opener.wallets.grant.mutate(granted)).rejects.toMatchObject({
      message: 'This API key lacks the scope credit:grant.',
    });
  });

  it('are frozen, unfrozen and closed by whoever may manage them, with a reason', async () => {
    const frozen = await client.wallets.freeze.mutate({ userId, reason: 'stolen card' });
    expect(frozen).toMatchObject({ ok: true, changed: true, userId, status: 'frozen', seq: '2' });
    expect(await client.wallets.freeze.mutate({ userId, reason: 'again' })).toMatchObject({
      changed: false,
      status: 'frozen',
      seq: '2',
    });
    expect(
      await client.usage.charge.mutate({ userId, usage: { type: 'email' }, referenceId: 'e' }),
    ).toEqual({ ok: false, code: 'WALLET_FROZEN' });
    expect(await client.wallets.unfreeze.mutate({ userId, reason: 'found' })).toMatchObject({
      status: 'open',
    });
    await fund('5');
    expect(await client.wallets.close.mutate({ userId, reason: 'asked for' })).toEqual({
      ok: false,
      code: 'WALLET_NOT_EMPTY',
      balanceMicros: '5',
      heldMicros: '0',
      arrearsMicros: '0',
      openHolds: 0,
      openSubscriptions: 0,
    });
    const opener = await world.clientWith('wallets:write');
    await expect(opener.wallets.freeze.mutate({ userId, reason: 'r' })).rejects.toMatchObject({
      message: 'This API key lacks the scope wallets:manage.',
    });
    await expect(client.wallets.close.mutate({ userId, reason: '' })).rejects.toMatchObject({
      message: expect.stringContaining('reason'),
    });
  });

  it('say how their automatic top-up stands, and support lets it go on', async () => {
    expect(await client.wallets.autoTopUp.query({ userId })).toEqual({ autoTopUp: null });
    expect(await client.wallets.resumeAutoTopUp.mutate({ userId })).toEqual({
      ok: false,
      code: 'OFF',
    });
    const { walletId } = await client.wallets.get.query({ userId });
    const sql = database.owner;
    await sql`insert into stripe_customers (user_id, livemode, stripe_customer_id)
      values (${userId}, false, ${`cus_${userId}`})`;
    await sql`insert into saved_cards (payment_method_id, user_id, livemode, brand, last4,
        exp_month, exp_year, position)
      values (${`pm_${userId}`}, ${userId}, false, 'visa', '4242', 12, 2040, 1)`;
    await sql`select set_auto_top_up(${walletId}, false, 1000000, 'add', 10000000, 50000000,
      5000000, 100000000, 10000, 'test', ${`user:${userId}`})`;
    await sql`select pause_auto_top_up(${walletId}, 'dispute', 'stripe:test', '{}')`;
    expect((await client.wallets.autoTopUp.query({ userId })).autoTopUp).toMatchObject({
      status: 'paused',
      reason: 'dispute',
      mode: 'add',
      monthlyCapMicros: '50000000',
      usedMicros: '0',
    });
    expect(await client.wallets.resumeAutoTopUp.mutate({ userId })).toEqual({ ok: true });
    expect((await client.wallets.autoTopUp.query({ userId })).autoTopUp).toMatchObject({
      status: 'on',
      reason: null,
    });
    const reader = await world.clientWith('wallets:read');
    await expect(reader.wallets.resumeAutoTopUp.mutate({ userId })).rejects.toMatchObject({
      message: 'This API key lacks the scope wallets:manage.',
    });
  });

  it.each(['IST', 'PST', '+02:00', 'Europe/Nowhere', 'US/Pacific-New/x', ''])(
    'refuses the time zone "%s", which not everybody reads alike',
    async (timezone) => {
      await expect(
        client.wallets.open.mutate({ userId: `in-${userId}`, timezone }),
      ).rejects.toMatchObject({ message: expect.stringContaining('timezone') });
    },
  );

  it('opening twice returns the same wallet', async () => {
    const again = await client.wallets.open.mutate({ userId, timezone: 'Asia/Tokyo' });
    expect(again).toMatchObject({ userId, timezone: 'UTC', seq: '1' });
  });

  it('a user with wallets in two currencies is asked which one', async () => {
    await client.wallets.open.mutate({ userId, currency: 'EUR' });
    await expect(client.wallets.get.query({ userId })).rejects.toMatchObject({
      message: expect.stringContaining('currency'),
      code: 'BAD_REQUEST',
    });
    expect(await client.wallets.get.query({ userId, currency: 'EUR' })).toMatchObject({
      currency: 'EUR',
    });
  });

  it('are listed page by page, each once', async () => {
    await client.wallets.open.mutate({ userId, currency: 'EUR' });
    await client.wallets.open.mutate({ userId: `${userId}-b` });
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.wallets.list.query({ userIdPrefix: userId, limit: 1, cursor });
      expect(page.wallets).toHaveLength(1);
      listed.push(...page.wallets.map((wallet) => `${wallet.userId} ${wallet.currency}`));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(listed).toEqual([`${userId} EUR`, `${userId} USD`, `${userId}-b USD`]);
    const all = await client.wallets.list.query();
    expect(all.wallets.length).toBeGreaterThanOrEqual(3);
    await expect(
      client.wallets.list.query({ cursor: '11111111-1111-4111-8111-111111111111' }),
    ).rejects.toMatchObject({ message: 'cursor: is not one that this list gave' });
  });

  it.each([[['charges']], [[]]])('refuses to filter events by %j', async (types) => {
    await expect(
      client.wallets.events.query({ userId, types: types as unknown as ['charge'] }),
    ).rejects.toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining('types') });
  });

  it('pages events newest first, each once', async () => {
    await fund('1000000');
    for (let sent = 0; sent < 7; sent += 1) {
      await client.usage.charge.mutate({
        userId,
        usage: { type: 'email' },
        referenceId: `e${sent}`,
      });
    }
    const seqs: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await client.wallets.events.query({
        userId,
        limit: 4,
        ...(typeof cursor === 'string' && { cursor }),
      });
      seqs.push(...page.events.map((event) => event.seq));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(seqs).toEqual(['9', '8', '7', '6', '5', '4', '3', '2', '1']);
  });

  it('knows the balance at any instant', async () => {
    const beforeMs = Date.now() - 1;
    await fund('1000000');
    const funded = (await client.wallets.events.query({ userId, limit: 1 })).events[0];
    // Behind the millisecond of the funding, which instants on the wire end at.
    await setTimeout(2);
    await client.usage.charge.mutate({ userId, usage: { type: 'email' }, referenceId: 'e' });
    const at = (instant: string) => client.wallets.balanceAt.query({ userId, at: instant });
    expect(await at(new Date(beforeMs - 86_400_000).toISOString())).toBeNull();
    expect(await at(funded?.recordedAt ?? '')).toMatchObject({
      balanceMicros: '1000000',
      seq: '2',
    });
    expect(await at('2999-01-01T00:00:00Z')).toMatchObject({ balanceMicros: '990000', seq: '3' });
  });

  it('publishes a rate card for later only, and in order', async () => {
    const [card] = (await client.rateCards.list.query()).rateCards;
    const next = {
      ...defaultRateCard,
      id: '11111111-1111-4111-8111-111111111111',
      version: 2,
    };
    await expect(client.rateCards.publish.mutate(next)).rejects.toMatchObject({
      message: expect.stringContaining('effectiveFrom'),
    });
    const effectiveFrom = '2999-01-01T00:00:00.000Z';
    await expect(
      client.rateCards.publish.mutate({ ...next, version: 7, effectiveFrom }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('the next version of this card is 2'),
    });
    await expect(
      client.rateCards.publish.mutate({ ...next, id: card?.id ?? '', effectiveFrom }),
    ).rejects.toMatchObject({ message: expect.stringContaining('id belongs to another') });
    await expect(
      client.rateCards.publish.mutate({ ...next, currency: 'XXX', version: 1, effectiveFrom }),
    ).rejects.toMatchObject({ message: expect.stringContaining('currency') });
    await expect(
      client.rateCards.publish.mutate({ ...next, name: 'a\u0000', effectiveFrom }),
    ).rejects.toMatchObject({ message: expect.stringContaining('name') });
    expect(await client.rateCards.publish.mutate({ ...next, effectiveFrom })).toMatchObject({
      version: 2,
    });
    expect((await client.rateCards.list.query()).rateCards.map(({ version }) => version)).toEqual([
      1, 2,
    ]);
  });
});
