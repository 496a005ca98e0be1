/** What is wrong with an input, in words for whoever sent it. */
import { type ZodError, z } from 'zod';

type Issue = z.core.$ZodRawIssue;

// Zod's own words are those of a programmer. A schema that says it better keeps its own.
z.config({ customError: describeIssue });

/** For `safeParse` where people read the messages and nothing says that this file was loaded. */
export const inPlainWords = { error: describeIssue };

const MAX_PROBLEMS = 10;

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
  tuple: 'a list',
  date: 'a date',
  null: 'null',
};

/** Forms of texts, by zod's names. */
const FORMATS: Readonly<Record<string, string>> = {
  uuid: 'a UUID',
  email: 'an email address',
  url: 'an address such as https://example.com',
  datetime: 'an instant such as 2026-11-23T09:30:00Z',
  date: 'a date such as 2026-11-23',
  json_string: 'JSON',
};

/** What sizes of these are counted in; those of numbers are in nothing. */
const UNITS: Readonly<Record<string, string>> = { string: 'character', array: 'item' };

/** Which fields are wrong and how, without their values: numbers and texts are private. */
export function describeInputProblems(error: ZodError): string {
  return error.issues
    .slice(0, MAX_PROBLEMS)
    .map(({ path, message }) => {
      const field = path.join('.');
      if (field === '') return /^(is|must|has) /.test(message) ? `The input ${message}` : message;
      return message === 'is missing' ? `${field} is missing` : `${field}: ${message}`;
    })
    .join('; ');
}

/** A problem as the rest of a sentence that begins with the field. */
function describeIssue(issue: Issue): string {
  if (issue.input === undefined && issue.code !== 'custom') {
    return 'is missing';
  }
  switch (issue.code) {
    case 'invalid_type':
      return mustBe(KINDS[issue.expected]);
    case 'invalid_format':
      return mustBe(FORMATS[issue.format]);
    case 'unrecognized_keys':
      return `has no ${issue.keys.length === 1 ? 'field' : 'fields'} ${someOf(issue.keys)}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'too_big':
      return describeBound(issue, issue.maximum, issue.inclusive === false ? 'below' : 'at most');
    case 'too_small':
      return describeBound(issue, issue.minimum, issue.inclusive === false ? 'above' : 'at least');
    case 'invalid_value':
      return `must be ${oneOf(issue.values)}`;
    case 'invalid_union':
      return Array.isArray(issue.options)
        ? `must be ${oneOf(issue.options)}`
        : anyOf(issue.errors.map(([first]) => first));
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return mustBe(undefined);
    default: {
      const unknown: never = issue;
      throw new TypeError(`unknown issue ${JSON.stringify(unknown)}`);
    }
  }
}

/** Without a word for what it must be, that it is not. */
function mustBe(what: string | undefined): string {
  return what === undefined ? 'is not of the right form' : `must be ${what}`;
}

/** What an input of several forms must be, where none of them is looked into. */
function anyOf(firsts: readonly (z.core.$ZodIssue | undefined)[]): string {
  const messages = firsts.map((issue) => (issue?.path.length === 0 ? issue.message : ''));
  const forms = [...new Set(messages.map((message) => /^must be (.+)$/.exec(message)?.[1]))];
  return mustBe(forms.includes(undefined) ? undefined : forms.join(' or '));
}

/** Names that the caller made up: few and short ones, as they may be anything. */
function someOf(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => name.slice(0, 40));
  return [...shown, ...(names.length > shown.length ? ['…'] : [])].join(', ');
}

function describeBound(
  { origin }: { origin: string },
  bound: number | bigint,
  comparison: string,
): string {
  const unit = UNITS[origin];
  const units = unit === undefined ? '' : ` ${unit}${BigInt(bound) === 1n ? '' : 's'}`;
  return `must ${origin === 'array' ? 'have' : 'be'} ${comparison} ${bound}${units}`;
}

function oneOf(values: readonly unknown[]): string {
  const list = values.map((value) => (value === '' ? 'empty' : String(value))).join(', ');
  return values.length === 1 ? list : `one of ${list}`;
}
