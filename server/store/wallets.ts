/** Wallets and their events: opening, reading, paging. */

import type { WalletMode } from '../ledger/events.ts';
import type { EventPage, EventView, WalletPage, WalletView } from '../views/wallets.ts';
import { pageOf } from './pages.ts';
import { arrayLiteral, only, type Sql } from './sql.ts';

/** How a caller names a wallet: by its own id, or by the user it belongs to. */
export type WalletName =
  | { readonly walletId: string }
  | { readonly userId: string; readonly currency?: string | undefined };

export interface WalletIdentity {
  readonly walletId: string;
  readonly currency: string;
  readonly timezone: string;
  readonly userId: string;
}

const walletColumns = (sql: Sql) => sql`
  w.id as "walletId", w.user_id as "userId", w.currency, w.timezone, w.mode, w.status,
  w.balance_micros as "balanceMicros", w.held_micros as "heldMicros",
  available_micros(w) as "availableMicros", w.arrears_micros as "arrearsMicros",
  w.overdraft_limit_micros as "overdraftLimitMicros", w.limited,
  affordable_micros(w) as "affordableMicros", w.seq,
  -- An overdrawn balance may be lower than the credit in it.
  least(w.grants_micros, greatest(w.balance_micros, 0)) as "grantsMicros",
  case when w.grants_micros > 0 then (
    select min(g.expires_at) from grants g
    where g.wallet_id = w.id and g.left_micros > 0 and g.expires_at > ledger_now()
  ) end as "grantsExpireAt",
  case when w.status = 'open' and w.arrears_micros > 0 then (
    select a.suspend_at from wallet_arrears a where a.wallet_id = w.id
  ) end as "suspendsAt"`;

/** Wallets as they stand once what is due has been settled, which reading does not wait for. */
const currentWallets = (sql: Sql) => sql`wallets stored cross join lateral wallet_now(stored) w`;

/** Opens the wallet, or returns the one the user has in this currency already. */
export async function openWallet(
  sql: Sql,
  wallet: {
    walletId: string;
    userId: string;
    currency: string;
    timezone: string;
    mode: WalletMode;
    actor: string;
  },
): Promise<WalletView> {
  const [opened] = await sql<{ id: string }[]>`
    select ((open_wallet(${wallet.walletId}, ${wallet.userId}, ${wallet.currency},
      ${wallet.timezone}, ${wallet.mode}, ${wallet.actor})).wallet).id`;
  const [row] = await findWallets(sql, { walletId: only(opened).id });
  return only(row);
}

/**
 * The wallets that the name fits: none, one, or several when a user has several currencies. The one
 * that was opened first comes first, so that a later one does not take its place.
 */
export async function findWallets(sql: Sql, name: WalletName): Promise<WalletView[]> {
  if ('walletId' in name) {
    return sql<WalletView[]>`
      select ${walletColumns(sql)} from ${currentWallets(sql)} where stored.id = ${name.walletId}`;
  }
  return sql<WalletView[]>`
    select ${walletColumns(sql)} from ${currentWallets(sql)}
    where stored.user_id = ${name.userId}
      and stored.currency = coalesce(${name.currency ?? null}, stored.currency)
    order by w.opened_at, w.currency`;
}

/**
 * What never changes of the wallets that each name fits, in the order of the names: none, one, or
 * two of a user who has several currencies.
 */
export async function walletIdentities(
  sql: Sql,
  names: readonly WalletName[],
): Promise<WalletIdentity[][]> {
  const ids: (string | null)[] = [];
  const userIds: (string | null)[] = [];
  const currencies: (string | null)[] = [];
  for (const name of names) {
    const byId = 'walletId' in name;
    ids.push(byId ? name.walletId : null);
    userIds.push(byId ? null : name.userId);
    currencies.push(byId ? null : (name.currency ?? null));
  }
  const rows = await sql<(WalletIdentity & { place: bigint })[]>`
    select n.place, w.id as "walletId", w.currency, w.timezone, w.user_id as "userId"
    from unnest(
      ${arrayLiteral(ids)}::uuid[], ${arrayLiteral(userIds)}::text[],
      ${arrayLiteral(currencies)}::text[]
    ) with ordinality n(id, user_id, currency, place)
    -- Look-ups, whatever the planner thinks of the number of names.
    cross join lateral (
      (select id, currency, timezone, user_id from wallets where id = n.id limit 1)
      union all
      (select id, currency, timezone, user_id from wallets
       where user_id = n.user_id and currency = coalesce(n.currency, currency) limit 2)
    ) w`;
  const found: WalletIdentity[][] = names.map(() => []);
  for (const { place, ...wallet } of rows) {
    found[Number(place) - 1]?.push(wallet);
  }
  return found;
}

