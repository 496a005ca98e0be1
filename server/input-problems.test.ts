import { expect, test } from 'vitest';
import { z } from 'zod';
import { describeInputProblems } from './input-problems.ts';
import { usageSchema } from './rating/usage.ts';

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
  [{ items: [] }, 'items: must have at least 1 items'],
  [{ items: ['a', 'b', 'c'] }, 'items: must have at most 2 items'],
  [{ items: {} }, 'items: must be a list'],
  [{ done: 'yes' }, 'done: must be true or false'],
  [{ mode: 'add' }, 'mode: must be one of replace, merge'],
  [{ only: 'sms' }, 'only: must be call'],
  [{ inner: [] }, 'inner: must be an object'],
  [{ inner: {} }, 'inner.deep is missing'],
  [{ own: 7 }, 'own: must be a name'],
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
