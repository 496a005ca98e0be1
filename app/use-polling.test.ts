import { expect, it } from 'vitest';
import { pollDelayMs } from './use-polling.ts';

it('asks soon at first, ever more slowly, and at least four times a minute', () => {
  const delays = Array.from({ length: 30 }, (_, attempt) => pollDelayMs(attempt));
  expect(delays[0]).toBe(1_000);
  expect(delays).toEqual([...delays].sort((a, b) => a - b));
  expect(Math.max(...delays)).toBe(15_000);
});
