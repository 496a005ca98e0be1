/** How long an operator waits for what is owed when a month is closed. */
import type { ArrearsTerms, ArrearsTermsChange } from '../views/admin.ts';
import { only, type Sql } from './sql.ts';

/** The terms of demands from now on, and who changed them last. */
export async function arrearsTerms(sql: Sql): Promise<ArrearsTerms> {
  const [terms] = await sql<ArrearsTerms[]>`
    select extract(epoch from t.grace)::float8 / 86400 as "graceDays",
      extract(epoch from t.remind_before)::float8 / 86400 as "reminderDays",
      c.changed_at as "changedAt", c.changed_by as "changedBy"
    from arrears_terms t
    left join (select * from arrears_terms_changes order by id desc limit 1) c on true`;
  return only(terms);
}

/**
 * Changes the terms that are named, and notes who did; demands that were made keep their dates.
 * False, and nothing is changed, when the reminder would come before the month is closed.
 */
export async function changeArrearsTerms(
  sql: Sql,
  { graceDays, reminderDays }: ArrearsTermsChange,
  actor: string,
): Promise<boolean> {
  const [row] = await sql<{ changed: boolean }[]>`
    select change_arrears_terms(${graceDays}, ${reminderDays}, ${actor}) as changed`;
  return only(row).changed;
}
