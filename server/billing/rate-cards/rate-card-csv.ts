/**
 * The rules of a rate card as comma-separated values, one rule a line below a line of names:
 *
 *     type,prefix,id,connection_fee_usd,price_usd,initial_seconds,next_seconds,minimum_usd,maximum_usd,rounding,more
 *     call,4420,call-4420,0.05,0.012345,60,6,,,,
 *
 * The fields are those of rate-rule-fields.ts. The names of amounts end with the card's currency, so
 * that no file is taken for one in another. The columns `type`, `prefix` and the price are needed;
 * the others may be left out, and all stand in any order.
 */

import { CsvLineError, joinCsvLine, splitCsvLine } from '../../rating/csv-line.ts';
import type { RateRule, RateRuleJson } from '../../rating/rate-card.ts';
import type { RuleFields } from '../../views/rate-cards.ts';
import {
  fieldsOfRule,
  type RuleField,
  readRuleFields,
  ruleFieldKinds,
  ruleFields,
} from './rate-rule-fields.ts';

const neededFields: readonly RuleField[] = ['type', 'prefix', 'price'];

/** The first line: the columns, those of amounts with the currency. */
export function rateCardCsvHeader(currency: string): string {
  return ruleFields.map((field) => titleOf(field, currency)).join(',');
}

function titleOf(field: RuleField, currency: string): string {
  const name = columnOf(field);
  return ruleFieldKinds[field] === 'amount' ? `${name}_${currency.toLowerCase()}` : name;
}

/** `initialSeconds` is the column `initial_seconds`. */
function columnOf(field: RuleField): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The line of a rule, without its break. */
export function rateCardCsvLine(rule: RateRuleJson): string {
  const fields = fieldsOfRule(rule);
  return joinCsvLine(ruleFields.map((field) => fields[field]));
}

/** A line that cannot be imported, and why. The message holds no value of the line. */
export interface CsvProblem {
  readonly line: number;
  readonly message: string;
}

export type CsvRow =
  | { readonly line: number; readonly ok: true; readonly rule: RateRule }
  | ({ readonly ok: false } & CsvProblem);

class RowProblem extends Error {}

/** Reads rules line by line; blank lines are passed over. Every bad line is a row of its own. */
export function* readRateCardCsv(text: string, currency: string): Generator<CsvRow> {
  let header: readonly RuleField[] | null = null;
  const lineOf = new Map<string, number>();
  for (const [line, content] of numberedLines(text)) {
    try {
      if (header === null) {
        header = readHeader(splitCsvLine(content), currency);
        continue;
      }
      const rule = readRule(header, splitCsvLine(content), currency);
      for (const [name, what] of [
        [`target ${rule.type} ${rule.prefix}`, 'the type and prefix are those'],
        [`id ${rule.id}`, 'the id is that'],
      ] as const) {
        const first = lineOf.get(name);
        if (first !== undefined) {
          throw new RowProblem(`${what} of line ${first}`);
        }
        lineOf.set(name, line);
      }
      yield { line, ok: true, rule };
    } catch (error) {
      if (!(error instanceof RowProblem || error instanceof CsvLineError)) {
        throw error;
      }
      yield { line, ok: false, message: error.message };
      if (header === null) {
        return;
      }
    }
  }
  if (header === null) {
    yield { line: 1, ok: false, message: 'the line of column names is missing' };
  }
}

/** The lines that are not blank, counted from 1; breaks are LF or CRLF. */
function* numberedLines(text: string): Generator<[number, string]> {
  let start = text.startsWith('\uFEFF') ? 1 : 0;
  for (let line = 1; start < text.length; line += 1) {
    const found = text.indexOf('\n', start);
    const end = found === -1 ? text.length : found;
    const content = text.slice(start, text[end - 1] === '\r' ? end - 1 : end);
    if (content.trim() !== '') {
      yield [line, content];
    }
    start = end + 1;
  }
}

function readHeader(titles: readonly string[], currency: string): RuleField[] {
  const header = titles.map((title) => {
    const name = title.trim().toLowerCase();
    const field = ruleFields.find((known) => name === titleOf(known, currency));
    if (field !== undefined) {
      return field;
    }
    const amount = ruleFields.find(
      (known) =>
        ruleFieldKinds[known] === 'amount' &&
        new RegExp(`^${columnOf(known)}(?:_[a-z]{3})?$`).test(name),
    );
    throw new RowProblem(
      amount === undefined
        ? `the columns are ${rateCardCsvHeader(currency)}; another was found`
        : `the card is in ${currency}: ${columnOf(amount)} must be ${titleOf(amount, currency)}`,
    );
  });
  if (new Set(header).size < header.length) {
    throw new RowProblem('a column stands there twice');
  }
  const missing = neededFields.find((field) => !header.includes(field));
  if (missing !== undefined) {
    throw new RowProblem(`the column ${titleOf(missing, currency)} is missing`);
  }
  return header;
}

function readRule(
  header: readonly RuleField[],
  values: readonly string[],
  currency: string,
): RateRule {
  if (values.length !== header.length) {
    throw new RowProblem(`${values.length} fields instead of ${header.length}`);
  }
  const fields: Partial<RuleFields> = {};
  for (const [index, field] of header.entries()) {
    fields[field] = values[index] ?? '';
  }
  const read = readRuleFields(fields);
  if (!read.ok) {
    throw new RowProblem(
      read.problems
        .map(({ field, message }) => `${titleOf(field, currency)}: ${message}`)
        .join('; '),
    );
  }
  return read.rule;
}
