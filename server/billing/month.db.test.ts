import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { StoredStatement } from '../store/month.ts';
import { createMonthWork, type MonthWork } from './month.ts';
import { createStatements, type Statements } from './statements.ts';

let db: TestDatabase;
let month: MonthWork;
let statements: Statements;

async function createDatabase(): Promise<() => Promise<void>> {
  db = await createTestDatabase();
  month = createMonthWork({ sql: db.app, clock: () => new Date() });
  statements = createStatements(db.app);
  return () => db.close();
}

interface TestWallet {
  readonly id: string;
  readonly userId: string;
}

async function open(
  at: string,
  { timezone = 'UTC', mode = 'live' }: { timezone?: string; mode?: 'live' | 'deferred' } = {},
): Promise<TestWallet> {
  await db.setClock(at);
  const wallet = { id: randomUUID(), userId: `user-${randomUUID()}` };
  await db.app`
    select open_wallet(${wallet.id}, ${wallet.userId}, 'USD', ${timezone}, ${mode}, 'test:month')`;
  return wallet;
}

async function grant(at: string, wallet: TestWallet, amountMicros: bigint): Promise<void> {
  await db.setClock(at);
  await db.app`select grant_credit(${wallet.id}, ${randomUUID()}, sha256('grant'), ${amountMicros},
    'test:month', '{}')`;
}

async function charge(
  at: string,
  wallet: TestWallet,
  amountMicros: bigint,
  detail: Record<string, unknown> = { usage: { type: 'call' }, units: 60 },
): Promise<void> {
  await db.setClock(at);
  await db.app`select charge_wallet(${wallet.id}, ${randomUUID()}, sha256('charge'),
    ${amountMicros}, 'arrears', null, 'test:month', ${JSON.stringify(detail)}::text::jsonb)`;
}

/** Requests the period at an instant and closes all wallets, which one range holds. */
async function run(at: string, period: string) {
  const runId = await request(at, period);
  await month.planMonth(runId, null);
  return month.closeRange({
    runId,
    period,
    fromWalletId: '00000000-0000-0000-0000-000000000000',
    toWalletId: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  });
}

async function request(at: string, period: string): Promise<string> {
  await db.setClock(at);
  const requested = await month.request({ period, actor: 'test:month' });
  if (!requested.ok) throw new Error(requested.message);
  return requested.runId;
}

/** Closes the ranges that the plan names, page by page, as the scheduler does. */
async function runPlan(runId: string, period: string) {
  const sum = { closed: 0, failed: 0, pending: 0 };
  for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
    const page: Awaited<ReturnType<MonthWork['planMonth']>> = await month.planMonth(runId, cursor);
    for (const range of page.ranges) {
      const outcome = await month.closeRange({ runId, period, ...range });
      sum.closed += outcome.closed;
      sum.failed += outcome.failed;
      sum.pending += outcome.pending;
    }
    cursor = page.nextCursor;
  }
  return sum;
}

const iso = (statement: StoredStatement) => ({
  period: statement.period,
  startsAt: statement.startsAt.toISOString(),
  endsAt: statement.endsAt.toISOString(),
});

async function walletRow(wallet: TestWallet) {
  const [row] = await db.app<
    { balance: bigint; held: bigint; available: bigint; seq: bigint; headHash: string }[]
  >`select balance_micros as balance, held_micros as held, available_micros(w) as available, seq,
      encode(head_hash, 'hex') as "headHash" from wallets w where id = ${wallet.id}`;
  if (!row) throw new Error('no such wallet');
  return row;
}

