import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
  WHOLE_RANGE,
} from '../../dev/month-scenario.ts';
import { closeRange, fenceRange } from '../../store/month.ts';
import { connect, type Sql } from '../../store/sql.ts';

const AUGUST_ENDS = '2026-09-01T00:00:00Z';

let scenario: MonthScenario;
/** Hardly waits for a lock, so that a wallet that is locked is an error. */
let impatient: Sql;

beforeEach(async () => {
  scenario = await createMonthScenario();
  impatient = connect(scenario.db.appUrl, { lockTimeoutMs: 50 });
  return async () => {
    await impatient.end({ timeout: 1 });
    await scenario.db.close();
  };
});

const charge = (sql: Sql, wallet: TestWallet, amountMicros: bigint) =>
  sql`select charge_wallet(${wallet.id}, ${randomUUID()}, sha256('charge'), ${amountMicros},
    'arrears', null, 'test:month', '{"usage":{"type":"call"},"units":60}')`;

/** Runs the period's only range, from its plan to its end. */
async function planned(period: string): Promise<{ runId: string; period: string }> {
  const requested = await scenario.month.request({ period, actor: 'test:month' });
  if (!requested.ok) throw new Error(requested.message);
  await scenario.month.planMonth(requested.runId, null);
  return { runId: requested.runId, period };
}

async function untilSomebodyWaits(waitEvent: string): Promise<void> {
  await expect
    .poll(
      () => scenario.db.owner`
        select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
          and wait_event = ${waitEvent}`,
      { timeout: 5_000 },
    )
    .toHaveLength(1);
}

/** Usage in the statements of a wallet, oldest first, charged or reserved. */
async function usage(wallet: TestWallet): Promise<(readonly [string, number, bigint])[]> {
  const found = await scenario.statements.list(wallet.userId);
  return found
    .toReversed()
    .map(({ period, lines, accruedLines }) => [
      period,
      [...lines, ...accruedLines].reduce((sum, line) => sum + line.count, 0),
      [...lines, ...accruedLines].reduce((sum, line) => sum + line.amountMicros, 0n),
    ]);
}

describe('while a month is closed', () => {
  it('its wallets are charged without waiting, and those charges are the next month’s', async () => {
    const live = await scenario.open('2026-08-10T00:00:00Z');
    const deferred = await scenario.open('2026-08-10T00:00:00Z', { mode: 'deferred' });
    const both = [live, deferred];
    for (const wallet of both) {
      await scenario.grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
      await scenario.charge('2026-08-12T00:00:00Z', wallet, 10n);
    }
    // Writing statements stops at the first one for as long as the test holds this lock.
    await scenario.db.owner.unsafe(`
      create function wait_for_test() returns trigger language plpgsql as $$
      begin
        perform pg_advisory_xact_lock_shared(1);
        return new;
      end $$;
      create trigger wait_for_test before insert on statements
        for each row execute function wait_for_test()`);
    const test = await scenario.db.owner.reserve();
    await test`select pg_advisory_lock(1)`;

    const closing = scenario.run('2026-09-01T02:00:00Z', '2026-08');
    await untilSomebodyWaits('advisory');
    for (const wallet of both) await charge(impatient, wallet, 500n);
    expect(await scenario.db.app`select from statements`).toHaveLength(0);
    await test`select pg_advisory_unlock(1)`;
    test.release();

    expect(await closing).toEqual({ closed: 2, failed: 0, pending: 0 });
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    for (const wallet of both) {
      expect(await usage(wallet)).toEqual([
        ['2026-08', 1, 10n],
        ['2026-09', 1, 500n],
      ]);
    }
  });

  it('an event that began in the month is waited for, and is the month’s; other wallets are not kept', async () => {
    const slow = await scenario.open('2026-08-10T00:00:00Z');
    const other = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.db.setClock('2026-08-31T23:59:59.999Z');
    const connection = await scenario.db.app.reserve();
    await connection`begin`;
    await connection`select charge_wallet(${slow.id}, ${randomUUID()}, sha256('slow'), 10,
      'arrears', null, 'test:month', '{"usage":{"type":"call"},"units":60}')`;

    const closing = scenario.run('2026-09-01T02:00:00Z', '2026-08');
    await untilSomebodyWaits('transactionid');
    await charge(impatient, other, 500n);
    await connection`commit`;
    connection.release();
    expect(await closing).toEqual({ closed: 2, failed: 0, pending: 0 });
    await charge(impatient, slow, 7n);

    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    expect(await usage(slow)).toEqual([
      ['2026-08', 1, 10n],
      ['2026-09', 1, 7n],
    ]);
    expect(await usage(other)).toEqual([
      ['2026-08', 0, 0n],
      ['2026-09', 1, 500n],
    ]);
  });

  it('runs of two periods that close the same months write each statement once', async () => {
    const wallets: TestWallet[] = [];
    for (let n = 0; n < 10; n += 1) {
      const wallet = await scenario.open('2026-06-10T00:00:00Z', { mode: 'deferred' });
      wallets.push(wallet);
      await scenario.grant('2026-06-11T00:00:00Z', wallet, 1_000_000n);
      for (const month of ['06', '07', '08']) {
        await scenario.charge(`2026-${month}-12T00:00:00Z`, wallet, 10n);
      }
    }
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const runs = [await planned('2026-07'), await planned('2026-08'), await planned('2026-06')];
    const outcomes = await Promise.all(
      runs.map((run) => scenario.month.closeRange({ ...run, ...WHOLE_RANGE })),
    );
    expect(outcomes).toEqual(runs.map(() => ({ closed: 10, failed: 0, pending: 0 })));
    expect(await scenario.db.app`select from billing_failures`).toHaveLength(0);
    for (const wallet of wallets) {
      expect(await usage(wallet)).toEqual(
        ['2026-06', '2026-07', '2026-08'].map((period) => [period, 1, 10n]),
      );
      expect(await scenario.wallet(wallet)).toMatchObject({ balance: 999_970n, held: 0n });
    }
  });
});

