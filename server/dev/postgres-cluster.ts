import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { hasCode, processCommand, waitForEnd } from '../process-lock.ts';
import { EmbeddedPostgresError } from './postgres-error.ts';
import { type PostgresBinaries, type PostgresHome, processOptions } from './postgres-home.ts';

/** The superuser, who owns every database of the cluster. */
export const OWNER = 'postgres';

const ORPHAN_STOP_TIMEOUT_MS = 20_000;

/**
 * Finds the database cluster, or makes it; answers the owner's password.
 * @throws EmbeddedPostgresError
 */
export async function ensureCluster(
  home: PostgresHome,
  binaries: PostgresBinaries,
  logger?: Logger,
): Promise<string> {
  const major = (await readOrUndefined(join(home.data, 'PG_VERSION')))?.trim();
  if (major === undefined) return createCluster(home, binaries, logger);
  if (major !== binaries.major) {
    throw new EmbeddedPostgresError(
      'OTHER_VERSION',
      `the data in ${home.data} is of PostgreSQL ${major}, this program brings ${binaries.major}: dump it with the old one, or use another DATA_DIR`,
    );
  }
  const password = await readOrUndefined(passwordFile(home));
  if (password !== undefined) return password;
  throw new EmbeddedPostgresError(
    'START_FAILED',
    `${passwordFile(home)} is gone, and without it nobody can enter the data beside it: restore the file, or use another DATA_DIR`,
  );
}

async function createCluster(
  home: PostgresHome,
  { initdb }: PostgresBinaries,
  logger?: Logger,
): Promise<string> {
  const password = randomBytes(24).toString('base64url');
  await rm(passwordFile(home), { force: true });
  await writeFile(passwordFile(home), password, { mode: 0o600 });
  // Made beside its final place, so that an initdb that was killed leaves no half cluster there.
  const unfinished = `${home.data}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  if (home.user) {
    const { uid, gid } = home.user;
    await chown(passwordFile(home), uid, gid);
    await chown(unfinished, uid, gid);
  }
  const startedAt = performance.now();
  const args = ['--encoding=UTF8', '--locale=C.UTF-8', '--auth=scram-sha-256'];
  args.push(`--username=${OWNER}`, `--pwfile=${passwordFile(home)}`, `--pgdata=${unfinished}`);
  try {
    await promisify(execFile)(initdb, args, processOptions(home));
  } catch (error) {
    const output =
      error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new EmbeddedPostgresError('START_FAILED', `initdb failed: ${output}`, { cause: error });
  }
  await rename(unfinished, home.data);
  const durationMs = Math.round(performance.now() - startedAt);
  logger?.info({ directory: home.data, durationMs }, 'database cluster created');
  return password;
}

function passwordFile(home: PostgresHome): string {
  return join(home.directory, 'password');
}

/** The postmaster's own record of itself. */
export interface PostmasterFile {
  readonly pid: number;
  /** `starting`, `ready`, `stopping`, `standby`; absent while the server is still young. */
  readonly status: string | undefined;
}

/**
 * Reads `postmaster.pid`; undefined when there is none.
 * @see https://www.postgresql.org/docs/18/storage-file-layout.html and `pidfile.h`
 */
export async function readPostmasterFile(data: string): Promise<PostmasterFile | undefined> {
  const lines = (await readOrUndefined(join(data, 'postmaster.pid')))?.split('\n');
  const pid = Number(lines?.[0]);
  return pid > 0 ? { pid, status: lines?.[7]?.trim() } : undefined;
}

/**
 * Ends a server that a killed launcher left on the data, and forgets the record of one that is
 * gone. Only the holder of the launcher's lock may call this.
 * @throws EmbeddedPostgresError START_FAILED when the server does not end
 */
export async function stopOrphan(home: PostgresHome, logger?: Logger): Promise<void> {
  const orphan = await readPostmasterFile(home.data);
  if (!orphan) return;
  const command = processCommand(orphan.pid) ?? '';
  // The pid may have been given to a process of somebody else since.
  if (!command.includes('postgres') || !command.includes(home.data)) {
    await rm(join(home.data, 'postmaster.pid'), { force: true });
    return;
  }
  logger?.warn({ pid: orphan.pid }, 'shutting down the PostgreSQL of an earlier, killed start');
  process.kill(orphan.pid, 'SIGINT');
  if (await waitForEnd(orphan.pid, ORPHAN_STOP_TIMEOUT_MS)) return;
  throw new EmbeddedPostgresError(
    'START_FAILED',
    `PostgreSQL of an earlier start (process ${orphan.pid}) does not shut down: end it, then start again`,
  );
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
    throw new EmbeddedPostgresError(
      'NOT_WRITABLE',
      `${path} belongs to another user: start as that user, or use another DATA_DIR`,
      { cause: error },
    );
  }
}
