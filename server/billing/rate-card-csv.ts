/**
 * The rules of a rate card as comma-separated values, one rule a line below a line of names:
 *
 *     type,prefix,id,connection_fee_usd,price_usd,initial_seconds,next_seconds,minimum_usd,maximum_usd,rounding,more
 *     call,4420,call-4420,0.05,0.012345,60,6,,,,
 *
 * Prices are decimal amounts of the currency that the names end with, exact to six decimals (a
 * micro): of a minute for calls, of one segment, recipient, page or transfer otherwise. `type`,
 * `prefix` and the price are needed, and the seconds for calls; other columns may be left out, and
 * stand in any order. A rule without an id is named after its type and prefix. `more` has what
 * plain columns cannot hold, size tiers for example, as JSON of the rule's other fields.
 */
import { formatMicros, parseAmount } from '../ledger/money.ts';
import { CsvLineError, joinCsvLine, splitCsvLine } from '../rating/csv-line.ts';
import { type RateRule, type RateRuleJson, rateRuleSchema } from '../rating/rate-card.ts';

const MICROS_DECIMALS = 6;

/** What a column holds: an amount, whole seconds, JSON, or text as it is. */
type Kind = 'text' | 'amount' | 'seconds' | 'json';

const columns = {
  type: 'text',
  prefix: 'text',
  id: 'text',
  connection_fee: 'amount',
  price: 'amount',
  initial_seconds: 'seconds',
  next_seconds: 'seconds',
  minimum: 'amount',
  maximum: 'amount',
  rounding: 'text',
  more: 'json',
} as const satisfies Record<string, Kind>;
type Column = keyof typeof columns;

const columnNames = Object.keys(columns) as Column[];
const neededColumns: readonly Column[] = ['type', 'prefix', 'price'];

/** The columns whose fields of a rule have one name; the price's depends on the type. */
const fieldOfColumn = {
  type: 'type',
  prefix: 'prefix',
  id: 'id',
  connection_fee: 'connectionFeeMicros',
  initial_seconds: 'initialSeconds',
  next_seconds: 'nextSeconds',
  minimum: 'minimumMicros',
  maximum: 'maximumMicros',
  rounding: 'rounding',
} as const satisfies Partial<Record<Column, string>>;

function priceField(type: string): 'pricePerMinuteMicros' | 'pricePerUnitMicros' {
  return type === 'call' ? 'pricePerMinuteMicros' : 'pricePerUnitMicros';
}

/** The first line: the columns, those of amounts with the currency. */
export function rateCardCsvHeader(currency: string): string {
  return columnNames.map((column) => titleOf(column, currency)).join(',');
}

function titleOf(column: Column, currency: string): string {
  return columns[column] === 'amount' ? `${column}_${currency.toLowerCase()}` : column;
}

/** The line of a rule, without its break. */
export function rateCardCsvLine(rule: RateRuleJson): string {
  const rest: Record<string, unknown> = { ...rule };
  const take = (field: string): string => {
    const value = rest[field];
    delete rest[field];
    return value === undefined ? '' : String(value);
  };
  const values = Object.fromEntries(
    Object.entries(fieldOfColumn).map(([column, field]) => [column, take(field)]),
  );
  values.price = take(priceField(rule.type));
  values.more = Object.keys(rest).length === 0 ? '' : JSON.stringify(rest);
  return joinCsvLine(
    columnNames.map((column) => {
      const text = values[column] ?? '';
      return columns[column] === 'amount' && text !== '' ? formatMicros(BigInt(text), 0) : text;
    }),
  );
}

/** A line that cannot be imported, and why. The message holds nothing of the line. */
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
  let header: readonly Column[] | null = null;
  const lineOf = new Map<string, number>();
  for (const [line, content] of numberedLines(text)) {
    try {
      if (header === null) {
        header = readHeader(splitCsvLine(content), currency);
        continue;
      }
      const rule = readRule(header, splitCsvLine(content));
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

function readHeader(titles: readonly string[], currency: string): Column[] {
  const header = titles.map((title) => {
    const name = title.trim().toLowerCase();
    const column = columnNames.find((known) => name === titleOf(known, currency));
    if (column !== undefined) {
      return column;
    }
    const amount = columnNames.find(
      (known) => columns[known] === 'amount' && new RegExp(`^${known}(?:_[a-z]{3})?$`).test(name),
    );
    throw new RowProblem(
      amount === undefined
        ? `the columns are ${rateCardCsvHeader(currency)}; another was found`
        : `the card is in ${currency}: the column of ${amount} must be ${titleOf(amount, currency)}`,
    );
  });
  if (new Set(header).size < header.length) {
    throw new RowProblem('a column stands there twice');
  }
  const missing = neededColumns.find((column) => !header.includes(column));
  if (missing !== undefined) {
    throw new RowProblem(`the column ${titleOf(missing, currency)} is missing`);
  }
  return header;
}

function readRule(header: readonly Column[], values: readonly string[]): RateRule {
  if (values.length !== header.length) {
    throw new RowProblem(`${values.length} fields instead of ${header.length}`);
  }
  const row: Partial<Record<Column, string>> = {};
  for (const [index, column] of header.entries()) {
    row[column] = values[index]?.trim() ?? '';
  }
  const { type = '', prefix = '', price = '', more = '' } = row;
  if (price === '') {
    throw new RowProblem('price is empty');
  }
  const rule: Record<string, unknown> = {
    id: `${type}-${prefix === '' ? 'any' : prefix}`,
    prefix: '',
    connectionFeeMicros: '0',
    ...moreFields(more),
    [priceField(type)]: readValue('price', price),
  };
  for (const [column, field] of Object.entries(fieldOfColumn)) {
    const text = row[column as Column] ?? '';
    if (text !== '') {
      rule[field] = readValue(column as Column, text);
    }
  }
  const parsed = rateRuleSchema.safeParse(rule);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${columnOf(path.map(String))}: ${message}`,
    );
    throw new RowProblem(problems.join('; '));
  }
  return parsed.data;
}

function readValue(column: Column, text: string): string | number {
  switch (columns[column]) {
    case 'amount': {
      const amount = parseAmount(text, MICROS_DECIMALS);
      if (!amount.ok) {
        throw new RowProblem(
          `${column}: must be a decimal amount with a point and at most six decimals`,
        );
      }
      return amount.amountMicros.toString();
    }
    case 'seconds':
      if (!/^\d{1,5}$/.test(text)) {
        throw new RowProblem(`${column}: must be a whole number of seconds`);
      }
      return Number(text);
    default:
      return text;
  }
}

/** Fields that have a column of their own may not hide here. */
function moreFields(text: string): Record<string, unknown> {
  if (text === '') {
    return {};
  }
  const fields = parseJson(text);
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new RowProblem('more: must be a JSON object of other fields of the rule');
  }
  const own: string[] = ['pricePerMinuteMicros', 'pricePerUnitMicros'];
  own.push(...Object.values(fieldOfColumn));
  if (Object.keys(fields).some((field) => own.includes(field))) {
    throw new RowProblem('more: holds a field that has a column of its own');
  }
  return { ...fields };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RowProblem('more: is not valid JSON');
  }
}

/** The column of a rule's field; what has none stands in `more`. */
function columnOf(path: readonly string[]): string {
  const [field = 'type'] = path;
  if (field === 'pricePerMinuteMicros' || field === 'pricePerUnitMicros') {
    return 'price';
  }
  const own = Object.entries(fieldOfColumn).find(([, name]) => name === field);
  return own?.[0] ?? `more.${path.join('.')}`;
}
