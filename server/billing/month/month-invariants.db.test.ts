/** What holds for every month, whatever was used and however it was closed. */
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
} from '../../dev/month-scenario.ts';
import { verifyRange } from '../../store/ledger.ts';
import { connect } from '../../store/sql.ts';
import { createMonthWork, defaultPeriod } from './month.ts';
import { createSubscriptions } from './subscriptions.ts';

let scenario: MonthScenario;

beforeEach(async () => {
  scenario = await createMonthScenario();
  return () => scenario.db.close();
});

const step = fc.record({
  what: fc.constantFrom('charge', 'charge', 'charge', 'grant'),
  amountMicros: fc.bigInt({ min: 1n, max: 4_000_000n }),
  hoursLater: fc.constantFrom(1, 30, 200, 500),
  /** Usage may be told a month after it happened. */
  lateHours: fc.constantFrom(0, 0, 0, 700),
});

interface Taken {
  readonly statements: bigint;
  readonly ledger: bigint;
  readonly accruals: bigint;
  readonly settlements: bigint;
}

async function totalsOf({ id }: TestWallet): Promise<Taken> {
  const [row] = await scenario.db.app<Taken[]>`
    select
      (select coalesce(sum(closing_balance_micros - opening_balance_micros), 0)::bigint
       from statements where wallet_id = ${id}) as statements,
      (select coalesce(sum(e.balance_delta_micros), 0)::bigint from wallet_events e
       where wallet_id = ${id} and seq <= (select max(to_seq) from statements
         where wallet_id = ${id})) as ledger,
      (select coalesce(sum(accrued_micros), 0)::bigint from statements
       where wallet_id = ${id}) as accruals,
      (select coalesce(-sum(balance_delta_micros), 0)::bigint from wallet_events
       where wallet_id = ${id} and type = 'accrual_settled') as settlements`;
  if (!row) throw new Error('no totals');
  return row;
}

/** Each month's usage by statement, deducted in it or, of a deferred wallet, in the next. */
async function usageByMonth({ userId }: TestWallet): Promise<[string, bigint][]> {
  const statements = await scenario.statements.list(userId);
  return statements.map(({ period, lines, accruedLines }) => [
    period,
    [...lines, ...accruedLines].reduce((sum, { amountMicros }) => sum + amountMicros, 0n),
  ]);
}

async function lateUsage({ userId }: TestWallet) {
  return (await scenario.statements.list(userId)).map(({ period, lateLines }) => [
    period,
    lateLines,
  ]);
}

test('the same usage, live and deferred, leaves the same available at every step and the same month', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
      let nowMs = Date.parse('2026-05-10T00:00:00Z');
      const at = () => new Date(nowMs).toISOString();
      const live = await scenario.open(at());
      const deferred = await scenario.open(at(), { mode: 'deferred' });
      const both = [live, deferred];
      for (const wallet of both) await scenario.grant(at(), wallet, 5_000_000n);
      for (const { what, amountMicros, hoursLater, lateHours } of steps) {
        nowMs += hoursLater * 3_600_000;
        for (const wallet of both) {
          if (what === 'grant') {
            await scenario.grant(at(), wallet, amountMicros);
          } else {
            const happened = new Date(nowMs - lateHours * 3_600_000).toISOString();
            await scenario.charge(at(), wallet, amountMicros, undefined, happened);
          }
        }
        const period = defaultPeriod(new Date(nowMs));
        if (period >= '2026-05') await scenario.run(at(), period);
        const [a, b] = [await scenario.wallet(live), await scenario.wallet(deferred)];
        expect(b.available).toBe(a.available);
      }
      await scenario.run('2027-12-02T00:00:00Z', '2027-11');
      expect(await usageByMonth(deferred)).toEqual(await usageByMonth(live));
      expect(await lateUsage(deferred)).toEqual(await lateUsage(live));
      for (const wallet of both) {
        const { statements, ledger, accruals, settlements } = await totalsOf(wallet);
        expect(statements, 'statements add up to the ledger').toBe(ledger);
        expect(settlements, 'what was reserved is deducted once').toBe(accruals);
        const range = { from: wallet.id, to: wallet.id };
        expect((await verifyRange(scenario.db.owner, range, 5)).differences).toEqual([]);
      }
    }),
    { numRuns: 6 },
  );
});

