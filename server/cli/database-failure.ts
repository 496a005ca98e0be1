import { isDatabaseUnavailable } from '../faults.ts';

/** No such table, function, role: the migrations have not been applied, or not all. */
const SCHEMA_MISSING = /^(?:42P01|42883|22023)$/;
const ACCESS_REFUSED = /^(?:28...|42501|3D000)$/;

/** Why a command's database did not do it, without its address or password. */
export function describeDatabaseFailure(error: unknown): string {
  if (isDatabaseUnavailable(error)) {
    return 'The database of DATABASE_URL does not answer. Is it running?';
  }
  if (!(error instanceof Error)) return 'Something went wrong.';
  const code = sqlstateOf(error);
  if (code === null) return error.message;
  if (SCHEMA_MISSING.test(code)) {
    return 'The database of DATABASE_URL has no schema yet, or an old one: npm run db:migrate';
  }
  if (ACCESS_REFUSED.test(code)) {
    return `The database of DATABASE_URL refuses this login (${code}).`;
  }
  return `The database of DATABASE_URL refused this: ${error.message} (${code})`;
}

/** The SQLSTATE of an error that PostgreSQL answered; null for any other. */
function sqlstateOf(error: Error): string | null {
  const answered = error.name === 'PostgresError' && 'code' in error;
  return answered && typeof error.code === 'string' ? error.code : null;
}
