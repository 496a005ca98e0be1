/** Each way of docs/month.md to start the month, as the page has it, on a server that listens. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { beforeEach, describe, expect, it } from 'vitest';
import { createMonth } from './billing/month/month.ts';
import { VirtualClock } from './dev/inngest/clock.ts';
import { startTestBed, type TestBed } from './dev/inngest/test-app.ts';
import { createMonthScenario, type MonthScenario } from './dev/month-scenario.ts';
import type { AppEnv } from './http/app.ts';
import { billingRoutes } from './http/billing-routes.ts';
import { requestId } from './http/request-id.ts';
import { billingMonthRequested } from './inngest/client.ts';
import { createFunctions } from './inngest/functions.ts';
import { createLogger } from './log.ts';

const run = promisify(execFile);
const logger = createLogger('silent');
const BILLING_CRON_TOKEN = 'billing-cron-token-0001';
const CRON_SECRET = 'vercel-cron-secret-0002';
const BEFORE = '2026-11-01T01:59:00Z';
const DUE = '2026-11-01T02:00:00Z';

let page: string;
let scenario: MonthScenario;
let clock: VirtualClock;
let bed: TestBed;
let host: string;

beforeEach(async () => {
  page = await readFile(new URL('../docs/month.md', import.meta.url), 'utf8');
  scenario = await createMonthScenario();
  const { db } = scenario;
  await scenario.open('2026-10-10T00:00:00Z');
  await db.setClock(DUE);

  clock = new VirtualClock(BEFORE);
  bed = await startTestBed({ clock });
  const month = createMonth({
    sql: db.app,
    longSql: db.app,
    clock: () => new Date(DUE),
    send: async (announced) => {
      await bed.inngest.send(billingMonthRequested.create(announced));
    },
    logger,
  });
  const notOfTheMonth = () => Promise.reject(new Error('this is not of the month'));
  bed.mount(
    createFunctions(bed.inngest, {
      ...month,
      applyStripeEvent: notOfTheMonth,
      planReconciliation: notOfTheMonth,
      reconcileRange: notOfTheMonth,
      finishReconciliation: notOfTheMonth,
    }),
  );
  await bed.runner.synced();

  const app = new Hono<AppEnv>().use(requestId()).route(
    '/',
    billingRoutes({
      month,
      tokens: [BILLING_CRON_TOKEN],
      cronSecret: CRON_SECRET,
      adminSession: async () => false,
    }),
  );
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return async () => {
    await new Promise((resolve) => server.close(resolve));
    await bed.stop();
    await db.close();
  };
});

/** The line of the page for a server's cron, at this server. */
async function curl(): Promise<void> {
  const line = /`0 2 1 \* \* (curl .*)`/.exec(page)?.[1];
  expect.assert(line !== undefined);
  const command = line.replace('https://HOST', `http://${host}`);
  expect(command).toContain(host);
  const { stdout } = await run('sh', ['-c', command], {
    env: { NODE_ENV: 'test', PATH: process.env.PATH, BILLING_CRON_TOKEN },
  });
  expect(JSON.parse(stdout)).toMatchObject({ period: '2026-10' });
}

/** As Vercel calls the path of the page's `vercel.json`. */
async function vercel(): Promise<void> {
  const settings = /`(\{"crons": .*\})`/.exec(page)?.[1];
  const { crons }: { crons: { path: string; schedule: string }[] } = JSON.parse(settings ?? '');
  expect(crons).toMatchObject([{ schedule: '0 2 1 * *' }]);
  const response = await fetch(`http://${host}${crons[0]?.path}`, {
    headers: { authorization: `Bearer ${CRON_SECRET}`, 'user-agent': 'vercel-cron/1.0' },
  });
  expect(response.status).toBe(202);
}

/** Inngest's own cron comes due. */
async function inngest(): Promise<void> {
  await clock.advance(120_000, bed.runner.idle);
}

async function closedOnceBy(...actors: string[]): Promise<void> {
  await bed.runner.settled();
  const runs = await scenario.db.app<{ actor: string }[]>`
    select requested_by as actor from billing_runs where period = '2026-10'`;
  expect(runs).toHaveLength(1);
  expect(actors).toContain(runs[0]?.actor);
  expect(await scenario.db.app`select from statements`).toHaveLength(1);
  expect(await scenario.month.status('2026-10')).toMatchObject({
    status: 'finished',
    wallets: { total: 1, billed: 1, failed: 0, pending: 0 },
  });
}

describe('the month is started, and closed once, by', () => {
  it('a server’s cron with curl, also twice', async () => {
    await curl();
    await curl();
    await closedOnceBy('cron:http');
  });

  it('Vercel’s cron, also twice', async () => {
    await vercel();
    await vercel();
    await closedOnceBy('cron:vercel');
  });

  it('Inngest’s own cron', async () => {
    await inngest();
    await closedOnceBy('system:schedule');
  });

  it('all of them at once', async () => {
    await Promise.all([curl(), vercel(), inngest()]);
    await closedOnceBy('cron:http', 'cron:vercel', 'system:schedule');
  });
});