describe('a run that dies after its fence', () => {
  it('has closed nothing, and the next one finishes what nothing could slip into meanwhile', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z', { mode: 'deferred' });
    await scenario.grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await scenario.charge('2026-08-12T00:00:00Z', wallet, 10n);
    const before = await scenario.wallet(wallet);
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const run = await planned('2026-08');
    const { inUse } = await fenceRange(scenario.db.app, { ...run, ...WHOLE_RANGE }, null);

    expect(inUse).toBe(0);
    expect(await scenario.wallet(wallet)).toEqual(before);
    expect(await scenario.statements.list(wallet.userId)).toEqual([]);
    // The machine's clock steps back into the month.
    await scenario.charge('2026-08-31T23:00:00Z', wallet, 500n);
    expect(await scenario.run('2026-09-01T03:00:00Z', '2026-08')).toEqual({
      closed: 1,
      failed: 0,
      pending: 0,
    });
    expect(await usage(wallet)).toEqual([['2026-08', 1, 10n]]);
  });
});

describe('a wallet that no fence stands before', () => {
  it('is not closed, and waits for the next attempt', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const range = { ...(await planned('2026-08')), ...WHOLE_RANGE };
    expect(await closeRange(scenario.db.app, range, AUGUST_ENDS, null)).toEqual({
      closed: 0,
      failed: 0,
      pending: 1,
      apart: [],
    });
    const [row] = await scenario.db.app`select due_at <= ledger_now() as due from billing_ranges`;
    expect(row?.due).toBe(true);
    expect(await scenario.month.closeRange(range)).toMatchObject({ closed: 1, pending: 0 });
    expect(await usage(wallet)).toEqual([['2026-08', 0, 0n]]);
  });

  it('cannot be kept from its events by a fence in the future', async () => {
    await scenario.db.setClock(AUGUST_ENDS);
    const range = { runId: randomUUID(), period: '2026-08', ...WHOLE_RANGE };
    await expect(fenceRange(scenario.db.app, range, '2026-09-01T00:00:00.001Z')).rejects.toThrow(
      /future/,
    );
  });
});

describe('a plan', () => {
  it('puts no more than 500,000 events into a range, but for those of its last wallet', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1) ids.push((await scenario.open('2026-08-10T00:00:00Z')).id);
    const [first, second, third] = ids.sort();
    // Rows that say so many events stand for them: the plan counts by the wallets.
    await scenario.db.owner.unsafe(`
      set local session_replication_role = replica;
      update wallets set seq = 300000 where id in ('${first}', '${second}', '${third}')`);
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const { runId } = await planned('2026-08');
    const { ranges, nextCursor } = await scenario.month.planMonth(runId, null);
    expect(ranges).toEqual([
      { fromWalletId: WHOLE_RANGE.fromWalletId, toWalletId: second },
      { fromWalletId: second, toWalletId: WHOLE_RANGE.toWalletId },
    ]);
    expect(nextCursor).toBeNull();
  });
});
