/** One run: databases, server, and the sections one after the other. */
import { cpus, totalmem } from 'node:os';
import { createApiKeys } from '../../billing/accounts/api-keys.ts';
import { createLogger } from '../../log.ts';
import { migrate } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { EmbeddedPostgres } from '../postgres.ts';
import { type BenchOptions, UsageError } from './arguments.ts';
import { measureFloor, measureNaive, prepareFloor } from './floor.ts';
import { measureGuards } from './guards.ts';
import { makeHistories, measureHistories } from './history.ts';
import type { HttpTarget } from './http-connection.ts';
import { ledgerCheck } from './ledger.ts';
import { measureMonth } from './month.ts';
import { hasPgbench, PGBENCH_MISSING } from './pgbench.ts';
import { postgresUsage } from './processes.ts';
import type { Floors, MeasuredRow, Report, Wallets } from './report.ts';
import { ROWS, type Row, type RowContext, warmUp } from './rows.ts';
import { takeSample } from './sample.ts';
import { type ServerProcess, startServer } from './server-process.ts';
import { BATCH, chargeBatches } from './sql-batch.ts';
import {
  count,
  guardsTable,
  historyTable,
  ledgerTable,
  monthTable,
  ROWS_HEAD,
  rowCells,
} from './tables.ts';
import type { Tally } from './traffic.ts';
import { prepareWallets } from './wallets.ts';

const DATABASE = 'bench';
const GUARDS_DATABASE = 'bench_guards';
const HISTORY_DATABASE = 'bench_history';
const MONTH_DATABASE = 'bench_month';
/** So few events at least are verified: fewer would measure the start of the command. */
const EVENTS_TO_VERIFY = 300_000;

interface Run {
  readonly options: BenchOptions;
  readonly postgres: EmbeddedPostgres;
  readonly apiKey: string;
  readonly sql: Sql;
  readonly server: ServerProcess;
  readonly context: RowContext;
  readonly print: (line: string) => void;
}

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
  await sql.end();
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
  const names = [
    ...(['many', 'one hot'] as const).map((wallets) => `floor, ${walletsText(wallets)}`),
    ...ROWS.map((row) => `${row.name}, ${walletsText(walletsOf(row))}`),
    ...['verify and rebuild', 'guards', 'month', 'history'],
  ];
  if (!names.some((name) => wanted(options, name))) {
    throw new UsageError(`--only fits none of these:\n  ${names.join('\n  ')}`);
  }
}

