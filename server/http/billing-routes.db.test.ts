import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMonth, type Month } from '../billing/month/month.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { createLogger } from '../log.ts';
import type { MonthRun } from '../store/month.ts';
import type { AppEnv } from './app.ts';
import { type BillingRoutesOptions, billingRoutes } from './billing-routes.ts';
import { errorResponse } from './errors.ts';
import { requestId } from './request-id.ts';

const NOW = '2026-11-01T02:00:00Z';
const OLD_TOKEN = 'old-billing-token-0001';
const NEW_TOKEN = 'new-billing-token-0002';
const CRON_SECRET = 'vercel-cron-secret-0003';

let database: TestDatabase;
let month: Month;
let sent: MonthRun[] = [];
let sendFails = false;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.setClock('2026-10-10T00:00:00Z');
  await database.app`
    select open_wallet(${randomUUID()}, 'user-1', 'USD', 'UTC', 'live', 'test:routes')`;
  await database.setClock(NOW);
  month = createMonth({
    sql: database.app,
    longSql: database.app,
    clock: () => new Date(NOW),
    send: async (run) => {
      if (sendFails) throw new Error('the scheduler is down');
      sent.push(run);
    },
    logger: createLogger('silent'),
  });
});
afterAll(() => database.close());

beforeEach(() => {
  sent = [];
  sendFails = false;
});

interface Call {
  readonly method?: 'GET' | 'POST';
  readonly token?: string;
  readonly body?: string;
  readonly options?: Partial<BillingRoutesOptions>;
}

async function call(path: string, { method = 'POST', token, body, options }: Call = {}) {
  const app = new Hono<AppEnv>();
  app.use(requestId());
  app.onError((error, c) => errorResponse(error, c.get('requestId')));
  app.route(
    '/',
    billingRoutes({
      month,
      tokens: [OLD_TOKEN, NEW_TOKEN],
      cronSecret: CRON_SECRET,
      adminSession: async (request) => request.headers.get('cookie') === 'session=admin',
      ...options,
    }),
  );
  const response = await app.request(path, {
    method,
    headers: {
      'x-request-id': 'request-0001',
      ...(token?.startsWith('session=') ? { cookie: token } : {}),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body }),
  });
  const answer: unknown = await response.json();
  return { status: response.status, headers: response.headers, body: answer };
}

describe('POST /api/billing/monthly', () => {
  it.each([
    ['no token', undefined],
    ['a wrong token', 'wrong-billing-token-0009'],
    ['a part of a token', OLD_TOKEN.slice(0, -1)],
    ['the secret of another cron', CRON_SECRET],
    ['the session of an admin', 'session=admin'],
  ])('is refused with %s, and starts nothing', async (_, token) => {
    const answer = await call('/api/billing/monthly', token === undefined ? {} : { token });
    expect(answer).toMatchObject({
      status: 401,
      body: {
        error: {
          code: 'UNAUTHORIZED',
          message: 'A Bearer token is required that is BILLING_CRON_TOKEN.',
          requestId: 'request-0001',
        },
      },
    });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(await database.app`select from billing_runs`).toHaveLength(0);
    expect(sent).toEqual([]);
  });

  it('says that it is closed where no token is set, whatever is sent', async () => {
    for (const token of ['', 'undefined', OLD_TOKEN]) {
      expect(await call('/api/billing/monthly', { token, options: { tokens: [] } })).toMatchObject({
        status: 401,
        body: { error: { message: expect.stringContaining('BILLING_CRON_TOKEN is not set') } },
      });
    }
  });

  it.each([
    ['{"period": "2026-', 'INVALID_JSON', /not valid JSON/],
    ['{"period": "2026-13"}', 'BAD_REQUEST', /^period: /],
    ['{"period": 202610}', 'BAD_REQUEST', /^period: /],
    ['{"period": null}', 'BAD_REQUEST', /^period: /],
    ['{"perod": "2026-10"}', 'BAD_REQUEST', /perod/],
    ['["2026-10"]', 'BAD_REQUEST', /JSON object/],
    ['null', 'BAD_REQUEST', /JSON object/],
  ])('refuses the body %s and says why', async (body, code, message) => {
    expect(await call('/api/billing/monthly', { token: OLD_TOKEN, body })).toMatchObject({
      status: 400,
      body: { error: { code, message: expect.stringMatching(message) } },
    });
    expect(await database.app`select from billing_runs`).toHaveLength(0);
  });

  it('refuses a month that is not over, naming the field', async () => {
    const body = '{"period": "2026-11"}';
    expect(await call('/api/billing/monthly', { token: OLD_TOKEN, body })).toMatchObject({
      status: 409,
      body: { error: { code: 'CONFLICT', message: expect.stringMatching(/^The period 2026-11 /) } },
    });
  });

  it('starts the month that is due once, and answers the same run from then on', async () => {
    const first = await call('/api/billing/monthly', { token: OLD_TOKEN });
    expect(first).toMatchObject({ status: 202, body: { period: '2026-10', status: 'running' } });
    const [run] = await database.app`select id, requested_by from billing_runs`;
    expect(first.body).toMatchObject({ runId: run?.id });
    expect(run?.requested_by).toBe('cron:http');

    const again = await call('/api/billing/monthly', { token: NEW_TOKEN, body: '{}' });
    const named = await call('/api/billing/monthly', {
      token: NEW_TOKEN,
      body: '{"period": "2026-10"}',
    });
    expect([again.body, named.body]).toEqual([first.body, first.body]);
    const announced = { runId: run?.id, period: '2026-10' };
    expect(sent).toEqual([announced, announced, announced]);
  });

  it('answers 202 when the scheduler cannot be told, for the run is kept', async () => {
    sendFails = true;
    const body = '{"period": "2026-09"}';
    expect(await call('/api/billing/monthly', { token: OLD_TOKEN, body })).toMatchObject({
      status: 202,
      body: { period: '2026-09' },
    });
    expect(await database.app`select from billing_runs where period = '2026-09'`).toHaveLength(1);
  });
});

