/**
 * What each guard of the database costs: the SQL batch function on copies of one database, each
 * with one guard taken away. The copies are dropped at once.
 */
import { connect, type Sql } from '../../store/sql.ts';
import { dropConstraint } from './catalogue.ts';
import type { PostgresUsage } from './processes.ts';
import type { ChargeSample } from './sample.ts';
import { BATCH, chargeBatches } from './sql-batch.ts';

export interface GuardCost {
  readonly guard: string;
  /** A charge with every guard on costs that much more than without this one; may be negative. */
  readonly wallMicros: number;
  /** The same in CPU time of PostgreSQL; null where there is no /proc. */
  readonly cpuMicros: number | null;
}

export interface GuardCosts {
  /** A charge with every guard on. */
  readonly all: Cost;
  readonly guards: readonly GuardCost[];
}

interface Cost {
  readonly wallMicros: number;
  readonly cpuMicros: number | null;
}

interface Variant {
  readonly guard: string;
  readonly takeAway: (sql: Sql) => Promise<unknown>;
  /** What it is compared with, when it cannot be taken away alone. */
  readonly onTopOf?: Variant;
}

const PREVIOUS: Variant = {
  guard: 'foreign key of an event to the one before it',
  takeAway: (sql) => dropConstraint(sql, 'wallet_events', 'wallet_events_follow_previous'),
};

const HEAD: Variant = {
  guard: 'foreign key of a wallet to its last event',
  takeAway: (sql) => dropConstraint(sql, 'wallets', 'wallets_stand_on_head_event'),
};

const BOTH_KEYS: Variant = {
  guard: 'both foreign keys',
  takeAway: async (sql) => {
    await PREVIOUS.takeAway(sql);
    await HEAD.takeAway(sql);
  },
};

const DIGESTS: Variant = {
  guard: 'chain of hashes: the digests',
  takeAway: (sql) => replaceCalls(sql, 'sha256', `decode(repeat('00', 32), 'hex')`),
};

const VARIANTS: readonly Variant[] = [
  PREVIOUS,
  HEAD,
  BOTH_KEYS,
  {
    guard: 'unique state key, which the foreign keys need',
    onTopOf: BOTH_KEYS,
    takeAway: (sql) =>
      sql.unsafe('alter table wallet_events drop constraint wallet_events_state_key cascade'),
  },
  {
    guard: 'CHECKs of events and wallets',
    takeAway: async (sql) => {
      const checks = await sql<{ table: string; name: string }[]>`
        select conrelid::regclass::text as table, conname as name from pg_constraint
        where contype = 'c' and conrelid in ('wallet_events'::regclass, 'wallets'::regclass)`;
      for (const { table, name } of checks) {
        await dropConstraint(sql, table, name);
      }
    },
  },
  {
    guard: 'append-only triggers',
    takeAway: (sql) =>
      sql.unsafe(`drop trigger wallet_events_append_only on wallet_events;
        drop trigger wallets_never_deleted on wallets`),
  },
  DIGESTS,
  {
    guard: 'chain of hashes: the text that is hashed',
    onTopOf: DIGESTS,
    takeAway: async (sql) => {
      await DIGESTS.takeAway(sql);
      await replaceCalls(sql, 'concat_ws', `''::text`);
    },
  },
];

const EVERY_GUARD: Variant = { guard: 'none', takeAway: async () => undefined };

const BATCHES_PER_TURN = 5;

/**
 * Measures on copies of the database `template`, to which nobody may be connected. The copies take
 * short turns, so that whatever else the machine does falls on all of them.
 */
