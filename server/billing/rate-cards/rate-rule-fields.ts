/**
 * A rule of a rate card as a row of texts, the form in which people write it: in a form's fields, and
 * in a file's columns. Prices are decimal amounts, exact to six decimals (a micro): of a minute for
 * calls, of one segment, recipient, page or transfer otherwise.
 */

import { inPlainWords } from '../../input-problems.ts';
import { type AmountProblem, formatMicros, parseAmount } from '../../ledger/money.ts';
import {
  maxPriceMicros,
  type RateRule,
  type RateRuleJson,
  rateRuleSchema,
} from '../../rating/rate-card.ts';
import { usageTypes } from '../../rating/usage.ts';
import type { RuleFields } from '../../views/rate-cards.ts';

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

/** What is wrong with the text of one field, in words. */
class FieldError extends Error {}

/**
 * The rule that texts say, or what is wrong with them. Type and price are needed, and the seconds
 * for calls; a rule without an id is named after its type and prefix.
 */
export function readRuleFields(
  fields: Partial<RuleFields>,
): { ok: true; rule: RateRule } | { ok: false; problems: FieldProblem[] } {
  const { values, problems } = valuesOf(fields);
  const parsed = rateRuleSchema.safeParse(values, inPlainWords);
  if (parsed.success && problems.length === 0) {
    return { ok: true, rule: parsed.data };
  }
  // What could not be read is missing for the schema, which is nothing new; an id that was made of
  // it is no fault of its own.
  const told = new Set(problems.map(({ field }) => field));
  const isNew = ({ field }: FieldProblem) =>
    !told.has(field) && (field !== 'id' || (fields.id?.trim() ?? '') !== '');
  const further = (parsed.error?.issues ?? []).map(problemOf).filter(isNew);
  return { ok: false, problems: [...problems, ...further] };
}

/** What the texts say, and every text that says nothing. */
function valuesOf(fields: Partial<RuleFields>): {
  values: Record<string, unknown>;
  problems: FieldProblem[];
} {
  const problems: FieldProblem[] = [];
  const text = (field: RuleField) => fields[field]?.trim() ?? '';
  const [type, prefix] = [text('type'), text('prefix')];
  const read = (field: RuleField): unknown => {
    try {
      return readValue(field, text(field));
    } catch (error) {
      if (!(error instanceof FieldError)) {
        throw error;
      }
      problems.push({ field, message: error.message });
      return undefined;
    }
  };
  const values: Record<string, unknown> = {
    id: `${type}-${prefix === '' ? 'any' : prefix}`,
    prefix,
    connectionFeeMicros: '0',
    ...(text('more') !== '' && (read('more') as Record<string, unknown> | undefined)),
    [priceName(type)]: read('price'),
  };
  for (const [field, name] of Object.entries(nameOfField) as [RuleField, string][]) {
    if (text(field) !== '' || field === 'type') {
      values[name] = read(field);
    }
  }
  return { values, problems };
}

/** @throws FieldError */
function readValue(field: RuleField, text: string): unknown {
  switch (ruleFieldKinds[field]) {
    case 'amount':
      return readAmount(text).toString();
    case 'seconds':
      if (!/^\d{1,5}$/.test(text)) {
        throw new FieldError('must be a whole number of seconds');
      }
      return Number(text);
    case 'json':
      return otherValues(text);
    default:
      if (field === 'type' && !usageTypes.some((known) => known === text)) {
        throw new FieldError(`must be one of ${usageTypes.join(', ')}`);
      }
      if (field === 'prefix' && !/^\d*$/.test(text)) {
        throw new FieldError('must be digits alone, without + or spaces');
      }
      return text;
  }
}

/** @throws FieldError */
function readAmount(text: string): bigint {
  const amount = parseAmount(text, MICROS_DECIMALS);
  if (!amount.ok) {
    throw new FieldError(amountWords(amount.code, text));
  }
  if (amount.amountMicros > maxPriceMicros) {
    throw new FieldError(TOO_LARGE);
  }
  return amount.amountMicros;
}

const TOO_LARGE = `is too large: at most ${formatMicros(maxPriceMicros, 0)}`;

function amountWords(code: AmountProblem, text: string): string {
  switch (code) {
    case 'EMPTY':
      return 'is empty';
    case 'NOT_A_NUMBER':
      return /^-\d/.test(text)
        ? 'must not be negative'
        : 'must be digits with at most one point, such as 0.05';
    case 'TOO_MANY_DECIMALS':
      return `must have at most ${MICROS_DECIMALS} decimals`;
    case 'TOO_LARGE':
      return TOO_LARGE;
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown problem ${unknown}`);
    }
  }
}

/** Values that have a field of their own may not hide among the others. */
function otherValues(text: string): Record<string, unknown> {
  const others = text === '' ? {} : parseJson(text);
  if (typeof others !== 'object' || others === null || Array.isArray(others)) {
    throw new FieldError('must be a JSON object of other fields of the rule');
  }
  const own: readonly string[] = [...priceNames, ...Object.values(nameOfField)];
  if (Object.keys(others).some((name) => own.includes(name))) {
    throw new FieldError('holds a field that has a place of its own');
  }
  return { ...others };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FieldError('is not valid JSON');
  }
}

/** A problem of the schema, by the field that people know it by. */
function problemOf({ path, message }: { path: PropertyKey[]; message: string }): FieldProblem {
  const [name, ...inner] = path.map(String);
  if (name === undefined) {
    return { field: 'more', message };
  }
  if (priceNames.some((price) => price === name)) {
    return { field: 'price', message };
  }
  const own = (Object.entries(nameOfField) as [RuleField, string][]).find(([, n]) => n === name);
  return own === undefined
    ? { field: 'more', message: `${[name, ...inner].join('.')}: ${message}` }
    : { field: own[0], message };
}
