import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { createCharging } from '../billing/charging/charging.ts';
import { createRateCards } from '../billing/rate-cards/rate-cards.ts';
import { type BillingClient, createBillingClient } from '../client/client.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { trpc } from '../http/trpc.ts';
import { createLogger } from '../log.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { connect } from '../store/sql.ts';
import type { RouterServices } from './context.ts';
import { testServices } from './services.fixtures.ts';

const logger = createLogger('silent');
let database: TestDatabase;
let server: Server;
let url: string;
let client: BillingClient;
let services: RouterServices;
const addresses: string[] = [];
let users = 0;
let userId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const sql = database.app;
  const apiKeys = createApiKeys({ sql, logger });
  services = testServices(sql);
  server = createServer(
    getRequestListener((request) => {
      addresses.push(request.url);
      return trpc(request, 'request-1', { services, apiKeys, logger });
    }),
  );
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = await clientWith('all');
});

afterAll(async () => {
  server?.close();
  await database?.close();
});

beforeEach(async () => {
  users += 1;
  userId = `user-${users}`;
  await client.wallets.open.mutate({ userId });
});

async function clientWith(
  ...scopes: ('all' | 'wallets:read' | 'wallets:write')[]
): Promise<BillingClient> {
  const key = await createApiKeys({ sql: database.app, logger }).create({
    name: 'test',
    scopes,
    createdBy: 'cli:test',
  });
  return createBillingClient({ url, apiKey: key.secret });
}

function fund(amountMicros: string): Promise<unknown> {
  return client.wallets.grant.mutate({ userId, amountMicros, key: 'fund', reason: 'test' });
}

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
    const opener = await clientWith('wallets:write');
    await expect(opener.subscriptions.add.mutate(request)).rejects.toMatchObject({
      message: 'This API key lacks the scope subscriptions:write.',
    });
  });
});

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

describe('when the database has no time for a call', () => {
  it('a wallet that stays locked is answered with "come back", and charged then', async () => {
    await fund('1000000');
    const { walletId } = await client.wallets.get.query({ userId });
    const locker = connect(database.ownerUrl, { max: 1 });
    const impatient = connect(database.ownerUrl, { role: 'wallet_app', lockTimeoutMs: 100 });
    const rateCards = createRateCards({ sql: impatient, nowMs: Date.now });
    const patience = services;
    services = {
      ...services,
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
      services = patience;
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
      { services, apiKeys: createApiKeys({ sql: down, logger }), logger },
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
  it('keeps the numbers dialled out of addresses, of queries too', async () => {
    await client.usage.quote.query({ userId, usage: { type: 'sms', to: '+14155550132' } });
    expect(addresses.filter((address) => address.includes('quote'))).not.toEqual([]);
    expect(addresses.join()).not.toContain('4155550132');
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
    const opener = await clientWith('wallets:write');
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
    const reader = await clientWith('wallets:read');
    expect(await reader.wallets.get.query({ userId })).toMatchObject({ userId });
    await expect(
      reader.usage.charge.mutate({ userId, usage: { type: 'email' }, referenceId: 'r' }),
    ).rejects.toMatchObject({
      message: 'This API key lacks the scope usage:charge.',
      code: 'FORBIDDEN',
    });
  });
});

describe('wallets', () => {
  it('whoever may open a wallet may not fill it', async () => {
    const opener = await clientWith('wallets:write');
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
    const opener = await clientWith('wallets:write');
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
    const reader = await clientWith('wallets:read');
    await expect(reader.wallets.resumeAutoTopUp.mutate({ userId })).rejects.toMatchObject({
      message: 'This API key lacks the scope wallets:manage.',
    });
  });

  it.each(['IST', 'PST', '+02:00', 'Europe/Nowhere', 'US/Pacific-New/x', ''])(
    'refuses the time zone "%s", which not everybody reads alike',
    async (timezone) => {
      await expect(
        client.wallets.open.mutate({ userId: `in-${users}`, timezone }),
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
    const fundedAt = (await client.wallets.events.query({ userId, limit: 1 })).events[0]
      ?.recordedAt;
    await client.usage.charge.mutate({ userId, usage: { type: 'email' }, referenceId: 'e' });
    const at = (instant: string) => client.wallets.balanceAt.query({ userId, at: instant });
    expect(await at(new Date(beforeMs - 86_400_000).toISOString())).toBeNull();
    // Instants on the wire have milliseconds, the ledger's microseconds.
    const fundedMs = Date.parse(fundedAt ?? '') + 1;
    expect(await at(new Date(Math.max(fundedMs, beforeMs)).toISOString())).toMatchObject({
      balanceMicros: expect.stringMatching(/^(1000000|990000)$/),
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
