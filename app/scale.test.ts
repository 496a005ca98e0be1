import fc from 'fast-check';
import { expect, it } from 'vitest';
import { scaleMarks } from './scale.ts';

it('a scale names round amounts up to the highest', () => {
  expect(scaleMarks(12_520_000n)).toEqual([0n, 5_000_000n, 10_000_000n, 15_000_000n]);
  expect(scaleMarks(1_000_000n)).toEqual([0n, 500_000n, 1_000_000n]);
  expect(scaleMarks(1n)).toEqual([0n, 1n]);
});

it('a scale has few marks and ends at or above the highest, whatever that is', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }), (highest) => {
      const marks = scaleMarks(highest);
      const [last = 0n, before = 0n] = marks.toReversed();
      expect(marks.length).toBeLessThanOrEqual(5);
      expect(last >= highest && before < highest).toBe(true);
    }),
  );
});
