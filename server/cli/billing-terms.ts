/** `npm run billing -- terms`: how long what is owed may wait. */

import { arrearsTerms, changeArrearsTerms } from '../store/arrears-terms.ts';
import { APP_ROLE } from '../store/sql.ts';
import type { ArrearsTerms } from '../views/admin.ts';
import { UsageError, withDatabase } from './command.ts';
import type { Output } from './output.ts';

/** The longest grace that the schema allows. */
const MAX_DAYS = 365;

export interface TermsArguments {
  readonly command: 'terms';
  /** Null leaves it as it is. */
  readonly graceDays: number | null;
  readonly reminderDays: number | null;
  readonly json: boolean;
}

/** @throws UsageError when a number of days is none */
export function parseTerms(values: {
  'grace-days'?: string | undefined;
  'reminder-days'?: string | undefined;
  json?: boolean | undefined;
}): TermsArguments {
  return {
    command: 'terms',
    graceDays: parseDays('--grace-days', values['grace-days']),
    reminderDays: parseDays('--reminder-days', values['reminder-days']),
    json: values.json ?? false,
  };
}

function parseDays(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,3}$/.test(text) || Number(text) > MAX_DAYS) {
    throw new UsageError(`${name} needs a whole number of days, at most ${MAX_DAYS}.`);
  }
  return Number(text);
}

/**
 * Shows the terms, after changing those that are named. Returns the exit code.
 *
 * @param actor whom a change names
 * @throws UsageError when the reminder would come before the closing
 */
export async function runTerms(
  databaseUrl: string,
  { graceDays, reminderDays, json }: TermsArguments,
  output: Output,
  actor: string,
): Promise<number> {
  const isChange = graceDays !== null || reminderDays !== null;
  const terms = await withDatabase(
    databaseUrl,
    { role: APP_ROLE, max: 1, applicationName: 'prepaid-wallet billing' },
    async (sql) => {
      if (isChange && !(await changeArrearsTerms(sql, { graceDays, reminderDays }, actor))) {
        throw new UsageError(
          'The reminder would come before the month is closed: see --grace-days.',
        );
      }
      return arrearsTerms(sql);
    },
  );
  await output.out(json ? `${JSON.stringify(terms)}\n` : describe(terms));
  return 0;
}

function describe({ graceDays, reminderDays, changedAt, changedBy }: ArrearsTerms): string {
  return [
    `grace     ${graceDays} days from the closing of the month to the suspension`,
    `reminder  ${reminderDays} days before the suspension`,
    ...(changedAt === null ? [] : [`changed   ${changedAt.toISOString()} by ${changedBy}`]),
    'What was demanded before a change keeps its dates.\n',
  ].join('\n');
}
