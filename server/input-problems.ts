/** What is wrong with an input, in words for whoever sent it. */
import { type ZodError, z } from 'zod';

type Issue = z.core.$ZodRawIssue;

// Zod's own words are those of a programmer. A schema that says it better keeps its own.
z.config({ customError: describeIssue });

const MAX_PROBLEMS = 10;

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
};

/** What sizes of these are counted in; those of numbers are in nothing. */
const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' items' };

/** Which fields are wrong and how, without their values: numbers and texts are private. */
export function describeInputProblems(error: ZodError): string {
  return error.issues
    .slice(0, MAX_PROBLEMS)
    .map(({ path, message }) => {
      const field = path.join('.');
      if (field === '') return /^(is|must) /.test(message) ? `The input ${message}` : message;
      return message === 'is missing' ? `${field} is missing` : `${field}: ${message}`;
    })
    .join('; ');
}

/** A problem as the rest of a sentence that begins with the field; undefined for zod's own words. */
function describeIssue(issue: Issue): string | undefined {
  if (issue.input === undefined && issue.code !== 'custom') {
    return 'is missing';
  }
  switch (issue.code) {
    case 'invalid_type': {
      const kind = KINDS[issue.expected];
      return kind && `must be ${kind}`;
    }
    case 'too_big':
      return describeBound(issue, issue.maximum, issue.inclusive === false ? 'below' : 'at most');
    case 'too_small':
      return describeBound(issue, issue.minimum, issue.inclusive === false ? 'above' : 'at least');
    case 'invalid_value':
      return `must be ${oneOf(issue.values)}`;
    case 'invalid_union':
      return Array.isArray(issue.options) ? `must be ${oneOf(issue.options)}` : undefined;
    default:
      return undefined;
  }
}

function describeBound(
  { origin }: { origin: string },
  bound: number | bigint,
  comparison: string,
): string {
  return `must ${origin === 'array' ? 'have' : 'be'} ${comparison} ${bound}${UNITS[origin] ?? ''}`;
}

function oneOf(values: readonly unknown[]): string {
  const list = values.map((value) => (value === '' ? 'empty' : String(value))).join(', ');
  return values.length === 1 ? list : `one of ${list}`;
}
