import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { referenceSchema } from '../trpc/inputs.ts';
import { keyOf, makeKey } from './keys.ts';

const parts = fc.array(
  fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }),
    fc.string({ minLength: 60, maxLength: 400 }),
  ),
  {
    minLength: 1,
    maxLength: 4,
  },
) as fc.Arbitrary<[string, ...string[]]>;

describe('keyOf', () => {
  it('is the same for the same parts, and readable', () => {
    expect(keyOf('transfer', '2026-11-22', 17)).toBe('transfer/2026-11-22/17');
    expect(keyOf('transfer', 'über/lang')).toBe('transfer/%C3%BCber%2Flang');
  });

  it('is another one for other parts, and always one that the service takes', () => {
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        expect(referenceSchema.safeParse(keyOf(...one)).success).toBe(true);
        expect(keyOf(...one) === keyOf(...other)).toBe(
          JSON.stringify(one) === JSON.stringify(other),
        );
      }),
    );
    expect(keyOf('a', 'b/c')).not.toBe(keyOf('a/b', 'c'));
    expect(keyOf('x'.repeat(500), 'a')).not.toBe(keyOf('x'.repeat(500), 'b'));
  });
});

describe('a forgotten part', () => {
  it.each([[''], [undefined], [null], [Number.NaN]])('is no key: %s', (part) => {
    expect(() => keyOf('transfer', part as string)).toThrow(TypeError);
  });
});

describe('makeKey', () => {
  it('is new each time, and one that the service takes', () => {
    expect(makeKey()).not.toBe(makeKey());
    expect(referenceSchema.safeParse(makeKey()).success).toBe(true);
  });
});
