/**
 * `npm run bench`: the performance table, each figure beside the floor that was measured in the
 * same run, on the machine it runs on. PostgreSQL has fsync and synchronous_commit on.
 *
 *   npm run bench [-- --quick] [-- --json FILE]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createApiKeys } from '../../billing/api-keys.ts';
import { createLogger } from '../../log.ts';
import { rebuildRange, verifyRange } from '../../store/ledger.ts';
import { migrate } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { startTemporaryPostgres } from '../temporary-postgres.ts';
import { type Floor, measureFloor, prepareFloor } from './floor.ts';
import { type BenchWallets, ROWS } from './rows.ts';

const WALLETS = 10_000;
const EVERY_WALLET = {
  from: '00000000-0000-0000-0000-000000000000',
  to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};

interface Measured {
  readonly name: string;
  readonly wallets: 'many' | 'one hot';
  readonly chargesPerSecond: number;
  readonly ratioToFloor: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly nodeCpuMicrosPerCharge: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, json: { type: 'string' } },
  });
  const seconds = values.quick ? 2 : 8;
  const postgres = await startTemporaryPostgres();
  try {
    const url = postgres.ownerUrl();
    await migrate({ url });
    const sql = connect(url, { max: 4, statementTimeoutMs: 0 });
    const wallets = await prepareWallets(sql);
    await prepareFloor(sql);
    console.log(`${cpus().length} cores, ${cpus()[0]?.model ?? ''}, Node ${process.version}`);

    const floors = {
      many: await measureFloor(url, { hot: false, clients: [32, 64], seconds }),
      hot: await measureFloor(url, { hot: true, clients: [1, 8, 32], seconds }),
    };
    console.log(`floor, many wallets: ${describeFloor(floors.many)}`);
    console.log(`floor, one hot wallet: ${describeFloor(floors.hot)}\n`);

    const { secret } = await createApiKeys({ sql, logger: createLogger('silent') }).create({
      name: 'bench',
      scopes: ['usage:charge'],
      createdBy: 'cli:bench',
    });
    const server = await startServer(url);
    const measured: Measured[] = [];
    printHead();
    for (const row of ROWS) {
      const context = {
        wallets,
        target: (path: string) => ({
          host: '127.0.0.1',
          port: server.port,
          path,
          headers: { authorization: `Bearer ${secret}` },
        }),
      };
      await row.measure({ ...context, seconds: 1 });
      const before = await server.usage();
      const load = await row.measure({ ...context, seconds });
      const after = await server.usage();
      const charges = load.requests * row.chargesPerRequest;
      const floor = row.hot ? floors.hot : floors.many;
      const result: Measured = {
        name: row.name,
        wallets: row.hot ? 'one hot' : 'many',
        chargesPerSecond: charges / load.seconds,
        ratioToFloor: charges / load.seconds / floor.perSecond,
        p50Ms: load.p50Ms,
        p99Ms: load.p99Ms,
        nodeCpuMicrosPerCharge: (after.cpuMicros - before.cpuMicros) / charges,
      };
      measured.push(result);
      printRow(result);
    }
    const { rssBytes } = await server.usage();
    await server.stop();

    const ledger = await measureLedger(sql);
    console.log(`\nmemory of the server: ${Math.round(rssBytes / 1e6)} MB`);
    console.log(
      `verify: ${ledger.verifyPerSecond} events/s, rebuild: ${ledger.rebuildPerSecond} events/s`,
    );
    console.log(`events: ${ledger.events}, differences found: ${ledger.found}`);
    if (values.json !== undefined) {
      const report = {
        node: process.version,
        cores: cpus().length,
        floors,
        measured,
        ledger,
        rssBytes,
      };
      await writeFile(values.json, `${JSON.stringify(report, jsonNumber, 2)}\n`);
    }
    await sql.end({ timeout: 5 });
    if (ledger.found > 0) {
      throw new Error('the ledger does not add up after the benchmark');
    }
  } finally {
    await postgres.stop();
  }
}

async function prepareWallets(sql: Sql): Promise<BenchWallets> {
  await sql.unsafe(`
    select count((open_wallet(gen_random_uuid(), 'bench-' || i, 'USD', 'UTC', 'live',
      'cli:bench')).opened) from generate_series(0, ${WALLETS}) i;
    select count((grant_credit(id, ledger_key('grant', 'bench'), sha256('bench'),
      1000000000000000, 'cli:bench', '{}')).code) from wallets where user_id <> 'bench-0'`);
  await sql.unsafe('vacuum analyze');
  const users = Array.from({ length: WALLETS }, (_, index) => `bench-${index + 1}`);
  return { users, empty: 'bench-0' };
}

async function measureLedger(sql: Sql) {
  const timed = async <T>(work: () => Promise<T>) => {
    const startedAtMs = performance.now();
    const result = await work();
    return { result, seconds: (performance.now() - startedAtMs) / 1000 };
  };
  await sql.unsafe('analyze');
  const verified = await timed(() => verifyRange(sql, EVERY_WALLET, 10));
  const rebuilt = await timed(() => rebuildRange(sql, EVERY_WALLET, false));
  const events = Number(verified.result.events);
  return {
    events,
    found: Number(verified.result.found),
    verifyPerSecond: Math.round(events / verified.seconds),
    rebuildPerSecond: Math.round(events / rebuilt.seconds),
  };
}

interface Usage {
  readonly cpuMicros: number;
  readonly rssBytes: number;
}

async function startServer(url: string) {
  const child: ChildProcess = fork(fileURLToPath(new URL('./server.ts', import.meta.url)), {
    execArgv: ['--import', import.meta.resolve('tsx')],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      LOG_LEVEL: 'warn',
      DATABASE_URL: url,
      SESSION_SECRET: 'bench'.repeat(8),
      STRIPE_SECRET_KEY: 'sk_test_bench',
      STRIPE_PUBLISHABLE_KEY: 'pk_test_bench',
      STRIPE_WEBHOOK_SECRET: 'whsec_bench',
      INNGEST_DEV: '1',
    },
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return {
    port,
    async usage(): Promise<Usage> {
      child.send('usage');
      const [usage] = (await once(child, 'message')) as [Usage];
      return usage;
    },
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

function describeFloor({ perSecond, clients, driver }: Floor): string {
  return `${Math.round(perSecond)} charges/s with ${clients} clients (${driver})`;
}

function printHead(): void {
  console.log('| | wallets | charges/s | × floor | p50 ms | p99 ms | Node µs a charge |');
  console.log('|---|---|--:|--:|--:|--:|--:|');
}

function printRow(row: Measured): void {
  console.log(
    `| ${row.name} | ${row.wallets} | ${Math.round(row.chargesPerSecond)} | ` +
      `${row.ratioToFloor.toFixed(2)} | ${row.p50Ms.toFixed(1)} | ${row.p99Ms.toFixed(1)} | ` +
      `${row.nodeCpuMicrosPerCharge.toFixed(0)} |`,
  );
}

/** Figures to four significant digits: more would claim more than a run can know. */
function jsonNumber(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value)
    ? Number(value.toPrecision(4))
    : value;
}

await main();
