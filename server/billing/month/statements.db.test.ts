import { beforeAll, describe, expect, it } from 'vitest';
import { createMonthScenario, type MonthScenario } from '../../dev/month-scenario.ts';

let scenario: MonthScenario;

beforeAll(async () => {
  scenario = await createMonthScenario();
  return () => scenario.db.close();
});

describe('a statement', () => {
  it('goes on where the one before ended, and its movements make its closing balance', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.grant('2026-08-11T00:00:00Z', wallet, 10_000_000n);
    await scenario.charge('2026-08-12T00:00:00Z', wallet, 375_000n);
    await scenario.charge('2026-08-13T00:00:00Z', wallet, 125_000n);
    await scenario.charge('2026-09-12T00:00:00Z', wallet, 60_000n, {
      usage: { type: 'sms' },
      units: 3,
    });
    await scenario.charge('2026-09-13T00:00:00Z', wallet, 10_000_000n);
    await scenario.grant('2026-09-14T00:00:00Z', wallet, 1_000_000n);
    await scenario.run('2026-09-15T00:00:00Z', '2026-08');
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');

    const [september, august, ...older] = await scenario.statements.list(wallet.userId);
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
    expect(september?.headHash).toBe((await scenario.wallet(wallet)).headHash);
    expect(september?.number).toMatch(/^2026-09-\d{6}$/);
  });

  it('is written for a month without events, and says that it holds none', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    const [september] = await scenario.statements.list(wallet.userId);
    expect(september).toMatchObject({ period: '2026-09', fromSeq: 2n, toSeq: 1n, lines: [] });
  });

  it('copes with charges that do not say what was used', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.charge('2026-08-11T00:00:00Z', wallet, 5n, {});
    await scenario.charge('2026-08-12T00:00:00Z', wallet, 7n, { units: 'many' });
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    const [august] = await scenario.statements.list(wallet.userId);
    expect(august?.lines).toEqual([{ type: 'other', count: 2, units: 0, amountMicros: 12n }]);
  });

  it('is found by its number by its own user only', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    const stranger = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    const [statement] = await scenario.statements.list(wallet.userId);
    const number = statement?.number ?? '';
    expect(await scenario.statements.get(wallet.userId, number)).toEqual(statement);
    expect(await scenario.statements.get(stranger.userId, number)).toBeNull();
  });

  it('appears in the view monthly_billings, by the user that it bills', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.charge('2026-08-11T00:00:00Z', wallet, 5n);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    const [statement] = await scenario.statements.list(wallet.userId);
    const found = await scenario.db.app`
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
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    const { owner, app } = scenario.db;
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
        lines, accrued_lines, late_lines, accrued_micros, from_seq, to_seq, head_hash, closed_at)
      select f.wallet_id, f.period, f.number, f.starts_at, f.ends_at, f.currency,
        f.opening_balance_micros, f.closing_balance_micros, f.top_ups_micros, f.grants_micros,
        f.usage_micros, f.fees_micros, f.refunds_micros, f.other_micros, f.held_micros,
        f.arrears_micros, f.lines, f.accrued_lines, f.late_lines, f.accrued_micros, f.from_seq, f.to_seq,
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

describe('a deferred wallet', () => {
  it('has the same available at every step as a live one, and is deducted once', async () => {
    const live = await scenario.open('2026-08-10T00:00:00Z');
    const deferred = await scenario.open('2026-08-10T00:00:00Z', { mode: 'deferred' });
    const both = [live, deferred];
    const sameAvailable = async (expected: bigint) => {
      expect((await scenario.wallet(live)).available).toBe(expected);
      expect((await scenario.wallet(deferred)).available).toBe(expected);
    };
    for (const wallet of both) await scenario.grant('2026-08-11T00:00:00Z', wallet, 1_000_000n);
    await sameAvailable(1_000_000n);
    for (const wallet of both) await scenario.charge('2026-08-12T00:00:00Z', wallet, 300_000n);
    await sameAvailable(700_000n);
    // Used after the month ended, before it was closed: not part of its deduction.
    for (const wallet of both) await scenario.charge('2026-09-01T01:00:00Z', wallet, 200_000n);
    await sameAvailable(500_000n);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    await sameAvailable(500_000n);
    expect(await scenario.wallet(deferred)).toMatchObject({ balance: 700_000n, held: 200_000n });
    await scenario.run('2026-09-01T03:00:00Z', '2026-08');
    await sameAvailable(500_000n);
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    await sameAvailable(500_000n);
    expect(await scenario.wallet(deferred)).toMatchObject({ balance: 500_000n, held: 0n });

    const [september, august] = await scenario.statements.list(deferred.userId);
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
    const settled = await scenario.db.app`
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
    const wallet = await scenario.open('2026-06-10T00:00:00Z', { mode: 'deferred' });
    await scenario.grant('2026-06-11T00:00:00Z', wallet, 1_000_000n);
    await scenario.charge('2026-06-12T00:00:00Z', wallet, 100_000n);
    await scenario.charge('2026-07-12T00:00:00Z', wallet, 10_000n);
    await scenario.charge('2026-08-12T00:00:00Z', wallet, 1_000n);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    expect(await scenario.wallet(wallet)).toMatchObject({
      balance: 889_000n,
      held: 0n,
      available: 889_000n,
    });
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    const found = (await scenario.statements.list(wallet.userId)).reverse();
    expect(
      found.map(({ period, usageMicros, accruedMicros }) => [period, usageMicros, accruedMicros]),
    ).toEqual([
      ['2026-06', 0n, 100_000n],
      ['2026-07', 0n, 10_000n],
      ['2026-08', 0n, 1_000n],
      ['2026-09', -111_000n, 0n],
    ]);
  });

  it('leaves books that sum to zero, and a chain of hashes without a break', async () => {
    const { app } = scenario.db;
    const [books] = await app`select sum(amount_micros) as sum from trial_balance`;
    expect(books?.sum).toBe('0');
    const broken = await app`
      select from (
        select e, lag(e.hash) over (partition by e.wallet_id order by e.seq) as previous
        from wallet_events e
      ) chain
      where (e).hash <> event_hash(previous, e)`;
    expect(broken).toHaveLength(0);
  });
});
