/** Bringing the schema to this program's version, and telling whether it is there. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import postgres from 'postgres';
import { connect, type Sql } from './sql.ts';

/**
 * Where this program's migrations are: `db/migrations/NNNN_name.sql`. The bundle of the server lies
 * as deep in the project as this file.
 */
export const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../db/migrations', import.meta.url));

/** Any process that migrates takes this lock, so that they take turns. */
const MIGRATION_LOCK = 7_346_120_519_884_301n;

const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/;
const UNIQUE_VIOLATION = '23505';

export type MigrationErrorCode =
  /** A file in the directory is not named `NNNN_name.sql`. */
  | 'BAD_FILE_NAME'
  /** The files do not count 1, 2, 3 … without a gap or a double. */
  | 'GAP'
  /** The database has recorded migrations with a gap, so it was changed by hand. */
  | 'DATABASE_GAP'
  /** An applied migration's file was edited or renamed since. */
  | 'CHANGED'
  /** The database has migrations that this version of the program does not know. */
  | 'DATABASE_NEWER'
  /** A migration's SQL failed; nothing of it was kept. */
  | 'FAILED';

/** Why the schema could not be brought to, or compared with, the version of this code. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  readonly code: MigrationErrorCode;

  constructor(code: MigrationErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly text: string;
}

export interface MigrationSource {
  /** The folder of the migration files; default {@link MIGRATIONS_DIRECTORY}. */
  readonly directory?: string;
}

export type MigrateOptions = MigrationSource & {
  readonly logger?: Logger;
} & ({ readonly sql: Sql } | { readonly url: string });

export interface MigrationResult {
  /** File names that this call applied, in order. */
  readonly applied: string[];
  /** The schema's version afterwards: the number of its last migration, 0 when there is none. */
  readonly version: number;
}

/**
 * Brings the database to the newest migration. Each file is one transaction that also records the
 * file's SHA-256, so a crash leaves whole migrations only. Several processes may do this at once.
 * The user needs to own the database's objects; `sql`, when given, is left open.
 * @throws MigrationError
 */
export async function migrate(options: MigrateOptions): Promise<MigrationResult> {
  if ('sql' in options) return applyPending(options.sql, options);
  const sql = connect(options.url, {
    max: 1,
    applicationName: 'prepaid-wallet migrate',
    statementTimeoutMs: 0,
  });
  try {
    return await applyPending(sql, options);
  } finally {
    // After a lost connection, postgres.js would wait for its end without a limit.
    await sql.end({ timeout: 1 });
  }
}

/**
 * The names of migrations that the database still lacks, in order.
 * @throws MigrationError when files and database contradict each other
 */
export async function pendingMigrations(
  options: MigrationSource & { readonly sql: Sql },
): Promise<string[]> {
  const migrations = await readMigrations(options.directory ?? MIGRATIONS_DIRECTORY);
  return (await findPending(options.sql, migrations)).map(({ name }) => name);
}

/** The number of the last applied migration; 0 for a database that was never migrated. */
export async function schemaVersion(sql: Sql): Promise<number> {
  return (await readApplied(sql)).at(-1)?.version ?? 0;
}

async function applyPending(
  sql: Sql,
  options: MigrationSource & { readonly logger?: Logger },
): Promise<MigrationResult> {
  const migrations = await readMigrations(options.directory ?? MIGRATIONS_DIRECTORY);
  await createHistory(sql);
  const applied: string[] = [];
  for (;;) {
    const [next] = await findPending(sql, migrations);
    if (!next) return { applied, version: migrations.length };
    const startedAt = performance.now();
    if (!(await apply(sql, next))) continue;
    applied.push(next.name);
    const durationMs = Math.round(performance.now() - startedAt);
    options.logger?.info({ migration: next.name, durationMs }, 'migration applied');
  }
}

async function createHistory(sql: Sql): Promise<void> {
  await sql.unsafe(`
    select pg_advisory_xact_lock(${MIGRATION_LOCK});
    create table if not exists public.schema_migrations (
      version int primary key check (version > 0),
      name text not null,
      checksum text not null,
      applied_at timestamptz not null default clock_timestamp()
    )`);
}

/**
 * Applies one migration; false when another process was first. Everything travels as one simple
 * query, which PostgreSQL runs as one transaction: unlike `sql.begin`, a connection lost in the
 * middle cannot leave half of it.
 */
async function apply(sql: Sql, { version, name, checksum, text }: Migration): Promise<boolean> {
  // `set local` holds for this transaction only. A migration may wait for another process and for
  // running requests, so it has no time limits.
  const head = `
    set local statement_timeout = 0; set local lock_timeout = 0;
    select pg_advisory_xact_lock(${MIGRATION_LOCK});
    insert into public.schema_migrations (version, name, checksum)
      values (${version}, '${name}', '${checksum}');\n`;
  try {
    await sql.unsafe(head + text);
    return true;
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error;
    if (error.code === UNIQUE_VIOLATION && error.table_name === 'schema_migrations') return false;
    const offset = Number(error.position ?? 0) - head.length;
    const line = offset > 0 ? `:${text.slice(0, offset).split('\n').length}` : '';
    throw new MigrationError('FAILED', `${name}${line}: ${error.message} (${error.code})`, {
      cause: error,
    });
  }
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => !name.startsWith('.')).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const version = Number(FILE_NAME.exec(name)?.[1]);
      if (Number.isNaN(version)) {
        throw new MigrationError('BAD_FILE_NAME', `${name}: a migration is named NNNN_name.sql`);
      }
      if (version !== index + 1) {
        const expected = String(index + 1).padStart(4, '0');
        throw new MigrationError('GAP', `found ${name} where migration ${expected} must come`);
      }
      const text = await readFile(join(directory, name), 'utf8');
      const checksum = createHash('sha256').update(text).digest('hex');
      return { version, name, checksum, text };
    }),
  );
}

type Applied = Omit<Migration, 'text'>;

async function readApplied(sql: Sql): Promise<Applied[]> {
  const [history] = await sql<{ exists: boolean }[]>`
    select to_regclass('public.schema_migrations') is not null as exists`;
  if (!history?.exists) return [];
  return sql<Applied[]>`
    select version, name, checksum from public.schema_migrations order by version`;
}

async function findPending(sql: Sql, migrations: readonly Migration[]): Promise<Migration[]> {
  const applied = await readApplied(sql);
  for (const [index, row] of applied.entries()) {
    const file = migrations[index];
    if (!file) {
      const version = applied.at(-1)?.version ?? 0;
      throw new MigrationError(
        'DATABASE_NEWER',
        `the database is at schema version ${version}, this program knows ${migrations.length}: run the newer program`,
      );
    }
    if (row.version !== file.version) {
      throw new MigrationError(
        'DATABASE_GAP',
        `the database has applied ${row.name} but not ${file.name}, which comes before it`,
      );
    }
    if (row.name !== file.name || row.checksum !== file.checksum) {
      throw new MigrationError(
        'CHANGED',
        `${row.name} was applied, but ${file.name} is not the same file: migrations are never edited, write a new one`,
      );
    }
  }
  return migrations.slice(applied.length);
}