describe('a statement', () => {
  beforeAll(createDatabase);

  it('goes on where the one before ended, and its movements make its closing balance', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await grant('2026-08-11T00:00:00Z', wallet, 10_000_000n);
    await charge('2026-08-12T00:00:00Z', wallet, 375_000n);
    await charge('2026-08-13T00:00:00Z', wallet, 125_000n);
    await charge('2026-09-12T00:00:00Z', wallet, 60_000n, { usage: { type: 'sms' }, units: 3 });
    await charge('2026-09-13T00:00:00Z', wallet, 10_000_000n);
    await grant('2026-09-14T00:00:00Z', wallet, 1_000_000n);
    await run('2026-09-15T00:00:00Z', '2026-08');
    await run('2026-10-01T02:00:00Z', '2026-09');

    const [september, august, ...older] = await statements.list(wallet.userId);
    expect(older).toEqual([]);
    expect(august).toMatchObject({
      period: '2026-08',
      openingBalanceMicros: 0n,
      grantsMicros: 10_000_000n,
      usageMicros: -500_000n,
      closingBalanceMicros: 9_500_000n,
      lines: [{ type: 'call', count: 2, units: 120, amountMicros: 500_000n }],
      fromSeq: 1n,
      toSeq: 4n,
    });
    // 10.00 of calls met 9.44: the rest was owed, and the next credit repaid it.
    expect(september).toMatchObject({
      period: '2026-09',
      openingBalanceMicros: 9_500_000n,
      topUpsMicros: 0n,
      grantsMicros: 1_000_000n,
      usageMicros: -9_500_000n,
      otherMicros: -560_000n,
      closingBalanceMicros: 440_000n,
      arrearsMicros: 0n,
      lines: [
        { type: 'call', count: 1, units: 60, amountMicros: 10_000_000n },
        { type: 'sms', count: 1, units: 3, amountMicros: 60_000n },
      ],
      fromSeq: 5n,
      toSeq: 8n,
    });
    expect(september?.headHash).toBe((await walletRow(wallet)).headHash);
    expect(september?.number).toMatch(/^2026-09-\d{6}$/);
  });

  it('is written for a month without events, and says that it holds none', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await run('2026-10-01T02:00:00Z', '2026-09');
    const [september] = await statements.list(wallet.userId);
    expect(september).toMatchObject({ period: '2026-09', fromSeq: 2n, toSeq: 1n, lines: [] });
  });

  it('copes with charges that do not say what was used', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await charge('2026-08-11T00:00:00Z', wallet, 5n, {});
    await charge('2026-08-12T00:00:00Z', wallet, 7n, { units: 'many' });
    await run('2026-09-01T02:00:00Z', '2026-08');
    const [august] = await statements.list(wallet.userId);
    expect(august?.lines).toEqual([{ type: 'other', count: 2, units: 0, amountMicros: 12n }]);
  });

  it('is found by its number by its own user only', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    const stranger = await open('2026-08-10T00:00:00Z');
    await run('2026-09-01T02:00:00Z', '2026-08');
    const [statement] = await statements.list(wallet.userId);
    const number = statement?.number ?? '';
    expect(await statements.get(wallet.userId, number)).toEqual(statement);
    expect(await statements.get(stranger.userId, number)).toBeNull();
  });

  it('appears in the view monthly_billings, by the user that it bills', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await charge('2026-08-11T00:00:00Z', wallet, 5n);
    await run('2026-09-01T02:00:00Z', '2026-08');
    const [statement] = await statements.list(wallet.userId);
    const found = await db.app`
      select id, wallet_id, billing_period, usage_micros, closed_at from monthly_billings
      where user_id = ${wallet.userId}`;
    expect(found).toEqual([
      {
        id: statement?.number,
        wallet_id: wallet.id,
        billing_period: '2026-08',
        usage_micros: 0n,
        closed_at: new Date('2026-09-01T02:00:00Z'),
      },
    ]);
  });

  it('cannot be changed, deleted or forged, not even by the owner of the database', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await run('2026-09-01T02:00:00Z', '2026-08');
    const { owner, app } = db;
    await expect(owner`update statements set usage_micros = 0`).rejects.toThrow(/append-only/);
    await expect(owner`delete from statements`).rejects.toThrow(/append-only/);
    await expect(owner`truncate statements cascade`).rejects.toThrow(/append-only/);
    await expect(app`insert into statements (number) values ('forged')`).rejects.toThrow(
      /permission denied/,
    );

    const forge = (changes: Record<string, unknown>) => owner`
      insert into statements (wallet_id, period, number, starts_at, ends_at, currency,
        opening_balance_micros, closing_balance_micros, top_ups_micros, grants_micros,
        usage_micros, fees_micros, refunds_micros, other_micros, held_micros, arrears_micros,
        lines, accrued_lines, accrued_micros, from_seq, to_seq, head_hash, closed_at)
      select f.wallet_id, f.period, f.number, f.starts_at, f.ends_at, f.currency,
        f.opening_balance_micros, f.closing_balance_micros, f.top_ups_micros, f.grants_micros,
        f.usage_micros, f.fees_micros, f.refunds_micros, f.other_micros, f.held_micros,
        f.arrears_micros, f.lines, f.accrued_lines, f.accrued_micros, f.from_seq, f.to_seq,
        f.head_hash, f.closed_at
      from (select * from statements where wallet_id = ${wallet.id} and period = '2026-08') s
      cross join lateral jsonb_populate_record(null::statements, to_jsonb(s) || ${JSON.stringify({
        period: '2026-09',
        number: 'forged',
        starts_at: '2026-09-01T00:00:00Z',
        ends_at: '2026-10-01T00:00:00Z',
        closed_at: '2026-10-01T00:00:00Z',
        opening_balance_micros: 1_000_000,
        grants_micros: 0,
        from_seq: 3,
        ...changes,
      })}::text::jsonb) f`;
    await expect(forge({ from_seq: 1 })).rejects.toThrow(/statements_(start_from_zero|begin_once)/);
    await expect(forge({ from_seq: 2 })).rejects.toThrow(/statements_follow_previous/);
    await expect(forge({ period: '2026-10' })).rejects.toThrow(/statements_follow_previous/);
    await expect(forge({ starts_at: '2026-09-02T00:00:00Z' })).rejects.toThrow(/follow_previous/);
    await expect(forge({ opening_balance_micros: 0 })).rejects.toThrow(/statements_add_up/);
    await expect(forge({ opening_balance_micros: 0, grants_micros: 1_000_000 })).rejects.toThrow(
      /statements_follow_previous/,
    );
    await expect(forge({ closing_balance_micros: 5, other_micros: -999_995 })).rejects.toThrow(
      /statements_close_on_event/,
    );
    await forge({});
  });
});

