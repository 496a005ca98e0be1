/** The month in the database: runs and ranges of wallets. One call is one SQL function. */
import type { BillingStatus, MonthFailure, MonthProgress } from '../views/admin.ts';
import { only, type Sql } from './sql.ts';

/** A run of a period (YYYY-MM), as it is announced to the scheduler. */
export interface MonthRun {
  runId: string;
  period: string;
}

/** Wallets whose id is above `fromWalletId` and not above `toWalletId`. */
export interface WalletRange {
  fromWalletId: string;
  toWalletId: string;
}

/** How many wallets of a range are closed, could not be closed, or wait for their month's end. */
export interface RangeOutcome {
  closed: number;
  failed: number;
  pending: number;
}

/** Starts the run of a period, or finds it; null when the period is not over anywhere on earth. */
export async function requestMonth(
  sql: Sql,
  period: string,
  actor: string,
): Promise<{ runId: string; finished: boolean } | null> {
  const [row] = await sql<{ runId: string | null; finished: boolean | null }[]>`
    select run_id as "runId", finished from request_month(${period}, ${actor})`;
  const { runId, finished } = only(row);
  return runId === null || finished === null ? null : { runId, finished };
}

/** A page of the run's unfinished ranges; `cursor` null asks for the first page. */
export async function planMonth(
  sql: Sql,
  runId: string,
  cursor: string | null,
  limit: number,
): Promise<{ ranges: WalletRange[]; nextCursor: string | null }> {
  const [row] = await sql<{ ranges: WalletRange[]; nextCursor: string | null }[]>`
    select ranges, next_cursor as "nextCursor" from plan_month(${runId}, ${cursor}, ${limit})`;
  return only(row);
}

/**
 * Keeps later events out of the ended months of the range's wallets. The first call, with
 * `fencedAt` null, passes over `inUse` wallets that are in use; a second one with the instant that
 * the first one answered waits for those.
 */
export async function fenceRange(
  sql: Sql,
  { period, fromWalletId, toWalletId }: MonthRun & WalletRange,
  fencedAt: string | null,
): Promise<{ fencedAt: string; inUse: number }> {
  // The instant travels as text: a Date would lose its microseconds.
  const [row] = await sql<{ fencedAt: string; inUse: number }[]>`
    select fenced_at::text as "fencedAt", in_use as "inUse"
    from fence_range(${period}, ${fromWalletId}, ${toWalletId}, ${fencedAt}::text::timestamptz)`;
  return only(row);
}

/**
 * Closes what had ended at the fence of a planned range's wallets, or of one of them, missing months
 * included, oldest first. Wallets that cannot be closed together are listed in `apart`.
 */
export async function closeRange(
  sql: Sql,
  { runId, period, fromWalletId, toWalletId }: MonthRun & WalletRange,
  fencedAt: string,
  walletId: string | null,
): Promise<RangeOutcome & { apart: string[] }> {
  const [row] = await sql<(RangeOutcome & { apart: string[] })[]>`
    select closed, failed, pending, apart
    from close_range(${runId}, ${period}, ${fromWalletId}, ${toWalletId},
      ${fencedAt}::text::timestamptz, ${walletId})`;
  return only(row);
}

/** How a period stands. */
export async function monthStatus(
  sql: Sql,
  period: string,
): Promise<Omit<BillingStatus, 'period' | 'nextRunAt'>> {
  const [row] = await sql<
    (Omit<BillingStatus, 'period' | 'nextRunAt' | 'wallets'> & BillingStatus['wallets'])[]
  >`
    select run_id as "runId", status, started_at as "startedAt", finished_at as "finishedAt",
      total::float8 as total, billed::float8 as billed, failed::float8 as failed,
      pending::float8 as pending
    from month_status(${period})`;
  const { total, billed, failed, pending, ...run } = only(row);
  return { ...run, wallets: { total, billed, failed, pending } };
}

/** The wallets of a run that are closed, or could not be closed, so far. */
export async function monthTally(
  sql: Sql,
  runId: string,
): Promise<{ closed: number; failed: number }> {
  const [tally] = await sql<{ closed: number; failed: number }[]>`
    select coalesce(sum(closed), 0)::float8 as closed, coalesce(sum(failed), 0)::float8 as failed
    from billing_ranges where run_id = ${runId}`;
  return only(tally);
}

/** What closing a period would write of one month. */
export interface MonthPreview {
  period: string;
  statements: number;
  /** Recurring fees that it would post. */
  fees: number;
}

/**
 * What closing a period would write now, by month, oldest first; null when the period is not over
 * anywhere on earth.
 */
export async function previewMonth(sql: Sql, period: string): Promise<MonthPreview[] | null> {
  const [row] = await sql<{ months: MonthPreview[] | null }[]>`
    select months from preview_month(${period})`;
  return only(row).months;
}

/**
 * Runs that the scheduler is to be told of, oldest first: missing ones through `dueThrough`, which
 * this starts, and those with due work that has not moved for `quietMs`. Each goes to one caller.
 */
export async function claimMonths(
  sql: Sql,
  claim: { dueThrough: string; quietMs: number; actor: string },
): Promise<MonthRun[]> {
  return sql<MonthRun[]>`
    select run_id as "runId", period
    from claim_months(${claim.dueThrough}, ${claim.quietMs} * interval '1 millisecond',
      ${claim.actor})`;
}

/** How far a period's ranges are, and the wallets that could not be closed, newest failures first. */
export async function monthProgress(
  sql: Sql,
  period: string,
  maxFailures: number,
): Promise<MonthProgress> {
  const [ranges] = await sql<MonthProgress['ranges'][]>`
    select count(g.run_id)::float8 as planned, count(g.finished_at)::float8 as finished,
      coalesce(sum(g.attempts), 0)::float8 as attempts
    from billing_runs r join billing_ranges g on g.run_id = r.id
    where r.period = ${period}`;
  const failures = await sql<MonthFailure[]>`
    select f.wallet_id as "walletId", f.sqlstate, f.message, f.attempts,
      f.failed_at as "failedAt", g.due_at as "retryAt"
    from billing_runs r
    join billing_failures f on f.run_id = r.id
    left join billing_ranges g on g.run_id = r.id
      and g.from_wallet_id < f.wallet_id and g.to_wallet_id >= f.wallet_id
    where r.period = ${period} and not exists (
      select from statements s where s.wallet_id = f.wallet_id and s.period = r.period)
    order by f.failed_at desc, f.wallet_id limit ${maxFailures}`;
  return { ranges: only(ranges), failures: [...failures] };
}
