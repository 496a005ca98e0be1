import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import { APP_ROLE, connect, type Sql } from '../store/sql.ts';
import { TEMPLATE_DATABASE } from './test-cluster.ts';

/** A migrated database of its own, for one test file. */
export interface TestDatabase {
  /** URL of the superuser, who owns the schema. */
  readonly ownerUrl: string;
  /** The same database with the application's role, also for clients that set no role. */
  readonly appUrl: string;
  readonly owner: Sql;
  readonly app: Sql;
  /** Stops the ledger's clock at an ISO 8601 instant; null lets it run again. */
  setClock(iso: string | null): Promise<void>;
  /** Ends the clients and drops the database. */
  close(): Promise<void>;
}

/** Copies the migrated template into a new database. For `*.db.test.ts` files only. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const clusterUrl = inject('testClusterUrl');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await inCluster(clusterUrl, async (sql) => {
    await sql`create database ${sql(name)} template ${sql(TEMPLATE_DATABASE)}`;
  });

  const url = new URL(clusterUrl);
  url.pathname = name;
  const ownerUrl = url.href;
  url.searchParams.set('options', `-c role=${APP_ROLE}`);
  const appUrl = url.href.replaceAll('+', '%20');
  const owner = connect(ownerUrl);
  const app = connect(ownerUrl, { role: APP_ROLE });
  let runningClock: string | undefined;

  return {
    ownerUrl,
    appUrl,
    owner,
    app,
    async setClock(iso) {
      runningClock ??= await functionDefinition(owner, 'ledger_now()');
      await (iso === null ? owner.unsafe(runningClock) : stopClock(owner, iso));
    },
    async close() {
      await Promise.all([owner.end({ timeout: 1 }), app.end({ timeout: 1 })]);
      await inCluster(clusterUrl, async (sql) => {
        await sql`drop database ${sql(name)} with (force)`;
      });
    },
  };
}

/** Stops the ledger's clock of a database at an ISO 8601 instant, as the database's owner. */
export async function stopClock(owner: Sql, iso: string): Promise<void> {
  // `create or replace` keeps the function's owner and privileges.
  await owner.unsafe(
    `create or replace function ledger_now() returns timestamptz language sql
     return timestamptz '${new Date(iso).toISOString()}'`,
  );
}

async function inCluster(url: string, use: (sql: Sql) => Promise<void>): Promise<void> {
  const sql = connect(url, { max: 1 });
  try {
    await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function functionDefinition(sql: Sql, signature: string): Promise<string> {
  const [row] = await sql<{ definition: string }[]>`
    select pg_get_functiondef(${signature}::regprocedure) as definition`;
  if (!row) throw new Error(`no function ${signature}`);
  return row.definition;
}
