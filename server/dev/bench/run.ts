/** One run: databases, server, and the sections one after the other. */
import { cpus, totalmem } from 'node:os';
import { createApiKeys } from '../../billing/accounts/api-keys.ts';
import { createLogger } from '../../log.ts';
import { migrate } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { EmbeddedPostgres } from '../postgres.ts';
import { type BenchOptions, UsageError } from './arguments.ts';
import type { HttpTarget } from './http-connection.ts';
import type { Report } from './report.ts';
import { takeSample } from './sample.ts';
import {
  floorsOf,
  GUARDS_DATABASE,
  guardsOf,
  HISTORY_DATABASE,
  historyOf,
  ledgerOf,
  MONTH_DATABASE,
  memoryOf,
  monthOf,
  type Run,
  rowsOf,
  sectionNames,
  wanted,
} from './sections.ts';
import { startServer } from './server-process.ts';
import type { Tally } from './traffic.ts';
import { prepareWallets } from './wallets.ts';

const DATABASE = 'bench';

/**
 * Measures what the options ask for on an empty PostgreSQL server, which it leaves full.
 * @throws UsageError when the options ask for nothing that there is
 * @throws Error when a charge is answered wrongly or the ledger does not add up
 */
export async function runBenchmark(
  options: BenchOptions,
  postgres: EmbeddedPostgres,
  print: (line: string) => void,
): Promise<Report> {
  assertMeasuresSomething(options);
  const startedAtMs = performance.now();
  const measuredAt = new Date().toISOString();
  const cluster = connect(postgres.ownerUrl('postgres'), { max: 1, statementTimeoutMs: 0 });
  await cluster`create database ${cluster(DATABASE)}`;
  const url = postgres.ownerUrl(DATABASE);
  await migrate({ url });
  if (wanted(options, 'month')) {
    await cluster`create database ${cluster(MONTH_DATABASE)} template ${cluster(DATABASE)}`;
  }
  let sql = connect(url, { max: 2, statementTimeoutMs: 0 });
  const { secret: apiKey } = await createApiKeys({ sql, logger: createLogger('silent') }).create({
    name: 'bench',
    scopes: ['usage:charge', 'holds:write', 'wallets:read'],
    createdBy: 'cli:bench',
  });
  const wallets = await prepareWallets(sql);
  await sql.end({ timeout: 1 });
  // Copied while nobody is connected and nothing has been charged.
  for (const [section, database] of [
    ['guards', GUARDS_DATABASE],
    ['history', HISTORY_DATABASE],
  ] as const) {
    if (wanted(options, section)) {
      await cluster`create database ${cluster(database)} template ${cluster(DATABASE)}`;
    }
  }
  await cluster.end();

  sql = connect(url, { max: 2, statementTimeoutMs: 0 });
  const server = await startServer(url, options.profileDirectory);
  try {
    const target: HttpTarget = { host: '127.0.0.1', port: server.port, apiKey };
    // The sample is the first charge that was acknowledged.
    const tally: Tally = { accepted: 1 };
    const sample = await takeSample(sql, target, wallets.hot);
    const seconds = options.secondsPerRow;
    const context = { target, databaseUrl: url, wallets, sample, tally, seconds };
    const run: Run = { options, postgres, apiKey, sql, server, context, print };
    const machine = await machineOf(sql);
    print(
      `${machine.cores} cores, ${machine.cpu}, Node ${machine.node}, PostgreSQL ${machine.postgres}`,
    );
    if (machine.fsync !== 'on' || machine.synchronousCommit !== 'on') {
      throw new Error('PostgreSQL must run with fsync and synchronous_commit on');
    }

    const floors = await floorsOf(run);
    const rows = await rowsOf(run, floors);
    const memory = await memoryOf(run);
    await server.stop();
    const ledger = await ledgerOf(run);
    const guards = await guardsOf(run);
    const month = await monthOf(run);
    const history = await historyOf(run);
    return {
      measuredAt,
      durationSeconds: Math.round((performance.now() - startedAtMs) / 1000),
      secondsPerRow: seconds,
      machine,
      floors,
      rows,
      history,
      ledger,
      guards,
      month,
      memory,
    };
  } finally {
    await server.stop();
    await sql.end({ timeout: 1 });
  }
}

function assertMeasuresSomething(options: BenchOptions): void {
  const names = sectionNames();
  if (!names.some((name) => wanted(options, name))) {
    throw new UsageError(`--only fits none of these:\n  ${names.join('\n  ')}`);
  }
}

async function machineOf(sql: Sql): Promise<Report['machine']> {
  const [settings] = await sql<{ postgres: string; fsync: string; synchronousCommit: string }[]>`
    select current_setting('server_version') as postgres, current_setting('fsync') as fsync,
      current_setting('synchronous_commit') as "synchronousCommit"`;
  if (settings === undefined) {
    throw new Error('the database does not answer');
  }
  return {
    cores: cpus().length,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    node: process.version,
    ...settings,
  };
}
