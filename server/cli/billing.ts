/** `npm run billing`: the monthly run by hand. */
import { userInfo } from 'node:os';
import {
  createMonthWork,
  defaultPeriod,
  isPeriod,
  type MonthWork,
} from '../billing/month/month.ts';
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import { APP_ROLE } from '../store/sql.ts';
import type { BillingStatus } from '../views/admin.ts';
import { parseTerms, runTerms, type TermsArguments } from './billing-terms.ts';
import {
  type Given,
  needed,
  notUnderstood,
  refuseForeignOptions,
  runAsProgram,
  runCommand,
  UsageError,
  withDatabase,
} from './command.ts';
import type { Output } from './output.ts';
import { createProgress } from './progress.ts';

const HELP = `The monthly run by hand. Repeating it changes nothing that was done.

  npm run billing -- run [--period YYYY-MM] [--json]   close the month of every wallet
  npm run billing -- run --dry-run                     say what that would close; writes nothing
  npm run billing -- status [--period YYYY-MM] [--json]
  npm run billing -- terms [--grace-days N] [--reminder-days N] [--json]
                                                       show, or change, how long what is owed waits

The period is the last month that ended in UTC unless it is named. A wallet's month ends in its own
time zone: until then the wallet is pending, and the server's watchdog or a second run closes it.

The database is the one of DATABASE_URL (environment, .env.local or .env), else the one that
npm run dev keeps in this folder.
`;

const OPTIONS = {
  period: { type: 'string' },
  'dry-run': { type: 'boolean' },
  'grace-days': { type: 'string' },
  'reminder-days': { type: 'string' },
  json: { type: 'boolean' },
} as const;

interface MonthArguments {
  readonly command: 'run' | 'preview' | 'status';
  readonly period: string;
  readonly json: boolean;
}

/**
 * Runs `npm run billing` with its arguments. Returns the exit code: 0 done, 1 failed (or a wallet
 * could not be closed), 2 misused.
 */
export function runBilling(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
  clock: () => Date = () => new Date(),
): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, (given) => {
    const args = parseArguments(given, clock());
    const { databaseUrl } = needed(readDatabaseEnv(source));
    if (args.command === 'terms') {
      return runTerms(databaseUrl, args, output, operator());
    }
    const command = COMMANDS[args.command];
    return withDatabase(
      databaseUrl,
      {
        role: APP_ROLE,
        max: 1,
        applicationName: 'prepaid-wallet billing',
        // A range of large wallets may take its time; somebody is watching it.
        statementTimeoutMs: 0,
      },
      (sql) => command(createMonthWork({ sql, longSql: sql, clock }), args, output, clock),
    );
  });
}

function parseArguments(
  { values, positionals }: Given<typeof OPTIONS>,
  now: Date,
): MonthArguments | TermsArguments {
  const [command, ...extra] = positionals;
  if (!(command === 'run' || command === 'status' || command === 'terms') || extra.length > 0) {
    throw notUnderstood(positionals);
  }
  refuseForeignOptions(command, values, OPTIONS_OF[command]);
  if (command === 'terms') return parseTerms(values);
  const dryRun = values['dry-run'] ?? false;
  const period = values.period ?? defaultPeriod(now);
  if (!isPeriod(period)) throw new UsageError('--period needs a calendar month written YYYY-MM.');
  return { command: dryRun ? 'preview' : command, period, json: values.json ?? false };
}

const OPTIONS_OF: Record<'run' | 'status' | 'terms', readonly string[]> = {
  run: ['period', 'dry-run', 'json'],
  status: ['period', 'json'],
  terms: ['grace-days', 'reminder-days', 'json'],
};

function operator(): string {
  return `cli:${userInfo().username}`;
}

type Command = (
  month: MonthWork,
  args: MonthArguments,
  output: Output,
  clock: () => Date,
) => Promise<number>;

const COMMANDS: Record<MonthArguments['command'], Command> = {
  async run(month, { period, json }, output, clock) {
    const actor = operator();
    const requested = await month.request({ period, actor });
    if (!requested.ok) {
      output.err(`${requested.message}\n`);
      return 1;
    }
    const { runId } = requested;
    const before = await month.tally(runId);
    const { total } = (await month.status(period)).wallets;
    const progress = createProgress({
      output,
      nowMs: () => clock().getTime(),
      describe: async (elapsedMs) => {
        const { closed, failed } = await month.tally(runId);
        const rate = elapsedMs === 0 ? '' : `, ${perSecond(closed - before.closed, elapsedMs)}`;
        return `${period}: ${closed} of ${total} wallets closed, ${failed} failed${rate}`;
      },
    });
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<MonthWork['planMonth']>> = await month.planMonth(
        runId,
        cursor,
      );
      for (const range of page.ranges) {
        await month.closeRange({ runId, period, ...range });
        await progress.show();
      }
      cursor = page.nextCursor;
    } while (cursor !== null);
    await progress.finish();
    const status = await month.status(period);
    output.out(json ? `${JSON.stringify(status)}\n` : describe(status));
    return status.wallets.failed > 0 ? 1 : 0;
  },

  async preview(month, { period, json }, output) {
    const months = await month.preview(period);
    if (months === null) {
      output.err(`The period ${period} is not over yet anywhere on earth.\n`);
      return 1;
    }
    if (json) {
      output.out(`${JSON.stringify({ period, months })}\n`);
      return 0;
    }
    for (const { period: name, statements, fees } of months) {
      output.out(`${name}: statements to write ${statements}, fees to post ${fees}\n`);
    }
    if (months.length === 0) output.out(`${period}: nothing to close\n`);
    return 0;
  },

  async status(month, { period, json }, output) {
    const status = await month.status(period);
    output.out(json ? `${JSON.stringify(status)}\n` : describe(status));
    return 0;
  },
};

/** Wallets closed per second, whoever closed them: a server may work on the same run. */
function perSecond(closed: number, elapsedMs: number): string {
  return `${Math.round((closed * 1000) / elapsedMs)} a second`;
}

function describe(status: BillingStatus): string {
  const { total, billed, failed, pending } = status.wallets;
  return [
    `${status.period}: ${status.status.replace('_', ' ')}`,
    `wallets   ${total} in the period: ${billed} billed, ${failed} failed, ${pending} pending`,
    `started   ${status.startedAt?.toISOString() ?? '-'}`,
    `finished  ${status.finishedAt?.toISOString() ?? '-'}`,
    `next run  ${status.nextRunAt.toISOString()}\n`,
  ].join('\n');
}

await runAsProgram(import.meta.url, runBilling);
