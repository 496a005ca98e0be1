/** `npm run support`: who belongs to the support staff and may open /admin. */
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import { setUserRole } from '../store/accounts.ts';
import { needed, notUnderstood, runAsProgram, runCommand, withDatabase } from './command.ts';
import type { Output } from './output.ts';

const HELP = `Makes a user who has signed up a member of the support staff, or no longer one.

  npm run support -- add EMAIL
  npm run support -- remove EMAIL

The database is that of DATABASE_OWNER_URL, else DATABASE_URL: the application itself cannot give anybody this role.
`;

/** Runs the command; returns the exit code: 0 done, 1 failed, 2 misused. */
export function runSupport(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  return runCommand({ argv, options: {}, help: HELP, output }, async ({ positionals }) => {
    const [command, email, ...rest] = positionals;
    if ((command !== 'add' && command !== 'remove') || email === undefined || rest.length > 0) {
      throw notUnderstood(positionals);
    }
    const found = await withDatabase(
      needed(readDatabaseEnv(source)).databaseOwnerUrl,
      { max: 1, applicationName: 'prepaid-wallet support' },
      (sql) => setUserRole(sql, email, command === 'add' ? 'support' : 'user'),
    );
    if (!found) {
      await output.err('Nobody has signed up with this email.\n');
      return 1;
    }
    await output.out('Done.\n');
    return 0;
  });
}

await runAsProgram(import.meta.url, runSupport);
