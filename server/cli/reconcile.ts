/** `npm run reconcile`: the ledger against Stripe. */
import { meaningOf, stripeComparisons } from '../billing/reconciliation/comparisons.ts';
import { createReconciliation } from '../billing/reconciliation/reconciling.ts';
import { createStripeEvents } from '../billing/stripe-events/stripe-events.ts';
import { type EnvSource, readStripeEnv } from '../env.ts';
import { createLogger } from '../log.ts';
import type { Difference, DifferenceKind } from '../store/reconciliation.ts';
import { APP_ROLE } from '../store/sql.ts';
import { createStripeGateway } from '../stripe/gateway.ts';
import {
  type Given,
  needed,
  notUnderstood,
  runAsProgram,
  runCommand,
  UsageError,
  withDatabase,
} from './command.ts';
import type { Output } from './output.ts';

const HELP = `Compares Stripe's payments, refunds and disputes with the ledger, both ways, and lists each
difference.

  npm run reconcile -- --from DATE --to DATE [--settle] [--json]

DATE is a UTC day (2026-11-01, from its first moment) or an instant (2026-11-01T12:00:00Z); the
range is half-open, so that --to names the first moment that is not in it. With --settle, what
Stripe says was paid, refunded or disputed is applied first, as the daily run does; without it no
wallet changes.

Exit code 0: no difference; 1: differences, or it failed; 2: misused.

The database is the one of DATABASE_URL and Stripe's key that of STRIPE_SECRET_KEY (environment,
.env.local or .env), else those that npm run dev keeps in this folder.
`;

const OPTIONS = {
  from: { type: 'string' },
  to: { type: 'string' },
  settle: { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

interface Arguments {
  readonly from: Date;
  readonly to: Date;
  readonly settle: boolean;
  readonly json: boolean;
}

/** Runs the command; returns the exit code. Differences are written as they are found. */
export function runReconcile(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
  clock: () => Date = () => new Date(),
): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, (given) => {
    const args = parseArguments(given);
    const { databaseUrl, stripe } = needed(readStripeEnv(source));
    return withDatabase(
      databaseUrl,
      { role: APP_ROLE, max: 3, applicationName: 'prepaid-wallet reconcile' },
      async (sql) => {
        const gateway = createStripeGateway({
          secretKey: stripe.secretKey,
          ...(stripe.apiBase !== null && { apiBase: stripe.apiBase }),
        });
        const events = createStripeEvents({ sql, gateway });
        const logger = createLogger('silent');
        const reconciliation = createReconciliation({
          sql,
          comparisons: stripeComparisons({ sql, gateway, events, logger }),
          clock,
          logger,
        });
        const report = args.json ? jsonReport(args, output) : textReport(args, output);
        const { checked, differences } = await reconciliation.compare({
          range: args,
          settle: args.settle,
          onDifference: report.difference,
        });
        await report.end(checked, differences);
        return differences > 0 ? 1 : 0;
      },
    );
  });
}

function parseArguments({ values, positionals }: Given<typeof OPTIONS>): Arguments {
  if (positionals.length > 0) throw notUnderstood(positionals);
  const from = instant('--from', values.from);
  const to = instant('--to', values.to);
  if (from >= to) throw new UsageError('--from must come before --to.');
  return { from, to, settle: values.settle ?? false, json: values.json ?? false };
}

const DATE = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?Z)?$/;

function instant(option: string, text: string | undefined): Date {
  if (text === undefined) throw new UsageError(`${option} is missing.`);
  const at = new Date(text);
  // JavaScript takes the 31st of a shorter month for a day of the next.
  const isReal = !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text.slice(0, 10));
  if (!DATE.test(text) || !isReal) {
    throw new UsageError(`${option} needs a UTC day such as 2026-11-01, or an instant.`);
  }
  return at;
}

interface Report {
  difference(kind: DifferenceKind, difference: Difference): Promise<void>;
  end(checked: Record<string, number>, differences: number): Promise<void>;
}

function textReport({ from, to }: Arguments, output: Output): Report {
  const side = (facts: Difference['atStripe']) =>
    facts === null
      ? 'nothing'
      : Object.entries(facts)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => `${name} ${value}`)
          .join(', ');
  return {
    async difference(kind, { objectId, problem, happenedAt, walletId, topUpId, ...sides }) {
      const place = [walletId && `wallet ${walletId}`, topUpId && `top-up ${topUpId}`];
      await output.out(
        [
          `${objectId}  ${problem}: ${meaningOf(kind, problem)}`,
          `    ${[happenedAt.toISOString(), ...place].filter(Boolean).join('  ')}`,
          `    Stripe: ${side(sides.atStripe)}`,
          `    ledger: ${side(sides.inLedger)}\n`,
        ].join('\n'),
      );
    },
    async end(checked, differences) {
      const counts = Object.entries(checked).map(([kind, count]) => `${count} ${kind}s`);
      await output.out(
        `${from.toISOString()} to ${to.toISOString()}: ${counts.join(', ')} of Stripe's compared, ` +
          `${differences} ${differences === 1 ? 'difference' : 'differences'}\n`,
      );
    },
  };
}

/** One JSON object, written as it comes, so that a long list is never held. */
function jsonReport({ from, to }: Arguments, output: Output): Report {
  const head = { from: from.toISOString(), to: to.toISOString() };
  let separator = `${JSON.stringify(head).slice(0, -1)},"differences":[`;
  return {
    async difference(kind, difference) {
      await output.out(`${separator}\n${JSON.stringify({ kind, ...difference })}`);
      separator = ',';
    },
    async end(checked, differences) {
      const opening = separator === ',' ? '' : separator;
      const tail = JSON.stringify({ checked, found: differences }).slice(1);
      await output.out(`${opening}],${tail}\n`);
    },
  };
}

await runAsProgram(import.meta.url, runReconcile);
