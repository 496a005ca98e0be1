/**
 * The floor: what PostgreSQL itself does with one charge a transaction, in a single statement and
 * with nothing around it: a conditional update and an insert into a table with one unique index.
 * Measured by pgbench; where that is missing, by a driver of our own over the same statement, which
 * is slower and is marked as such.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Sql } from '../../store/sql.ts';

export interface Floor {
  readonly perSecond: number;
  readonly clients: number;
  readonly driver: 'pgbench' | 'own driver (install pgbench: Debian package postgresql-client)';
}

export const FLOOR_WALLETS = 10_000;

export async function prepareFloor(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create table floor_wallets (id int primary key, balance bigint not null) with (fillfactor = 50);
    create table floor_charges (wallet_id int not null, key uuid not null, amount bigint not null,
      balance bigint not null, unique (wallet_id, key));
    insert into floor_wallets select i, 1000000000000000 from generate_series(1, ${FLOOR_WALLETS}) i;
  `);
  await sql.unsafe('vacuum analyze floor_wallets');
}

function statement(wallet: string): string {
  return `with w as (
    update floor_wallets set balance = balance - 20000 where id = ${wallet} and balance >= 20000
    returning id, balance
  ) insert into floor_charges select id, gen_random_uuid(), 20000, balance from w;`;
}

/** The best of several numbers of clients. */
export async function measureFloor(
  url: string,
  options: { hot: boolean; clients: readonly number[]; seconds: number },
): Promise<Floor> {
  let best: Floor | null = null;
  for (const clients of options.clients) {
    const perSecond = await pgbench(url, options.hot, clients, options.seconds);
    const floor: Floor =
      perSecond === null
        ? {
            perSecond: await ownDriver(url, options.hot, clients, options.seconds),
            clients,
            driver: 'own driver (install pgbench: Debian package postgresql-client)',
          }
        : { perSecond, clients, driver: 'pgbench' };
    if (best === null || floor.perSecond > best.perSecond) {
      best = floor;
    }
  }
  if (best === null) {
    throw new RangeError('the floor needs a number of clients');
  }
  return best;
}

/** Transactions a second; null when pgbench is not installed. */
async function pgbench(
  url: string,
  hot: boolean,
  clients: number,
  seconds: number,
): Promise<number | null> {
  const directory = await mkdtemp(join(tmpdir(), 'prepaid-wallet-bench-'));
  const script = join(directory, 'floor.sql');
  await writeFile(
    script,
    hot
      ? statement('1')
      : `\\set wallet random(1, ${FLOOR_WALLETS})\n${statement(':wallet').replace(/\n/g, ' ')}`,
  );
  try {
    const output = await run('pgbench', [
      ...['-n', '-M', 'prepared', '-f', script, '-c', String(clients), '-j', '2'],
      ...['-T', String(seconds), url],
    ]);
    const perSecond = Number(/tps = ([\d.]+)/.exec(output ?? '')?.[1]);
    return Number.isFinite(perSecond) ? perSecond : null;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The program's output; null when there is no such program. */
function run(program: string, args: string[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? resolve(null) : reject(error),
    );
    child.once('close', () => resolve(output));
  });
}

async function ownDriver(
  url: string,
  hot: boolean,
  clients: number,
  seconds: number,
): Promise<number> {
  const sql = connect(url, { max: clients });
  const untilMs = performance.now() + seconds * 1000;
  let done = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < untilMs) {
        const wallet = hot ? 1 : 1 + Math.floor(Math.random() * FLOOR_WALLETS);
        await sql`
          with w as (
            update floor_wallets set balance = balance - 20000
            where id = ${wallet} and balance >= 20000 returning id, balance
          ) insert into floor_charges select id, gen_random_uuid(), 20000, balance from w`;
        done += 1;
      }
    }),
  );
  await sql.end({ timeout: 1 });
  return done / seconds;
}
