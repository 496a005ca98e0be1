/** `npm run statement:verify`: proves a user's own export against its statement, offline. */
import { createReadStream } from 'node:fs';
import { csvRecords } from '../ledger/csv.ts';
import { isHash } from '../ledger/hash.ts';
import { formatMicros } from '../ledger/money.ts';
import { type ExportProblem, type VerifiedExport, verifyExport } from '../ledger/verify-export.ts';
import { type Given, runAsProgram, runCommand, UsageError } from './command.ts';
import type { Output } from './output.ts';

const HELP = `Verifies the events of a statement that somebody downloaded, without database or network.

  npm run statement:verify -- EVENTS.csv --statement STATEMENT.csv [--hash HASH] [--json]
      recomputes the chain of hashes and every figure of the statement
  npm run statement:verify -- EVENTS.csv --hash HASH [--json]
      recomputes the chain of hashes, which must end in the statement's

Both files are downloads of the statement's page. HASH is the fingerprint that the statement shows:
take it from a copy that you kept, such as the one that was mailed. The first line that is wrong is
named; exit code 1 when there is one.
`;

const OPTIONS = {
  statement: { type: 'string' },
  hash: { type: 'string' },
  json: { type: 'boolean' },
} as const;

interface Arguments {
  readonly eventsPath: string;
  readonly statementPath: string | null;
  readonly hash: string | null;
  readonly json: boolean;
}

/**
 * Runs the command with its arguments. Returns the exit code: 0 all is well, 1 something is wrong, 2
 * misused.
 */
export function runStatementVerify(argv: readonly string[], output: Output): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, async (given) => {
    const args = parseArguments(given);
    const outcome = await verify(args);
    await output.out(args.json ? `${asJson(outcome)}\n` : inWords(outcome, args));
    return outcome.ok ? 0 : 1;
  });
}

async function verify({
  eventsPath,
  statementPath,
  hash,
}: Arguments): Promise<VerifiedExport | ExportProblem> {
  const read = (path: string) => csvRecords(createReadStream(path, 'utf8'));
  const byHash = hash === null ? null : await verifyExport(read(eventsPath), { hash });
  if (statementPath === null || byHash?.ok === false) {
    if (byHash === null) {
      throw new UsageError('--statement or --hash is needed: without it nothing can be proven.');
    }
    return byHash;
  }
  return verifyExport(read(eventsPath), { statement: read(statementPath) });
}

function inWords(outcome: VerifiedExport | ExportProblem, args: Arguments): string {
  if (!outcome.ok) {
    const path = outcome.file === 'events' ? args.eventsPath : args.statementPath;
    const place = outcome.line === null ? `${path}` : `${path}, line ${outcome.line}`;
    return `Wrong: ${place}: ${outcome.problem}.\n`;
  }
  const { events, fromSeq, toSeq, figures, currency } = outcome;
  if (figures === null) {
    return 'The statement says that nothing happened, and the file holds no event.\n';
  }
  const money = (micros: bigint) => `${formatMicros(micros, 2)} ${currency}`;
  const moved = figures.closingBalanceMicros - figures.openingBalanceMicros;
  return [
    `${events} events, ${fromSeq} to ${toSeq}: each follows from the one before, and the last one's hash is the statement's.`,
    `Opening balance ${money(figures.openingBalanceMicros)}, moved ${money(moved)}, closing balance ${money(figures.closingBalanceMicros)}.`,
    args.statementPath === null
      ? 'Only the hash was given: whether the statement begins with the same event and says the same figures is for you to compare.\n'
      : 'Every figure of the statement is what the events come to.\n',
  ].join('\n');
}

function asJson(outcome: VerifiedExport | ExportProblem): string {
  return JSON.stringify(outcome, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}

function parseArguments({ values, positionals }: Given<typeof OPTIONS>): Arguments {
  const [eventsPath, ...extra] = positionals;
  if (eventsPath === undefined) throw new UsageError('The file of events is missing.');
  if (extra.length > 0) throw new UsageError(`Not understood: ${extra.join(' ')}`);
  const hash = values.hash?.toLowerCase() ?? null;
  if (hash !== null && !isHash(hash)) throw new UsageError('--hash needs 64 hexadecimal digits.');
  return {
    eventsPath,
    statementPath: values.statement ?? null,
    hash,
    json: values.json ?? false,
  };
}

await runAsProgram(import.meta.url, (argv, _source, output) => runStatementVerify(argv, output));