function wanted({ only }: BenchOptions, name: string): boolean {
  return only?.test(name) ?? true;
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

async function floorsOf(run: Run): Promise<Report['floors']> {
  const { options, print, context, sql } = run;
  const floors: { [wallets in Wallets]?: Floors } = {};
  const asked = (['many', 'one hot'] as const).filter((wallets) =>
    wanted(options, `floor, ${walletsText(wallets)}`),
  );
  if (asked.length === 0) {
    return floors;
  }
  const pgbenchFound = await hasPgbench();
  if (!pgbenchFound) {
    print(PGBENCH_MISSING);
  }
  await prepareFloor(sql);
  for (const wallets of asked) {
    const hot = wallets === 'one hot';
    const { databaseUrl: url, sample, seconds } = context;
    const clients = hot ? [1, 8, 32] : [32, 64];
    const common = { url, hot, seconds, pgbenchFound, sample };
    const measured: Floors = {
      simple: await measureFloor({ ...common, clients, protocol: 'simple' }),
      prepared: await measureFloor({ ...common, clients, protocol: 'prepared' }),
      naive: await measureNaive({ ...common, clients: [hot ? 8 : 32] }),
    };
    floors[wallets] = measured;
    const text = ({ perSecond, clients, driver }: Floors['simple']) =>
      `${count(perSecond)}/s (${clients} clients, ${driver})`;
    print(
      `floor, ${walletsText(wallets)}: ${text(measured.simple)}; prepared ` +
        `${text(measured.prepared)}; naive transaction from Node ${text(measured.naive)}`,
    );
  }
  return floors;
}

async function rowsOf(run: Run, floors: Report['floors']): Promise<MeasuredRow[]> {
  const { options, print } = run;
  const asked = ROWS.filter((row) =>
    wanted(options, `${row.name}, ${walletsText(walletsOf(row))}`),
  );
  if (asked.length > 0) {
    await warmUp(run.context);
    print(`\n| ${ROWS_HEAD.join(' | ')} |`);
  }
  const measured: MeasuredRow[] = [];
  for (const row of asked) {
    const result = await measureRow(run, row, floors[walletsOf(row)]);
    measured.push(result);
    print(`| ${rowCells(result).join(' | ')} |`);
  }
  return measured;
}

async function measureRow(run: Run, row: Row, floors: Floors | undefined): Promise<MeasuredRow> {
  const { context, postgres, server } = run;
  await row.measure({ ...context, seconds: Math.min(context.seconds / 3, 2) });
  const usage = async () => ({
    node: await server.usage(),
    postgres: await postgresUsage(postgres.homeDirectory),
  });
  const before = await usage();
  const load = await row.measure(context);
  const after = await usage();
  const done = load.calls * row.perCall;
  const perSecond = done / load.seconds;
  return {
    name: row.name,
    wallets: walletsOf(row),
    unit: row.unit,
    headline: row.headline,
    rateIsGiven: row.rateIsGiven,
    perSecond,
    ratioToFloor: floors === undefined ? null : perSecond / floors.simple.perSecond,
    ratioToPreparedFloor: floors === undefined ? null : perSecond / floors.prepared.perSecond,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    nodeCpuMicros: row.throughServer ? (after.node.cpuMicros - before.node.cpuMicros) / done : null,
    postgresCpuMicros:
      before.postgres === null || after.postgres === null
        ? null
        : (after.postgres.cpuMicros - before.postgres.cpuMicros) / done,
    goal: row.goal,
  };
}

function walletsOf(row: Row): Wallets {
  return row.hot ? 'one hot' : 'many';
}

function walletsText(wallets: Wallets): string {
  return wallets === 'many' ? 'many wallets' : 'one hot wallet';
}

async function memoryOf({ postgres, server }: Run): Promise<NonNullable<Report['memory']>> {
  const node = await server.usage();
  const database = await postgresUsage(postgres.homeDirectory);
  return {
    serverRssBytes: node.rssBytes,
    serverPeakRssBytes: node.peakRssBytes,
    postgresBytes: database?.memoryBytes ?? null,
    postgresMeasure: database?.memoryIs ?? null,
  };
}

/** Verifies what the rows have left, always; and that it is what was acknowledged. */
async function ledgerOf({ sql, context, options, print }: Run): Promise<Report['ledger']> {
  const { databaseUrl, tally, wallets, sample } = context;
  const [stored] = await sql<{ charges: bigint }[]>`
    select count(*) as charges from wallet_events where type in ('charge', 'accrual', 'hold_captured')`;
  if (stored?.charges !== BigInt(tally.accepted)) {
    throw new Error(`${tally.accepted} charges were acknowledged, ${stored?.charges} are kept`);
  }
  const measured = wanted(options, 'verify and rebuild');
  for (let events = tally.accepted; measured && events < EVENTS_TO_VERIFY; ) {
    const batches = { url: databaseUrl, sample, walletIds: wallets.walletIds };
    const more = await chargeBatches({ ...batches, connections: 1, seconds: 4 });
    events += more.calls * BATCH;
  }
  await sql.unsafe('vacuum analyze');
  const verify = await ledgerCheck('verify', databaseUrl);
  if (!measured) {
    return null;
  }
  const ledger = { verify, rebuild: await ledgerCheck('rebuild', databaseUrl) };
  print(`\n${ledgerTable({ ledger }).join('\n')}`);
  return ledger;
}

async function guardsOf({ options, postgres, context, print }: Run): Promise<Report['guards']> {
  if (!wanted(options, 'guards')) {
    return null;
  }
  const guards = await measureGuards({
    ownerUrl: (database) => postgres.ownerUrl(database),
    template: GUARDS_DATABASE,
    walletIds: context.wallets.walletIds,
    sample: context.sample,
    turns: Math.max(6, Math.round(context.seconds * 2)),
    usage: () => postgresUsage(postgres.homeDirectory),
  });
  print(`\n${guardsTable({ guards }).join('\n')}`);
  return guards;
}

async function monthOf({ options, postgres, context, print }: Run): Promise<Report['month']> {
  if (!wanted(options, 'month')) {
    return null;
  }
  const url = postgres.ownerUrl(MONTH_DATABASE);
  const month = await measureMonth({
    url,
    wallets: options.monthWallets,
    sample: context.sample,
  });
  await ledgerCheck('verify', url);
  print(`\n${monthTable({ month }).join('\n')}`);
  return month;
}

async function historyOf(run: Run): Promise<Report['history']> {
  const { options, postgres, apiKey, context, print } = run;
  if (!wanted(options, 'history')) {
    return null;
  }
  const url = postgres.ownerUrl(HISTORY_DATABASE);
  const sql = connect(url, { max: 1, statementTimeoutMs: 0 });
  const wallets = await makeHistories(sql, context.sample, options.histories);
  const [disk] = await sql<{ bytes: bigint }[]>`
    select pg_total_relation_size('wallet_events') as bytes`;
  await sql.end();
  const server = await startServer(url, undefined);
  try {
    const measured = await measureHistories({
      url,
      target: { host: '127.0.0.1', port: server.port, apiKey },
      wallets,
      secondsEach: Math.max(1, context.seconds / 4),
    });
    await server.stop();
    await ledgerCheck('verify', url);
    const history = { wallets, diskBytes: Number(disk?.bytes ?? 0), measured };
    for (const { events, generationSeconds } of wallets) {
      print(`\nhistory of ${count(events)} events made in ${generationSeconds.toFixed(1)} s`);
    }
    print(`\n${historyTable({ history }).join('\n')}`);
    return history;
  } finally {
    await server.stop();
  }
}
