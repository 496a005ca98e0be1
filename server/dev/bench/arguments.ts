/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';

export const HELP = `Measures the charging API and the ledger beside a floor, on this machine, in one run.

  npm run bench [-- OPTIONS]
      --quick           short rows; at most three minutes on two cores
      --full            a wallet with 10,000,000 events, too, and a month of 1,000,000 wallets
                        (25 GB of disk, half an hour)
      --only REGEX      only the rows and sections whose name fits: "floor", "single charges, 64",
                        "hot wallet", "history", "month", "verify", "guards"
      --seconds N       seconds a row; by default 8, quick 1.5
      --profile DIR     leaves a CPU profile of the server there
      --json FILE       writes every figure
      --chart FILE      draws the rows as SVG
      --readme          writes the tables into README.md and docs/benchmark.md, and their chart
      --from FILE       measures nothing: takes the figures of an earlier --json

PostgreSQL is the one of npm run dev, started anew in a temporary directory, with fsync and
synchronous_commit on. The floor needs pgbench.
`;

export interface BenchOptions {
  readonly secondsPerRow: number;
  /** Events of the wallets with long histories. */
  readonly histories: readonly number[];
  /** Wallets whose month is closed. */
  readonly monthWallets: number;
  readonly only: RegExp | null;
  readonly profileDirectory: string | undefined;
  readonly jsonFile: string | undefined;
  readonly chartFile: string | undefined;
  readonly readme: boolean;
  readonly fromFile: string | undefined;
}

const SIZES = {
  quick: { histories: [10_000, 100_000], monthWallets: 10_000 },
  usual: { histories: [10_000, 1_000_000], monthWallets: 100_000 },
  full: { histories: [10_000, 1_000_000, 10_000_000], monthWallets: 1_000_000 },
};

/** What the command line asked for makes no sense; the message says why. */
export class UsageError extends Error {}

/** @throws UsageError */
export function readArguments(args: readonly string[]): BenchOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  if (values.quick && values.full) throw new UsageError('--quick and --full exclude each other.');
  const whole = values.readme || values.chart !== undefined;
  if (whole && values.only !== undefined) {
    throw new UsageError('--readme and --chart show a whole run: leave --only out.');
  }
  if (
    values.seconds !== undefined &&
    !/^(?:0\.\d*[1-9]|[1-9]\d{0,3}(?:\.\d+)?)$/.test(values.seconds)
  ) {
    throw new UsageError('--seconds needs a number above 0 and below 10000.');
  }
  const size = values.quick ? 'quick' : values.full ? 'full' : 'usual';
  const secondsPerRow = Number(values.seconds ?? (values.quick ? 1.5 : 8));
  return {
    secondsPerRow,
    ...SIZES[size],
    only: values.only === undefined ? null : regex(values.only),
    profileDirectory: values.profile,
    jsonFile: values.json,
    chartFile: values.chart,
    readme: values.readme ?? false,
    fromFile: values.from,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        full: { type: 'boolean' },
        only: { type: 'string' },
        seconds: { type: 'string' },
        profile: { type: 'string' },
        json: { type: 'string' },
        chart: { type: 'string' },
        readme: { type: 'boolean' },
        from: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function regex(text: string): RegExp {
  try {
    return new RegExp(text, 'i');
  } catch {
    throw new UsageError('--only needs a regular expression.');
  }
}
