/** `npm run db:seed`: demo data. */
import { DEFERRED_USER, DEMO_USER, LATE_USER, SUPPORT_USER, seedDemo } from '../dev/seed.ts';
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import { needed, notUnderstood, runAsProgram, runCommand } from './command.ts';
import type { Output } from './output.ts';

const HELP = `npm run db:seed -- [--allow-production]
  Writes the demo data into the database of DATABASE_URL: wallets with a history, and logins whose
  passwords are public. With NODE_ENV=production or a live key of Stripe it refuses, unless
  --allow-production says that this is meant, as for a stage that nobody can reach.
`;

/** Runs the command; returns the exit code: 0 done, 1 failed, 2 misused. */
export function runSeed(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  const options = { 'allow-production': { type: 'boolean' } } as const;
  return runCommand({ argv, options, help: HELP, output }, async ({ positionals, values }) => {
    if (positionals.length > 0) throw notUnderstood(positionals);
    const sign = signOfProduction(source);
    if (sign !== null && !values['allow-production']) {
      throw new Error(
        `Nothing was written: ${sign}, and the demo logins have public passwords, one of them of ` +
          'the support staff. --allow-production writes them all the same.',
      );
    }
    const { databaseOwnerUrl: ownerUrl } = needed(readDatabaseEnv(source));
    await seedDemo({ ownerUrl, apiKey: source.WALLET_API_KEY ?? null, now: new Date() });
    const logins = [DEMO_USER, SUPPORT_USER, DEFERRED_USER, LATE_USER].map(
      ({ email, password }) => `  ${email}, password ${password}\n`,
    );
    await output.out(`Demo data is there. Sign in as one of:\n${logins.join('')}`);
    return 0;
  });
}

/** What in the environment says that real customers are served with it; null when nothing does. */
function signOfProduction({ NODE_ENV, STRIPE_SECRET_KEY }: EnvSource): string | null {
  if (NODE_ENV === 'production') return 'NODE_ENV is production';
  return /^[a-z]+_live_/.test(STRIPE_SECRET_KEY ?? '') ? 'STRIPE_SECRET_KEY is a live key' : null;
}

await runAsProgram(import.meta.url, runSeed);
