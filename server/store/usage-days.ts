/** A wallet's usage by day, and the calendar of its own time zone. */
import type { UsageOfDay } from '../views/usage.ts';
import { only, type Sql } from './sql.ts';

/** Where a wallet is in its month. Days are `YYYY-MM-DD` in its time zone. */
export interface WalletCalendar {
  readonly now: Date;
  readonly today: string;
  readonly monthEndsAt: Date;
  /** When the first day of the last so many began, or the wallet was opened if that was later. */
  readonly windowStartsAt: Date;
  readonly windowStart: string;
}

export async function walletCalendar(
  sql: Sql,
  walletId: string,
  windowDays: number,
): Promise<WalletCalendar> {
  const [row] = await sql<WalletCalendar[]>`
    select c.now, c.today::text as today,
      (date_trunc('month', c.today::timestamp) + interval '1 month') at time zone w.timezone
        as "monthEndsAt",
      greatest(c.start::timestamp at time zone w.timezone, w.opened_at) as "windowStartsAt",
      c.start::text as "windowStart"
    from wallets w
    cross join lateral (
      select n.now, (n.now at time zone w.timezone)::date as today,
        (n.now at time zone w.timezone)::date - ${windowDays - 1}::int as start
      from (select ledger_now() as now) n
    ) c
    where w.id = ${walletId}`;
  return only(row);
}

/** The usage of each day from one on, up to the wallet's last event. */
export async function usageSinceDay(
  sql: Sql,
  walletId: string,
  from: string,
): Promise<UsageOfDay[]> {
  return sql<UsageOfDay[]>`
    select day::text as day, usage_type as type, count::float8 as count, units::float8 as units,
      micros::bigint as "amountMicros"
    from usage_since_day(${walletId}, ${from}::text::date) order by day, usage_type`;
}
