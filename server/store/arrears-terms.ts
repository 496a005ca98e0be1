/** How long an operator waits for what is owed when a month is closed. */
import { only, type Sql } from './sql.ts';

export interface ArrearsTerms {
  /** From the closing of the month to the suspension. */
  graceDays: number;
  /** The reminder comes so long before the suspension. */
  reminderDays: number;
}

/** The terms of demands from now on. */
export async function arrearsTerms(sql: Sql): Promise<ArrearsTerms> {
  const [terms] = await sql<ArrearsTerms[]>`select ${columns(sql)} from arrears_terms`;
  return only(terms);
}

/**
 * Changes the terms that are named, as the schema's owner; demands that were made keep their dates.
 * Null, and nothing is changed, when the reminder would come before the month is closed.
 */
export async function changeArrearsTerms(
  ownerSql: Sql,
  { graceDays = null, reminderDays = null }: Partial<Record<keyof ArrearsTerms, number | null>>,
): Promise<ArrearsTerms | null> {
  const [terms] = await ownerSql<ArrearsTerms[]>`
    update arrears_terms t set grace = wanted.grace, remind_before = wanted.remind_before
    from (
      select coalesce(${graceDays}::int * interval '1 day', grace) as grace,
        coalesce(${reminderDays}::int * interval '1 day', remind_before) as remind_before
      from arrears_terms
    ) wanted
    where wanted.remind_before <= wanted.grace
    returning ${columns(ownerSql, 't')}`;
  return terms ?? null;
}

function columns(sql: Sql, table = 'arrears_terms') {
  return sql`extract(epoch from ${sql(table)}.grace)::float8 / 86400 as "graceDays",
    extract(epoch from ${sql(table)}.remind_before)::float8 / 86400 as "reminderDays"`;
}
