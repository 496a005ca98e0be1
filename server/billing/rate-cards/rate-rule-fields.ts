/**
 * A rule of a rate card as a row of texts, the form in which people write it: in a form's fields, and
 * in a file's columns. Prices are decimal amounts, exact to six decimals (a micro): of a minute for
 * calls, of one segment, recipient, page or transfer otherwise.
 */
import type { RuleFields } from '../../http/views/rate-cards.ts';
import { formatMicros, parseAmount } from '../../ledger/money.ts';
import { type RateRule, type RateRuleJson, rateRuleSchema } from '../../rating/rate-card.ts';

const MICROS_DECIMALS = 6;

export type RuleField = keyof RuleFields;

/** What a field holds: an amount, whole seconds, JSON, or text as it is. */
export const ruleFieldKinds = {
  type: 'text',
  prefix: 'text',
  id: 'text',
  connectionFee: 'amount',
  price: 'amount',
  initialSeconds: 'seconds',
  nextSeconds: 'seconds',
  minimum: 'amount',
  maximum: 'amount',
  rounding: 'text',
  /** What the other fields cannot hold, size tiers for example, as JSON of the rule's own names. */
  more: 'json',
} as const satisfies Record<RuleField, string>;

export const ruleFields = Object.keys(ruleFieldKinds) as RuleField[];

/** The rule's own names; that of the price depends on the type. */
const nameOfField = {
  type: 'type',
  prefix: 'prefix',
  id: 'id',
  connectionFee: 'connectionFeeMicros',
  initialSeconds: 'initialSeconds',
  nextSeconds: 'nextSeconds',
  minimum: 'minimumMicros',
  maximum: 'maximumMicros',
  rounding: 'rounding',
} as const satisfies Partial<Record<RuleField, string>>;
const priceNames = ['pricePerMinuteMicros', 'pricePerUnitMicros'] as const;

function priceName(type: string): (typeof priceNames)[number] {
  return type === 'call' ? 'pricePerMinuteMicros' : 'pricePerUnitMicros';
}

/** A rule as texts; what it does not have is empty. */
export function fieldsOfRule(rule: RateRuleJson): RuleFields {
  const rest: Record<string, unknown> = { ...rule };
  const take = (name: string): string => {
    const value = rest[name];
    delete rest[name];
    return value === undefined ? '' : String(value);
  };
  const amount = (name: string): string => {
    const text = take(name);
    return text === '' ? '' : formatMicros(BigInt(text), 0);
  };
  const fields = {
    type: take('type'),
    prefix: take('prefix'),
    id: take('id'),
    connectionFee: amount('connectionFeeMicros'),
    price: amount(priceName(rule.type)),
    initialSeconds: take('initialSeconds'),
    nextSeconds: take('nextSeconds'),
    minimum: amount('minimumMicros'),
    maximum: amount('maximumMicros'),
    rounding: take('rounding'),
  };
  return { ...fields, more: Object.keys(rest).length === 0 ? '' : JSON.stringify(rest) };
}

/** Something wrong with a field. The message holds no value. */
export interface FieldProblem {
  readonly field: RuleField;
  readonly message: string;
}

class FieldError extends Error {
  constructor(
    readonly field: RuleField,
    message: string,
  ) {
    super(message);
  }
}

/**
 * The rule that texts say, or what is wrong with them. Type and price are needed, and the seconds
 * for calls; a rule without an id is named after its type and prefix.
 */
export function readRuleFields(
  fields: Partial<RuleFields>,
): { ok: true; rule: RateRule } | { ok: false; problems: FieldProblem[] } {
  try {
    const parsed = rateRuleSchema.safeParse(valuesOf(fields));
    return parsed.success
      ? { ok: true, rule: parsed.data }
      : { ok: false, problems: parsed.error.issues.map(problemOf) };
  } catch (error) {
    if (!(error instanceof FieldError)) {
      throw error;
    }
    const { field, message } = error;
    return { ok: false, problems: [{ field, message }] };
  }
}

/** @throws FieldError */
function valuesOf(fields: Partial<RuleFields>): Record<string, unknown> {
  const text = (field: RuleField) => fields[field]?.trim() ?? '';
  const [type, prefix] = [text('type'), text('prefix')];
  if (text('price') === '') {
    throw new FieldError('price', 'is empty');
  }
  const values: Record<string, unknown> = {
    id: `${type}-${prefix === '' ? 'any' : prefix}`,
    prefix,
    connectionFeeMicros: '0',
    ...otherValues(text('more')),
    [priceName(type)]: readValue('price', text('price')),
  };
  for (const [field, name] of Object.entries(nameOfField) as [RuleField, string][]) {
    if (text(field) !== '') {
      values[name] = readValue(field, text(field));
    }
  }
  return values;
}

function readValue(field: RuleField, text: string): string | number {
  switch (ruleFieldKinds[field]) {
    case 'amount': {
      const amount = parseAmount(text, MICROS_DECIMALS);
      if (!amount.ok) {
        throw new FieldError(
          field,
          'must be a decimal amount with a point and at most six decimals',
        );
      }
      return amount.amountMicros.toString();
    }
    case 'seconds':
      if (!/^\d{1,5}$/.test(text)) {
        throw new FieldError(field, 'must be a whole number of seconds');
      }
      return Number(text);
    default:
      return text;
  }
}

/** Values that have a field of their own may not hide among the others. */
function otherValues(text: string): Record<string, unknown> {
  const others = text === '' ? {} : parseJson(text);
  if (typeof others !== 'object' || others === null || Array.isArray(others)) {
    throw new FieldError('more', 'must be a JSON object of other fields of the rule');
  }
  const own: readonly string[] = [...priceNames, ...Object.values(nameOfField)];
  if (Object.keys(others).some((name) => own.includes(name))) {
    throw new FieldError('more', 'holds a field that has a place of its own');
  }
  return { ...others };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FieldError('more', 'is not valid JSON');
  }
}

/** A problem of the schema, by the field that people know it by. */
function problemOf({ path, message }: { path: PropertyKey[]; message: string }): FieldProblem {
  const [name = 'type', ...inner] = path.map(String);
  if (priceNames.some((price) => price === name)) {
    return { field: 'price', message };
  }
  const own = (Object.entries(nameOfField) as [RuleField, string][]).find(([, n]) => n === name);
  return own === undefined
    ? { field: 'more', message: `${[name, ...inner].join('.')}: ${message}` }
    : { field: own[0], message };
}
