/** `npm run db:seed`: demo data. */
import { DEMO_USER, seedDemo } from '../dev/seed.ts';
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import { needed, notUnderstood, runAsProgram, runCommand } from './command.ts';
import type { Output } from './output.ts';

const HELP = 'npm run db:seed: writes the demo data into the database of DATABASE_URL\n';

/** Runs the command; returns the exit code: 0 done, 1 failed, 2 misused. */
function runSeed(argv: readonly string[], source: EnvSource, output: Output): Promise<number> {
  return runCommand({ argv, options: {}, help: HELP, output }, async ({ positionals }) => {
    if (positionals.length > 0) throw notUnderstood(positionals);
    const { databaseOwnerUrl: ownerUrl } = needed(readDatabaseEnv(source));
    await seedDemo({ ownerUrl, apiKey: source.WALLET_API_KEY ?? null, now: new Date() });
    const { email, password } = DEMO_USER;
    await output.out(`Demo data is there. Sign in as ${email}, password ${password}.\n`);
    return 0;
  });
}

await runAsProgram(import.meta.url, runSeed);
