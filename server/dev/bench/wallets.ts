/** Databases with wallets to charge, opened and funded through the ledger's own functions. */

import type { WalletMode } from '../../ledger/events.ts';
import type { Sql } from '../../store/sql.ts';

export interface BenchWallet {
  readonly userId: string;
  readonly walletId: string;
}

export interface BenchWallets {
  /** User ids of wallets with plenty of funds. */
  readonly users: readonly string[];
  readonly walletIds: readonly string[];
  /** One of them. */
  readonly hot: BenchWallet;
  /** A user whose wallet is empty. */
  readonly empty: string;
  /** A user whose charges spend promotional credit. */
  readonly credited: string;
  /** A user whose usage is debited when the month is closed. */
  readonly deferred: string;
}

export const WALLETS = 10_000;
/** A billion dollars: no run comes to its end. */
const FUNDS_MICROS = 1_000_000_000_000_000n;
/** The most of one grant. */
const GRANT_MICROS = 1_000_000_000_000n;
/** Few enough for the locks that one transaction may hold. */
const WALLETS_AT_ONCE = 2_000;

/** Opens the wallets, and one of each other kind. Needs the owner. */
export async function prepareWallets(sql: Sql): Promise<BenchWallets> {
  await openWallets(sql, 'empty', 1);
  await openWallets(sql, 'bench', WALLETS);
  await fundWallets(sql, 'bench');
  await openWallets(sql, 'deferred', 1, 'deferred');
  await fundWallets(sql, 'deferred');
  await openWallets(sql, 'credited', 1);
  await sql`
    select grant_credit(id, gen_random_uuid(), sha256('bench'), ${GRANT_MICROS}, 'cli:bench', '{}')
    from wallets where user_id = 'credited-1'`;
  await sql.unsafe('vacuum analyze');
  const rows = await sql<BenchWallet[]>`
    select id as "walletId", user_id as "userId" from wallets
    where starts_with(user_id, 'bench-') order by id`;
  const [hot] = rows;
  if (hot === undefined) {
    throw new Error('no wallet was opened');
  }
  return {
    users: rows.map(({ userId }) => userId),
    walletIds: rows.map(({ walletId }) => walletId),
    hot,
    empty: 'empty-1',
    credited: 'credited-1',
    deferred: 'deferred-1',
  };
}

/** Opens wallets of the users NAME-1, NAME-2, … */
export async function openWallets(
  sql: Sql,
  name: string,
  count: number,
  mode: WalletMode = 'live',
): Promise<void> {
  for (let from = 1; from <= count; from += WALLETS_AT_ONCE) {
    const to = Math.min(from + WALLETS_AT_ONCE - 1, count);
    await sql`
      select count((open_wallet(gen_random_uuid(), ${name}::text || '-' || i, 'USD', 'UTC', ${mode},
        'cli:bench')).opened)
      from generate_series(${from}::int, ${to}::int) i`;
  }
}

/**
 * Funds the wallets of the users NAME-… by paid top-ups, as a card payment does: promotional credit
 * would be spent another way.
 */
export async function fundWallets(sql: Sql, name: string): Promise<void> {
  await sql`
    insert into stripe_customers (user_id, livemode, stripe_customer_id)
    select user_id, false, 'cus_' || user_id from wallets
    where starts_with(user_id, ${`${name}-`})`;
  const minor = FUNDS_MICROS / 10_000n;
  await sql`
    select count((start_top_up(gen_random_uuid(), id, 'bench-top-up', ${FUNDS_MICROS}, ${minor},
      false)).code)
    from wallets where starts_with(user_id, ${`${name}-`})`;
  const [credited] = await sql<{ count: bigint }[]>`
    select count(*) filter (where (apply_top_up('pi_' || t.id, t.id, 'cus_' || w.user_id, 'USD',
      ${minor}, false, 'cli:bench', ledger_now())).code = 'CREDITED')
    from top_ups t join wallets w on w.id = t.wallet_id
    where starts_with(w.user_id, ${`${name}-`})`;
  const [opened] = await sql<{ count: bigint }[]>`
    select count(*) from wallets where starts_with(user_id, ${`${name}-`})`;
  if (credited?.count !== opened?.count) {
    throw new Error(`${credited?.count} of ${opened?.count} wallets could be funded`);
  }
}
