/** A PostgreSQL that stands still, every process of it stopped, as a paused machine leaves it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Application, createApplication } from './application.ts';
import { createApiKeys } from './billing/accounts/api-keys.ts';
import { type HurtDatabase, hurtDatabase } from './dev/chaos/database.ts';
import { startTemporaryPostgres } from './dev/temporary-postgres.ts';
import { describeProblems, readEnv } from './env.ts';
import { createLogger } from './log.ts';
import { migrate } from './store/migrate.ts';
import { connect } from './store/sql.ts';

/** What is told of a database after five seconds, and the time that this takes beside. */
const MOST_MS = 9_000;

const stops: (() => Promise<unknown>)[] = [];
let database: HurtDatabase;
let application: Application;
let url: string;
let secret: string;

beforeAll(async () => {
  const postgres = await startTemporaryPostgres();
  database = hurtDatabase(postgres);
  stops.push(() => database.stop());
  const databaseUrl = postgres.ownerUrl();
  await migrate({ url: databaseUrl });
  const logger = createLogger('silent');
  const read = readEnv(
    {
      DATABASE_URL: databaseUrl,
      SESSION_SECRET: 'test'.repeat(8),
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_PUBLISHABLE_KEY: 'pk_test_x',
      STRIPE_WEBHOOK_SECRET: 'whsec_x',
      STRIPE_API_BASE: 'http://127.0.0.1:9',
      INNGEST_DEV: '1',
      INNGEST_BASE_URL: 'http://127.0.0.1:9',
    },
    { production: false },
  );
  if (!read.ok) throw new Error(describeProblems(read.problems));
  application = createApplication({
    env: read.env,
    logger,
    pages: {
      asset: async () => null,
      handle: async (_, { services }) => Response.json((await services.admin.ledger()).wallets),
    },
  });
  const server = createServer(application.listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  stops.push(async () => {
    server.close();
    server.closeAllConnections();
    await application.stop();
  });
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  application.start();
  const sql = connect(databaseUrl, { role: 'wallet_app', max: 1 });
  const apiKeys = createApiKeys({ sql, logger });
  secret = (await apiKeys.create({ name: 'test', scopes: ['all'], createdBy: 'cli:test' })).secret;
  await sql.end();
}, 120_000);

afterAll(async () => {
  await database?.thaw();
  for (const stop of stops.reverse()) await stop();
}, 60_000);

const procedure = (path: string, input: unknown) =>
  fetch(`${url}/trpc/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify(input),
  });
const page = () =>
  fetch(`${url}/account`, { headers: { accept: 'text/html', cookie: 'session=none' } });
const sms = { type: 'sms', to: '+14155550132' };
const all = () => [
  procedure('wallets.get', { userId: 'ann' }),
  procedure('usage.quote', { userId: 'ann', usage: sms }),
  procedure('usage.charge', { userId: 'ann', usage: sms, referenceId: 'a' }),
  procedure('holds.authorize', { userId: 'ann', usage: sms, key: 'b' }),
  fetch(`${url}/readyz`),
  page(),
];

it('every procedure and page is answered within seconds, at once while it lasts, and serves after it', async () => {
  expect((await procedure('wallets.open', { userId: 'ann' })).status).toBe(200);
  expect((await page()).status).toBe(200);

  await database.freeze();
  const frozenAtMs = performance.now();
  const answers = await Promise.all(all());
  expect(performance.now() - frozenAtMs).toBeLessThan(MOST_MS);
  for (const answer of answers) {
    expect([answer.url, answer.status]).toEqual([answer.url, 503]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  const [get, , charge, , ready, people] = answers;
  for (const answer of [get, charge]) {
    expect(await answer?.json()).toMatchObject({
      error: { message: expect.stringContaining('Try again'), data: { httpStatus: 503 } },
    });
  }
  expect(await ready?.json()).toMatchObject({ error: { code: 'DATABASE_UNAVAILABLE' } });
  expect(await people?.text()).toContain('Please come back in a moment');

  const againAtMs = performance.now();
  expect((await Promise.all(all())).map(({ status }) => status)).toEqual(Array(6).fill(503));
  expect(performance.now() - againAtMs, 'nobody waits while it is known').toBeLessThan(1_000);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);

  await database.thaw();
  await expect
    .poll(async () => (await procedure('wallets.get', { userId: 'ann' })).status, {
      timeout: 20_000,
    })
    .toBe(200);
  expect((await page()).status).toBe(200);
}, 60_000);

it('the application stops although the database does not answer', async () => {
  await database.freeze();
  // What runs in the background asks the database meanwhile.
  await new Promise((done) => setTimeout(done, 3_000));
  const stoppedAtMs = performance.now();
  await application.stop();
  expect(performance.now() - stoppedAtMs).toBeLessThan(12_000);
}, 60_000);
