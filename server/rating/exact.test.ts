import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { reduceFraction, roundFraction, roundings } from './exact.ts';

const fractions = fc.record({
  numerator: fc.bigInt({ min: 0n, max: 10n ** 24n }),
  denominator: fc.bigInt({ min: 1n, max: 1_000n }),
});

describe('roundFraction', () => {
  test.each([
    ['half_up', [0n, 1n, 1n, 2n, 3n]],
    ['half_even', [0n, 0n, 1n, 2n, 2n]],
    ['up', [1n, 1n, 1n, 2n, 3n]],
    ['down', [0n, 0n, 0n, 1n, 2n]],
  ] as const)('%s turns 1/4, 2/4, 3/4, 6/4 and 10/4 into whole numbers', (rounding, expected) => {
    const rounded = [1n, 2n, 3n, 6n, 10n].map((numerator) =>
      roundFraction({ numerator, denominator: 4n }, rounding),
    );
    expect(rounded).toEqual(expected);
  });

  test('is never a whole unit or more away, and half roundings never more than a half', () => {
    fc.assert(
      fc.property(fractions, fc.constantFrom(...roundings), (fraction, rounding) => {
        const { numerator, denominator } = fraction;
        const distance = roundFraction(fraction, rounding) * denominator - numerator;
        expect(distance > -denominator && distance < denominator).toBe(true);
        if (rounding.startsWith('half')) {
          expect(distance * 2n <= denominator && distance * 2n >= -denominator).toBe(true);
        }
      }),
    );
  });

  test('leaves whole numbers alone, whatever the rounding', () => {
    fc.assert(
      fc.property(
        fractions,
        fc.constantFrom(...roundings),
        ({ numerator, denominator }, rounding) => {
          const whole = { numerator: numerator * denominator, denominator };
          expect(roundFraction(whole, rounding)).toBe(numerator);
        },
      ),
    );
  });

  test('refuses negative prices and empty denominators', () => {
    expect(() => roundFraction({ numerator: -1n, denominator: 2n }, 'up')).toThrow(RangeError);
    expect(() => roundFraction({ numerator: 1n, denominator: 0n }, 'up')).toThrow(RangeError);
  });
});

test('reduceFraction keeps the value and writes equal fractions alike', () => {
  fc.assert(
    fc.property(fractions, fc.bigInt({ min: 1n, max: 1_000n }), (fraction, factor) => {
      const reduced = reduceFraction(fraction);
      expect(reduced.numerator * fraction.denominator).toBe(
        fraction.numerator * reduced.denominator,
      );
      expect(
        reduceFraction({
          numerator: fraction.numerator * factor,
          denominator: fraction.denominator * factor,
        }),
      ).toEqual(reduced);
    }),
  );
});
