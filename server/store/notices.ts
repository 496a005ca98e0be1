/** Notices derived from the ledger's events, and the balances at which users want to be alerted. */
import type { BalanceAlerts } from '../views/alerts.ts';
import { arrayLiteral, only, type Sql } from './sql.ts';

/**
 * Wallets with events from which no notices were derived yet, of users who have an account here:
 * others are told nothing, and following their wallets would cost as much as charging them. Every
 * wallet is compared with its cursor; an index would be faster, and each charge would have to keep it.
 */
export async function walletsWithNews(sql: Sql, limit: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select w.id
    from users u
    join wallets w on w.user_id = u.id
    left join notice_cursors c on c.wallet_id = w.id
    where w.seq > coalesce(c.seq, 0)
    -- With more of them than that, each has its turn at some time.
    order by random() limit ${limit}`;
  return rows.map(({ id }) => id);
}

/**
 * Derives the notices of these wallets' next events, once, whoever else does so at the same time;
 * wallets that another process is at are left to it. Returns how many were looked at.
 */
export async function deriveNotices(sql: Sql, walletIds: readonly string[]): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select derive_notices(${arrayLiteral(walletIds)}::uuid[]) as count`;
  return row?.count ?? 0;
}

/** A wallet's alerts, highest first; begins to follow the wallet when nobody has yet. */
export async function readBalanceAlerts(sql: Sql, walletId: string): Promise<BalanceAlerts> {
  const known = await findBalanceAlerts(sql, walletId);
  if (known !== null) {
    return known;
  }
  await sql`select follow_wallets(${arrayLiteral([walletId])}::uuid[])`;
  const followed = await findBalanceAlerts(sql, walletId);
  if (followed === null) {
    throw new Error(`wallet ${walletId} is not followed`);
  }
  return followed;
}

async function findBalanceAlerts(sql: Sql, walletId: string): Promise<BalanceAlerts | null> {
  const rows = await sql<
    { byMail: boolean; thresholdMicros: bigint | null; below: boolean; since: Date | null }[]
  >`
    select c.alert_by_mail as "byMail", a.threshold_micros as "thresholdMicros", a.below, a.since
    from notice_cursors c left join balance_alerts a on a.wallet_id = c.wallet_id
    where c.wallet_id = ${walletId} order by a.threshold_micros desc`;
  const [first] = rows;
  return first === undefined
    ? null
    : {
        byMail: first.byMail,
        thresholds: rows.flatMap(({ thresholdMicros, below, since }) =>
          thresholdMicros === null ? [] : [{ thresholdMicros, below, since }],
        ),
      };
}

/** Replaces a wallet's alerts; what fell below the old ones before is still told by them. */
export async function writeBalanceAlerts(
  sql: Sql,
  alerts: { walletId: string; thresholdsMicros: readonly bigint[]; byMail: boolean },
): Promise<void> {
  await sql`select set_balance_alerts(${alerts.walletId},
    ${arrayLiteral(alerts.thresholdsMicros)}::bigint[], ${alerts.byMail})`;
}

/** Stops the mails of a wallet's alerts, also those that wait; false for a wallet nobody follows. */
export async function stopAlertMails(sql: Sql, walletId: string): Promise<boolean> {
  const [row] = await sql<{ stopped: boolean }[]>`
    select stop_alert_mails(${walletId}) as stopped`;
  return only(row).stopped;
}
