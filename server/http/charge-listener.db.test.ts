/** The charging procedures must answer alike over both ways into the router. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiKeys, createApiKeys } from '../billing/accounts/api-keys.ts';
import { createBillingClient } from '../client/client.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { createLogger } from '../log.ts';
import type { RouterServices } from '../trpc/context.ts';
import { testServices } from '../trpc/services.fixtures.ts';
import { createCallerCache } from './caller-cache.ts';
import { chargeListener } from './charge-listener.ts';
import { trpc } from './trpc.ts';

const logger = createLogger('silent');
const REQUEST_ID = 'request-1';
let burstUsers = 0;

let database: TestDatabase;
let apiKeys: ApiKeys;
let services: RouterServices;
let secret: string;
const servers: Server[] = [];
/** Where the same router answers: through the fetch adapter, and over plain Node HTTP. */
let stock: string;
let direct: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const sql = database.app;
  // A clock that stands still: a slow machine must not refill a limit.
  apiKeys = createApiKeys({ sql, logger, nowMs: () => 0 });
  services = testServices(sql);
  const adapter = getRequestListener((request) =>
    trpc(request, REQUEST_ID, { services, apiKeys, logger }),
  );
  stock = await serve(adapter);
  direct = await serve(
    chargeListener(
      {
        services,
        apiKeys,
        callers: createCallerCache(apiKeys, Date.now),
        metrics: { observe: () => {}, text: async () => '' },
        logger,
      },
      adapter,
    ),
  );
  secret = (await apiKeys.create({ name: 'test', scopes: ['all'], createdBy: 'cli:test' })).secret;
});

