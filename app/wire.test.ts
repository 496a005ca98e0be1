import { expect, it } from 'vitest';
import { toWire } from './wire.ts';

it('carries amounts as exact decimal strings and instants as ISO 8601, at any depth', () => {
  const view = {
    seq: 9_007_199_254_740_993n,
    at: new Date('2026-11-12T14:05:00Z'),
    none: null,
    lines: [{ amountMicros: -375_000n, count: 2 }],
  };
  expect(toWire(view)).toEqual({
    seq: '9007199254740993',
    at: '2026-11-12T14:05:00.000Z',
    none: null,
    lines: [{ amountMicros: '-375000', count: 2 }],
  });
});