describe('a run', () => {
  // Its counts are of all wallets, and wallets are never deleted.
  beforeEach(createDatabase);

  it('changes nothing when it is repeated', async () => {
    const wallet = await open('2026-08-10T00:00:00Z', { mode: 'deferred' });
    await grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await charge('2026-08-12T00:00:00Z', wallet, 250_000n);
    const first = await run('2026-09-01T02:00:00Z', '2026-08');
    const before = [await walletRow(wallet), await statements.list(wallet.userId)];
    const again = await run('2026-09-20T02:00:00Z', '2026-08');
    expect(first).toEqual({ closed: 1, failed: 0, pending: 0 });
    expect(again).toEqual(first);
    expect([await walletRow(wallet), await statements.list(wallet.userId)]).toEqual(before);
  });

  it('answers a repeated range as the first time', async () => {
    await open('2026-08-10T00:00:00Z');
    await db.setClock('2026-09-01T02:00:00Z');
    const requested = await month.request({ period: '2026-08', actor: 'test:month' });
    if (!requested.ok) throw new Error(requested.message);
    const { ranges } = await month.planMonth(requested.runId, null);
    const [range] = ranges;
    if (!range) throw new Error('no range');
    const input = { runId: requested.runId, period: '2026-08', ...range };
    const first = await month.closeRange(input);
    expect(first).toEqual({ closed: 1, failed: 0, pending: 0 });
    expect(await month.closeRange(input)).toEqual(first);
    await expect(month.closeRange({ ...input, period: '2026-07' })).rejects.toThrow(
      /no such range/,
    );
  });

  it('writes one statement and one deduction when several run at once beside live charges', async () => {
    const wallets: TestWallet[] = [];
    for (let n = 0; n < 20; n += 1) {
      const wallet = await open('2026-08-10T00:00:00Z', { mode: 'deferred' });
      wallets.push(wallet);
      await grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
      await charge('2026-08-12T00:00:00Z', wallet, 250_000n);
    }
    await db.setClock('2026-09-01T02:00:00Z');
    const requests = await Promise.all(
      Array.from({ length: 6 }, () => month.request({ period: '2026-08', actor: 'test:month' })),
    );
    expect(new Set(requests.map((request) => request.ok && request.runId)).size).toBe(1);
    const [request] = requests;
    if (!request?.ok) throw new Error('refused');
    await Promise.all([
      ...Array.from({ length: 6 }, () => runPlan(request.runId, '2026-08')),
      ...wallets.map(
        (wallet) => db.app`select charge_wallet(${wallet.id}, ${randomUUID()}, sha256('late'), 1000,
          'refuse', null, 'test:month', '{}')`,
      ),
    ]);
    const [counts] = await db.owner`
      select (select count(*) from statements) as statements,
        (select count(*) from wallet_events where type = 'accrual_settled') as settlements,
        (select count(*) from billing_runs) as runs`;
    expect(counts).toEqual({ statements: 20n, settlements: 20n, runs: 1n });
    for (const wallet of wallets) {
      expect(await walletRow(wallet)).toMatchObject({
        balance: 750_000n,
        held: 1_000n,
        available: 749_000n,
      });
    }
  });

  it('catches up missed months, oldest first', async () => {
    const wallet = await open('2026-05-10T00:00:00Z');
    await grant('2026-05-11T00:00:00Z', wallet, 5_000_000n);
    await charge('2026-07-01T00:00:00Z', wallet, 1_000_000n);
    await charge('2026-07-31T23:59:59.999Z', wallet, 1_000_000n);
    await charge('2026-08-01T00:00:00Z', wallet, 1_000_000n);
    await charge('2026-09-02T00:00:00Z', wallet, 1_000_000n);
    await db.setClock('2026-09-03T00:00:00Z');
    expect(await month.preview('2026-08')).toEqual(
      ['2026-05', '2026-06', '2026-07', '2026-08'].map((period) => ({ period, statements: 1 })),
    );
    await run('2026-09-03T00:00:00Z', '2026-08');
    const found = (await statements.list(wallet.userId)).reverse();
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
    expect(await month.preview('2026-08')).toEqual([]);
  });

  it('leaves out wallets opened after the period, and takes those opened in it from then on', async () => {
    const late = await open('2026-09-01T00:00:00Z');
    const early = await open('2026-08-31T23:59:59Z');
    expect(await run('2026-09-01T02:00:00Z', '2026-08')).toEqual({
      closed: 1,
      failed: 0,
      pending: 0,
    });
    expect(await statements.list(late.userId)).toEqual([]);
    expect((await statements.list(early.userId)).map(({ period }) => period)).toEqual(['2026-08']);
    expect((await month.status('2026-08')).wallets).toEqual({
      total: 1,
      billed: 1,
      failed: 0,
      pending: 0,
    });
  });

  it('of a wallet opened while its month still goes on reaches that wallet too', async () => {
    await run('2026-11-01T02:00:00Z', '2026-10');
    const late = await open('2026-11-01T03:00:00Z', { timezone: 'America/New_York' });
    expect(await run('2026-11-01T12:00:00Z', '2026-10')).toEqual({
      closed: 1,
      failed: 0,
      pending: 0,
    });
    expect(await statements.list(late.userId)).toHaveLength(1);
  });

  it('is refused while its month goes on everywhere, and its period is checked', async () => {
    await db.setClock('2026-10-31T09:59:59.999Z');
    expect(await month.request({ period: '2026-10', actor: 'test:month' })).toMatchObject({
      ok: false,
      code: 'PERIOD_NOT_OVER',
    });
    expect(await month.preview('2026-10')).toBeNull();
    await db.setClock('2026-10-31T10:00:00Z');
    expect(await month.request({ period: '2026-10', actor: 'test:month' })).toMatchObject({
      ok: true,
      status: 'running',
    });
    await expect(month.request({ period: '2026-13', actor: 'test:month' })).rejects.toThrow(
      /billing_period/,
    );
  });

  it('is told by its status from the request to the end', async () => {
    await open('2026-10-10T00:00:00Z', { timezone: 'Pacific/Kiritimati' });
    await open('2026-10-10T00:00:00Z', { timezone: 'Pacific/Pago_Pago' });
    await db.setClock('2026-11-01T02:00:00Z');
    expect(await month.status('2026-10')).toMatchObject({
      runId: null,
      status: 'not_started',
      wallets: { total: 2, billed: 0, failed: 0, pending: 2 },
    });
    await run('2026-11-01T02:00:00Z', '2026-10');
    expect(await month.status('2026-10')).toMatchObject({
      status: 'running',
      finishedAt: null,
      wallets: { total: 2, billed: 1, failed: 0, pending: 1 },
    });
    await run('2026-11-01T11:00:00Z', '2026-10');
    expect(await month.status('2026-10')).toMatchObject({
      status: 'finished',
      startedAt: new Date('2026-11-01T02:00:00Z'),
      finishedAt: new Date('2026-11-01T11:00:00Z'),
      wallets: { total: 2, billed: 2, failed: 0, pending: 0 },
    });
  });

  it('plans more wallets than a range holds, in pages that cover every wallet once', async () => {
    await db.setClock('2026-08-10T00:00:00Z');
    await db.owner`
      select count((open_wallet(gen_random_uuid(), 'many-' || n, 'USD', 'UTC', 'live',
        'test:month')).opened)
      from generate_series(1, 2100) n`;
    await db.setClock('2026-09-01T02:00:00Z');
    const [request] = await db.app`select run_id from request_month('2026-08', 'test:month')`;
    const plan = (cursor: string | null) =>
      db.app<
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
    const closed = await runPlan(request?.run_id, '2026-08');
    expect(closed).toEqual({ closed: 2100, failed: 0, pending: 0 });
    expect(await month.planMonth(request?.run_id, null)).toEqual({ ranges: [], nextCursor: null });
  });

  it('closes the others when one wallet fails, and that one once its fault is gone', async () => {
    const bad = await open('2026-08-10T00:00:00Z');
    for (let n = 0; n < 9; n += 1) await open('2026-08-10T00:00:00Z');
    await db.owner.unsafe(`
      create function refuse_one() returns trigger language plpgsql as $$
      begin
        if new.wallet_id = '${bad.id}' then
          raise exception 'broken' using errcode = '22012';
        end if;
        return new;
      end $$;
      create trigger refuse_one before insert on statements
        for each row execute function refuse_one()`);
    expect(await run('2026-09-01T02:00:00Z', '2026-08')).toEqual({
      closed: 9,
      failed: 1,
      pending: 0,
    });
    expect(await month.status('2026-08')).toMatchObject({
      status: 'running',
      wallets: { total: 10, billed: 9, failed: 1, pending: 0 },
    });
    expect(
      await db.app`select wallet_id, sqlstate, message, attempts from billing_failures`,
    ).toEqual([{ wallet_id: bad.id, sqlstate: '22012', message: 'broken', attempts: 1 }]);
    await db.owner.unsafe('drop trigger refuse_one on statements');
    expect(await run('2026-09-01T03:00:00Z', '2026-08')).toEqual({
      closed: 10,
      failed: 0,
      pending: 0,
    });
    expect(await month.status('2026-08')).toMatchObject({ status: 'finished' });
  });

  it('gives way as a whole, and can be repeated, when the database itself is in trouble', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await db.owner.unsafe(`
      create function no_room() returns trigger language plpgsql as $$
      begin raise exception 'disk full' using errcode = '53100'; end $$;
      create trigger no_room before insert on statements
        for each statement execute function no_room()`);
    await expect(run('2026-09-01T02:00:00Z', '2026-08')).rejects.toThrow(/disk full/);
    expect(await db.app`select * from billing_failures`).toHaveLength(0);
    await db.owner.unsafe('drop trigger no_room on statements');
    await run('2026-09-01T02:00:00Z', '2026-08');
    expect(await statements.list(wallet.userId)).toHaveLength(1);
  });
});

