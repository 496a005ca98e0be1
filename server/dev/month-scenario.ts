import { randomUUID } from 'node:crypto';
import { createMonthWork, type MonthWork } from '../billing/month/month.ts';
import { createStatements, type Statements } from '../billing/month/statements.ts';
import { EVERY_WALLET } from '../store/ledger.ts';
import type { RangeOutcome } from '../store/month.ts';
import type { Sql } from '../store/sql.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

export interface TestWallet {
  readonly id: string;
  readonly userId: string;
}

/** What tests of the month do at which instant; the ledger's clock stops there. */
export interface MonthScenario {
  readonly db: TestDatabase;
  readonly month: MonthWork;
  readonly statements: Statements;
  open(
    at: string,
    options?: { timezone?: string; mode?: 'live' | 'deferred' },
  ): Promise<TestWallet>;
  grant(at: string, wallet: TestWallet, amountMicros: bigint): Promise<void>;
  /** By default a call of 60 seconds that has just ended. What the wallet lacks is owed. */
  charge(
    at: string,
    wallet: TestWallet,
    amountMicros: bigint,
    detail?: Record<string, unknown>,
    occurredAt?: string,
  ): Promise<void>;
  /** Requests the period; throws when it is refused. */
  request(at: string, period: string): Promise<string>;
  /** Requests the period and closes all wallets, which one range holds. */
  run(at: string, period: string): Promise<RangeOutcome>;
  /** Closes the ranges that the plan names, page by page, as the scheduler does. */
  runPlan(runId: string, period: string): Promise<RangeOutcome>;
  wallet(wallet: TestWallet): Promise<{
    balance: bigint;
    held: bigint;
    available: bigint;
    headHash: string;
  }>;
}

/** All wallets as one range of a month's plan. */
export const WHOLE_RANGE = { fromWalletId: EVERY_WALLET.from, toWalletId: EVERY_WALLET.to };

const aCall = { usage: { type: 'call' }, units: 60 };

/**
 * A scenario in the given database, or in one of its own, which the caller closes. For `*.db.test.ts`
 * files only.
 */
export async function createMonthScenario(database?: TestDatabase): Promise<MonthScenario> {
  const db = database ?? (await createTestDatabase());
  const month = createMonthWork({ sql: db.app, longSql: db.app, clock: () => new Date() });

  const request: MonthScenario['request'] = async (at, period) => {
    await db.setClock(at);
    const requested = await month.request({ period, actor: 'test:month' });
    if (!requested.ok) throw new Error(requested.message);
    return requested.runId;
  };

  return {
    db,
    month,
    statements: createStatements({ sql: db.app, appName: 'Prepaid Wallet' }),
    request,

    async open(at, { timezone = 'UTC', mode = 'live' } = {}) {
      await db.setClock(at);
      const id = randomUUID();
      const userId = `user-${id}`;
      await db.app`select open_wallet(${id}, ${userId}, 'USD', ${timezone}, ${mode}, 'test:month')`;
      return { id, userId };
    },

    async grant(at, wallet, amountMicros) {
      await db.setClock(at);
      await db.app`select grant_credit(${wallet.id}, ${randomUUID()}, sha256('grant'),
        ${amountMicros}, 'test:month', '{}')`;
    },

    async charge(at, wallet, amountMicros, detail = aCall, occurredAt) {
      await db.setClock(at);
      await db.app`select charge_wallet(${wallet.id}, ${randomUUID()}, sha256('charge'),
        ${amountMicros}, 'arrears', ${occurredAt ?? null}, 'test:month', ${JSON.stringify(detail)}::text::json)`;
    },

    async run(at, period) {
      const runId = await request(at, period);
      await month.planMonth(runId, null);
      return month.closeRange({ runId, period, ...WHOLE_RANGE });
    },

    async runPlan(runId, period) {
      const sum = { closed: 0, failed: 0, pending: 0 };
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<MonthWork['planMonth']>> = await month.planMonth(
          runId,
          cursor,
        );
        for (const range of page.ranges) {
          const outcome = await month.closeRange({ runId, period, ...range });
          sum.closed += outcome.closed;
          sum.failed += outcome.failed;
          sum.pending += outcome.pending;
        }
        cursor = page.nextCursor;
      } while (cursor !== null);
      return sum;
    },

    async wallet({ id }) {
      const [row] = await db.app<
        { balance: bigint; held: bigint; available: bigint; headHash: string }[]
      >`select balance_micros as balance, held_micros as held, available_micros(w) as available,
          encode(head_hash, 'hex') as "headHash" from wallets w where id = ${id}`;
      if (!row) throw new Error('no such wallet');
      return row;
    },
  };
}

/** Lets a run plan ranges of so few wallets, as the owner of the database, where it plans 1,000. */
export async function planSmallRanges(owner: Sql, walletsPerRange: number): Promise<void> {
  const [plan] = await owner<{ definition: string }[]>`
    select pg_get_functiondef('plan_month(uuid, uuid, int)'::regprocedure) as definition`;
  const small = plan?.definition
    .replace('int := 1000;', `int := ${walletsPerRange};`)
    .replace('int := 500000;', `int := ${500 * walletsPerRange};`);
  if (small === undefined || small === plan?.definition) {
    throw new Error('plan_month does not say how many wallets a range has');
  }
  await owner.unsafe(small);
}
