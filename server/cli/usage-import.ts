/** `npm run usage:import`: charges a file of call records through the typed client. */
import { createReadStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { createBillingClient } from '../client/client.ts';
import { formatMicros } from '../ledger/money.ts';
import { type CallRecord, parseAsteriskCdr, type UserField, userFields } from './asterisk-cdr.ts';
import { commandEnv } from './environment.ts';
import { describeClientError, type ImportSummary, importRecords } from './import-records.ts';

const HELP = `Charges a file of call records: each answered call once, however often the file is imported.

  npm run usage:import -- --format asterisk-cdr --user ID [options] FILE

  --format FORMAT      asterisk-cdr: the CSV that Asterisk's cdr_csv writes
  --user ID            charge every call to this user
  --user-field FIELD   or to the user that this field names: ${userFields.join(', ')}
  --timezone ZONE      the switch's time zone, such as Europe/Berlin; default UTC
  --currency CODE      needed where users have wallets in several currencies
  --open               open a wallet for a user that has none
  --json               print the summary as JSON

The service is that of APP_URL, the API key that of WALLET_API_KEY (environment, .env.local, .env,
or a development server that runs in this folder).
`;

interface Arguments {
  file: string;
  user: string | undefined;
  userField: UserField | undefined;
  timezone: string;
  currency: string | undefined;
  open: boolean;
  json: boolean;
}

class UsageError extends Error {}

function readArguments(argv: string[]): Arguments | null {
  const { values, positionals } = parse(argv);
  if (values.help) {
    return null;
  }
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
  return {
    file,
    user: values.user,
    userField: field,
    timezone: values.timezone ?? 'UTC',
    currency: values.currency,
    open: values.open ?? false,
    json: values.json ?? false,
  };
}

function parse(argv: string[]) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        format: { type: 'string' },
        user: { type: 'string' },
        'user-field': { type: 'string' },
        timezone: { type: 'string' },
        currency: { type: 'string' },
        open: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function main(argv: string[]): Promise<number> {
  const args = readArguments(argv);
  if (args === null) {
    process.stdout.write(HELP);
    return 0;
  }
  const { APP_URL: url = 'http://localhost:3000', WALLET_API_KEY: apiKey } = commandEnv();
  if (apiKey === undefined) {
    throw new UsageError('WALLET_API_KEY is not set: make a key with npm run keys -- create.');
  }
  const client = createBillingClient({ url, apiKey, timeoutMs: 180_000, tryTimeoutMs: 60_000 });
  try {
    const summary = await importRecords({
      rows: parseAsteriskCdr(createReadStream(args.file), {
        timezone: args.timezone,
        ...(args.userField !== undefined && { userField: args.userField }),
      }),
      client,
      userOf: (record: CallRecord) => args.user ?? record.user,
      currency: args.currency,
      open: args.open,
      onProgress: ({ rows, charged }) => {
        if (process.stderr.isTTY) {
          process.stderr.write(`\r${rows} rows read, ${charged} charged`);
        }
      },
    });
    if (process.stderr.isTTY) {
      process.stderr.write('\n');
    }
    print(summary, args.json);
    return summary.wrong + summary.refused > 0 ? 1 : 0;
  } catch (error) {
    throw new Error(describeFailure(error, url, args.file), { cause: error });
  }
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

function print(summary: ImportSummary, json: boolean): void {
  if (json) {
    const { chargedMicros, ...rest } = summary;
    console.log(JSON.stringify({ ...rest, chargedMicros: chargedMicros.toString() }, null, 2));
    return;
  }
  for (const { line, code, message } of summary.problems.slice(0, SHOWN_PROBLEMS)) {
    console.log(`line ${line}: ${code}: ${message}`);
  }
  if (summary.problems.length > SHOWN_PROBLEMS) {
    console.log(`… and ${summary.problems.length - SHOWN_PROBLEMS} more; --json lists them all`);
  }
  const { rows, charged, chargedMicros, replayed, skipped, refused, wrong } = summary;
  console.log(
    `${rows} rows: ${charged} charged (${chargedMicros} micros, ${formatMicros(chargedMicros, 2)}), ` +
      `${replayed} replayed, ${skipped} skipped (not answered), ${refused} refused, ${wrong} wrong`,
  );
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    if (error instanceof UsageError) {
      console.error(`\n${HELP}`);
    }
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