describe('GET /api/cron/monthly-billing', () => {
  it('starts the month with CRON_SECRET, and with nothing else', async () => {
    const path = '/api/cron/monthly-billing';
    for (const token of [OLD_TOKEN, 'null', 'session=admin']) {
      expect(await call(path, { method: 'GET', token })).toMatchObject({
        status: 401,
        body: { error: { message: expect.stringContaining('CRON_SECRET') } },
      });
    }
    const options = { cronSecret: null };
    expect(await call(path, { method: 'GET', token: CRON_SECRET, options })).toMatchObject({
      status: 401,
      body: { error: { message: expect.stringContaining('CRON_SECRET is not set') } },
    });
    expect(sent).toEqual([]);
    expect(await call(path, { method: 'GET', token: CRON_SECRET })).toMatchObject({
      status: 202,
      body: { period: '2026-10', status: 'running' },
    });
    expect(sent).toHaveLength(1);
  });
});

describe('GET /api/billing/monthly', () => {
  const get = (call_: Call, query = '') =>
    call(`/api/billing/monthly${query}`, { method: 'GET', ...call_ });

  it('is for the cron’s token and for support staff', async () => {
    expect((await get({})).status).toBe(401);
    expect((await get({ token: 'session=user' })).status).toBe(401);
    expect((await get({ token: 'session=admin' })).status).toBe(200);
    expect((await get({ token: NEW_TOKEN })).status).toBe(200);
  });

  it('says how the month stands, before, during and after', async () => {
    expect((await get({ token: OLD_TOKEN }, '?period=2026-08')).body).toEqual({
      runId: null,
      period: '2026-08',
      status: 'not_started',
      wallets: { total: 0, billed: 0, failed: 0, pending: 0 },
      startedAt: null,
      finishedAt: null,
      nextRunAt: '2026-12-01T02:00:00.000Z',
    });
    expect((await get({ token: OLD_TOKEN })).body).toMatchObject({
      period: '2026-10',
      status: 'running',
      wallets: { total: 1, billed: 0, failed: 0, pending: 1 },
    });

    const { runId, period } = await month.requestMonth(new Date(NOW));
    const { ranges } = await month.planMonth(runId, null);
    for (const range of ranges) await month.closeRange({ runId, period, ...range });

    const finished = await get({ token: OLD_TOKEN });
    expect(finished.body).toEqual({
      runId,
      period: '2026-10',
      status: 'finished',
      wallets: { total: 1, billed: 1, failed: 0, pending: 0 },
      startedAt: new Date(NOW).toISOString(),
      finishedAt: new Date(NOW).toISOString(),
      nextRunAt: '2026-12-01T02:00:00.000Z',
    });
    expect(finished.headers.get('cache-control')).toBe('no-store');
    // A finished month is answered, and nobody is told to do it again.
    expect((await call('/api/billing/monthly', { token: OLD_TOKEN })).body).toEqual({
      runId,
      period: '2026-10',
      status: 'finished',
    });
    expect(sent).toEqual([]);
  });

  it('refuses a query that is no period, naming it', async () => {
    expect(await get({ token: OLD_TOKEN }, '?period=soon')).toMatchObject({
      status: 400,
      body: { error: { code: 'BAD_REQUEST', message: expect.stringMatching(/^period: /) } },
    });
  });
});
