import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatMicros,
  maxMicros,
  microsFromMinor,
  microsSchema,
  minMicros,
  minorFromMicros,
  parseAmount,
  positiveMicrosSchema,
} from './money.ts';

const amounts = fc.bigInt({ min: minMicros, max: maxMicros });
const exponents = fc.integer({ min: 0, max: 6 });

describe('minor units', () => {
  test.each([
    [2500n, 2, 25_000_000n],
    [500n, 0, 500_000_000n],
    [1n, 3, 1_000n],
    [-1n, 2, -10_000n],
  ])('%s with exponent %i is %s micros and back', (minor, exponent, micros) => {
    expect(microsFromMinor(minor, exponent)).toBe(micros);
    expect(minorFromMicros(micros, exponent)).toEqual({ ok: true, minor });
  });

  test.each([
    [375_001n, 2],
    [500_000n, 0],
    [-1n, 3],
  ])(
    '%s micros with exponent %i are refused: they are no whole minor units',
    (micros, exponent) => {
      expect(minorFromMicros(micros, exponent)).toEqual({ ok: false, code: 'NOT_EXACT' });
    },
  );

  test('come back unchanged through micros', () => {
    fc.assert(
      fc.property(amounts, exponents, (minor, exponent) => {
        expect(minorFromMicros(microsFromMinor(minor, exponent), exponent)).toEqual({
          ok: true,
          minor,
        });
      }),
    );
  });

  test.each([-1, 7, 1.5, Number.NaN])('exponent %s is a mistake of the program', (exponent) => {
    expect(() => microsFromMinor(1n, exponent)).toThrow(RangeError);
    expect(() => formatMicros(1n, exponent)).toThrow(RangeError);
  });
});

describe('parseAmount', () => {
  test.each([
    ['25', 2, 25_000_000n],
    ['25.00', 2, 25_000_000n],
    ['25.5', 2, 25_500_000n],
    [' 0.01 ', 2, 10_000n],
    ['0', 2, 0n],
    ['007', 0, 7_000_000n],
    ['1.234', 3, 1_234_000n],
    ['9223372036854.775807', 6, maxMicros],
    [`${'0'.repeat(40)}1`, 2, 1_000_000n],
  ])('reads %o with exponent %i', (text, exponent, amountMicros) => {
    expect(parseAmount(text, exponent)).toEqual({ ok: true, amountMicros });
  });

  test.each([
    ['', 2, 'EMPTY'],
    ['  ', 2, 'EMPTY'],
    ['1,000.50', 2, 'NOT_A_NUMBER'],
    ['1e3', 2, 'NOT_A_NUMBER'],
    ['-5', 2, 'NOT_A_NUMBER'],
    ['+5', 2, 'NOT_A_NUMBER'],
    ['$5', 2, 'NOT_A_NUMBER'],
    ['.5', 2, 'NOT_A_NUMBER'],
    ['5.', 2, 'NOT_A_NUMBER'],
    ['5.0.0', 2, 'NOT_A_NUMBER'],
    ['٥', 2, 'NOT_A_NUMBER'],
    ['NaN', 2, 'NOT_A_NUMBER'],
    ['0x10', 2, 'NOT_A_NUMBER'],
    ['25.001', 2, 'TOO_MANY_DECIMALS'],
    ['25.0', 0, 'TOO_MANY_DECIMALS'],
    ['9223372036854.775808', 6, 'TOO_LARGE'],
    ['9'.repeat(100_000), 2, 'TOO_LARGE'],
  ])('refuses amount %# with a code', (text, exponent, code) => {
    expect(parseAmount(text, exponent)).toEqual({ ok: false, code });
  });
});

describe('formatMicros', () => {
  test.each([
    [375_000n, 2, '0.375'],
    [25_000_000n, 2, '25.00'],
    [25_500_000n, 2, '25.50'],
    [8_773_337n, 2, '8.773337'],
    [0n, 2, '0.00'],
    [0n, 0, '0'],
    [500_000_000n, 0, '500'],
    [500_100_000n, 0, '500.1'],
    [1_000_000n, 3, '1.000'],
    [-1n, 2, '-0.000001'],
    [minMicros, 2, '-9223372036854.775808'],
    [maxMicros, 0, '9223372036854.775807'],
  ])('%s micros with exponent %i', (micros, exponent, text) => {
    expect(formatMicros(micros, exponent)).toBe(text);
  });

  test('loses nothing: what it writes reads back as the same micros', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: maxMicros }), exponents, (amountMicros, exponent) => {
        expect(parseAmount(formatMicros(amountMicros, exponent), 6)).toEqual({
          ok: true,
          amountMicros,
        });
      }),
    );
  });
});

describe('microsSchema', () => {
  test('keeps every 64-bit amount exactly', () => {
    expect(microsSchema.parse('9007199254740993')).toBe(2n ** 53n + 1n);
    fc.assert(
      fc.property(amounts, (micros) => {
        expect(microsSchema.parse(micros.toString())).toBe(micros);
      }),
    );
    expect(microsSchema.parse(minMicros.toString())).toBe(minMicros);
    expect(microsSchema.parse(maxMicros.toString())).toBe(maxMicros);
  });

  test.each([
    '1e3',
    '1.5',
    '-0',
    '007',
    '-01',
    '+1',
    '',
    ' 1',
    '1 ',
    '1\n',
    '0x1',
    '1n',
    '٥',
    5,
    5n,
    null,
  ])('refuses %o', (value) => {
    expect(microsSchema.safeParse(value).success).toBe(false);
  });

  test.each(['9223372036854775808', '-9223372036854775809', '9'.repeat(1_000_000)])(
    'refuses amount %# that a 64-bit column cannot hold',
    (value) => {
      expect(microsSchema.safeParse(value).success).toBe(false);
    },
  );

  test('positiveMicrosSchema refuses zero and less', () => {
    expect(positiveMicrosSchema.parse('1')).toBe(1n);
    expect(positiveMicrosSchema.safeParse('0').success).toBe(false);
    expect(positiveMicrosSchema.safeParse('-1').success).toBe(false);
  });
});
