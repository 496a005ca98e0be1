import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { waitForEnd } from '../process-lock.ts';
import { connect, type Sql } from '../store/sql.ts';
import { type EmbeddedPostgres, type PostgresOptions, startPostgres } from './postgres.ts';

const MANY_SECONDS = 30_000;

let dataDir: string;
const running: EmbeddedPostgres[] = [];

beforeAll(async () => {
  dataDir = await temporaryDirectory();
});

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  vi.unstubAllEnvs();
});

afterAll(async () => {
  await remove(dataDir);
});

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postgres-test-'));
  await chmod(directory, 0o711);
  return directory;
}

/** Removes a data directory and what it links to. */
async function remove(directory: string): Promise<void> {
  const home = await realpath(join(directory, 'postgres')).catch(() => directory);
  await rm(home, { recursive: true, force: true });
  await rm(directory, { recursive: true, force: true });
}

async function start(options: Partial<PostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startPostgres({ dataDir, ...options });
  running.push(server);
  return server;
}

async function query<T>(server: EmbeddedPostgres, use: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connect(server.ownerUrl(), { max: 1 });
  try {
    return await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function postmasterPid(server: EmbeddedPostgres): Promise<number> {
  return Number.parseInt(
    await readFile(join(server.homeDirectory, 'data', 'postmaster.pid'), 'utf8'),
    10,
  );
}

const keep = (server: EmbeddedPostgres, word: string) =>
  query(server, async (sql) => {
    await sql`create table if not exists kept (word text)`;
    await sql`insert into kept values (${word})`;
  });

const kept = (server: EmbeddedPostgres) =>
  query(server, async (sql) => (await sql`select word from kept order by 1`).map((r) => r.word));

describe('startPostgres', { timeout: MANY_SECONDS }, () => {
  it('makes a UTF8 cluster with durable commits that only the password opens', async () => {
    const server = await start();
    const [row] = await query(
      server,
      (sql) => sql`
        select current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
               current_setting('synchronous_commit') as commits,
               current_setting('listen_addresses') as addresses,
               current_setting('unix_socket_directories') as sockets,
               (select datcollate from pg_database where datname = 'postgres') as collation`,
    );
    expect(row).toEqual({
      encoding: 'UTF8',
      fsync: 'on',
      commits: 'on',
      addresses: '127.0.0.1',
      sockets: '',
      collation: 'C.UTF-8',
    });
    const stranger = connect(server.ownerUrl().replace(/:[^:@]+@/, ':guess@'), { max: 1 });
    await expect(stranger`select 1`).rejects.toMatchObject({ code: '28P01' });
    const { mode } = await stat(join(server.homeDirectory, 'password'));
    expect(mode & 0o777).toBe(0o600);
  });

  it('finds data, password and port again after a stop', async () => {
    const first = await start();
    await keep(first, 'stopped');
    await first.stop();
    const second = await start();
    expect(await kept(second)).toContain('stopped');
    expect(second.ownerUrl()).toBe(first.ownerUrl());
  });

  it('refuses a second start on the same data while the first runs', async () => {
    await start();
    await expect(start()).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      message: expect.stringContaining(`process ${process.pid} already runs`),
    });
  });

  it('starts a killed server again, with what was committed', async () => {
    const server = await start();
    await keep(server, 'killed');
    const pid = await postmasterPid(server);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => kept(server).catch(() => []), { timeout: 10_000 }).toContain('killed');
    expect(await postmasterPid(server)).not.toBe(pid);
  });

  it('shuts down the server of a killed launcher first, and recovers its data', async () => {
    const launcher = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', LAUNCHER, dataDir],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [orphanLine] = await once(createInterface(launcher.stdout), 'line');
    launcher.kill('SIGKILL');
    await once(launcher, 'exit');
    const orphan = Number(orphanLine);
    expect(process.kill(orphan, 0)).toBe(true);

    const server = await start();
    expect(await waitForEnd(orphan, 0)).toBe(true);
    expect(await kept(server)).toContain('orphaned');
  });

  it('starts over a record whose process number belongs to another program by now', async () => {
    const first = await start();
    const home = first.homeDirectory;
    await first.stop();
    await writeFile(join(home, 'data', 'postmaster.pid'), `${process.pid}\n${home}/data\n`);
    await writeFile(join(home, 'launcher.lock'), `${process.pid} 1\n`);
    expect(await kept(await start())).toContain('stopped');
  });

  it('takes another port when that of the last start is taken, but never for a demanded one', async () => {
    const first = await start();
    await first.stop();
    const squatter = createServer().listen(first.port, '127.0.0.1');
    await once(squatter, 'listening');
    try {
      await expect(start({ port: first.port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
      const second = await start();
      expect(second.port).not.toBe(first.port);
      expect(await kept(second)).toContain('stopped');
    } finally {
      squatter.close();
    }
  });

  it('keeps statements and values out of its log', async () => {
    const server = await start();
    await query(server, async (sql) => {
      await sql`create temp table people (email text unique)`;
      await sql`insert into people values ('ada@example.com')`;
      await expect(sql`insert into people values ('ada@example.com')`).rejects.toThrow();
    });
    await server.stop();
    const log = await readFile(join(server.homeDirectory, 'postgres.log'), 'utf8');
    expect(log).toContain('duplicate key');
    expect(log).not.toContain('ada@');
  });

  it('refuses the data of another major version', async () => {
    const server = await start();
    await server.stop();
    const file = join(server.homeDirectory, 'data', 'PG_VERSION');
    const version = await readFile(file, 'utf8');
    await writeFile(file, '14\n');
    await expect(start()).rejects.toMatchObject({
      code: 'OTHER_VERSION',
      message: expect.stringContaining(`of PostgreSQL 14, this program brings ${version.trim()}`),
    });
    await writeFile(file, version);
  });

  it('takes the programs of POSTGRES_BIN, and says so when they do not run', async () => {
    vi.stubEnv('POSTGRES_BIN', '/nowhere');
    await expect(start()).rejects.toMatchObject({
      code: 'NO_BINARIES',
      message: expect.stringContaining('in /nowhere (POSTGRES_BIN) do not run'),
    });
  });

  it('refuses a data directory that cannot be one', async () => {
    const file = join(dataDir, 'a-file');
    await writeFile(file, '');
    await expect(start({ dataDir: file })).rejects.toMatchObject({
      code: 'NOT_WRITABLE',
      message: expect.stringContaining(file),
    });
  });

  it('works in a directory that only its owner may enter', async () => {
    const closed = await mkdtemp(join(tmpdir(), 'postgres-test-closed-'));
    await chmod(closed, 0o700);
    try {
      const server = await start({ dataDir: join(closed, 'data') });
      await keep(server, 'closed');
      await server.stop();
      expect(await kept(await start({ dataDir: join(closed, 'data') }))).toEqual(['closed']);
    } finally {
      await running.pop()?.stop();
      await remove(join(closed, 'data'));
      await rm(closed, { recursive: true });
    }
  });
});

/** A process that starts the server, commits a row, tells the server's pid and waits for its end. */
const LAUNCHER = `
  import { readFile } from 'node:fs/promises';
  import { connect } from ${JSON.stringify(new URL('../store/sql.ts', import.meta.url).href)};
  import { startPostgres } from ${JSON.stringify(new URL('./postgres.ts', import.meta.url).href)};
  const server = await startPostgres({ dataDir: process.argv[1] });
  const sql = connect(server.ownerUrl());
  await sql\`insert into kept values ('orphaned')\`;
  const file = await readFile(server.homeDirectory + '/data/postmaster.pid', 'utf8');
  console.log(file.split('\\n')[0]);
  await new Promise(() => undefined);
`;