afterAll(async () => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  await database?.close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function fundedUser(userId: string): Promise<void> {
  const { wallets, grants } = services;
  await wallets.open({ userId }, 'test:open');
  const request = { wallet: { userId }, amountMicros: 30_000n, key: 'funds', reason: 'test' };
  await grants.grant(request, 'test:grant');
}

interface Answered {
  status: number;
  type: string | null;
  body: unknown;
}

async function post(
  origin: string,
  path: string,
  body: unknown,
  authorization: string,
): Promise<Answered> {
  const response = await fetch(`${origin}/trpc/${path}`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json', 'x-request-id': REQUEST_ID },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: JSON.parse(text),
  };
}

const sms = { type: 'sms', to: '+14155550132' } as const;

describe('the two ways to charge give the same answers', () => {
  it.each<[string, string, (userId: string) => unknown, (() => string)?]>([
    ['a charge', 'usage.charge', (userId) => ({ userId, usage: sms, referenceId: 'a' })],
    [
      'a refusal',
      'usage.charge',
      (userId) => ({ userId, usage: { ...sms, segments: 9 }, referenceId: 'a' }),
    ],
    ['an unknown user', 'usage.charge', () => ({ userId: 'x', usage: sms, referenceId: 'a' })],
    [
      'a batch of requests, one of them malformed',
      'usage.charge,usage.charge?batch=1',
      (userId) => ({
        0: { userId, usage: sms, referenceId: 'a' },
        1: { userId, usage: { ...sms, segments: 1.5 }, referenceId: 'b' },
      }),
    ],
    [
      'a batch with a call missing',
      'usage.charge,usage.charge?batch=1',
      (userId) => ({ 0: { userId, usage: sms, referenceId: 'a' } }),
    ],
    [
      'many items in one call',
      'usage.chargeBatch',
      (userId) => ({
        items: ['a', 'b', 'c'].map((referenceId) => ({ userId, usage: sms, referenceId })),
      }),
    ],
    [
      'a hold beyond the funds',
      'holds.authorize',
      (userId) => ({ userId, key: 'h', amountMicros: '1000000000' }),
    ],
    [
      'a heartbeat of an unknown hold',
      'holds.extend',
      () => ({ holdId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10', addMicros: '1' }),
    ],
    [
      'a charge beside a malformed and an unknown hold',
      'holds.capture,usage.charge,holds.void?batch=1',
      (userId) => ({
        0: { holdId: 'x', usage: sms },
        1: { userId, usage: sms, referenceId: 'a' },
        2: { holdId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10' },
      }),
    ],
    ['malformed JSON', 'usage.charge', () => '{"userId": '],
    ['malformed JSON of a batch', 'usage.charge?batch=1', () => '{"0": '],
    ['no input', 'usage.charge', () => 'null'],
    ['a list as input', 'usage.charge', () => []],
    [
      'an unknown field',
      'usage.charge',
      (userId) => ({ userId, usage: sms, referenceId: 'a', x: 1 }),
    ],
    ['no key', 'usage.charge', (userId) => ({ userId, usage: sms, referenceId: 'a' }), () => ''],
    [
      'a wrong key',
      'usage.charge',
      (userId) => ({ userId, usage: sms, referenceId: 'a' }),
      () => 'Bearer sk_wrong',
    ],
    [
      'the scheme in small letters',
      'usage.charge',
      (userId) => ({ userId, usage: sms, referenceId: 'a' }),
      () => `bearer ${secret}`,
    ],
  ])('%s', async (name, path, body, authorization = () => `Bearer ${secret}`) => {
    const users = [`stock ${name}`, `direct ${name}`].map((user) => user.replaceAll(/\W+/g, '-'));
    await Promise.all(users.map(fundedUser));
    const [stockUser = '', directUser = ''] = users;
    const expected = await post(stock, path, body(stockUser), authorization());
    expect(await post(direct, path, body(directUser), authorization())).toEqual(expected);
  });
});

/** One charge with a key; its HTTP status, and the code of its error. */
async function chargeWith(
  origin: string,
  apiKey: string,
  referenceId: string,
): Promise<{ status: number; code: string | undefined }> {
  const input = { userId: 'rotation', usage: sms, referenceId };
  const { status, body } = await post(origin, 'usage.charge', input, `Bearer ${apiKey}`);
  return { status, code: (body as { error?: { data: { code: string } } }).error?.data.code };
}

describe.each([
  ['the fetch adapter', () => stock],
  ['plain HTTP', () => direct],
])("a service's key, through %s", (_name, origin) => {
  it('may be two at once while it is rotated, and ends with the very next charge', async () => {
    await fundedUser('rotation');
    const create = () => apiKeys.create({ name: 'rotated', scopes: ['all'], createdBy: 'test:r' });
    const [old, young] = [await create(), await create()];
    for (const key of [old, young, old, young]) {
      expect(await chargeWith(origin(), key.secret, 'same')).toMatchObject({ status: 200 });
    }
    await apiKeys.revoke(old.id);
    expect(await chargeWith(origin(), old.secret, 'other')).toEqual({
      status: 401,
      code: 'UNAUTHORIZED',
    });
    expect(await chargeWith(origin(), young.secret, 'same')).toMatchObject({ status: 200 });
    const { events } = await services.wallets.events(
      (await services.wallets.get({ userId: 'rotation' })).walletId,
      { types: ['charge'] },
    );
    expect(events).toHaveLength(1);
  });

  async function limited(burst: number): Promise<string> {
    const rateLimit = { perSecond: 1, burst };
    const key = { name: 'limited', scopes: ['all'] as const, createdBy: 'test:limit', rateLimit };
    return `Bearer ${(await apiKeys.create(key)).secret}`;
  }

  const send = (path: string, body: unknown, authorization: string) =>
    fetch(`${origin()}/trpc/${path}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', 'x-request-id': REQUEST_ID },
      body: JSON.stringify(body),
    });

  it('is answered 429 above its limit, with the time to come back and the request id', async () => {
    const authorization = await limited(2);
    // An unknown user's charge is a call too, and changes nothing.
    const call = () =>
      send('usage.charge', { userId: 'nobody', usage: sms, referenceId: 'a' }, authorization);
    expect((await call()).status).toBe(200);
    expect((await call()).status).toBe(200);
    const refused = await call();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toEqual({
      error: {
        code: -32029,
        message: 'This API key asks for more than its rate limit allows. Try again later.',
        data: {
          code: 'TOO_MANY_REQUESTS',
          httpStatus: 429,
          path: 'usage.charge',
          requestId: REQUEST_ID,
        },
      },
    });
  });

  it('pays for each item of a batch, and a refused batch charges nothing', async () => {
    const userId = `limited-${burstUsers++}`;
    await fundedUser(userId);
    const authorization = await limited(4);
    // One e-mail of the three is affordable, each time.
    const batch = (prefix: string) =>
      send(
        'usage.chargeBatch',
        {
          items: [3, 2, 1].map((recipients) => ({
            userId,
            usage: { type: 'email', recipients },
            referenceId: `${prefix}${recipients}`,
          })),
        },
        authorization,
      );
    expect((await batch('a')).status).toBe(200);
    await services.grants.grant(
      { wallet: { userId }, amountMicros: 30_000n, key: 'more', reason: 'test' },
      'test:grant',
    );
    const refused = await batch('b');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('2');
    const { walletId } = await services.wallets.get({ userId });
    const { events } = await services.wallets.events(walletId, {});
    expect(events.filter(({ type }) => type === 'charge')).toHaveLength(1);
  });

  it('pays for each call of one HTTP request; the calls within the limit are answered', async () => {
    const authorization = await limited(2);
    const input = { userId: 'nobody', usage: sms, referenceId: 'a' };
    const path = 'usage.charge,usage.charge,usage.charge?batch=1';
    const answered = await send(path, { 0: input, 1: input, 2: input }, authorization);
    expect(answered.status).toBe(207);
    expect(answered.headers.get('retry-after')).toBe('1');
    // Each call looks the key up, and whichever comes last is the one too many.
    const codes = ((await answered.json()) as Record<string, { data: { code: string } }>[]).map(
      ({ result, error }) => (result ?? error)?.data.code,
    );
    expect(codes.toSorted()).toEqual(['TOO_MANY_REQUESTS', 'WALLET_NOT_FOUND', 'WALLET_NOT_FOUND']);
  });

  it('pays for procedures that are answered elsewhere from the same count', async () => {
    const authorization = await limited(2);
    const get = () =>
      fetch(`${origin()}/trpc/rateCards.list`, { headers: { authorization } }).then(
        ({ status }) => status,
      );
    const input = { userId: 'nobody', usage: sms, referenceId: 'a' };
    expect((await send('usage.charge', input, authorization)).status).toBe(200);
    expect([await get(), await get()]).toEqual([200, 429]);
  });
});

describe('charging over plain HTTP', () => {
  it('places a hold and captures it, as the client asks', async () => {
    await fundedUser('holder');
    const client = createBillingClient({ url: direct, apiKey: secret });
    const held = await client.holds.authorize.mutate({ userId: 'holder', key: 'h', usage: sms });
    expect(held).toMatchObject({ ok: true, heldMicros: '20000' });
    const { holdId } = held as Extract<typeof held, { ok: true }>;
    expect(await client.holds.capture.mutate({ holdId, usage: sms })).toMatchObject({
      ok: true,
      amountMicros: '20000',
      balanceMicros: '10000',
    });
  });

  it('lets a revoked key charge nothing, although it was used a moment ago', async () => {
    const key = await apiKeys.create({ name: 'short', scopes: ['all'], createdBy: 'cli:test' });
    const client = createBillingClient({ url: direct, apiKey: key.secret });
    await fundedUser('revoked');
    const charge = (referenceId: string) =>
      client.processCommunicationBilling('revoked', 'email', { referenceId });
    expect(await charge('before')).toMatchObject({ success: true });
    const hold = { userId: 'revoked', key: 'h', amountMicros: '1' };
    const held = await client.holds.authorize.mutate(hold);
    const { holdId } = held as Extract<typeof held, { ok: true }>;
    await apiKeys.revoke(key.id);
    expect(await charge('after')).toMatchObject({ success: false, code: 'UNAUTHORIZED' });
    for (const [path, input] of [
      ['holds.authorize', { ...hold, key: 'another' }],
      ['holds.authorize', hold],
      ['holds.extend', { holdId, addMicros: '1' }],
      ['holds.capture', { holdId, usage: sms }],
      ['holds.void', { holdId }],
    ] as const) {
      expect((await post(direct, path, input, `Bearer ${key.secret}`)).status).toBe(401);
    }
    expect(await services.wallets.get({ userId: 'revoked' })).toMatchObject({
      balanceMicros: 20_000n,
      heldMicros: 1n,
    });
  });

  it('tells a revoked key nothing, neither what there is nor what is wrong with its call', async () => {
    const key = await apiKeys.create({ name: 'curious', scopes: ['all'], createdBy: 'cli:test' });
    await fundedUser('curious');
    const charge = { userId: 'curious', usage: sms, referenceId: 'a' };
    const authorization = `Bearer ${key.secret}`;
    expect((await post(direct, 'usage.charge', charge, authorization)).status).toBe(200);
    await apiKeys.revoke(key.id);
    const calls: [string, unknown][] = [
      ['usage.charge', { ...charge, userId: 'nobody' }],
      ['usage.charge', { ...charge, occurredAt: '9998-01-01T00:00:00Z' }],
      ['usage.charge', { ...charge, segments: 1.5 }],
      ['usage.charge', '{"userId": '],
      ['usage.chargeBatch', { items: [{ ...charge, userId: 'nobody' }] }],
      ['holds.authorize', { userId: 'nobody', key: 'h', amountMicros: '1' }],
      ['holds.capture', { holdId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10', usage: sms }],
    ];
    for (const [path, input] of calls) {
      expect(await post(direct, path, input, authorization)).toEqual(
        await post(stock, path, input, authorization),
      );
    }
    const batch = { 0: { ...charge, userId: 'nobody' }, 1: { ...charge, referenceId: 'b' } };
    const { body } = await post(direct, 'usage.charge,usage.charge?batch=1', batch, authorization);
    const unauthorized = expect.objectContaining({ code: 'UNAUTHORIZED' });
    const refused = { error: expect.objectContaining({ data: unauthorized }) };
    expect(body).toEqual([refused, refused]);
  });

  it('asks for the currency as soon as a user has a second wallet', async () => {
    const client = createBillingClient({ url: direct, apiKey: secret });
    await fundedUser('two-currencies');
    const charge = (referenceId: string, currency?: string) =>
      client.processCommunicationBilling('two-currencies', 'email', {
        referenceId,
        ...(currency !== undefined && { currency }),
      });
    const hold = { userId: 'two-currencies', key: 'h', amountMicros: '1' };
    expect(await charge('one')).toMatchObject({ success: true });
    expect((await post(direct, 'holds.authorize', hold, `Bearer ${secret}`)).status).toBe(200);
    await services.wallets.open({ userId: 'two-currencies', currency: 'EUR' }, 'test:open');
    for (const key of ['another', 'yet another']) {
      const { status } = await post(
        direct,
        'holds.authorize',
        { ...hold, key },
        `Bearer ${secret}`,
      );
      expect(status).toBe(400);
    }
    for (const referenceId of ['two', 'three']) {
      expect(await charge(referenceId)).toMatchObject({
        success: false,
        code: 'BAD_REQUEST',
        error: expect.stringContaining('currency'),
      });
    }
    expect(await charge('four', 'USD')).toMatchObject({ success: true });
  });

  it('refuses a body that is too large', async () => {
    const body = JSON.stringify({ filler: 'x'.repeat(2 * 1024 * 1024) });
    const answered = await post(direct, 'usage.charge', body, `Bearer ${secret}`).catch(() => null);
    // The connection may be gone before the answer is read.
    expect(answered?.status ?? 413).toBe(413);
  });

  it('charges one key once when one request brings it twice', async () => {
    await fundedUser('twice');
    const input = { userId: 'twice', usage: sms, referenceId: 'a' };
    const path = 'usage.charge,usage.charge?batch=1';
    const { body } = await post(direct, path, { 0: input, 1: input }, `Bearer ${secret}`);
    const replays = (body as { result: { data: { replayed: boolean } } }[]).map(
      ({ result }) => result.data.replayed,
    );
    expect(replays.toSorted()).toEqual([false, true]);
    expect(await services.wallets.get({ userId: 'twice' })).toMatchObject({
      balanceMicros: 10_000n,
    });
  });

  it('answers an address that cannot be decoded as the router does, and lives on', async () => {
    for (const path of ['%E0%A4%A', 'usage.charge%', 'usage.charge%2Cusage.charge%ZZ?batch=1']) {
      const [expected, answered] = await Promise.all(
        [stock, direct].map((origin) =>
          fetch(`${origin}/trpc/${path}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: '{}',
          }).then(({ status }) => status),
        ),
      );
      expect(answered, path).toBe(expected);
    }
    const encoded = 'usage.charge%2Cusage.charge?batch=1';
    await fundedUser('encoded');
    const input = (referenceId: string) => ({ userId: 'encoded', usage: sms, referenceId });
    const { body } = await post(direct, encoded, { 0: input('a') }, `Bearer ${secret}`);
    expect(body).toMatchObject([{ result: { data: { ok: true } } }, { error: expect.anything() }]);
  });

  it('hands every other procedure on', async () => {
    const client = createBillingClient({ url: direct, apiKey: secret });
    await fundedUser('reader');
    expect(await client.wallets.get.query({ userId: 'reader' })).toMatchObject({ seq: '2' });
  });
});
