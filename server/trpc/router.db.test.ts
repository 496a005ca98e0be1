import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { createCharging } from '../billing/charging/charging.ts';
import { createRateCards } from '../billing/rate-cards/rate-cards.ts';
import { type BillingClient, createBillingClient } from '../client/client.ts';
import type { TestDatabase } from '../dev/test-database.ts';
import { trpc } from '../http/trpc.ts';
import { createLogger } from '../log.ts';
import { connect } from '../store/sql.ts';
import { createRouterWorld, type RouterWorld } from './router-world.fixtures.ts';

const logger = createLogger('silent');
let world: RouterWorld;
let database: TestDatabase;
let url: string;
let client: BillingClient;
let userId: string;

beforeAll(async () => {
  world = await createRouterWorld();
  ({ database, url, client } = world);
});

afterAll(() => world?.close());

beforeEach(async () => {
  userId = await world.newUser();
});

const fund = (amountMicros: string) => world.fund(userId, amountMicros);

describe('API keys', () => {
  it('a missing, wrong or revoked key is UNAUTHORIZED', async () => {
    const apiKeys = createApiKeys({ sql: database.app, logger });
    const key = await apiKeys.create({ name: 'test', scopes: ['all'], createdBy: 'cli:test' });
    const revoked = createBillingClient({ url, apiKey: key.secret });
    expect(await revoked.wallets.get.query({ userId })).toMatchObject({ userId });
    await apiKeys.revoke(key.id);
    for (const bad of [revoked, createBillingClient({ url, apiKey: 'sk_wrong' })]) {
      await expect(bad.wallets.get.query({ userId })).rejects.toMatchObject({
        code: 'UNAUTHORIZED',
      });
    }
  });

  it('a missing scope is FORBIDDEN and named', async () => {
    const reader = await world.clientWith('wallets:read');
    expect(await reader.wallets.get.query({ userId })).toMatchObject({ userId });
    await expect(
      reader.usage.charge.mutate({ userId, usage: { type: 'email' }, referenceId: 'r' }),
    ).rejects.toMatchObject({
      message: 'This API key lacks the scope usage:charge.',
      code: 'FORBIDDEN',
    });
  });
});

