/** The sections of a run: each measures and prints one thing, if it is asked for. */
import { connect, type Sql } from '../../store/sql.ts';
import type { EmbeddedPostgres } from '../postgres.ts';
import type { BenchOptions } from './arguments.ts';
import { measureFloor, measureNaive, prepareFloor } from './floor.ts';
import { measureGuards } from './guards.ts';
import { makeHistories, measureHistories } from './history.ts';
import { ledgerCheck } from './ledger.ts';
import { measureMonth } from './month.ts';
import { hasPgbench, PGBENCH_MISSING } from './pgbench.ts';
import { postgresUsage } from './processes.ts';
import type { Floors, MeasuredRow, Report, Wallets } from './report.ts';
import { ROWS, type Row, type RowContext, warmUp } from './rows.ts';
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

/** Databases of these sections' own: the rows never see what is done to them. */
export const GUARDS_DATABASE = 'bench_guards';
export const HISTORY_DATABASE = 'bench_history';
export const MONTH_DATABASE = 'bench_month';
/** At least so many events are verified: with fewer, the start of the command would be measured. */
const EVENTS_TO_VERIFY = 300_000;

/** What the sections of one run share. */
export interface Run {
  readonly options: BenchOptions;
  readonly postgres: EmbeddedPostgres;
  readonly apiKey: string;
  readonly sql: Sql;
  readonly server: ServerProcess;
  readonly context: RowContext;
  readonly print: (line: string) => void;
}

/** The names by which `--only` chooses what is measured. */
export function sectionNames(): string[] {
  return [
    ...(['many', 'one hot'] as const).map((wallets) => `floor, ${walletsText(wallets)}`),
    ...ROWS.map((row) => `${row.name}, ${walletsText(walletsOf(row))}`),
    ...['verify and rebuild', 'guards', 'month', 'history'],
  ];
}

export function wanted({ only }: BenchOptions, name: string): boolean {
  return only?.test(name) ?? true;
}

export async function floorsOf(run: Run): Promise<Report['floors']> {
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

export async function rowsOf(run: Run, floors: Report['floors']): Promise<MeasuredRow[]> {
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

export async function memoryOf({ postgres, server }: Run): Promise<NonNullable<Report['memory']>> {
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
export async function ledgerOf({ sql, context, options, print }: Run): Promise<Report['ledger']> {
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

export async function guardsOf({
  options,
  postgres,
  context,
  print,
}: Run): Promise<Report['guards']> {
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

export async function monthOf({
  options,
  postgres,
  context,
  print,
}: Run): Promise<Report['month']> {
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

export async function historyOf(run: Run): Promise<Report['history']> {
  const { options, postgres, apiKey, context, print } = run;
  if (!wanted(options, 'history')) {
    return null;
  }
  const url = postgres.ownerUrl(HISTORY_DATABASE);
  const sql = connect(url, { max: 1, statementTimeoutMs: 0 });
  const wallets = await makeHistories(sql, context.sample, options.histories);
  const [disk] = await sql<{ bytes: bigint }[]>`
    select pg_total_relation_size('wallet_events') as bytes`;
  await sql.end({ timeout: 1 });
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
