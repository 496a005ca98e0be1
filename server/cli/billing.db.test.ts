import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMonthScenario, planSmallRanges } from '../dev/month-scenario.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { EnvSource } from '../env.ts';
import { runBilling } from './billing.ts';
import { captured, type Said } from './captured.fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.setClock('2026-08-10T00:00:00Z');
  for (const timezone of ['UTC', 'UTC', 'Pacific/Pago_Pago']) {
    const id = randomUUID();
    await database.app`
      select open_wallet(${id}, ${`user-${id}`}, 'USD', ${timezone}, 'live', 'test:cli')`;
  }
  await database.app`
    select add_subscription(id, gen_random_uuid(), gen_random_uuid(), sha256('plan'), 'plan',
      'Monthly plan', 9900000, null, null, 'test:cli')
    from wallets where timezone = 'UTC' limit 1`;
  await database.setClock('2026-10-01T02:00:00Z');
});
afterAll(() => database.close());

function billing(
  args: string[],
  source: EnvSource = { DATABASE_URL: database.ownerUrl },
  clock = () => new Date('2026-10-01T02:00:00Z'),
): Promise<Said> {
  return captured((output) => runBilling(args, source, output, clock));
}

describe('npm run billing', () => {
  it('says with --dry-run what it would close, and writes nothing', async () => {
    expect(await billing(['run', '--dry-run'])).toEqual({
      code: 0,
      out: [
        '2026-08: statements to write 3, fees to post 1\n',
        '2026-09: statements to write 2, fees to post 1\n',
      ].join(''),
      err: '',
    });
    expect(await database.app`select from billing_runs`).toHaveLength(0);
    expect(await database.app`select from statements`).toHaveLength(0);
  });

  it('closes the month, shows its progress, and changes nothing when repeated', async () => {
    const first = await billing(['run']);
    expect(first).toMatchObject({
      code: 0,
      err: '2026-09: 2 of 3 wallets closed, 0 failed\n',
    });
    expect(first.out).toContain('2026-09: running');
    expect(first.out).toContain('wallets   3 in the period: 2 billed, 0 failed, 1 pending');
    const written = await database.app`select * from statements order by number`;
    expect(written).toHaveLength(5);
    expect(await billing(['run'])).toEqual(first);
    expect(await database.app`select * from statements order by number`).toEqual(written);
  });

  it('says while it closes how many it has closed, how many it could not, and how fast', async () => {
    const scenario = await createMonthScenario();
    const { db } = scenario;
    try {
      const opened = [];
      for (let n = 0; n < 6; n += 1) opened.push(await scenario.open('2026-09-10T00:00:00Z'));
      const [first] = opened.map(({ id }) => id).sort();
      await db.owner.unsafe(`
        create function refuse_one() returns trigger language plpgsql as $$
        begin raise exception 'broken' using errcode = '22012'; end $$;
        create trigger refuse_one before insert on statements for each row
          when (new.wallet_id = '${first}') execute function refuse_one()`);
      await planSmallRanges(db.owner, 2);
      await db.setClock('2026-10-01T02:00:00Z');
      let seconds = 0;
      const clock = () => new Date(Date.UTC(2026, 9, 1, 2, 0, seconds++));
      const { code, err } = await billing(['run'], { DATABASE_URL: db.ownerUrl }, clock);
      expect(err.split('\n').map((line) => line.replace(/\d+ a second/, 'N a second'))).toEqual([
        '2026-09: 1 of 6 wallets closed, 1 failed, N a second',
        '2026-09: 3 of 6 wallets closed, 1 failed, N a second',
        '2026-09: 5 of 6 wallets closed, 1 failed, N a second',
        // The range behind the last wallet, and the end.
        '2026-09: 5 of 6 wallets closed, 1 failed, N a second',
        '2026-09: 5 of 6 wallets closed, 1 failed, N a second',
        '',
      ]);
      expect(code).toBe(1);
    } finally {
      await db.close();
    }
  });

  it('answers status, also as JSON', async () => {
    const { code, out } = await billing(['status', '--period', '2026-09', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      period: '2026-09',
      status: 'running',
      wallets: { total: 3, billed: 2, failed: 0, pending: 1 },
      nextRunAt: '2026-11-01T02:00:00.000Z',
    });
    expect((await billing(['status', '--period', '2026-07'])).out).toContain('not started');
  });

  it('refuses a month that is not over, naming it', async () => {
    for (const args of [['run'], ['run', '--dry-run']]) {
      expect(await billing([...args, '--period', '2026-10'])).toEqual({
        code: 1,
        out: '',
        err: 'The period 2026-10 is not over yet anywhere on earth.\n',
      });
    }
  });

  it('shows the terms of what is owed, and changes those that are named', async () => {
    const shown = await billing(['terms']);
    expect(shown).toMatchObject({ code: 0, err: '' });
    expect(shown.out).toContain('grace     7 days from the closing of the month to the suspension');
    expect(shown.out).toContain('reminder  2 days before the suspension');

    const changed = await billing(['terms', '--grace-days', '14', '--json']);
    expect(JSON.parse(changed.out)).toMatchObject({ graceDays: 14, reminderDays: 2 });
    const both = await billing(['terms', '--grace-days', '10', '--reminder-days', '3', '--json']);
    expect(JSON.parse(both.out)).toMatchObject({ graceDays: 10, reminderDays: 3 });
    expect((await billing(['terms'])).out).toMatch(/^changed {3}\S+ by cli:/m);
    expect(await database.app`select grace::text, remind_before::text from arrears_terms`).toEqual([
      { grace: '10 days', remind_before: '3 days' },
    ]);
  });

  it.each([
    [[], /A command is missing/],
    [['close'], /Not understood: close/],
    [['run', '--period', '2026-13'], /--period needs a calendar month/],
    [['status', '--dry-run'], /--dry-run does not belong to status/],
    [['run', '--force'], /--force/],
    [['run', '--grace-days', '3'], /--grace-days does not belong to run/],
    [['terms', '--period', '2026-09'], /--period does not belong to terms/],
    [['terms', '--grace-days', '1.5'], /--grace-days needs a whole number of days, at most 365/],
    [['terms', '--reminder-days', '366'], /--reminder-days needs a whole number/],
    [['terms', '--grace-days', '5', '--reminder-days', '6'], /before the month is closed/],
  ])('explains the misuse %j', async (args, message) => {
    const { code, err } = await billing(args);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });

  it('says so, without the address, when there is no database or no schema', async () => {
    expect(await billing(['status'], {})).toMatchObject({ code: 1 });
    const refused = await billing(['status'], {
      DATABASE_URL: 'postgres://wallet:hidden@127.0.0.1:1/wallet',
    });
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('does not answer') });
    expect(refused.err).not.toContain('hidden');
    const url = new URL(database.ownerUrl);
    url.pathname = 'postgres';
    expect(await billing(['status'], { DATABASE_URL: url.href })).toMatchObject({
      code: 1,
      err: expect.stringContaining('has no schema yet'),
    });
  });
});