describe('the period', () => {
  beforeAll(createDatabase);

  it.each([
    ['Pacific/Pago_Pago', '2026-10', '2026-10-01T11:00:00.000Z', '2026-11-01T11:00:00.000Z'],
    ['Pacific/Kiritimati', '2026-10', '2026-09-30T10:00:00.000Z', '2026-10-31T10:00:00.000Z'],
    ['Europe/Berlin', '2026-03', '2026-02-28T23:00:00.000Z', '2026-03-31T22:00:00.000Z'],
    ['Europe/Berlin', '2026-10', '2026-09-30T22:00:00.000Z', '2026-10-31T23:00:00.000Z'],
    ['America/New_York', '2026-11', '2026-11-01T04:00:00.000Z', '2026-12-01T05:00:00.000Z'],
    ['America/Havana', '2026-10', '2026-10-01T04:00:00.000Z', '2026-11-01T05:00:00.000Z'],
    ['Asia/Kolkata', '2028-02', '2028-01-31T18:30:00.000Z', '2028-02-29T18:30:00.000Z'],
    ['UTC', '2028-02', '2028-02-01T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
    ['UTC', '2026-12', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ])('in %s of %s is that zone’s own calendar month', async (timezone, period, start, end) => {
    const wallet = await open(start, { timezone });
    const before = new Date(Date.parse(end) - 1).toISOString();
    await charge(before, wallet, 1n);
    await charge(end, wallet, 10n);
    await db.setClock(before);
    // Where the month is over somewhere, a run may come too early for this wallet.
    if ((await month.preview(period)) !== null) await run(before, period);
    expect(await statements.list(wallet.userId)).toEqual([]);
    await run(end, period);
    const [statement, ...older] = await statements.list(wallet.userId);
    expect(older).toEqual([]);
    expect(statement && iso(statement)).toEqual({ period, startsAt: start, endsAt: end });
    expect(statement).toMatchObject({ arrearsMicros: 1n, fromSeq: 1n, toSeq: 2n });
  });

  it('ends once where clocks go back across midnight of the 1st', async () => {
    // Havana, 2026-11-01: 00:59 EDT is followed by 00:00 EST, when November begins.
    const wallet = await open('2026-11-01T04:30:00Z', { timezone: 'America/Havana' });
    await run('2026-12-01T06:00:00Z', '2026-11');
    const periods = (await statements.list(wallet.userId)).map(iso).reverse();
    expect(periods).toEqual([
      {
        period: '2026-10',
        startsAt: '2026-10-01T04:00:00.000Z',
        endsAt: '2026-11-01T05:00:00.000Z',
      },
      {
        period: '2026-11',
        startsAt: '2026-11-01T05:00:00.000Z',
        endsAt: '2026-12-01T05:00:00.000Z',
      },
    ]);
  });

  it('starts where the one before ended when the wallet moved to another time zone', async () => {
    const wallet = await open('2026-08-10T00:00:00Z', { timezone: 'America/New_York' });
    await run('2026-09-01T06:00:00Z', '2026-08');
    await db.owner`update wallets set timezone = 'Asia/Tokyo' where id = ${wallet.id}`;
    await run('2026-10-01T06:00:00Z', '2026-09');
    const [september, august] = await statements.list(wallet.userId);
    expect(september?.startsAt).toEqual(august?.endsAt);
    expect(september?.endsAt).toEqual(new Date('2026-09-30T15:00:00Z'));
  });

  it('cannot become unknown: a time zone that the database does not know is refused', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await expect(
      db.owner`update wallets set timezone = 'Mars/Olympus' where id = ${wallet.id}`,
    ).rejects.toThrow(/time zone/);
  });

  it('takes each event once when the clock steps back over the boundary', async () => {
    const wallet = await open('2026-08-10T00:00:00Z');
    await charge('2026-08-31T23:59:59.999Z', wallet, 1n);
    // Recorded in September, so what follows is September's too, whatever the clock says then.
    await charge('2026-09-01T00:00:00Z', wallet, 10n);
    await charge('2026-08-31T23:59:59Z', wallet, 100n);
    await run('2026-09-01T00:00:00.500Z', '2026-08');
    // After the closing nothing can be recorded before it.
    await charge('2026-08-31T23:59:58Z', wallet, 1_000n);
    await charge('2026-09-02T00:00:00Z', wallet, 10_000n);
    await run('2026-10-01T02:00:00Z', '2026-09');
    const [september, august] = await statements.list(wallet.userId);
    expect(august?.lines).toMatchObject([{ count: 1, amountMicros: 1n }]);
    expect(september?.lines).toMatchObject([{ count: 4, amountMicros: 11_110n }]);
    const outside = await db.app`
      select e.seq from statements s
      join wallet_events e on e.wallet_id = s.wallet_id and e.seq between s.from_seq and s.to_seq
      where e.recorded_at < s.starts_at or e.recorded_at >= s.ends_at`;
    expect(outside).toEqual([]);
  });
});

describe('a deferred wallet', () => {
  beforeAll(createDatabase);

  it('has the same available at every step as a live one, and is deducted once', async () => {
    const live = await open('2026-08-10T00:00:00Z');
    const deferred = await open('2026-08-10T00:00:00Z', { mode: 'deferred' });
    const both = [live, deferred];
    const sameAvailable = async (expected: bigint) => {
      expect((await walletRow(live)).available).toBe(expected);
      expect((await walletRow(deferred)).available).toBe(expected);
    };
    for (const wallet of both) await grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await sameAvailable(1_000_000n);
    for (const wallet of both) await charge('2026-08-12T00:00:00Z', wallet, 300_000n);
    await sameAvailable(700_000n);
    // Used after the month ended, before it was closed: not part of its deduction.
    for (const wallet of both) await charge('2026-09-01T01:00:00Z', wallet, 200_000n);
    await sameAvailable(500_000n);
    await run('2026-09-01T02:00:00Z', '2026-08');
    await sameAvailable(500_000n);
    expect(await walletRow(deferred)).toMatchObject({ balance: 700_000n, held: 200_000n });
    await run('2026-09-01T03:00:00Z', '2026-08');
    await sameAvailable(500_000n);
    await run('2026-10-01T02:00:00Z', '2026-09');
    await sameAvailable(500_000n);
    expect(await walletRow(deferred)).toMatchObject({ balance: 500_000n, held: 0n });

    const [september, august] = await statements.list(deferred.userId);
    expect(august).toMatchObject({
      usageMicros: 0n,
      closingBalanceMicros: 1_000_000n,
      lines: [],
      accruedMicros: 300_000n,
      accruedLines: [{ type: 'call', count: 1, units: 60, amountMicros: 300_000n }],
    });
    // The deduction of August is September's, where it was recorded.
    expect(september).toMatchObject({
      usageMicros: -300_000n,
      closingBalanceMicros: 700_000n,
      accruedMicros: 200_000n,
    });
    const settled = await db.app`
      select balance_delta_micros as micros, actor, detail, contra_account(type) as account
      from wallet_events where wallet_id = ${deferred.id} and type = 'accrual_settled'
      order by seq`;
    expect(settled).toEqual([
      {
        micros: -300_000n,
        actor: 'system:month',
        account: 'income:usage',
        detail: { period: '2026-08', statement: august?.number },
      },
      {
        micros: -200_000n,
        actor: 'system:month',
        account: 'income:usage',
        detail: { period: '2026-09', statement: september?.number },
      },
    ]);
  });

  it('pays every missed month once when months are caught up', async () => {
    const wallet = await open('2026-06-10T00:00:00Z', { mode: 'deferred' });
    await grant('2026-06-11T00:00:00Z', wallet, 1_000_000n);
    await charge('2026-06-12T00:00:00Z', wallet, 100_000n);
    await charge('2026-07-12T00:00:00Z', wallet, 10_000n);
    await charge('2026-08-12T00:00:00Z', wallet, 1_000n);
    await run('2026-09-01T02:00:00Z', '2026-08');
    expect(await walletRow(wallet)).toMatchObject({
      balance: 889_000n,
      held: 0n,
      available: 889_000n,
    });
    await run('2026-10-01T02:00:00Z', '2026-09');
    const found = (await statements.list(wallet.userId)).reverse();
    expect(
      found.map(({ period, usageMicros, accruedMicros }) => [period, usageMicros, accruedMicros]),
    ).toEqual([
      ['2026-06', 0n, 100_000n],
      ['2026-07', 0n, 10_000n],
      ['2026-08', 0n, 1_000n],
      ['2026-09', -111_000n, 0n],
    ]);
  });
});
