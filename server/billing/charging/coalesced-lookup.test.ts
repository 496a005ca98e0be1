import { expect, test } from 'vitest';
import { coalescedLookup } from './coalesced-lookup.ts';

const turn = () => new Promise((done) => setImmediate(done));

/** A look-up over a database that answers when it is told to, and a record of its queries. */
function lookupWith(answerOf: (key: string) => string) {
  const queries: (readonly string[])[] = [];
  const answers: (() => void)[] = [];
  const lookup = coalescedLookup(async (keys: readonly string[]) => {
    queries.push(keys);
    await new Promise<void>((answer) => answers.push(answer));
    return keys.map(answerOf);
  });
  return {
    lookup,
    queries,
    async answer() {
      await turn();
      answers.shift()?.();
      await turn();
    },
  };
}

test('what is asked for while a query is on its way goes into the next one', async () => {
  const { lookup, queries, answer } = lookupWith((key) => key.toUpperCase());
  const first = lookup('a');
  await turn();
  const others = [lookup('b'), lookup('c'), lookup('b')];
  await answer();
  expect(await first).toBe('A');
  await answer();
  expect(await Promise.all(others)).toEqual(['B', 'C', 'B']);
  expect(queries).toEqual([['a'], ['b', 'c', 'b']]);
});

test('an answer is never older than its question: a query under way answers nobody who came later', async () => {
  let stored = 'old';
  const queries: string[] = [];
  const answers: (() => void)[] = [];
  const lookup = coalescedLookup(async (keys: readonly string[]) => {
    const read = stored;
    queries.push(read);
    await new Promise<void>((answer) => answers.push(answer));
    return keys.map(() => read);
  });
  const before = lookup('a');
  await turn();
  stored = 'new';
  const after = lookup('a');
  answers.shift()?.();
  expect(await before).toBe('old');
  await turn();
  answers.shift()?.();
  expect(await after).toBe('new');
});

test('the error of a query reaches those who waited for it, and the next query works', async () => {
  let out = true;
  const lookup = coalescedLookup(async (keys: readonly string[]) => {
    if (out) {
      throw new Error('the database is out');
    }
    return [...keys];
  });
  const failed = await Promise.allSettled([lookup('a'), lookup('b')]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  out = false;
  expect(await lookup('a')).toBe('a');
});

test('a query that leaves a key unanswered fails, instead of answering the others’ places', async () => {
  const lookup = coalescedLookup(async (keys: readonly string[]) => keys.slice(1));
  const failed = await Promise.allSettled([lookup('a'), lookup('b')]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
