/** The outbox of mails: leased to one sender at a time, sent at least once, dead after some days. */
import type { MailBacklog, MailSummary } from '../views/admin.ts';
import { only, type Sql } from './sql.ts';

export interface ClaimedMail {
  id: string;
  /** Counts the attempts at this mail from 1; names the lease. */
  attempt: number;
  kind: string;
  payload: unknown;
  /** The account's address as of now; null when the account is gone. */
  email: string | null;
}

/** Takes up to `limit` mails that are due, for `leaseSeconds`. */
export async function claimMails(
  sql: Sql,
  limit: number,
  leaseSeconds: number,
): Promise<ClaimedMail[]> {
  return sql<ClaimedMail[]>`
    select id, attempt, kind, payload, email from claim_mails(${limit}, ${leaseSeconds})`;
}

/** Records that the mail has left, whoever holds its lease by now. */
export async function markMailSent(sql: Sql, id: string): Promise<void> {
  await sql`
    update mail_outbox set status = 'sent', finished_at = clock_timestamp(), last_error = null
    where id = ${id} and status <> 'sent'`;
}

/** Records a failed attempt: `waiting` for the next one, or `dead`; null when the lease was lost. */
export async function markMailFailed(
  sql: Sql,
  mail: { id: string; attempt: number; error: string },
): Promise<'waiting' | 'dead' | null> {
  const [row] = await sql<{ status: 'waiting' | 'dead' | null }[]>`
    select fail_mail(${mail.id}, ${mail.attempt}, ${mail.error}) as status`;
  return row?.status ?? null;
}

/** Gives up what has waited too long, such as since before there was a mail server. */
export async function giveUpOldMails(sql: Sql): Promise<void> {
  await sql`
    update mail_outbox set status = 'dead', finished_at = clock_timestamp(),
      last_error = coalesce(last_error, 'TOO_OLD')
    where status = 'waiting' and next_attempt_at <= clock_timestamp()
      and give_up_at <= clock_timestamp()`;
}

/** Gives mails that were given up another three days; returns how many. */
export async function reviveDeadMails(sql: Sql): Promise<number> {
  const rows = await sql`
    update mail_outbox set status = 'waiting', finished_at = null,
      next_attempt_at = clock_timestamp(), give_up_at = clock_timestamp() + interval '3 days'
    where status = 'dead' returning id`;
  return rows.length;
}

/** How many mails stand where, and what the newest failure was. */
export async function mailSummary(sql: Sql): Promise<MailSummary> {
  const [row] = await sql<MailSummary[]>`
    select count(*) filter (where status = 'waiting')::int as waiting,
      count(*) filter (where status = 'waiting' and attempts > 0 and last_error is not null)::int
        as failing,
      count(*) filter (where status = 'sent')::int as sent,
      count(*) filter (where status = 'dead')::int as dead,
      (select last_error from mail_outbox where status <> 'sent' and last_error is not null
       order by next_attempt_at desc limit 1) as "lastError"
    from mail_outbox`;
  return only(row);
}

/** What has not left, by indexes alone: the mails that were sent are never read. */
export async function mailBacklog(sql: Sql): Promise<MailBacklog> {
  const [row] = await sql<MailBacklog[]>`
    select
      (select count(*) from mail_outbox where status = 'waiting')::int as waiting,
      (select count(*) from mail_outbox where status = 'dead')::int as dead,
      (select coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)
       from mail_outbox where status = 'waiting')::float8 as "oldestSeconds"`;
  return only(row);
}
