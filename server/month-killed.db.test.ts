/** The month, closed by the command whose process and whose database die under it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { planSmallRanges } from './dev/month-scenario.ts';
import type { EmbeddedPostgres } from './dev/postgres.ts';
import { startTemporaryPostgres } from './dev/temporary-postgres.ts';
import { stopClock } from './dev/test-database.ts';
import { verifyRange } from './store/ledger.ts';
import { migrate } from './store/migrate.ts';
import { connect, type Sql } from './store/sql.ts';

const WALLETS = 300;
const WALLETS_PER_RANGE = 3;
const KILLS = 20;
const BILLING = fileURLToPath(new URL('./cli/billing.ts', import.meta.url));

/** A database server of its own: its crash is felt by all of its databases. */
let server: EmbeddedPostgres;

beforeAll(async () => {
  server = await startTemporaryPostgres();
  await inDatabase('postgres', (sql) => sql`create database origin`);
  await migrate({ url: server.ownerUrl('origin') });
  await inDatabase('origin', makeWallets);
  await inDatabase('postgres', async (sql) => {
    await sql`create database undisturbed template origin`;
    await sql`create database killed template origin`;
  });
  return () => server.stop();
});

async function inDatabase<T>(name: string, use: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connect(server.ownerUrl(name), { max: 2 });
  try {
    return await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Both modes, some with fees, some that owe, some with two months to catch up; most with a mail. */
async function makeWallets(sql: Sql): Promise<void> {
  const at = (iso: string) => stopClock(sql, iso);
  await at('2026-07-10T00:00:00Z');
  await sql`select count((open_wallet(gen_random_uuid(), 'user-' || n, 'USD',
      case n % 3 when 0 then 'Europe/Berlin' else 'UTC' end,
      case n % 2 when 0 then 'live' else 'deferred' end, 'test:killed')).opened)
    from generate_series(1, ${WALLETS}) n`;
  await sql`insert into users (id, email, password_hash, role)
    select user_id, user_id || '@example.com', '$argon2id$none', 'user' from wallets
    where user_id not like '%7'`;
  await sql`select count(grant_credit(id, gen_random_uuid(), sha256('grant'), 1000000,
    'test:killed', '{}')) from wallets`;
  await sql`select count(add_subscription(id, gen_random_uuid(), gen_random_uuid(), sha256('plan'),
      'plan', 'Plan', 700000, null, null, 'test:killed'))
    from wallets where user_id like '%3' or user_id like '%4'`;
  for (const month of ['07', '08']) {
    await at(`2026-${month}-20T00:00:00Z`);
    await sql`select count(charge_wallet(id, gen_random_uuid(), sha256('charge'),
      length(user_id) * 40000 + substr(user_id, 6)::int, 'arrears', null, 'test:killed',
      '{"usage":{"type":"call"},"units":60}')) from wallets`;
  }
  await at('2026-09-01T02:00:00Z');
  await planSmallRanges(sql, WALLETS_PER_RANGE);
}

/** `npm run billing -- run`, as a process of its own. */
function close(database: string): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', BILLING, 'run', '--period', '2026-08'], {
    env: { PATH: process.env.PATH, DATABASE_URL: server.ownerUrl(database), NODE_ENV: 'test' },
    stdio: 'ignore',
  });
}

const isOver = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

/** The process of the database that closes wallets at this moment. */
async function closingBackend(sql: Sql): Promise<number | undefined> {
  const [backend] = await sql<{ pid: number }[]>`
    select pid from pg_stat_activity
    where datname = 'killed' and pid <> pg_backend_pid() and state = 'active'
      and (query like '%close_range(%' or query like '%fence_range(%')`;
  return backend?.pid;
}

/**
 * Waits until the server, which recovers after a crash, takes connections, and until the database
 * has ended what a killed command had asked of it.
 */
async function untilAtRest(sql: Sql): Promise<void> {
  const isAtRest = () =>
    closingBackend(sql).then(
      (backend) => backend === undefined,
      () => false,
    );
  await expect.poll(isAtRest, { timeout: 60_000, interval: 20 }).toBe(true);
}

/** Everything that a month leaves behind, but for numbers that a lost attempt had drawn. */
async function outcomeOf(sql: Sql): Promise<unknown[]> {
  return [
    await sql`select wallet_id, period, starts_at, ends_at, opening_balance_micros,
        closing_balance_micros, usage_micros, fees_micros, other_micros, held_micros,
        arrears_micros, lines, accrued_lines, accrued_micros, from_seq, to_seq, closed_at
      from statements order by wallet_id, period`,
    await sql`select wallet_id, seq, type, balance_delta_micros, held_delta_micros,
        arrears_delta_micros, balance_micros, held_micros, arrears_micros, key, recorded_at,
        detail::jsonb - 'statement' as detail
      from wallet_events order by wallet_id, seq`,
    await sql`select id, status, balance_micros, held_micros, arrears_micros, seq, next_due_at
      from wallets order by id`,
    await sql`select * from wallet_arrears order by wallet_id`,
    await sql`select user_id, kind, count(*) from mail_outbox group by 1, 2 order by 1, 2`,
    await sql`select period, is_finished(r) as finished from billing_runs r`,
    await sql`select from_wallet_id, to_wallet_id, closed, failed, pending, finished_at
      from billing_ranges order by from_wallet_id`,
  ];
}

it(`killed ${KILLS} times in the middle, the command or its database, the month is the same`, {
  timeout: 300_000,
}, async () => {
  const first = close('undisturbed');
  await once(first, 'exit');
  expect(first.exitCode).toBe(0);
  const expected = await inDatabase('undisturbed', outcomeOf);
  expect(expected[0]).toHaveLength(2 * WALLETS);

  // A range takes long enough to be met in its middle on any machine.
  await inDatabase('killed', (sql) =>
    sql.unsafe(`
      create function slow_down() returns trigger language plpgsql as $$
      begin perform pg_sleep(0.004); return null; end $$;
      create trigger slow_down after insert on statements
        for each row execute function slow_down()`),
  );
  const progress: number[] = [];
  for (let kills = 0; kills < KILLS; kills += 1) {
    await inDatabase('killed', untilAtRest);
    const command = close('killed');
    await inDatabase('killed', async (sql) => {
      let backend = await closingBackend(sql);
      while (backend === undefined && !isOver(command)) backend = await closingBackend(sql);
      // Not always the first range, nor the same place in one.
      await sleep((kills * 37) % 100);
      backend = (await closingBackend(sql)) ?? backend;
      expect.assert(backend !== undefined && !isOver(command), 'the month is over too early');
      const [row] = await sql<{ closed: number }[]>`select count(*)::int as closed from statements`;
      progress.push(row?.closed ?? 0);
      if (kills % 2 === 0) {
        command.kill('SIGKILL');
      } else {
        // All others die with it, and PostgreSQL recovers from its log.
        process.kill(backend, 'SIGKILL');
      }
    });
    if (!isOver(command)) await once(command, 'exit');
  }
  expect(progress.at(-1), 'it was under way').toBeGreaterThan(0);
  expect(progress.at(-1), 'and not over').toBeLessThan(2 * WALLETS);

  await inDatabase('killed', untilAtRest);
  const last = close('killed');
  await once(last, 'exit');
  expect(last.exitCode).toBe(0);
  await inDatabase('killed', async (sql) => {
    const found = await outcomeOf(sql);
    for (const [index, part] of found.entries()) expect(part).toEqual(expected[index]);
    const everything = {
      from: '00000000-0000-0000-0000-000000000000',
      to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    };
    expect((await verifyRange(sql, everything, 10)).differences).toEqual([]);
  });
});
