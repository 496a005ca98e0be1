import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { createLogger } from '../../log.ts';
import { claimMonths, type MonthRun } from '../../store/month.ts';
import { createMonthWork } from './month.ts';
import { createMonthWatchdog } from './month-watchdog.ts';

let database: TestDatabase;
let now: Date;
let sent: MonthRun[] = [];
let sendFails = false;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

async function at(iso: string): Promise<void> {
  now = new Date(iso);
  await database.setClock(iso);
}

async function open(timezone: string): Promise<void> {
  const id = randomUUID();
  await database.app`
    select open_wallet(${id}, ${`user-${id}`}, 'USD', ${timezone}, 'live', 'test:watchdog')`;
}

function watchdog() {
  return createMonthWatchdog({
    store: { claim: (claim) => claimMonths(database.app, claim) },
    send: async (run) => {
      if (sendFails) throw new Error('the scheduler is down');
      sent.push(run);
    },
    clock: () => now,
    intervalMs: 60_000,
    logger: createLogger('silent'),
  });
}

/** What one pass announces, by period. */
async function tick(): Promise<string[]> {
  sent = [];
  await watchdog().tick();
  return sent.map(({ period }) => period);
}

/** Does what the scheduler does when it is told of a run. */
async function schedule(runs: MonthRun[]): Promise<void> {
  const month = createMonthWork({
    sql: database.app,
    longSql: database.app,
    clock: () => now,
  });
  for (const { runId, period } of runs) {
    const { ranges } = await month.planMonth(runId, null);
    for (const range of ranges) await month.closeRange({ runId, period, ...range });
  }
}

// One story, told in order.
describe('the watchdog of the month', () => {
  it('has nothing to do before there are wallets, or before the first month is missed', async () => {
    await at('2026-09-15T00:00:00Z');
    expect(await tick()).toEqual([]);
    await open('UTC');
    await open('America/New_York');
    expect(await tick()).toEqual([]);
  });

  it('leaves the scheduler an hour, then starts the missed periods itself, oldest first', async () => {
    await at('2026-11-01T02:59:59Z');
    expect(await tick()).toEqual(['2026-09']);
    await at('2026-12-01T03:00:00Z');
    expect(await tick()).toEqual(['2026-09', '2026-10', '2026-11']);
    expect(
      await database.app`select period, requested_by from billing_runs order by period`,
    ).toEqual(
      ['2026-09', '2026-10', '2026-11'].map((period) => ({
        period,
        requested_by: 'system:watchdog',
      })),
    );
  });

  it('announces a run that has not moved for five minutes again, and not sooner', async () => {
    await at('2026-12-01T03:05:00Z');
    expect(await tick()).toEqual([]);
    await at('2026-12-01T03:05:01Z');
    expect(await tick()).toEqual(['2026-09', '2026-10', '2026-11']);
    expect(await tick()).toEqual([]);
  });

  it('announces again what it failed to announce, and does not fall over', async () => {
    await at('2026-12-01T03:20:00Z');
    sendFails = true;
    expect(await tick()).toEqual([]);
    sendFails = false;
    await at('2026-12-01T03:26:00Z');
    expect(await tick()).toEqual(['2026-09', '2026-10', '2026-11']);
  });

  it('keeps quiet while wallets wait for their month’s end, and comes back when it ends', async () => {
    await schedule(sent);
    await at('2026-12-01T04:59:59Z');
    expect(await tick()).toEqual([]);
    // New York ends November.
    await at('2026-12-01T05:00:00Z');
    expect(await tick()).toEqual(['2026-11']);
    await schedule(sent);
    const [counts] = await database.app`select count(*) from statements`;
    expect(counts?.count).toBe(6n);
  });

  it('looks once more when the month has ended everywhere, then never again', async () => {
    await at('2026-12-01T12:00:00Z');
    expect(await tick()).toEqual(['2026-11']);
    await schedule(sent);
    await at('2026-12-31T00:00:00Z');
    expect(await tick()).toEqual([]);
  });

  it('announces each run once when several processes look at the same time', async () => {
    await at('2027-01-01T03:00:00Z');
    sent = [];
    await Promise.all(Array.from({ length: 8 }, () => watchdog().tick()));
    expect(sent.map(({ period }) => period)).toEqual(['2026-12']);
    await at('2027-01-01T03:06:00Z');
    sent = [];
    await Promise.all(Array.from({ length: 8 }, () => watchdog().tick()));
    expect(sent.map(({ period }) => period)).toEqual(['2026-12']);
  });

  it('ticks by itself between start and stop', async () => {
    await at('2027-02-01T03:00:00Z');
    sent = [];
    const running = createMonthWatchdog({
      store: { claim: (claim) => claimMonths(database.app, claim) },
      send: async (run) => {
        sent.push(run);
      },
      clock: () => now,
      intervalMs: 5,
      logger: createLogger('silent'),
    });
    running.start();
    await expect.poll(() => sent.length).toBe(2);
    await running.stop();
    expect(sent.map(({ period }) => period)).toEqual(['2026-12', '2027-01']);
  });
});
