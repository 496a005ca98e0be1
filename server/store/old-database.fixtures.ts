/** A database as it was before a migration, for tests of what the migration makes of its rows. */
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { MIGRATIONS_DIRECTORY, migrate } from './migrate.ts';

export interface OldDatabase {
  readonly database: TestDatabase;
  /** Brings it to today's schema. */
  upgrade(): Promise<void>;
  close(): Promise<void>;
}

/** The database without the migration whose file's name ends so, and those after it. */
export async function createOldDatabase(migration: string): Promise<OldDatabase> {
  const files = (await readdir(MIGRATIONS_DIRECTORY)).sort();
  const left = files.findIndex((name) => name.endsWith(migration));
  if (left < 1) {
    throw new Error(`no migration ends with ${migration}`);
  }
  const database = await createTestDatabase();
  const before = await mkdtemp(join(tmpdir(), 'migrations-'));
  for (const name of files.slice(0, left)) {
    await copyFile(join(MIGRATIONS_DIRECTORY, name), join(before, name));
  }
  await database.owner`drop schema public cascade`;
  await database.owner`create schema public`;
  await migrate({ url: database.ownerUrl, directory: before });
  return {
    database,
    async upgrade() {
      await migrate({ url: database.ownerUrl, directory: MIGRATIONS_DIRECTORY });
    },
    async close() {
      await rm(before, { recursive: true, force: true });
      await database.close();
    },
  };
}
