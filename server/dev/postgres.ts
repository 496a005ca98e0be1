import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { acquireLock, hasCode } from '../process-lock.ts';
import { ensureCluster, OWNER, readPostmasterFile, stopOrphan } from './postgres-cluster.ts';
import { EmbeddedPostgresError } from './postgres-error.ts';
import {
  type PostgresBinaries,
  type PostgresHome,
  prepareBinaries,
  prepareHome,
  processOptions,
} from './postgres-home.ts';

export interface PostgresOptions {
  /** Directory of this program's data; PostgreSQL keeps its own under `postgres` in it. */
  readonly dataDir: string;
  readonly logger?: Logger;
  /** The port on 127.0.0.1; by default the one of the last start when it is free, else any. */
  readonly port?: number;
  /** Server settings beside, or instead of, the launcher's own (`postgres -c name=value`). */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** URL of the superuser `postgres`, password included: keep it out of logs. */
  ownerUrl(database?: string): string;
  readonly port: number;
  /** Where data, password and `postgres.log` are, symbolic links resolved. */
  readonly homeDirectory: string;
  /** Shuts down cleanly, ending open connections; may be called again. */
  stop(): Promise<void>;
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // TCP only: a socket file would have to be private to two users when this is run as root.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '256MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Statements and the values of rows hold personal data, so they stay out of the log.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
};

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const LOG_LIMIT_BYTES = 10_000_000;

/** More deaths than this within a minute, and the server is not started again. */
const MAX_RESTARTS_PER_MINUTE = 5;

/**
 * Starts the embedded PostgreSQL on `dataDir`, making its database cluster (UTF8, C.UTF-8,
 * scram-sha-256 with a random password) the first time. A server that a killed process left behind
 * is shut down first. A server that dies is started again on the same port.
 * @throws EmbeddedPostgresError
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { logger } = options;
  const home = await prepareHome(options.dataDir);
  const lock = await takeLock(home);
  try {
    const binaries = await prepareBinaries(home);
    await stopOrphan(home, logger);
    const password = await ensureCluster(home, binaries, logger);
    const port = await choosePort(home, options.port);
    const settings = { ...SETTINGS, ...options.settings, port: String(port) };
    const stopServer = await supervise(home, binaries, settings, logger);
    return {
      ownerUrl: (database = OWNER) =>
        `postgres://${OWNER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
      port,
      homeDirectory: home.directory,
      stop: async () => {
        await stopServer();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function takeLock(home: PostgresHome): Promise<{ release(): Promise<void> }> {
  const lock = await acquireLock(join(home.directory, 'launcher.lock')).catch((error: unknown) => {
    if (!hasCode(error, 'EACCES', 'EPERM', 'EROFS')) throw error;
    throw new EmbeddedPostgresError(
      'NOT_WRITABLE',
      `this user cannot write ${home.directory}: start as the user who made it, or use another DATA_DIR`,
      { cause: error },
    );
  });
  if (lock.acquired) return lock;
  throw new EmbeddedPostgresError(
    'ALREADY_RUNNING',
    `process ${lock.holderPid} already runs PostgreSQL on ${home.directory}: stop it first, or use another DATA_DIR`,
  );
}

async function choosePort(home: PostgresHome, demanded: number | undefined): Promise<number> {
  if (demanded !== undefined && demanded !== 0) {
    if (await bindOnce(demanded)) return demanded;
    throw new EmbeddedPostgresError(
      'PORT_IN_USE',
      `port ${demanded} on 127.0.0.1 is in use or not allowed: choose another for PostgreSQL`,
    );
  }
  // A port that stays the same lets people keep their connection settings.
  const portFile = join(home.directory, 'port');
  const last = Number(await readFile(portFile, 'utf8').catch(() => ''));
  const port = (last > 0 && last < 65_536 && (await bindOnce(last))) || (await bindOnce(0));
  if (!port) throw new EmbeddedPostgresError('PORT_IN_USE', 'no port is free on 127.0.0.1');
  await writeFile(portFile, String(port));
  return port;
}

/** Answers the port that could be bound, or false. */
async function bindOnce(port: number): Promise<number | false> {
  const probe = createServer();
  try {
    await once(probe.listen({ port, host: '127.0.0.1' }), 'listening');
    const address = probe.address();
    return address !== null && typeof address === 'object' && address.port;
  } catch (error) {
    if (hasCode(error, 'EADDRINUSE', 'EACCES')) return false;
    throw error;
  } finally {
    probe.close();
  }
}

