/** `npm run usage:import`: charges a file of call records through the typed client. */
import { createReadStream } from 'node:fs';
import { type BillingClient, createBillingClient } from '../client/client.ts';
import type { EnvSource } from '../env.ts';
import { formatMicros } from '../ledger/money.ts';
import {
  parseAsteriskCdr,
  type ReferenceField,
  referenceFields,
  type UserField,
  userFields,
} from './asterisk-cdr.ts';
import { type Given, runAsProgram, runCommand, UsageError } from './command.ts';
import {
  describeClientError,
  type ImportSummary,
  importRecords,
  type Overrun,
} from './import-records.ts';
import type { Output } from './output.ts';

const HELP = `Charges a file of call records: each answered call once, however often the file is imported.

  npm run usage:import -- --format asterisk-cdr --user ID [options] FILE

  --format FORMAT      asterisk-cdr: the CSV that Asterisk's cdr_csv writes
  --user ID            charge every call to this user
  --user-field FIELD   or to the user that this field names: ${userFields.join(', ')}
  --reference-field F  the field by which the switch authorized its calls while they ran, so that these
                       are not billed twice: uniqueid, linkedid, userfield; default made of the record
  --timezone ZONE      the switch's time zone, such as Europe/Berlin; default UTC
  --currency CODE      needed where users have wallets in several currencies
  --overrun arrears    charge calls beyond what the wallet has, too: they were made; by default
                       they are refused
  --open               open a wallet for a user that has none
  --json               print the summary as JSON

The service is that of APP_URL, the API key that of WALLET_API_KEY (environment, .env.local, .env,
or a development server that runs in this folder).
`;

interface Arguments {
  file: string;
  user: string | undefined;
  userField: UserField | undefined;
  referenceField: ReferenceField | undefined;
  timezone: string;
  currency: string | undefined;
  overrun: Overrun;
  open: boolean;
  json: boolean;
}

const OPTIONS = {
  format: { type: 'string' },
  user: { type: 'string' },
  'user-field': { type: 'string' },
  'reference-field': { type: 'string' },
  timezone: { type: 'string' },
  currency: { type: 'string' },
  overrun: { type: 'string' },
  open: { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

/**
 * Runs the command; returns the exit code: 0 every row is charged, now or before, by its hold too, or
 * was nothing to charge; 1 a row was refused or wrong, or it failed; 2 misused.
 */
function runUsageImport(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, async (given) => {
    const args = parseArguments(given);
    const { APP_URL: url = 'http://localhost:3000', WALLET_API_KEY: apiKey } = source;
    if (apiKey === undefined) {
      throw new UsageError('WALLET_API_KEY is not set: make a key with npm run keys -- create.');
    }
    const client = createBillingClient({ url, apiKey, timeoutMs: 180_000, tryTimeoutMs: 60_000 });
    const summary = await importFile(args, client, output).catch((error: unknown) => {
      throw new Error(describeFailure(error, url, args.file), { cause: error });
    });
    await output.out(args.json ? asJson(summary) : inWords(summary));
    return summary.wrong + summary.refused > 0 ? 1 : 0;
  });
}

function parseArguments({ values, positionals }: Given<typeof OPTIONS>): Arguments {
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) {
    throw new UsageError('Name one file.');
  }
  if (values.format !== 'asterisk-cdr') {
    throw new UsageError('--format must be asterisk-cdr.');
  }
  const userField = values['user-field'];
  if ((values.user === undefined) === (userField === undefined)) {
    throw new UsageError('Give --user or --user-field, and not both.');
  }
  const field = userFields.find((name) => name === userField);
  if (userField !== undefined && field === undefined) {
    throw new UsageError(`--user-field must be one of ${userFields.join(', ')}.`);
  }
  const reference = values['reference-field'];
  const referenceField = referenceFields.find((name) => name === reference);
  if (reference !== undefined && referenceField === undefined) {
    throw new UsageError(`--reference-field must be one of ${referenceFields.join(', ')}.`);
  }
  const { overrun = 'refuse' } = values;
  if (overrun !== 'refuse' && overrun !== 'arrears') {
    throw new UsageError('--overrun must be refuse or arrears.');
  }
  return {
    file,
    user: values.user,
    userField: field,
    referenceField,
    timezone: values.timezone ?? 'UTC',
    currency: values.currency,
    overrun,
    open: values.open ?? false,
    json: values.json ?? false,
  };
}

async function importFile(
  args: Arguments,
  client: BillingClient,
  output: Output,
): Promise<ImportSummary> {
  const summary = await importRecords({
    rows: parseAsteriskCdr(createReadStream(args.file), {
      timezone: args.timezone,
      ...(args.userField !== undefined && { userField: args.userField }),
      ...(args.referenceField !== undefined && { referenceField: args.referenceField }),
    }),
    client,
    userOf: (record) => args.user ?? record.user,
    currency: args.currency,
    overrun: args.overrun,
    open: args.open,
    onProgress: ({ rows, charged }) => {
      if (output.errIsTerminal) output.err(`\r${rows} rows read, ${charged} charged`);
    },
  });
  if (output.errIsTerminal) output.err('\n');
  return summary;
}

function describeFailure(error: unknown, url: string, file: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') {
    return `There is no file ${file}.`;
  }
  if (code === 'EISDIR' || code === 'EACCES') {
    return `${file} cannot be read (${code}).`;
  }
  return describeClientError(error, url);
}

/** Problems shown one by one; a broken file can have millions. */
const SHOWN_PROBLEMS = 20;

function asJson({ chargedMicros, ...rest }: ImportSummary): string {
  return `${JSON.stringify({ ...rest, chargedMicros: chargedMicros.toString() }, null, 2)}\n`;
}

function inWords(summary: ImportSummary): string {
  const { problems, rows, charged, chargedMicros, replayed, billedLive, different } = summary;
  const { skipped, refused, wrong } = summary;
  const more = problems.length - SHOWN_PROBLEMS;
  return [
    ...problems
      .slice(0, SHOWN_PROBLEMS)
      .map(({ line, code, message }) => `line ${line}: ${code}: ${message}`),
    ...(more > 0 ? [`… and ${more} more; --json lists them all`] : []),
    `${rows} rows: ${charged} charged (${chargedMicros} micros, ${formatMicros(chargedMicros, 2)}), ` +
      `${replayed} replayed, ${billedLive} billed live already, ${different} billed live with other ` +
      `figures, ${skipped} skipped (not answered), ${refused} refused, ${wrong} wrong\n`,
  ].join('\n');
}

await runAsProgram(import.meta.url, runUsageImport);
