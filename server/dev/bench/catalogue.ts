/** Reading and changing definitions of a scratch database. */
import type { Sql } from '../../store/sql.ts';

/** Takes a constraint away and answers the statement that puts it back. */
export async function dropConstraint(sql: Sql, table: string, name: string): Promise<string> {
  const [row] = await sql<{ definition: string }[]>`
    select pg_get_constraintdef(oid) as definition from pg_constraint
    where conrelid = ${table}::regclass and conname = ${name}`;
  if (row === undefined) {
    throw new Error(`${table} has no constraint ${name}`);
  }
  await sql.unsafe(`alter table ${table} drop constraint ${name}`);
  return `alter table ${table} add constraint ${name} ${row.definition}`;
}

/** The statement that makes a function as it is now. */
export async function definitionOf(sql: Sql, signature: string): Promise<string> {
  const [row] = await sql<{ definition: string }[]>`
    select pg_get_functiondef(${signature}::regprocedure) as definition`;
  if (row === undefined) {
    throw new Error(`there is no function ${signature}`);
  }
  return row.definition;
}
