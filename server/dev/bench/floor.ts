/**
 * The floor: what PostgreSQL itself does with one charge a transaction, in a single statement that
 * keeps the same record as a charge of ours, and does nothing else: no price, no verdict of its
 * own, no chain of hashes, no foreign key, no role.
 */
import { connect, type Sql } from '../../store/sql.ts';
import { type Caller, closedLoop } from './load.ts';
import { pgbench } from './pgbench.ts';
import type { ChargeSample } from './sample.ts';
import { WALLETS } from './wallets.ts';

/** How clients speak to PostgreSQL: pgbench's own default, and prepared statements. */
export const PROTOCOLS = ['simple', 'prepared'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export interface FloorMeasure {
  readonly perSecond: number;
  readonly clients: number;
  readonly driver: 'pgbench' | 'own driver';
}

/** One wallet, or as many as the rows have. */
export interface FloorOptions {
  readonly url: string;
  readonly hot: boolean;
  readonly clients: readonly number[];
  readonly seconds: number;
  readonly pgbenchFound: boolean;
}

const AMOUNT_MICROS = 20_000;

/** Makes the tables. The wallets' ids are as random as ours. */
export async function prepareFloor(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create table floor_wallets (
      id uuid primary key, balance_micros bigint not null, seq bigint not null,
      updated_at timestamptz not null
    ) with (fillfactor = 50);
    create table floor_charges (
      wallet_id uuid not null, seq bigint not null, type text not null,
      amount_micros bigint not null, balance_micros bigint not null, key uuid not null,
      request_hash bytea not null, actor text not null, occurred_at timestamptz not null,
      recorded_at timestamptz not null, detail json not null,
      primary key (wallet_id, seq), unique (wallet_id, key)
    );
    insert into floor_wallets
    select ${walletId('i')}, 1000000000000000, 0, now() from generate_series(1, ${WALLETS}) i;
  `);
  await sql.unsafe('vacuum analyze floor_wallets');
}

/** The best of several numbers of clients. */
export async function measureFloor(
  options: FloorOptions & { readonly protocol: Protocol; readonly sample: ChargeSample },
): Promise<FloorMeasure> {
  const measured: FloorMeasure[] = [];
  for (const clients of options.clients) {
    measured.push(
      options.pgbenchFound
        ? {
            perSecond: await pgbench({
              ...options,
              script: pgbenchScript(options.hot, options.sample),
              clients,
            }),
            clients,
            driver: 'pgbench',
          }
        : { perSecond: await ownDriver({ ...options, clients }), clients, driver: 'own driver' },
    );
  }
  return best(measured);
}

/**
 * A transaction as it is often written: SELECT FOR UPDATE, INSERT and UPDATE, each sent from Node.
 */
export async function measureNaive(
  options: FloorOptions & { readonly sample: ChargeSample },
): Promise<FloorMeasure> {
  const { sample } = options;
  const measured: FloorMeasure[] = [];
  for (const clients of options.clients) {
    const perSecond = await throughput({ ...options, clients }, (sql, wallet) =>
      sql.begin(async (tx) => {
        const [row] = await tx<{ id: string; balance: bigint; seq: bigint }[]>`
          select id, balance_micros as balance, seq from floor_wallets
          where id = md5(${wallet}::text)::uuid for update`;
        if (row === undefined || row.balance < BigInt(AMOUNT_MICROS)) {
          throw new Error('a wallet of the floor has no funds');
        }
        const balance = row.balance - BigInt(AMOUNT_MICROS);
        await tx`
          insert into floor_charges (wallet_id, seq, type, amount_micros, balance_micros, key,
            request_hash, actor, occurred_at, recorded_at, detail)
          values (${row.id}, ${row.seq + 1n}, 'charge', ${-AMOUNT_MICROS}, ${balance},
            gen_random_uuid(), ${sample.requestHash}, ${sample.actor}, now(), now(),
            ${sample.detailText}::text::json)`;
        await tx`
          update floor_wallets set balance_micros = ${balance}, seq = ${row.seq + 1n},
            updated_at = now()
          where id = ${row.id}`;
      }),
    );
    measured.push({ perSecond, clients, driver: 'own driver' });
  }
  return best(measured);
}

/** The id of a floor wallet out of its number: md5 makes it random in the index, as ours are. */
function walletId(number: string): string {
  return `md5(cast(cast(${number} as int) as text))::uuid`;
}

function statement(number: string, sample: ChargeSample): string {
  return `with w as (
      update floor_wallets set balance_micros = balance_micros - ${AMOUNT_MICROS}, seq = seq + 1,
        updated_at = now()
      where id = ${walletId(number)} and balance_micros >= ${AMOUNT_MICROS}
      returning id, seq, balance_micros
    ) insert into floor_charges (wallet_id, seq, type, amount_micros, balance_micros, key,
      request_hash, actor, occurred_at, recorded_at, detail)
    select id, seq, 'charge', -${AMOUNT_MICROS}, balance_micros, gen_random_uuid(),
      '\\x${sample.requestHash.toString('hex')}'::bytea, ${literal(sample.actor)}, now(), now(),
      ${literal(sample.detailText)}::json
    from w`.replace(/\n\s*/g, ' ');
}

function pgbenchScript(hot: boolean, sample: ChargeSample): string {
  const charge = statement(hot ? '1' : ':wallet', sample);
  return `${hot ? '' : `\\set wallet random(1, ${WALLETS})\n`}${charge};\n`;
}

/** A text as a literal in which pgbench finds no `:variable`, as JSON seems to have them. */
function literal(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll(':', '\\x3a');
  return `E'${escaped}'`;
}

/** Where pgbench is missing: the same statement, sent from Node. It is slower than pgbench. */
async function ownDriver(
  options: Omit<FloorOptions, 'clients'> & {
    readonly clients: number;
    readonly protocol: Protocol;
    readonly sample: ChargeSample;
  },
): Promise<number> {
  const { protocol, sample } = options;
  const prepared = statement('$1', sample);
  return throughput(options, (sql, wallet) =>
    protocol === 'prepared'
      ? sql.unsafe(prepared, [wallet], { prepare: true })
      : sql.unsafe(statement(String(wallet), sample)),
  );
}

async function throughput(
  options: { url: string; hot: boolean; clients: number; seconds: number },
  charge: (sql: Sql, wallet: number) => Promise<unknown>,
): Promise<number> {
  const sql = connect(options.url, { max: options.clients });
  const caller: Caller = {
    call: async () => {
      await charge(sql, options.hot ? 1 : 1 + Math.floor(Math.random() * WALLETS));
      return 'called';
    },
    close: () => undefined,
  };
  try {
    const load = await closedLoop({
      callers: options.clients,
      seconds: options.seconds,
      open: async () => caller,
    });
    return load.calls / load.seconds;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function best(measured: readonly FloorMeasure[]): FloorMeasure {
  return measured.reduce((a, b) => (b.perSecond > a.perSecond ? b : a));
}
