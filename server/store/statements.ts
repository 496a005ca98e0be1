/** Statements and the events that they are made of. */

import type { ChainedEvent } from '../ledger/event-file.ts';
import type { StatementView } from '../views/statements.ts';
import type { UsageLine } from '../views/wallets.ts';
import { exportedColumns } from './ledger.ts';
import type { Sql } from './sql.ts';

/** The newest statements of a user's wallets, newest first. */
export async function listStatements(
  sql: Sql,
  userId: string,
  limit: number,
): Promise<StatementView[]> {
  const rows = await sql<StatementRow[]>`
    select ${statementColumns(sql)} from statements s join wallets w on w.id = s.wallet_id
    where w.user_id = ${userId} order by s.period desc, s.currency limit ${limit}`;
  return rows.map(statementOf);
}

/** The statement of that number, if it is of one of the user's wallets where a user is named. */
export async function findStatement(
  sql: Sql,
  { userId, number }: { userId?: string; number: string },
): Promise<StatementView | null> {
  const [row] = await sql<StatementRow[]>`
    select ${statementColumns(sql)} from statements s join wallets w on w.id = s.wallet_id
    where s.number = ${number} ${userId === undefined ? sql`` : sql`and w.user_id = ${userId}`}`;
  return row === undefined ? null : statementOf(row);
}

const statementColumns = (sql: Sql) => sql`
  s.wallet_id as "walletId", s.number, s.period, s.starts_at as "startsAt", s.ends_at as "endsAt", w.timezone, s.currency,
  s.opening_balance_micros as "openingBalanceMicros",
  s.closing_balance_micros as "closingBalanceMicros", s.top_ups_micros as "topUpsMicros",
  s.grants_micros as "grantsMicros", s.usage_micros as "usageMicros",
  s.fees_micros as "feesMicros", s.refunds_micros as "refundsMicros",
  s.other_micros as "otherMicros", s.arrears_micros as "arrearsMicros", s.lines,
  s.accrued_lines as "accruedLines", s.late_lines as "lateLines", s.accrued_micros as "accruedMicros",
  s.from_seq as "fromSeq", s.to_seq as "toSeq", encode(s.head_hash, 'hex') as "headHash",
  s.closed_at as "closedAt"`;

/** A line as it is stored: micros as text, which JSON's numbers cannot hold. */
type StoredLine = Omit<UsageLine, 'amountMicros'> & { amountMicros: string };

type StatementRow = Omit<StatementView, 'lines' | 'accruedLines' | 'lateLines'> & {
  lines: StoredLine[];
  accruedLines: StoredLine[];
  lateLines: StoredLine[] | null;
};

function statementOf(row: StatementRow): StatementView {
  return {
    ...row,
    lines: row.lines.map(lineOf),
    accruedLines: row.accruedLines.map(lineOf),
    lateLines: row.lateLines?.map(lineOf) ?? null,
  };
}

function lineOf(line: StoredLine): UsageLine {
  return { ...line, amountMicros: BigInt(line.amountMicros) };
}

/** Events of a wallet behind `afterSeq` up to `toSeq`, in their order, with their place in the chain. */
export async function chainedEvents(
  sql: Sql,
  walletId: string,
  span: { afterSeq: bigint; toSeq: bigint; limit: number },
): Promise<ChainedEvent[]> {
  return sql<ChainedEvent[]>`
    select ${exportedColumns(sql)},
      coalesce((
        select encode(p.hash, 'hex') from wallet_events p
        where p.wallet_id = e.wallet_id and p.seq = e.seq - 1
      ), repeat('0', 64)) as "previousHash"
    from wallet_events e
    where e.wallet_id = ${walletId} and e.seq > ${span.afterSeq} and e.seq <= ${span.toSeq}
    order by e.seq limit ${span.limit}`;
}

/** Whether the user gets statements by mail. */
export async function statementsByMail(sql: Sql, userId: string): Promise<boolean> {
  const [row] = await sql<{ byMail: boolean }[]>`
    select statements_by_mail as "byMail" from users where id = ${userId}`;
  return row?.byMail ?? false;
}

/** Sets it, for the statements that are closed from now on. */
export async function setStatementsByMail(
  sql: Sql,
  userId: string,
  byMail: boolean,
): Promise<void> {
  await sql`update users set statements_by_mail = ${byMail} where id = ${userId}`;
}
