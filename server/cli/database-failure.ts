import postgres from 'postgres';
import { isDatabaseUnavailable } from '../faults.ts';

/** No such table, function, role: the migrations have not been applied, or not all. */
const SCHEMA_MISSING = /^(?:42P01|42883|22023)$/;
const ACCESS_REFUSED = /^(?:28...|42501|3D000)$/;

/** Why a command's database did not do it, without its address or password. */
export function describeDatabaseFailure(error: unknown): string {
  if (isDatabaseUnavailable(error)) {
    return 'The database of DATABASE_URL does not answer. Is it running?';
  }
  if (!(error instanceof postgres.PostgresError)) {
    return error instanceof Error ? error.message : 'Something went wrong.';
  }
  if (SCHEMA_MISSING.test(error.code)) {
    return 'The database of DATABASE_URL has no schema yet, or an old one: npm run db:migrate';
  }
  if (ACCESS_REFUSED.test(error.code)) {
    return `The database of DATABASE_URL refuses this login (${error.code}).`;
  }
  return `The database of DATABASE_URL refused this: ${error.message} (${error.code})`;
}
