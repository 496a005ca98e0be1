import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normalDestination } from './destination.ts';
import { dialledDigits } from './usage.ts';

describe('normalDestination', () => {
  test.each([
    ['+442079460000', '+442079460000'],
    ['442079460000', '442079460000'],
    ['00442079460000', '+442079460000'],
    ['011442079460000', '+442079460000'],
    ['+44 (0)20 7946-0000', '+442079460000'],
    ['00 44 20 7946 0000', '+442079460000'],
    ['+44 20 7946 0000 ext. 12', '+442079460000'],
    ['sip:+442079460000@pbx.example;transport=udp', '+442079460000'],
    ['tel:+1-415-555-0132;ext=7', '+14155550132'],
    ['\u200e+44\u00a020\u20117946\u20130000\u200b', '+442079460000'],
    ['＋４４２０７９４６００００', '+442079460000'],
    ['٠٠٤٤٢٠٧٩٤٦٠٠٠٠', '+442079460000'],
    ['+۴۴۲۰۷۹۴۶۰۰۰۰', '+442079460000'],
    ['+390612345678', '+390612345678'],
    // Not assigned, and dialled all the same.
    ['+999123456', '+999123456'],
  ])('writes international number %# in one way', (to, normal) => {
    expect(normalDestination(to)).toBe(normal);
  });

  test.each([
    ['112', '112'],
    [' 9-1-1 ', '911'],
    ['116117', '116117'],
    ['020 7946 0000', '02079460000'],
    ['917-375-0980', '9173750980'],
    // Johannesburg's area code, and no number abroad.
    ['011 786 1111', '0117861111'],
    ['020 7946 0000 ext. 12', '02079460000'],
    ['2125550100x7', '2125550100'],
    ['front-desk', 'front-desk'],
    ['101-desk', '101-desk'],
    ['1001-anna@pbx.example', '1001-anna@pbx.example'],
    ['*72,5550100', '*72,5550100'],
    ['sip:alice@example.org', 'sip:alice@example.org'],
    ['*98', '*98'],
  ])('leaves %j as it was dialled', (to, normal) => {
    expect(normalDestination(to)).toBe(normal);
  });

  test.each([
    ['917-375-0980', 'US', '+19173750980'],
    ['9173750980', 'US', '+19173750980'],
    ['011 44 20 7946 0000', 'US', '+442079460000'],
    ['020 7946 0000', 'GB', '+442079460000'],
    ['+1 917 375 0980', 'GB', '+19173750980'],
    ['00442079460000', 'DE', '+442079460000'],
    ['116117', 'DE', '116117'],
    ['911', 'US', '911'],
    ['*98', 'US', '*98'],
    ['5550100', 'US', '5550100'],
  ])('reads %j as one of %s when the card says so', (to, country, normal) => {
    expect(normalDestination(to, country)).toBe(normal);
  });

  test.each([
    ...['+', '++44', '+44abc', '+1234567890123456', '\u200b', '()', '१२३४५६७', '+0123456'],
    // Numbers with letters, pauses or a second number, which no prefix would find.
    ...['1-800-FLOWERS', '1800flowers', '442079460000,,12', '4420,7946,0000', '02079460000,0207'],
    ...['1,4155550132', '14,155', '1w415', '1 P 415'],
  ])('finds no destination in text %#', (to) => {
    expect(normalDestination(to)).toBeUndefined();
    expect(normalDestination(to, 'US')).toBeUndefined();
  });

  test('is its own normal form, and looks up the same digits', () => {
    const pieces = fc.constantFrom(
      ...['+', '00', '011', '0', '1', '44', '20', '7946', '٤', '４', '\u200b', ' ', '-', '(', ')'],
      ...['x', 'sip:', '@pbx', '*'],
    );
    const country = fc.constantFrom(undefined, 'US', 'GB', 'DE');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), country, (parts, country) => {
        const normal = normalDestination(parts.join(''), country);
        if (normal !== undefined) {
          const again = normalDestination(normal, country) ?? '';
          expect(dialledDigits(again)).toBe(dialledDigits(normal));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