describe('bad input is a BAD_REQUEST that names the field', () => {
  const call = { type: 'call', to: '+14155550132', durationSeconds: 60 };
  it.each([
    ['an unknown usage type', { usage: { type: 'telegram' } }, 'usage'],
    [
      'a fractional duration',
      { usage: { ...call, durationSeconds: 1.5 } },
      'usage.durationSeconds',
    ],
    ['a negative duration', { usage: { ...call, durationSeconds: -1 } }, 'usage.durationSeconds'],
    ['a huge duration', { usage: { ...call, durationSeconds: 1e12 } }, 'usage.durationSeconds'],
    ['a number as text', { usage: { ...call, durationSeconds: '1e3' } }, 'usage.durationSeconds'],
    ['no number', { usage: { ...call, durationSeconds: null } }, 'usage.durationSeconds'],
    ['an unknown field', { usage: { ...call, price: 1 } }, 'price'],
    ['no reference', { referenceId: undefined }, 'referenceId'],
    ['an instant without a zone', { occurredAt: '2026-01-01T00:00:00' }, 'occurredAt'],
    ['an instant before all calendars', { occurredAt: '0000-01-01T00:00:00Z' }, 'occurredAt'],
    ['an instant in the future', { occurredAt: '2999-01-01T00:00:00Z' }, 'occurredAt'],
    ['a malformed currency', { currency: 'dollars' }, 'currency'],
    ['two names of the wallet', { walletId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10' }, 'userId'],
    ['an unknown overrun', { overrun: 'free' }, 'overrun'],
  ])('%s', async (_name, change, field) => {
    const response = await post('usage.charge', {
      userId,
      usage: call,
      referenceId: 'r',
      ...change,
    });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string; data: unknown } };
    expect(error.message).toContain(field);
    expect(error.data).toEqual({
      code: 'BAD_REQUEST',
      httpStatus: 400,
      path: 'usage.charge',
      requestId: 'request-1',
    });
  });

  it('a field that is not there is called missing', async () => {
    const response = await post('usage.charge', { userId, usage: call });
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message).toBe('referenceId is missing');
  });

  it.each(['1.5', '1e3', '-1', '0', 'NaN', '9223372036854775808', '007'])(
    'an amount of %s micros',
    async (amountMicros) => {
      const response = await post('wallets.grant', { userId, amountMicros, key: 'k', reason: 'r' });
      expect(response.status).toBe(400);
      expect(await response.text()).toContain('amountMicros');
    },
  );

  it.each(['a\u0000b', 'a\ud800b', 'a\nb', ' ', 'x'.repeat(501)])(
    'a reason that no one could read (%j)',
    async (reason) => {
      const response = await post('wallets.grant', { userId, amountMicros: '1', key: 'k', reason });
      expect(response.status).toBe(400);
      expect(await response.text()).toContain('reason');
    },
  );

  it.each([
    ['wallets.balanceAt', { at: '9999-12-31T23:59:59-14:00' }, 'at'],
    ['wallets.events', { types: ['a\u0000'] }, 'types'],
    ['wallets.list', { userIdPrefix: 'a\u0000' }, 'userIdPrefix'],
    ['billing.status', { period: '0000-01' }, 'period'],
    ['billing.status', { period: '9999-12' }, 'period'],
  ])('a query that the database could not read (%s %j)', async (procedure, input, field) => {
    const named = procedure === 'wallets.events' || procedure === 'wallets.balanceAt';
    const response = await post(procedure, { ...(named && { userId }), ...input });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain(field);
  });

  it('malformed JSON, which is not quoted', async () => {
    for (const body of ['{"userId": ', '+14155550132']) {
      const response = await post('usage.charge', body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { message: 'The body is not valid JSON.', data: { code: 'BAD_REQUEST' } },
      });
    }
  });

  async function post(procedure: string, body: unknown): Promise<Response> {
    const key = await createApiKeys({ sql: database.app, logger }).create({
      name: 'test',
      scopes: ['all'],
      createdBy: 'cli:test',
    });
    return fetch(`${url}/trpc/${procedure}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key.secret}`, 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }
});

describe('when the database has no time for a call', () => {
  it('a wallet that stays locked is answered with "come back", and charged then', async () => {
    await fund('1000000');
    const { walletId } = await client.wallets.get.query({ userId });
    const locker = connect(database.ownerUrl, { max: 1 });
    const impatient = connect(database.ownerUrl, { role: 'wallet_app', lockTimeoutMs: 100 });
    const rateCards = createRateCards({ sql: impatient, nowMs: Date.now });
    const patience = world.services;
    world.services = {
      ...patience,
      charging: createCharging({ sql: impatient, rateCards, now: () => new Date() }),
    };
    try {
      await locker`begin`;
      await locker`select 1 from wallets where id = ${walletId} for update`;
      const charging = client.processCommunicationBilling(userId, 'email', { referenceId: 'r' });
      await new Promise((done) => setTimeout(done, 300));
      await locker`rollback`;
      expect(await charging).toMatchObject({ success: true, balanceMicros: '990000' });
    } finally {
      world.services = patience;
      await Promise.all([locker.end(), impatient.end()]);
    }
  });

  it('a database that is down is answered with 503, when to retry, and the request id', async () => {
    const down = connect('postgres://nobody@127.0.0.1:1/none');
    const response = await trpc(
      new Request('http://localhost/trpc/usage.charge', {
        method: 'POST',
        headers: { authorization: 'Bearer sk_any', 'content-type': 'application/json' },
        body: '{}',
      }),
      'request-1',
      { services: world.services, apiKeys: createApiKeys({ sql: down, logger }), logger },
    );
    await down.end({ timeout: 0 });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(await response.json()).toMatchObject({
      error: { data: { code: 'SERVICE_UNAVAILABLE', requestId: 'request-1' } },
    });
  });
});

describe('the typed client', () => {
  it('keeps the numbers dialled out of world.addresses, of queries too', async () => {
    await client.usage.quote.query({ userId, usage: { type: 'sms', to: '+14155550132' } });
    expect(world.addresses.filter((address) => address.includes('quote'))).not.toEqual([]);
    expect(world.addresses.join()).not.toContain('4155550132');
  });
});
