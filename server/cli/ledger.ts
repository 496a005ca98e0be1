/** `npm run ledger`: proves, rebuilds and exports the ledger. */
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { describeProblems, type EnvSource, readDatabaseEnv } from '../env.ts';
import { connect, type Sql } from '../store/sql.ts';
import { commandEnv } from './environment.ts';
import { reportFailure, UsageError } from './failure.ts';
import { rebuildLedger, verifyLedger } from './ledger-check.ts';
import { exportLedger, isExportFormat, printTrialBalance } from './ledger-export.ts';
import { type Output, standardOutput } from './output.ts';

const HELP = `Proves, rebuilds and exports the ledger.

  npm run ledger -- verify [--wallet ID] [--json]
      replays every event: sequence, sums, running balances, chain of hashes; compares wallets,
      holds, statements and paid top-ups with them; prints events checked and differences found;
      exit code 1 when there are any
  npm run ledger -- rebuild [--wallet ID] [--dry-run] [--json]
      computes the wallets anew from their events and writes those that differ; with --dry-run it
      only compares; exit code 1 when a difference is left
  npm run ledger -- export --format hledger|csv|jsonl [--wallet ID]
      writes the journal (hledger) or every event with its hash (csv, jsonl) to standard output
  npm run ledger -- trial-balance [--json]
      the accounts of the journal, debits positive and credits negative; exit code 1 when a
      currency does not sum to zero, or the journal and the wallets disagree

The database is the one of DATABASE_OWNER_URL or DATABASE_URL (environment, .env.local or .env),
else the one that npm run dev keeps in this folder. verify and rebuild need the schema's owner.
`;

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
export async function runLedger(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  try {
    const parsed = parseArguments(argv);
    if (parsed === 'help') {
      await output.out(HELP);
      return 0;
    }
    const read = readDatabaseEnv(source);
    if (!read.ok) {
      await output.err(`${describeProblems(read.problems)}\n`);
      return 1;
    }
    const sql = connect(read.env.databaseOwnerUrl, {
      max: Math.min(4, availableParallelism()),
      applicationName: 'prepaid-wallet ledger',
      // A large ledger takes its time; somebody is watching.
      statementTimeoutMs: 0,
    });
    try {
      return await parsed.command(sql, parsed.args, output);
    } finally {
      await sql.end({ timeout: 1 });
    }
  } catch (error) {
    return reportFailure(error, HELP, output);
  }
}

function parseArguments(argv: readonly string[]): { command: Command; args: Arguments } | 'help' {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  const [name, ...extra] = positionals;
  if (name === undefined) throw new UsageError('A command is missing.');
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined || extra.length > 0) {
    throw new UsageError(`Not understood: ${positionals.join(' ')}`);
  }
  const foreign = Object.keys(values).find((option) => !command.options.includes(option));
  if (foreign !== undefined) throw new UsageError(`--${foreign} does not belong to ${name}.`);
  const walletId = values.wallet?.toLowerCase() ?? null;
  if (walletId !== null && !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(walletId)) {
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

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        wallet: { type: 'string' },
        format: { type: 'string' },
        'dry-run': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = await runLedger(process.argv.slice(2), commandEnv(), standardOutput());
}