/**
 * A page of the wallets whose user id starts with `prefix`, ordered by user and currency. The
 * cursor is the id of the wallet to go on behind.
 */
export async function walletsPage(
  sql: Sql,
  { prefix, behind, limit }: { prefix: string; behind: WalletView | null; limit: number },
): Promise<WalletPage> {
  const found = await sql<WalletView[]>`
    select ${walletColumns(sql)} from ${currentWallets(sql)}
    where starts_with(stored.user_id, ${prefix})
      ${
        behind === null
          ? sql``
          : sql`and (stored.user_id, stored.currency) > (${behind.userId}, ${behind.currency})`
      }
    order by stored.user_id, stored.currency limit ${limit + 1}`;
  const { page, nextCursor } = pageOf(found, limit, ({ walletId }) => walletId);
  return { wallets: page, nextCursor };
}

interface EventFilter {
  /** Only events before this sequence number. */
  readonly beforeSeq: bigint | null;
  readonly limit: number;
  readonly types: readonly string[] | null;
  /** Half-open interval of `recorded_at`. */
  readonly from: Date | null;
  readonly to: Date | null;
}

/** A page of a wallet's events, newest first. The cursor is the sequence number to go on below. */
export async function eventsPage(
  sql: Sql,
  walletId: string,
  filter: EventFilter,
): Promise<EventPage> {
  const events = await sql<EventView[]>`
    select e.seq, e.type,
      e.balance_delta_micros as "balanceDeltaMicros", e.held_delta_micros as "heldDeltaMicros",
      e.arrears_delta_micros as "arrearsDeltaMicros", e.balance_micros as "balanceMicros",
      e.held_micros as "heldMicros", e.arrears_micros as "arrearsMicros", e.actor,
      e.occurred_at as "occurredAt", e.recorded_at as "recordedAt", encode(e.hash, 'hex') as hash,
      e.detail
    from wallet_events e
    where e.wallet_id = ${walletId}
      ${filter.beforeSeq === null ? sql`` : sql`and e.seq < ${filter.beforeSeq}`}
      ${filter.types === null ? sql`` : sql`and e.type in ${sql([...filter.types])}`}
      ${filter.from === null ? sql`` : sql`and e.seq > seq_before(${walletId}, ${filter.from})`}
      ${filter.to === null ? sql`` : sql`and e.seq <= seq_before(${walletId}, ${filter.to})`}
    order by e.seq desc
    limit ${filter.limit + 1}`;
  const { page, nextCursor } = pageOf(events, filter.limit, ({ seq }) => seq.toString());
  return { events: page, nextCursor };
}

/**
 * A wallet as it stood at the end of an instant's millisecond, the finest that instants travel
 * with: the newest event that says it was recorded then or before. Null before there was one.
 */
export async function balanceAt(
  sql: Sql,
  walletId: string,
  at: Date,
): Promise<{
  seq: bigint;
  balanceMicros: bigint;
  heldMicros: bigint;
  arrearsMicros: bigint;
  availableMicros: bigint;
} | null> {
  const [row] = await sql<
    {
      seq: bigint;
      balanceMicros: bigint;
      heldMicros: bigint;
      arrearsMicros: bigint;
      availableMicros: bigint;
    }[]
  >`
    select seq, balance_micros as "balanceMicros", held_micros as "heldMicros",
      arrears_micros as "arrearsMicros",
      balance_micros - held_micros + overdraft_limit_micros as "availableMicros"
    from wallet_events
    where wallet_id = ${walletId}
      and seq = seq_before(${walletId}, ${at}::timestamptz + interval '1 millisecond')`;
  return row ?? null;
}
