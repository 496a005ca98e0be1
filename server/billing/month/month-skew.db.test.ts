/** Clocks that are a day and a half wrong: the application's, the scheduler's and the database's. */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
} from '../../dev/month-scenario.ts';
import { createLogger } from '../../log.ts';
import { verifyRange } from '../../store/ledger.ts';
import { claimMonths, type MonthRun } from '../../store/month.ts';
import { createMonth, createMonthWork } from './month.ts';
import { createMonthWatchdog } from './month-watchdog.ts';
import { createSubscriptions } from './subscriptions.ts';

const SKEW_MS = 36 * 3_600_000;
const logger = createLogger('silent');
/** The true time, and what a clock says that is so much wrong. */
const AHEAD = { skew: '36 hours ahead', now: '2026-08-30T17:00:00Z', says: '2026-09-01T05:00:00Z' };
const BEHIND = {
  skew: '36 hours behind',
  now: '2026-09-01T03:00:00Z',
  says: '2026-08-30T15:00:00Z',
};

let scenario: MonthScenario;
let wallet: TestWallet;

/** July is closed; August ends at 2026-09-01T00:00:00Z. */
beforeEach(async () => {
  scenario = await createMonthScenario();
  wallet = await scenario.open('2026-07-10T00:00:00Z', { mode: 'deferred' });
  await scenario.grant('2026-07-10T00:00:00Z', wallet, 1_000_000n);
  await scenario.charge('2026-07-11T00:00:00Z', wallet, 5n);
  await scenario.run('2026-08-01T02:00:00Z', '2026-07');
  return () => scenario.db.close();
});

async function periods(): Promise<string[]> {
  const rows = await scenario.db.app<{ period: string }[]>`
    select period from billing_runs order by period`;
  return rows.map(({ period }) => period);
}

/** Whatever the wrong clock did, the month that is due is closed as ever. */
async function expectClosedInTime(): Promise<void> {
  expect(await scenario.statements.list(wallet.userId)).toHaveLength(1);
  expect(await scenario.run('2026-09-01T04:00:00Z', '2026-08')).toMatchObject({ closed: 1 });
}

describe.each([AHEAD, BEHIND])('a clock that is $skew', ({ skew, now, says }) => {
  const isAhead = skew === AHEAD.skew;

  it('was made so much wrong', () => {
    expect(Math.abs(Date.parse(says) - Date.parse(now))).toBe(SKEW_MS);
  });

  it('of a server that is asked for what is due closes nothing too early', async () => {
    await scenario.db.setClock(now);
    const { app } = scenario.db;
    const work = createMonthWork({ sql: app, longSql: app, clock: () => new Date(says) });
    expect(await work.request({ actor: 'test:skew' })).toMatchObject(
      isAhead ? { ok: false, code: 'PERIOD_NOT_OVER' } : { ok: true, period: '2026-07' },
    );
    expect(await periods()).toEqual(['2026-07']);
    await expectClosedInTime();
  });

  it('of a server with its watchdog begins nothing too early', async () => {
    await scenario.db.setClock(now);
    const sent: MonthRun[] = [];
    const watchdog = createMonthWatchdog({
      store: { claim: (claim) => claimMonths(scenario.db.app, claim) },
      send: async (run) => {
        sent.push(run);
      },
      clock: () => new Date(says),
      intervalMs: 60_000,
      logger,
    });
    await watchdog.tick();
    expect(sent.map(({ period }) => period)).not.toContain('2026-08');
    expect(await periods()).toEqual(['2026-07']);
    await expectClosedInTime();
  });

  it('of the scheduler fires for a month that is refused, or that is closed', async () => {
    await scenario.db.setClock(now);
    const { app } = scenario.db;
    const month = createMonth({
      sql: app,
      longSql: app,
      clock: () => new Date(now),
      send: async () => undefined,
      logger,
    });
    const requested = month.requestMonth(new Date(says));
    await (isAhead
      ? expect(requested).rejects.toMatchObject({ code: 'CONFLICT' })
      : expect(requested).resolves.toMatchObject({ period: '2026-07' }));
    await expectClosedInTime();
  });
});

describe('a database whose clock jumps', () => {
  it.each([
    ['ahead and back', ['2026-08-31T12:00:00Z', '2026-09-02T00:00:00Z', '2026-08-31T12:00:01Z']],
    ['back and ahead', ['2026-09-01T00:00:01Z', '2026-08-30T12:00:00Z', '2026-09-01T00:00:02Z']],
  ])('%s by 36 hours around the end of the month bills each usage once', async (_, instants) => {
    const subscriptions = createSubscriptions(scenario.db.app);
    await scenario.db.setClock('2026-08-01T00:00:00Z');
    const plan = { key: 'p', kind: 'plan', description: 'Plan', monthlyMicros: 3_100n } as const;
    await subscriptions.add({ wallet: { walletId: wallet.id }, ...plan }, 'test:skew');
    let used = 5n;
    for (const [index, at] of instants.entries()) {
      const amountMicros = 10n ** BigInt(index + 1);
      await scenario.charge(at, wallet, amountMicros);
      used += amountMicros;
      await scenario.db.setClock(at);
      await scenario.month.request({ period: '2026-08', actor: 'test:skew' });
      if (at >= '2026-09') await scenario.run(at, '2026-08');
    }
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    const statements = await scenario.statements.list(wallet.userId);
    expect(statements.map(({ period }) => period)).toEqual(['2026-09', '2026-08', '2026-07']);
    expect(statements.reduce((sum, { accruedMicros }) => sum + accruedMicros, 0n)).toBe(used);
    expect(await scenario.wallet(wallet)).toMatchObject({
      balance: 1_000_000n - used - 2n * 3_100n,
      held: 0n,
    });
    const range = { from: wallet.id, to: wallet.id };
    expect((await verifyRange(scenario.db.owner, range, 5)).differences).toEqual([]);
  });
});
