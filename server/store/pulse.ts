import type { Sql } from './sql.ts';

/** Resolves when the database has answered. */
export async function askForPulse(sql: Sql): Promise<void> {
  await sql`select`;
}