test('usage that is told late is the open month’s, charged once; closed statements stay', async () => {
  const wallet = await scenario.open('2026-08-01T00:00:00Z');
  await scenario.grant('2026-08-01T00:00:00Z', wallet, 1_000_000n);
  await scenario.run('2026-09-01T02:00:00Z', '2026-08');
  const [august] = await scenario.statements.list(wallet.userId);
  await scenario.charge('2026-09-05T00:00:00Z', wallet, 7n, undefined, '2026-08-20T00:00:00Z');
  await scenario.run('2026-10-01T02:00:00Z', '2026-09');
  const [september, unchanged] = await scenario.statements.list(wallet.userId);
  expect(unchanged).toEqual(august);
  expect(september).toMatchObject({
    period: '2026-09',
    usageMicros: -7n,
    lateLines: [{ type: 'call', count: 1, units: 60, amountMicros: 7n }],
  });
});

/** Places of a closing at which it is killed, each in the middle of its transaction. */
const places = [
  ['the fence', 'wallets', 'update'],
  ['the statements', 'statements', 'insert'],
  ['the deductions and fees', 'wallet_events', 'insert'],
  ['the end', 'billing_ranges', 'update'],
] as const;

test('killed twice at each of its places, the month is as if it had been closed at once', {
  timeout: 120_000,
}, async () => {
  const subscriptions = createSubscriptions(scenario.db.app);
  const wallets: TestWallet[] = [];
  for (let n = 0; n < 6; n += 1) {
    const wallet = await scenario.open('2026-07-01T00:00:00Z', { mode: 'deferred' });
    await scenario.grant('2026-07-02T00:00:00Z', wallet, 1_000_000n);
    await scenario.charge('2026-07-03T00:00:00Z', wallet, BigInt(n) * 100n);
    const plan = { key: 'p', kind: 'plan', description: 'Plan', monthlyMicros: 600_000n } as const;
    await subscriptions.add({ wallet: { walletId: wallet.id }, ...plan }, 'test:kill');
    wallets.push(wallet);
  }
  const { owner, app } = scenario.db;
  await owner.unsafe(`create function sleep_in_test() returns trigger language plpgsql as $$
    begin perform pg_sleep(30); return null; end $$`);
  const runId = await scenario.request('2026-09-01T02:00:00Z', '2026-08');
  const { ranges } = await scenario.month.planMonth(runId, null);
  const [range] = ranges;
  if (!range) throw new Error('no range');
  const close = async () => {
    const sql = connect(scenario.db.appUrl, { max: 1 });
    try {
      const work = createMonthWork({ sql, longSql: sql, clock: () => new Date() });
      return await work.closeRange({ runId, period: '2026-08', ...range });
    } finally {
      await sql.end({ timeout: 1 });
    }
  };

  for (let kills = 0; kills < 2 * places.length; ) {
    const [, table, event] = places[kills % places.length] ?? places[0];
    await owner.unsafe(`create trigger sleep_in_test after ${event} on ${table}
      for each statement execute function sleep_in_test()`);
    let isRunning = true;
    let isKilled = false;
    const closing = close()
      .catch(() => undefined)
      .finally(() => {
        isRunning = false;
      });
    while (isRunning && !isKilled) {
      const [ended] = await owner`select pg_terminate_backend(pid) from pg_stat_activity
        where wait_event = 'PgSleep' and datname = current_database()`;
      isKilled = ended !== undefined;
    }
    await closing;
    await owner.unsafe(`drop trigger sleep_in_test on ${table}`);
    kills += Number(isKilled);
  }
  expect(await app`select from statements`).toHaveLength(0);

  expect(await close()).toEqual({ closed: 6, failed: 0, pending: 0 });
  for (const [n, wallet] of wallets.entries()) {
    const types = await app<{ type: string }[]>`
      select type from wallet_events where wallet_id = ${wallet.id} order by seq`;
    expect(types.map(({ type }) => type)).toEqual([
      ...['wallet_opened', 'grant', 'accrual', 'subscription_added'],
      ...(n === 0 ? [] : ['accrual_settled']),
      ...['fee', 'fee', 'arrears_demanded'],
    ]);
    const range = { from: wallet.id, to: wallet.id };
    expect((await verifyRange(owner, range, 5)).differences).toEqual([]);
  }
});