export async function measureGuards(options: {
  ownerUrl: (database: string) => string;
  template: string;
  walletIds: readonly string[];
  sample: ChargeSample;
  turns: number;
  usage: () => Promise<PostgresUsage | null>;
}): Promise<GuardCosts> {
  const { ownerUrl, template, walletIds, sample, turns, usage } = options;
  const variants = [EVERY_GUARD, ...VARIANTS];
  const databaseOf = (index: number) => `${template}_${index}`;
  const sql = connect(ownerUrl('postgres'), { max: 1, statementTimeoutMs: 0 });

  async function takeTurn(index: number): Promise<Cost> {
    const before = await usage();
    const load = await chargeBatches({
      url: ownerUrl(databaseOf(index)),
      walletIds,
      sample,
      connections: 1,
      seconds: Number.POSITIVE_INFINITY,
      batches: BATCHES_PER_TURN,
    });
    const after = await usage();
    const charges = load.calls * BATCH;
    return {
      wallMicros: (load.seconds * 1_000_000) / charges,
      cpuMicros:
        before === null || after === null ? null : (after.cpuMicros - before.cpuMicros) / charges,
    };
  }

  try {
    for (const [index, { takeAway }] of variants.entries()) {
      const database = databaseOf(index);
      await sql`create database ${sql(database)} template ${sql(template)}`;
      const scratch = connect(ownerUrl(database), { max: 1 });
      await takeAway(scratch);
      await scratch.end({ timeout: 1 });
    }
    const costs = variants.map((): Cost[] => []);
    // The first turn, not counted, fills caches.
    for (let turn = 0; turn <= turns; turn += 1) {
      for (const [index, own] of shuffled([...costs.entries()])) {
        const cost = await takeTurn(index);
        if (turn > 0) {
          own.push(cost);
        }
      }
    }
    const typical = new Map(
      variants.map((variant, index) => [variant, typicalOf(costs[index] ?? [])]),
    );
    const costOf = (variant: Variant) => typical.get(variant) ?? typicalOf([]);
    return {
      all: costOf(EVERY_GUARD),
      guards: VARIANTS.map((variant) => ({
        guard: variant.guard,
        ...difference(costOf(variant.onTopOf ?? EVERY_GUARD), costOf(variant)),
      })),
    };
  } finally {
    for (const index of variants.keys()) {
      await sql`drop database if exists ${sql(databaseOf(index))} with (force)`;
    }
    await sql.end({ timeout: 1 });
  }
}

/** Replaces the calls of a function in the bodies of all of the schema's functions that hash. */
async function replaceCalls(sql: Sql, called: string, by: string): Promise<void> {
  const functions = await sql<{ definition: string }[]>`
    select pg_get_functiondef(oid) as definition from pg_proc
    where pronamespace = 'public'::regnamespace and prokind = 'f'
      and prosrc ~ ${`\\m${called}\\(`} and proname <> 'ledger_key'`;
  if (functions.length === 0) {
    throw new Error(`no function calls ${called}`);
  }
  for (const { definition } of functions) {
    await sql.unsafe(withoutCalls(definition, called, by));
  }
}

/** A text with each `called(…)` replaced, brackets counted. */
function withoutCalls(text: string, called: string, by: string): string {
  const start = text.search(new RegExp(`\\b${called}\\(`));
  if (start === -1) {
    return text;
  }
  let depth = 0;
  let end = start + called.length;
  do {
    depth += text[end] === '(' ? 1 : text[end] === ')' ? -1 : 0;
    end += 1;
  } while (depth > 0 && end < text.length);
  return text.slice(0, start) + by + withoutCalls(text.slice(end), called, by);
}

/** The median of the times, which stalls do not move; CPU time has none, and is too coarse for it. */
function typicalOf(costs: readonly Cost[]): Cost {
  const times = costs.map(({ wallMicros }) => wallMicros).sort((a, b) => a - b);
  const cpu = costs.flatMap(({ cpuMicros }) => cpuMicros ?? []);
  return {
    wallMicros: times[Math.floor(times.length / 2)] ?? Number.NaN,
    cpuMicros: cpu.length === 0 ? null : cpu.reduce((sum, micros) => sum + micros) / cpu.length,
  };
}

/** In another order, so that nothing always comes behind the same neighbour. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

function difference(a: Cost, b: Cost): Cost {
  return {
    wallMicros: a.wallMicros - b.wallMicros,
    cpuMicros: a.cpuMicros === null || b.cpuMicros === null ? null : a.cpuMicros - b.cpuMicros,
  };
}
