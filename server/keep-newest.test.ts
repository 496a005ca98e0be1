import { expect, it } from 'vitest';
import { keepNewest } from './keep-newest.ts';

it('what was kept first goes when there are too many', () => {
  const map = new Map<string, number>();
  for (const [index, key] of ['b', 'a', 'c', 'd'].entries()) {
    keepNewest(map, key, index, 3);
  }
  expect([...map]).toEqual([
    ['a', 1],
    ['c', 2],
    ['d', 3],
  ]);
});
