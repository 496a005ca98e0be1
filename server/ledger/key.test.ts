import { describe, expect, test } from 'vitest';
import { ledgerKey, requestHash } from './key.ts';

describe('ledgerKey', () => {
  test('is the head of SHA-256 over kind and reference', () => {
    // printf 'call\nref-1' | sha256sum
    expect(ledgerKey('call', 'ref-1')).toBe('c5e103c2-b54c-bac1-363a-183ccbe50935');
  });

  test('tells kinds and references apart', () => {
    const keys = [ledgerKey('call', 'a'), ledgerKey('sms', 'a'), ledgerKey('call', 'b')];
    expect(new Set(keys).size).toBe(3);
  });

  test('refuses a kind that could run into its reference', () => {
    expect(() => ledgerKey('call\nx', 'y')).toThrow(RangeError);
  });
});

describe('requestHash', () => {
  const hex = (value: unknown) => requestHash(value).toString('hex');

  test('is SHA-256 of canonical JSON', () => {
    // printf '{"a":"1","b":[true,null,2]}' | sha256sum
    expect(hex({ b: [true, null, 2], a: 1n })).toBe(
      'de257be94a7db20a022b9ba1d02763a0849e00a55b746a6d1f72a78b53ab6bb3',
    );
  });

  test('does not depend on the order of keys or on undefined properties', () => {
    expect(hex({ a: 1, b: { c: 2, d: 3 } })).toBe(hex({ b: { d: 3, c: 2 }, e: undefined, a: 1 }));
  });

  test('depends on every value, on its type, and on the order of lists', () => {
    const values = [{ a: 1 }, { a: '1' }, { a: null }, {}, { a: [1, 2] }, { a: [2, 1] }, { a: [] }];
    expect(new Set(values.map(hex)).size).toBe(values.length);
  });

  test('keeps every digit above 2^53', () => {
    expect(hex(2n ** 53n)).not.toBe(hex(2n ** 53n + 1n));
  });

  test.each([[undefined], [[undefined]], [{ a: Number.NaN }], [Number.POSITIVE_INFINITY]])(
    'refuses %s, which JSON cannot hold',
    (value) => {
      expect(() => requestHash(value)).toThrow(TypeError);
    },
  );

  test('refuses objects that have no canonical form', () => {
    expect(() => requestHash(new Map([['a', 1]]))).toThrow(TypeError);
    expect(() => requestHash({ a: () => 1 })).toThrow(TypeError);
  });
});
