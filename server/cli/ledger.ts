/** `npm run ledger`: proves, rebuilds and exports the ledger. */
import { availableParallelism } from 'node:os';
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import type { Sql } from '../store/sql.ts';
import { isUuid } from '../uuid.ts';
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
import { rebuildLedger, verifyLedger } from './ledger-check.ts';
import { exportLedger, isExportFormat, printTrialBalance } from './ledger-export.ts';
import type { Output } from './output.ts';

const HELP = `Proves, rebuilds and exports the ledger.

  npm run ledger -- verify [--wallet ID] [--json]
      replays every event: sequence, sums, running balances, chain of hashes; compares wallets,
      holds, statements and paid top-ups with them; prints events checked and differences found;
      exit code 1 when there are any
  npm run ledger -- rebuild [--wallet ID] [--dry-run] [--json]
      computes the wallets, and what they used by day, anew from their events and writes what
      differs; with --dry-run it only compares; exit code 1 when a difference is left
  npm run ledger -- export --format hledger|csv|jsonl [--wallet ID]
      writes the journal (hledger) or every event with its hash (csv, jsonl) to standard output
  npm run ledger -- trial-balance [--json]
      the accounts of the journal, debits positive and credits negative; exit code 1 when a
      currency does not sum to zero, or the journal and the wallets disagree

The database is the one of DATABASE_OWNER_URL or DATABASE_URL (environment, .env.local or .env),
else the one that npm run dev keeps in this folder. verify and rebuild need the schema's owner.
`;

const OPTIONS = {
  wallet: { type: 'string' },
  format: { type: 'string' },
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

interface Arguments {
  readonly walletId: string | null;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly format: string | null;
}

type Command = (sql: Sql, args: Arguments, output: Output) => Promise<number>;

const COMMANDS: Readonly<Record<string, { run: Command; options: readonly string[] }>> = {
  verify: { run: verifyLedger, options: ['wallet', 'json'] },
  rebuild: { run: rebuildLedger, options: ['wallet', 'json', 'dry-run'] },
  export: {
    options: ['wallet', 'format'],
    run: (sql, { walletId, format }, output) => {
      if (format === null || !isExportFormat(format)) {
        throw new UsageError('export needs --format hledger, csv or jsonl.');
      }
      return exportLedger(sql, { walletId, format }, output);
    },
  },
  'trial-balance': { run: printTrialBalance, options: ['json'] },
};

/**
 * Runs `npm run ledger` with its arguments. Returns the exit code: 0 all is well, 1 a difference
 * or a failure, 2 misused.
 */
export function runLedger(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, (given) => {
    const { command, args } = parseArguments(given);
    return withDatabase(
      needed(readDatabaseEnv(source)).databaseOwnerUrl,
      {
        max: Math.min(4, availableParallelism()),
        applicationName: 'prepaid-wallet ledger',
        // A large ledger takes its time; somebody is watching.
        statementTimeoutMs: 0,
      },
      (sql) => command(sql, args, output),
    );
  });
}

function parseArguments({ values, positionals }: Given<typeof OPTIONS>): {
  command: Command;
  args: Arguments;
} {
  const [name = '', ...extra] = positionals;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined || extra.length > 0) throw notUnderstood(positionals);
  refuseForeignOptions(name, values, command.options);
  const walletId = values.wallet?.toLowerCase() ?? null;
  if (walletId !== null && !isUuid(walletId)) {
    throw new UsageError('--wallet needs the id of a wallet, a uuid.');
  }
  const args = {
    walletId,
    json: values.json ?? false,
    dryRun: values['dry-run'] ?? false,
    format: values.format ?? null,
  };
  return { command: command.run, args };
}

await runAsProgram(import.meta.url, runLedger);
