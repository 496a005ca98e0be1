import { expect, test } from 'vitest';
import { z } from 'zod';
import { describeInputProblems } from './input-problems.ts';
import { usageSchema } from './rating/usage.ts';
import { appRouter } from './trpc/router.ts';

const schema = z.strictObject({
  name: z.string().min(2).max(3).optional(),
  count: z.int().min(1).max(86_400).optional(),
  share: z.number().positive().lt(1).optional(),
  items: z.array(z.string()).min(1).max(2).optional(),
  done: z.boolean().optional(),
  mode: z.enum(['replace', 'merge']).optional(),
  only: z.literal('call').optional(),
  inner: z.strictObject({ deep: z.string() }).optional(),
  own: z.string({ error: 'must be a name' }).optional(),
  id: z.uuid().optional(),
  at: z.iso.datetime({ offset: true }).optional(),
  on: z.iso.date().optional(),
  code: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .optional(),
  email: z.email().optional(),
  even: z.int().multipleOf(2).optional(),
  refined: z
    .string()
    .refine((text) => text === 'right')
    .optional(),
  idOrNone: z.uuid().or(z.literal('')).optional(),
  oneOrMany: z.strictObject({ a: z.int() }).or(z.array(z.int())).optional(),
  usage: usageSchema.optional(),
});

function problemOf(input: unknown): string {
  const parsed = schema.safeParse(input);
  return parsed.success ? '' : describeInputProblems(parsed.error);
}

test.each([
  [{ count: 86_401 }, 'count: must be at most 86400'],
  [{ count: 0 }, 'count: must be at least 1'],
  [{ count: 1.5 }, 'count: must be a whole number'],
  [{ count: '1' }, 'count: must be a number'],
  [{ share: 1 }, 'share: must be below 1'],
  [{ share: 0 }, 'share: must be above 0'],
  [{ name: 'a' }, 'name: must be at least 2 characters'],
  [{ name: 'abcd' }, 'name: must be at most 3 characters'],
  [{ name: 7 }, 'name: must be a text'],
  [{ items: [] }, 'items: must have at least 1 item'],
  [{ items: ['a', 'b', 'c'] }, 'items: must have at most 2 items'],
  [{ items: {} }, 'items: must be a list'],
  [{ done: 'yes' }, 'done: must be true or false'],
  [{ mode: 'add' }, 'mode: must be one of replace, merge'],
  [{ only: 'sms' }, 'only: must be call'],
  [{ inner: [] }, 'inner: must be an object'],
  [{ inner: {} }, 'inner.deep is missing'],
  [{ own: 7 }, 'own: must be a name'],
  [{ id: 'x' }, 'id: must be a UUID'],
  [{ at: 'x' }, 'at: must be an instant such as 2026-11-23T09:30:00Z'],
  [{ on: 'x' }, 'on: must be a date such as 2026-11-23'],
  [{ code: 'usd' }, 'code: is not of the right form'],
  [{ email: 'x' }, 'email: must be an email address'],
  [{ even: 3 }, 'even: must be a multiple of 2'],
  [{ refined: 'x' }, 'refined: is not of the right form'],
  [{ idOrNone: 'x' }, 'idOrNone: must be a UUID'],
  [{ oneOrMany: 7 }, 'oneOrMany: must be an object or a list'],
  [{ oneOrMany: {} }, 'oneOrMany: is not of the right form'],
  [{ colour: 'x' }, 'The input has no field colour'],
  [{ colour: 'x', size: 1 }, 'The input has no fields colour, size'],
  [{ inner: { deep: '', colour: 'x' } }, 'inner: has no field colour'],
  [[], 'The input must be an object'],
  [undefined, 'The input is missing'],
])('%j is told in plain words: %s', (input, words) => {
  expect(problemOf(input)).toBe(words);
});

test.each([
  [{ type: 'call', to: '1' }, 'usage.durationSeconds is missing'],
  [
    { type: 'call', to: '1', durationSeconds: -1 },
    /^usage\.durationSeconds: must be a whole number from 0 to \d+$/,
  ],
  [{ type: 'telegram' }, /^usage\.type: must be one of call, sms/],
  [
    { type: 'sms', to: '1', segments: 1, body: 'hi' },
    'usage.segments: must not be given beside body',
  ],
  [[], 'usage: must be an object'],
])('the problem of the usage %j names its field once', (usage, words) => {
  expect(problemOf({ usage })).toMatch(words);
});

test('two problems are told both, and no value of the input is repeated', () => {
  expect(problemOf({ name: 'a secret', mode: '4155550132' })).toBe(
    'name: must be at most 3 characters; mode: must be one of replace, merge',
  );
});

const procedures = Object.entries(
  appRouter._def.procedures as unknown as Record<string, { _def: { inputs?: z.ZodType[] } }>,
).flatMap(([name, { _def }]) => (_def.inputs ?? []).map((input) => ({ name, input })));
const wrong = [null, true, 7, -1.5, 'x', '', 'x'.repeat(5_000), [], [null], {}, { colour: 'x' }];

test.each(procedures)('$name tells nothing in the words of a programmer', ({ input }) => {
  const { properties = {} } = z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' });
  const fields = Object.keys(properties);
  const inputs = [
    ...wrong,
    ...fields.flatMap((field) => wrong.map((value) => ({ [field]: value }))),
    ...wrong.map((value) => Object.fromEntries(fields.map((field) => [field, value]))),
  ];
  for (const each of inputs) {
    const parsed = input.safeParse(each);
    const words = parsed.success ? '' : describeInputProblems(parsed.error);
    expect(words).not.toMatch(/invalid|expected|received|unrecognized|pattern|\[object/i);
  }
});
