import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { smsSegments } from './sms-segments.ts';

describe('GSM 7-bit texts', () => {
  test.each([
    ['', 1, 0],
    ['a'.repeat(160), 1, 160],
    ['a'.repeat(161), 2, 161],
    ['a'.repeat(306), 2, 306],
    ['a'.repeat(307), 3, 307],
    ['@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà\r\n', 1, 44],
  ])('text %# fills 160 septets alone and 153 in each part', (body, segments, length) => {
    expect(smsSegments(body)).toEqual({ encoding: 'gsm7', segments, length });
  });

  test('127 characters take one septet, ten take two, and no others are in the alphabet', () => {
    const septetsOf = (character: string) => {
      const { encoding, length } = smsSegments(character);
      return encoding === 'gsm7' ? length : null;
    };
    const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
    expect(printable.filter((character) => septetsOf(character) === null)).toEqual(['`']);
    expect(printable.filter((character) => septetsOf(character) === 2).join('')).toBe('[\\]^{|}~');
    // 3GPP TS 23.038, 6.2.1: 128 places, of which one is the escape.
    const all = Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code));
    const sizes = all.map(septetsOf);
    expect(sizes.filter((size) => size === 1)).toHaveLength(127);
    expect(sizes.filter((size) => size === 2)).toHaveLength(10);
  });

  test('characters of the extension table take two septets', () => {
    expect(smsSegments('^{}\\[~]|€\f')).toEqual({ encoding: 'gsm7', segments: 1, length: 20 });
    expect(smsSegments('€'.repeat(80)).segments).toBe(1);
    expect(smsSegments('€'.repeat(81)).segments).toBe(2);
  });

  test('an escaped character is never cut between two segments', () => {
    const fillsBoth = `${'a'.repeat(151)}€${'a'.repeat(153)}`;
    const leavesOneSeptetEmpty = `${'a'.repeat(152)}€${'a'.repeat(152)}`;
    expect(smsSegments(fillsBoth)).toEqual({ encoding: 'gsm7', segments: 2, length: 306 });
    expect(smsSegments(leavesOneSeptetEmpty)).toEqual({
      encoding: 'gsm7',
      segments: 3,
      length: 306,
    });
  });
});

describe('UCS-2 texts', () => {
  test.each([
    ['ж'.repeat(70), 1, 70],
    ['ж'.repeat(71), 2, 71],
    ['ж'.repeat(134), 2, 134],
    ['ж'.repeat(135), 3, 135],
  ])('text %# fills 70 units alone and 67 in each part', (body, segments, length) => {
    expect(smsSegments(body)).toEqual({ encoding: 'ucs2', segments, length });
  });

  test('one character outside the default alphabet makes the whole text UCS-2', () => {
    expect(smsSegments(`${'a'.repeat(100)}ç`)).toEqual({
      encoding: 'ucs2',
      segments: 2,
      length: 101,
    });
  });

  test('a surrogate pair is never cut between two segments', () => {
    expect(smsSegments('😀'.repeat(35))).toEqual({ encoding: 'ucs2', segments: 1, length: 70 });
    expect(smsSegments('😀'.repeat(66)).segments).toBe(2);
    expect(smsSegments('😀'.repeat(67))).toEqual({ encoding: 'ucs2', segments: 3, length: 134 });
  });

  test('a half surrogate counts as one unit and breaks nothing', () => {
    expect(smsSegments('\ud83d')).toEqual({ encoding: 'ucs2', segments: 1, length: 1 });
  });
});

test('more text never takes fewer segments', () => {
  const characters = fc.constantFrom('a', '€', 'ж', '😀');
  fc.assert(
    fc.property(fc.array(characters, { maxLength: 400 }), characters, (text, more) => {
      const before = smsSegments(text.join(''));
      const after = smsSegments(text.join('') + more);
      expect(after.segments).toBeGreaterThanOrEqual(before.segments);
    }),
  );
});
