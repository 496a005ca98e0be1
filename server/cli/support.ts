/** `npm run support`: who belongs to the support staff and may open /admin. */
import { pathToFileURL } from 'node:url';
import { describeProblems, type EnvSource, readDatabaseEnv } from '../env.ts';
import { setUserRole } from '../store/accounts.ts';
import { connect } from '../store/sql.ts';
import { commandEnv } from './environment.ts';
import { reportFailure, UsageError } from './failure.ts';
import { type Output, standardOutput } from './output.ts';

const HELP = `Makes a user who has signed up a member of the support staff, or no longer one.

  npm run support -- add EMAIL
  npm run support -- remove EMAIL

The database is that of DATABASE_OWNER_URL, else DATABASE_URL: the application itself cannot give anybody this role.
`;

/** Runs the command; returns the exit code: 0 done, 1 failed, 2 misused. */
export async function runSupport(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  const [command, email, ...rest] = argv;
  if (argv.includes('--help')) {
    output.out(HELP);
    return 0;
  }
  if ((command !== 'add' && command !== 'remove') || email === undefined || rest.length > 0) {
    const why =
      command === undefined ? 'A command is missing.' : `Not understood: ${argv.join(' ')}`;
    return reportFailure(new UsageError(why), HELP, output);
  }
  const read = readDatabaseEnv(source);
  if (!read.ok) {
    output.err(`${describeProblems(read.problems)}\n`);
    return 1;
  }
  const sql = connect(read.env.databaseOwnerUrl, { max: 1 });
  try {
    const found = await setUserRole(sql, email, command === 'add' ? 'support' : 'user');
    output.out(found ? 'Done.\n' : '');
    if (!found) {
      output.err('Nobody has signed up with this email.\n');
    }
    return found ? 0 : 1;
  } catch (error) {
    return reportFailure(error, HELP, output);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = await runSupport(process.argv.slice(2), commandEnv(), standardOutput());
}
