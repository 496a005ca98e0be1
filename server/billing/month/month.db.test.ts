import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
} from '../../dev/month-scenario.ts';
import { monthProgress } from '../../store/month.ts';

let scenario: MonthScenario;

// Counts are of all wallets, and wallets are never deleted.
beforeEach(async () => {
  scenario = await createMonthScenario();
  return () => scenario.db.close();
});

describe('a run', () => {
  it('changes nothing when it is repeated', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z', { mode: 'deferred' });
    await scenario.grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await scenario.charge('2026-08-12T00:00:00Z', wallet, 250_000n);
    const first = await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    const before = [await scenario.wallet(wallet), await scenario.statements.list(wallet.userId)];
    const again = await scenario.run('2026-09-20T02:00:00Z', '2026-08');
    expect(first).toEqual({ closed: 1, failed: 0, pending: 0 });
    expect(again).toEqual(first);
    expect([await scenario.wallet(wallet), await scenario.statements.list(wallet.userId)]).toEqual(
      before,
    );
  });

  it('answers a repeated range as the first time', async () => {
    await scenario.open('2026-08-10T00:00:00Z');
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const requested = await scenario.month.request({ period: '2026-08', actor: 'test:month' });
    if (!requested.ok) throw new Error(requested.message);
    const { ranges } = await scenario.month.planMonth(requested.runId, null);
    const [range] = ranges;
    if (!range) throw new Error('no range');
    const input = { runId: requested.runId, period: '2026-08', ...range };
    const first = await scenario.month.closeRange(input);
    expect(first).toEqual({ closed: 1, failed: 0, pending: 0 });
    expect(await scenario.month.closeRange(input)).toEqual(first);
    await expect(scenario.month.closeRange({ ...input, period: '2026-07' })).rejects.toThrow(
      /no such range/,
    );
  });

  it('writes one statement and one deduction when several run at once beside live charges', async () => {
    const wallets: TestWallet[] = [];
    for (let n = 0; n < 20; n += 1) {
      const wallet = await scenario.open('2026-08-10T00:00:00Z', { mode: 'deferred' });
      wallets.push(wallet);
      await scenario.grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
      await scenario.charge('2026-08-12T00:00:00Z', wallet, 250_000n);
    }
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const requests = await Promise.all(
      Array.from({ length: 6 }, () =>
        scenario.month.request({ period: '2026-08', actor: 'test:month' }),
      ),
    );
    expect(new Set(requests.map((request) => request.ok && request.runId)).size).toBe(1);
    const [request] = requests;
    if (!request?.ok) throw new Error('refused');
    await Promise.all([
      ...Array.from({ length: 6 }, () => scenario.runPlan(request.runId, '2026-08')),
      ...wallets.map(
        (wallet) => scenario.db
          .app`select charge_wallet(${wallet.id}, ${randomUUID()}, sha256('late'), 1000,
          'refuse', null, 'test:month', '{}')`,
      ),
    ]);
    const [counts] = await scenario.db.owner`
      select (select count(*) from statements) as statements,
        (select count(*) from wallet_events where type = 'accrual_settled') as settlements,
        (select count(*) from billing_runs) as runs`;
    expect(counts).toEqual({ statements: 20n, settlements: 20n, runs: 1n });
    for (const wallet of wallets) {
      expect(await scenario.wallet(wallet)).toMatchObject({
        balance: 750_000n,
        held: 1_000n,
        available: 749_000n,
      });
    }
  });

  it('catches up missed months, oldest first', async () => {
    const wallet = await scenario.open('2026-05-10T00:00:00Z');
    await scenario.grant('2026-05-11T00:00:00Z', wallet, 5_000_000n);
    await scenario.charge('2026-07-01T00:00:00Z', wallet, 1_000_000n);
    await scenario.charge('2026-07-31T23:59:59.999Z', wallet, 1_000_000n);
    await scenario.charge('2026-08-01T00:00:00Z', wallet, 1_000_000n);
    await scenario.charge('2026-09-02T00:00:00Z', wallet, 1_000_000n);
    await scenario.db.setClock('2026-09-03T00:00:00Z');
    expect(await scenario.month.preview('2026-08')).toEqual(
      ['2026-05', '2026-06', '2026-07', '2026-08'].map((period) => ({
        period,
        statements: 1,
        fees: 0,
      })),
    );
    await scenario.run('2026-09-03T00:00:00Z', '2026-08');
    const found = (await scenario.statements.list(wallet.userId)).reverse();
    expect(
      found.map(({ period, usageMicros, closingBalanceMicros, fromSeq, toSeq }) => [
        period,
        usageMicros,
        closingBalanceMicros,
        fromSeq,
        toSeq,
      ]),
    ).toEqual([
      ['2026-05', 0n, 5_000_000n, 1n, 2n],
      ['2026-06', 0n, 5_000_000n, 3n, 2n],
      ['2026-07', -2_000_000n, 3_000_000n, 3n, 4n],
      ['2026-08', -1_000_000n, 2_000_000n, 5n, 5n],
    ]);
    // In that order also by number: the older month was closed first.
    const ordinals = found.map(({ number }) => Number(number.slice(8)));
    expect(ordinals).toEqual(ordinals.toSorted((a, b) => a - b));
    expect(await scenario.month.preview('2026-08')).toEqual([]);
  });

  it('leaves out wallets opened after the period, and takes those opened in it from then on', async () => {
    const late = await scenario.open('2026-09-01T00:00:00Z');
    const early = await scenario.open('2026-08-31T23:59:59Z');
    expect(await scenario.run('2026-09-01T02:00:00Z', '2026-08')).toEqual({
      closed: 1,
      failed: 0,
      pending: 0,
    });
    expect(await scenario.statements.list(late.userId)).toEqual([]);
    expect((await scenario.statements.list(early.userId)).map(({ period }) => period)).toEqual([
      '2026-08',
    ]);
    expect((await scenario.month.status('2026-08')).wallets).toEqual({
      total: 1,
      billed: 1,
      failed: 0,
      pending: 0,
    });
  });

  it('of a wallet opened while its month still goes on reaches that wallet too', async () => {
    await scenario.run('2026-11-01T02:00:00Z', '2026-10');
    const late = await scenario.open('2026-11-01T03:00:00Z', { timezone: 'America/New_York' });
    expect(await scenario.run('2026-11-01T12:00:00Z', '2026-10')).toEqual({
      closed: 1,
      failed: 0,
      pending: 0,
    });
    expect(await scenario.statements.list(late.userId)).toHaveLength(1);
  });

  it('is refused while its month goes on everywhere, and its period is checked', async () => {
    await scenario.db.setClock('2026-10-31T09:59:59.999Z');
    expect(await scenario.month.request({ period: '2026-10', actor: 'test:month' })).toMatchObject({
      ok: false,
      code: 'PERIOD_NOT_OVER',
    });
    expect(await scenario.month.preview('2026-10')).toBeNull();
    await scenario.db.setClock('2026-10-31T10:00:00Z');
    expect(await scenario.month.request({ period: '2026-10', actor: 'test:month' })).toMatchObject({
      ok: true,
      status: 'running',
    });
    await expect(
      scenario.month.request({ period: '2026-13', actor: 'test:month' }),
    ).rejects.toThrow(/billing_period/);
  });

  it('is told by its status from the request to the end', async () => {
    await scenario.open('2026-10-10T00:00:00Z', { timezone: 'Pacific/Kiritimati' });
    await scenario.open('2026-10-10T00:00:00Z', { timezone: 'Pacific/Pago_Pago' });
    await scenario.db.setClock('2026-11-01T02:00:00Z');
    expect(await scenario.month.status('2026-10')).toMatchObject({
      runId: null,
      status: 'not_started',
      wallets: { total: 2, billed: 0, failed: 0, pending: 2 },
    });
    await scenario.run('2026-11-01T02:00:00Z', '2026-10');
    expect(await scenario.month.status('2026-10')).toMatchObject({
      status: 'running',
      finishedAt: null,
      wallets: { total: 2, billed: 1, failed: 0, pending: 1 },
    });
    await scenario.run('2026-11-01T11:00:00Z', '2026-10');
    expect(await scenario.month.status('2026-10')).toMatchObject({
      status: 'finished',
      startedAt: new Date('2026-11-01T02:00:00Z'),
      finishedAt: new Date('2026-11-01T11:00:00Z'),
      wallets: { total: 2, billed: 2, failed: 0, pending: 0 },
    });
  });

  it('plans more wallets than a range holds, in pages that cover every wallet once', async () => {
    await scenario.db.setClock('2026-08-10T00:00:00Z');
    await scenario.db.owner`
      select count((open_wallet(gen_random_uuid(), 'many-' || n, 'USD', 'UTC', 'live',
        'test:month')).opened)
      from generate_series(1, 2100) n`;
    await scenario.db.setClock('2026-09-01T02:00:00Z');
    const [request] = await scenario.db
      .app`select run_id from request_month('2026-08', 'test:month')`;
    const plan = (cursor: string | null) =>
      scenario.db.app<
        { ranges: { fromWalletId: string; toWalletId: string }[]; next: string | null }[]
      >`select ranges, next_cursor as next from plan_month(${request?.run_id}, ${cursor}, 2)`;
    const [first] = await plan(null);
    const [second] = await plan(first?.next ?? null);
    expect(await plan(null)).toEqual([first]);
    const ranges = [...(first?.ranges ?? []), ...(second?.ranges ?? [])];
    expect(ranges.map(({ fromWalletId }) => fromWalletId)).toEqual([
      '00000000-0000-0000-0000-000000000000',
      ...ranges.slice(0, -1).map(({ toWalletId }) => toWalletId),
    ]);
    expect(ranges).toHaveLength(3);
    expect(second?.next).toBeNull();
    const closed = await scenario.runPlan(request?.run_id, '2026-08');
    expect(closed).toEqual({ closed: 2100, failed: 0, pending: 0 });
    expect(await scenario.month.planMonth(request?.run_id, null)).toEqual({
      ranges: [],
      nextCursor: null,
    });
  });

  it('closes the others when one wallet fails, and that one once its fault is gone', async () => {
    const bad = await scenario.open('2026-08-10T00:00:00Z');
    for (let n = 0; n < 9; n += 1) await scenario.open('2026-08-10T00:00:00Z');
    await scenario.db.owner.unsafe(`
      create function refuse_one() returns trigger language plpgsql as $$
      begin
        if new.wallet_id = '${bad.id}' then
          raise exception 'broken' using errcode = '22012';
        end if;
        return new;
      end $$;
      create trigger refuse_one before insert on statements
        for each row execute function refuse_one()`);
    expect(await scenario.run('2026-09-01T02:00:00Z', '2026-08')).toEqual({
      closed: 9,
      failed: 1,
      pending: 0,
    });
    expect(await scenario.month.status('2026-08')).toMatchObject({
      status: 'running',
      wallets: { total: 10, billed: 9, failed: 1, pending: 0 },
    });
    expect(await monthProgress(scenario.db.app, '2026-08', 10)).toEqual({
      ranges: { planned: 1, finished: 0, attempts: 1 },
      failures: [
        {
          walletId: bad.id,
          sqlstate: '22012',
          message: 'broken',
          attempts: 1,
          failedAt: new Date('2026-09-01T02:00:00Z'),
          retryAt: new Date('2026-09-01T02:05:00Z'),
        },
      ],
    });
    await scenario.db.owner.unsafe('drop trigger refuse_one on statements');
    expect(await scenario.run('2026-09-01T03:00:00Z', '2026-08')).toEqual({
      closed: 10,
      failed: 0,
      pending: 0,
    });
    expect(await scenario.month.status('2026-08')).toMatchObject({ status: 'finished' });
    expect(await monthProgress(scenario.db.app, '2026-08', 10)).toEqual({
      ranges: { planned: 1, finished: 1, attempts: 2 },
      failures: [],
    });
  });

  it('gives way as a whole, and can be repeated, when the database itself is in trouble', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.db.owner.unsafe(`
      create function no_room() returns trigger language plpgsql as $$
      begin raise exception 'disk full' using errcode = '53100'; end $$;
      create trigger no_room before insert on statements
        for each statement execute function no_room()`);
    await expect(scenario.run('2026-09-01T02:00:00Z', '2026-08')).rejects.toThrow(/disk full/);
    expect(await scenario.db.app`select * from billing_failures`).toHaveLength(0);
    await scenario.db.owner.unsafe('drop trigger no_room on statements');
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    expect(await scenario.statements.list(wallet.userId)).toHaveLength(1);
  });
});
