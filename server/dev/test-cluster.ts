import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../store/migrate.ts';
import { connect } from '../store/sql.ts';
import { startPostgres } from './postgres.ts';

/** The migrated database that every test database is a copy of. */
export const TEMPLATE_DATABASE = 'wallet_template';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the test cluster's database `postgres`, as its superuser. */
    readonly testClusterUrl: string;
  }
}

/** Outlives the test run, however it ends: waits for its end, then stops the server and cleans. */
const GUARD = `
  cat > /dev/null
  pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null) && kill -INT "$pid"
  while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
  rm -rf "$1" "$2"`;

/**
 * Vitest's global setup of the database tests: one PostgreSQL for the run, in a temporary
 * directory, with a migrated template database. Its durability is that of production.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'prepaid-wallet-test-'));
  // When run as root, PostgreSQL's own user must be able to pass through.
  await chmod(dataDir, 0o711);
  const server = await startPostgres({ dataDir });
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', server.homeDirectory, dataDir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const teardown = async () => {
    await server.stop();
    const gone = once(guard, 'exit');
    guard.stdin.end();
    await gone;
  };
  try {
    const sql = connect(server.ownerUrl(), { max: 1 });
    await sql`create database ${sql(TEMPLATE_DATABASE)}`;
    await sql.end();
    await migrate({ url: server.ownerUrl(TEMPLATE_DATABASE) });
  } catch (error) {
    await teardown();
    throw error;
  }
  project.provide('testClusterUrl', server.ownerUrl());
  return teardown;
}
