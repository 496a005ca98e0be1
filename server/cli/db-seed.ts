/** `npm run db:seed`: writes the demo data into the database of DATABASE_URL. */
import { parseArgs } from 'node:util';
import { DEMO_USER, seedDemo } from '../dev/seed.ts';
import { describeProblems, readDatabaseEnv } from '../env.ts';
import { commandEnv } from './environment.ts';

async function main(): Promise<void> {
  // Throws at whatever else is given, before anything is written.
  if (parseArgs({ options: { help: { type: 'boolean' } } }).values.help) {
    console.log('npm run db:seed: writes the demo data into the database of DATABASE_URL');
    return;
  }
  const source = commandEnv();
  const read = readDatabaseEnv(source);
  if (!read.ok) {
    throw new Error(describeProblems(read.problems));
  }
  await seedDemo({
    ownerUrl: read.env.databaseOwnerUrl,
    apiKey: source.WALLET_API_KEY ?? null,
    now: new Date(),
  });
  console.log(`Demo data is there. Sign in as ${DEMO_USER.email}, password ${DEMO_USER.password}.`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
