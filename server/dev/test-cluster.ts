import type { TestProject } from 'vitest/node';
import { migrate } from '../store/migrate.ts';
import { connect } from '../store/sql.ts';
import { startTemporaryPostgres } from './temporary-postgres.ts';

/** The migrated database that every test database is a copy of. */
export const TEMPLATE_DATABASE = 'wallet_template';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the test cluster's database `postgres`, as its superuser. */
    readonly testClusterUrl: string;
  }
}

/**
 * Vitest's global setup of the database tests: one PostgreSQL for the run, as durable as in
 * production, with a migrated template database.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startTemporaryPostgres();
  try {
    const sql = connect(server.ownerUrl(), { max: 1 });
    await sql`create database ${sql(TEMPLATE_DATABASE)}`;
    await sql.end();
    await migrate({ url: server.ownerUrl(TEMPLATE_DATABASE) });
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide('testClusterUrl', server.ownerUrl());
  return () => server.stop();
}
