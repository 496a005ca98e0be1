import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { type MigrationErrorCode, migrate, pendingMigrations, schemaVersion } from './migrate.ts';
import type { Sql } from './sql.ts';

let database: TestDatabase;
let sql: Sql;
let directory: string;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = database.owner;
});

afterAll(async () => {
  await database.close();
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'migrations-'));
  await sql`drop schema public cascade`;
  await sql`create schema public`;
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function files(contents: Record<string, string>): Promise<void> {
  await rm(directory, { recursive: true });
  directory = await mkdtemp(join(tmpdir(), 'migrations-'));
  for (const [name, text] of Object.entries(contents)) await writeFile(join(directory, name), text);
}

const ONE = { '0001_one.sql': 'create table one (n int);' };
const TWO = { ...ONE, '0002_two.sql': 'create table two (n int); insert into two values (2);' };

async function tables(): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select table_name::text as name from information_schema.tables
    where table_schema = 'public' and table_name <> 'schema_migrations' order by 1`;
  return rows.map(({ name }) => name);
}

async function refusal(): Promise<{ code: MigrationErrorCode; message: string }> {
  return migrate({ sql, directory }).then(
    () => expect.fail('was migrated'),
    ({ code, message }) => ({ code, message }),
  );
}

describe('migrate', () => {
  it('applies what is missing, in order, and nothing a second time', async () => {
    await files(ONE);
    expect(await migrate({ sql, directory })).toEqual({ applied: ['0001_one.sql'], version: 1 });
    await files(TWO);
    expect(await pendingMigrations({ sql, directory })).toEqual(['0002_two.sql']);
    expect(await migrate({ sql, directory })).toEqual({ applied: ['0002_two.sql'], version: 2 });
    expect(await migrate({ sql, directory })).toEqual({ applied: [], version: 2 });
    expect(await pendingMigrations({ sql, directory })).toEqual([]);
    expect(await tables()).toEqual(['one', 'two']);
  });

  it('migrates by URL too, and ends its connection', async () => {
    await files(ONE);
    await migrate({ url: database.ownerUrl, directory });
    expect(await tables()).toEqual(['one']);
    const rows = await sql`
      select from pg_stat_activity where datname = current_database()
      and application_name = 'prepaid-wallet migrate'`;
    expect(rows.count).toBe(0);
  });

  it('accepts a directory without migrations', async () => {
    await files({});
    expect(await migrate({ sql, directory })).toEqual({ applied: [], version: 0 });
  });

  it('reports version 0 for a database that was never migrated', async () => {
    expect(await schemaVersion(sql)).toBe(0);
    await files(TWO);
    expect(await pendingMigrations({ sql, directory })).toEqual(['0001_one.sql', '0002_two.sql']);
    await migrate({ sql, directory });
    expect(await schemaVersion(sql)).toBe(2);
  });

  it('applies each migration once when several processes migrate at once', async () => {
    const slow = { '0003_slow.sql': 'select pg_sleep(0.2); create table three (n int);' };
    await files({ ...TWO, ...slow });
    const runs = await Promise.all(
      Array.from({ length: 4 }, () => migrate({ url: database.ownerUrl, directory })),
    );
    expect(runs.flatMap(({ applied }) => applied).sort()).toEqual([
      '0001_one.sql',
      '0002_two.sql',
      '0003_slow.sql',
    ]);
    expect(runs.map(({ version }) => version)).toEqual([3, 3, 3, 3]);
  });
});

describe('a migration that fails', () => {
  it('is named with its line, and leaves nothing of itself', async () => {
    await files({
      ...ONE,
      '0002_bad.sql': 'create table bad (n int);\n\ninsert into nowhere values (1);',
    });
    expect(await refusal()).toEqual({
      code: 'FAILED',
      message: '0002_bad.sql:3: relation "nowhere" does not exist (42P01)',
    });
    expect(await tables()).toEqual(['one']);
    expect(await schemaVersion(sql)).toBe(1);
  });

  it('leaves nothing of itself when its connection is lost in the middle', async () => {
    await files({
      ...ONE,
      '0002_lost.sql':
        'create table lost (n int); select pg_terminate_backend(pg_backend_pid()); create table late (n int);',
    });
    await expect(migrate({ url: database.ownerUrl, directory })).rejects.toThrow();
    expect(await tables()).toEqual(['one']);
    expect(await schemaVersion(sql)).toBe(1);
  });
});

describe('is refused, with nothing applied,', () => {
  beforeEach(async () => {
    await files(TWO);
    await migrate({ sql, directory });
  });

  afterEach(async () => {
    expect(await schemaVersion(sql)).toBe(2);
  });

  it.each<[string, MigrationErrorCode, Record<string, string>, RegExp]>([
    [
      'an edited migration',
      'CHANGED',
      { ...TWO, '0001_one.sql': 'select 1', '0003_x.sql': '' },
      /0001_one\.sql was applied/,
    ],
    [
      'a renamed migration',
      'CHANGED',
      { ...ONE, '0002_too.sql': 'select 1', '0003_x.sql': '' },
      /0002_two\.sql.*0002_too\.sql/,
    ],
    ['a database newer than the program', 'DATABASE_NEWER', ONE, /version 2.*knows 1/],
    [
      'an applied migration whose file is missing',
      'GAP',
      { '0002_two.sql': 'select 1' },
      /0002_two\.sql where migration 0001/,
    ],
    [
      'a gap between files',
      'GAP',
      { ...TWO, '0004_four.sql': '' },
      /0004_four\.sql where migration 0003/,
    ],
    [
      'two files of one number',
      'GAP',
      { ...TWO, '0002_zwei.sql': '' },
      /0002_zwei\.sql where migration 0003/,
    ],
    ['a file that is no migration', 'BAD_FILE_NAME', { ...TWO, 'notes.txt': '' }, /notes\.txt/],
  ])('%s', async (_, code, contents, message) => {
    await files(contents);
    const refused = await refusal();
    expect(refused.code).toBe(code);
    expect(refused.message).toMatch(message);
  });

  it('a database that lacks a migration before one it has', async () => {
    await sql`update schema_migrations set version = 3 where version = 2`;
    await files({ ...TWO, '0003_three.sql': '' });
    expect((await refusal()).code).toBe('DATABASE_GAP');
    await sql`update schema_migrations set version = 2 where version = 3`;
  });
});
