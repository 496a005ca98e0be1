/** The month in the database: runs, ranges of wallets, statements. One call is one SQL function. */
import type { BillingStatus } from '../http/views/admin.ts';
import type { StatementView } from '../http/views/statements.ts';
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

type UsageLine = StatementView['lines'][number];

/** A statement with what a deferred wallet reserved in the period, deducted in the next. */
export interface StoredStatement extends StatementView {
  accruedMicros: bigint;
  accruedLines: UsageLine[];
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

/**
 * The statements that closing a period would write now, by month, oldest first; null when the
 * period is not over anywhere on earth.
 */
export async function previewMonth(
  sql: Sql,
  period: string,
): Promise<{ period: string; statements: number }[] | null> {
  const [row] = await sql<{ months: { period: string; statements: number }[] | null }[]>`
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

/** The newest statements of a user's wallets, newest first. */
export async function listStatements(
  sql: Sql,
  userId: string,
  limit: number,
): Promise<StoredStatement[]> {
  const rows = await sql<StatementRow[]>`
    select ${statementColumns(sql)} from statements s join wallets w on w.id = s.wallet_id
    where w.user_id = ${userId} order by s.period desc, s.currency limit ${limit}`;
  return rows.map(statementOf);
}

/** The statement of that number, if it is of one of the user's wallets. */
export async function findStatement(
  sql: Sql,
  userId: string,
  number: string,
): Promise<StoredStatement | null> {
  const [row] = await sql<StatementRow[]>`
    select ${statementColumns(sql)} from statements s join wallets w on w.id = s.wallet_id
    where w.user_id = ${userId} and s.number = ${number}`;
  return row === undefined ? null : statementOf(row);
}

const statementColumns = (sql: Sql) => sql`
  s.number, s.period, s.starts_at as "startsAt", s.ends_at as "endsAt", s.currency,
  s.opening_balance_micros as "openingBalanceMicros",
  s.closing_balance_micros as "closingBalanceMicros", s.top_ups_micros as "topUpsMicros",
  s.grants_micros as "grantsMicros", s.usage_micros as "usageMicros",
  s.fees_micros as "feesMicros", s.refunds_micros as "refundsMicros",
  s.other_micros as "otherMicros", s.arrears_micros as "arrearsMicros", s.lines,
  s.accrued_lines as "accruedLines", s.accrued_micros as "accruedMicros",
  s.from_seq as "fromSeq", s.to_seq as "toSeq", encode(s.head_hash, 'hex') as "headHash",
  s.closed_at as "closedAt"`;

/** A line as it is stored: micros as text, which JSON's numbers cannot hold. */
type StoredLine = Omit<UsageLine, 'amountMicros'> & { amountMicros: string };

type StatementRow = Omit<StoredStatement, 'lines' | 'accruedLines'> & {
  lines: StoredLine[];
  accruedLines: StoredLine[];
};

function statementOf(row: StatementRow): StoredStatement {
  return { ...row, lines: row.lines.map(lineOf), accruedLines: row.accruedLines.map(lineOf) };
}

function lineOf(line: StoredLine): UsageLine {
  return { ...line, amountMicros: BigInt(line.amountMicros) };
}
