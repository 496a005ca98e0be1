import { parseArgs } from 'node:util';
import { describeProblems, readVariables } from '../env.ts';
import { migrate } from '../store/migrate.ts';
import { commandEnv } from './environment.ts';

/** `npm run db:migrate`: brings the database to this program's schema. */
async function main(): Promise<number> {
  // Throws at whatever else is given, before anything is written.
  if (parseArgs({ options: { help: { type: 'boolean' } } }).values.help) {
    console.log(
      'npm run db:migrate: brings the database of DATABASE_OWNER_URL, else DATABASE_URL, to this schema',
    );
    return 0;
  }
  const read = readVariables(commandEnv());
  if (!read.ok) {
    console.error(describeProblems(read.problems));
    return 1;
  }
  // The owner of the tables may be another user than the one the server connects as.
  const url = read.env.DATABASE_OWNER_URL ?? read.env.DATABASE_URL;
  if (url === undefined) {
    console.error('db:migrate: set DATABASE_OWNER_URL (the owner of the tables) or DATABASE_URL');
    return 1;
  }
  const { applied, version } = await migrate({ url });
  for (const name of applied) console.log(`applied ${name}`);
  const outcome = applied.length === 0 ? 'nothing to do: the schema is' : 'the schema is now';
  console.log(`${outcome} at version ${version}`);
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`db:migrate: ${reason(error)}`);
    process.exitCode = 1;
  },
);

function reason(error: unknown): string {
  // A host of several addresses that all refuse has no message of its own.
  if (error instanceof AggregateError) return error.errors.map(reason).join('; ');
  return error instanceof Error ? error.message : String(error);
}