/** Keeps one server running until the function it answers is called. */
async function supervise(
  home: PostgresHome,
  binaries: PostgresBinaries,
  settings: Readonly<Record<string, string>>,
  logger: Logger | undefined,
): Promise<() => Promise<void>> {
  let child: ChildProcess;
  let starting: Promise<void> | undefined;
  let stopped = false;
  let deaths: number[] = [];

  const run = async () => {
    const server = await launch(home, binaries, settings);
    child = server;
    server.once('exit', (code, signal) => {
      if (stopped) return;
      const now = performance.now();
      deaths = [...deaths.filter((time) => now - time < 60_000), now];
      logger?.warn({ code, signal }, 'PostgreSQL ended unexpectedly');
      if (deaths.length > MAX_RESTARTS_PER_MINUTE) {
        logger?.error('PostgreSQL keeps dying and is not started again');
        return;
      }
      starting = run().then(
        () => logger?.info('PostgreSQL started again'),
        (error: unknown) => logger?.error({ err: error }, 'PostgreSQL could not be started again'),
      );
    });
  };
  await run();

  return async () => {
    stopped = true;
    await starting;
    await shutDown(child);
  };
}

/** Starts the server and waits until it accepts connections. */
async function launch(
  home: PostgresHome,
  binaries: PostgresBinaries,
  settings: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const attempt = await launchOnce(home, binaries, settings, deadline);
    if (attempt.ready) return attempt.child;
    // The processes of a server that was killed need a moment to notice it and let go.
    const retry = attempt.log.includes('pre-existing shared memory block');
    if (!retry || performance.now() > deadline) {
      const code = attempt.log.includes('could not bind') ? 'PORT_IN_USE' : 'START_FAILED';
      throw new EmbeddedPostgresError(code, `PostgreSQL did not start:\n${attempt.log.trim()}`);
    }
    await sleep(100);
  }
}

type Attempt =
  | { readonly ready: true; readonly child: ChildProcess }
  | { readonly ready: false; readonly log: string };

async function launchOnce(
  home: PostgresHome,
  { postgres }: PostgresBinaries,
  settings: Readonly<Record<string, string>>,
  deadline: number,
): Promise<Attempt> {
  const logFile = join(home.directory, 'postgres.log');
  const size = (await stat(logFile).catch(() => undefined))?.size ?? 0;
  const log = await open(logFile, size > LOG_LIMIT_BYTES ? 'w' : 'a', 0o600);
  const logStart = size > LOG_LIMIT_BYTES ? 0 : size;
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(postgres, ['-D', home.data, ...args], {
    ...processOptions(home),
    // A process group of its own: Ctrl-C in the terminal must not end the database before those
    // who use it.
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  let failure = '';
  child.once('error', (error) => {
    failure = error.message;
  });
  // A last resort for a process that exits without stopping: nothing stays behind.
  const onProcessExit = () => child.kill('SIGINT');
  process.once('exit', onProcessExit);
  child.once('exit', () => process.off('exit', onProcessExit));
  await log.close();
  while (failure === '' && child.exitCode === null && child.signalCode === null) {
    const file = await readPostmasterFile(home.data);
    if (file?.pid === child.pid && file?.status === 'ready') return { ready: true, child };
    if (performance.now() > deadline) {
      await shutDown(child);
      failure = 'it was not ready in time\n';
    }
    await sleep(10);
  }
  const text = (await readFile(logFile)).subarray(logStart).toString('utf8');
  return { ready: false, log: failure + text };
}

/** Ends a server: clients are disconnected, data is written; by force when that takes too long. */
async function shutDown(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  const force = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(force);
}
