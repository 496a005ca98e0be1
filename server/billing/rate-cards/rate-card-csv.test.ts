import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import { roundings } from '../../rating/exact.ts';
import {
  maxPriceMicros,
  type RateRuleJson,
  rateRuleSchema,
  rateRuleToJson,
} from '../../rating/rate-card.ts';
import { usageTypes, usageTypesWithDestination } from '../../rating/usage.ts';
import {
  type CsvRow,
  rateCardCsvHeader,
  rateCardCsvLine,
  readRateCardCsv,
} from './rate-card-csv.ts';

const micros = fc.bigInt({ min: 0n, max: maxPriceMicros }).map(String);
const perHundredMicros = fc.bigInt({ min: 0n, max: 1_000_000n }).map(String);
const seconds = fc.integer({ min: 1, max: 3600 });
const digits = fc.stringMatching(/^\d{1,18}$/);

const rules: fc.Arbitrary<RateRuleJson> = fc
  .record({
    type: fc.constantFrom(...usageTypes),
    prefix: fc.oneof(fc.constant(''), digits),
    id: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
    connectionFeeMicros: micros,
    price: micros,
    limits: fc.option(fc.tuple(perHundredMicros, perHundredMicros)),
    rounding: fc.option(fc.constantFrom(...roundings)),
    initialSeconds: seconds,
    nextSeconds: seconds,
    sizeTiers: fc.option(fc.tuple(fc.integer({ min: 0, max: 2 ** 40 }), micros, micros)),
  })
  .map(({ type, prefix, price, limits, rounding, initialSeconds, nextSeconds, ...rest }) => {
    const { sizeTiers, ...common } = rest;
    const [low, high] = (limits ?? []).toSorted((a, b) => Number(a) - Number(b));
    return {
      ...common,
      type,
      prefix: usageTypesWithDestination.includes(type) ? prefix : '',
      ...(low !== undefined && high !== undefined && { minimumMicros: low, maximumMicros: high }),
      ...(rounding !== null && { rounding }),
      ...(type === 'call'
        ? { pricePerMinuteMicros: price, initialSeconds, nextSeconds }
        : { pricePerUnitMicros: price }),
      ...(type === 'file_transfer' &&
        sizeTiers !== null && {
          sizeTiers: [
            { upToBytes: sizeTiers[0], pricePerUnitMicros: sizeTiers[1] },
            { upToBytes: null, pricePerUnitMicros: sizeTiers[2] },
          ],
        }),
    } as RateRuleJson;
  });

const cards = fc
  .uniqueArray(rules, { selector: (rule) => `${rule.type} ${rule.prefix}`, maxLength: 30 })
  .map((list) => list.map((rule, index) => ({ ...rule, id: `${index}${rule.id}`.slice(0, 64) })));

function exported(list: readonly RateRuleJson[], breakAt = '\n'): string {
  return [rateCardCsvHeader('USD'), ...list.map(rateCardCsvLine)].join(breakAt);
}

function read(csv: string): CsvRow[] {
  return [...readRateCardCsv(csv, 'USD')];
}

function problems(csv: string): [number, string][] {
  return read(csv).flatMap((row): [number, string][] => (row.ok ? [] : [[row.line, row.message]]));
}

test('exporting a card and importing it gives every rule back as it was', () => {
  fc.assert(
    fc.property(cards, fc.constantFrom('\n', '\r\n'), (list, lineBreak) => {
      const rows = read(exported(list, lineBreak));
      expect(rows.map((row) => (row.ok ? JSON.parse(rateRuleToJson(row.rule)) : row))).toEqual(
        list,
      );
    }),
  );
});

test('the default card survives the trip', () => {
  const rows = read(exported(defaultRateCard.rules));
  expect(rows.map((row) => row.ok && row.rule)).toEqual(
    defaultRateCard.rules.map((rule) => rateRuleSchema.parse(rule)),
  );
});

describe('a line', () => {
  it('needs a type, a prefix and a price, and for calls their seconds', () => {
    expect(read('type,prefix,price_usd\nsms,44,0.0375')).toEqual([
      {
        line: 2,
        ok: true,
        rule: {
          id: 'sms-44',
          type: 'sms',
          prefix: '44',
          connectionFeeMicros: 0n,
          pricePerUnitMicros: 37_500n,
        },
      },
    ]);
    expect(problems('type,prefix,price_usd\ncall,44,0.05')).toEqual([
      [2, 'initial_seconds: is missing; next_seconds: is missing'],
    ]);
  });

  it('is priced exactly, to the micro', () => {
    const [row] = read('prefix,price_usd,type\n"",0.000001,email');
    expect(row).toMatchObject({ ok: true, rule: { id: 'email-any', pricePerUnitMicros: 1n } });
  });

  it.each([
    ['an exponent', 'sms,44,1e-3', 'price_usd: must be digits with at most one point'],
    ['a comma for a point', 'sms,44,"0,05"', 'price_usd: must be digits with at most one point'],
    ['more than six decimals', 'sms,44,0.0000001', 'price_usd: must have at most 6 decimals'],
    ['a negative price', 'sms,44,-0.05', 'price_usd: must not be negative'],
    ['no price', 'sms,44,', 'price_usd: is empty'],
    [
      'a price above the limit',
      'sms,44,1000000.000001',
      'price_usd: is too large: at most 1000000',
    ],
    ['a price beyond counting', `sms,44,${'9'.repeat(20)}`, 'price_usd: is too large: at most'],
    ['a prefix with a plus', 'sms,+44,0.05', 'prefix: must be digits alone, without + or spaces'],
    ['a prefix of letters', 'call,abc,0.05', 'prefix: must be digits alone, without + or spaces'],
    [
      'a prefix that is too long',
      `sms,${'4'.repeat(19)},0.05`,
      'prefix: must be at most 18 digits',
    ],
    [
      'a bad prefix and price',
      'sms,x,-1',
      'price_usd: must not be negative; prefix: must be digits',
    ],
    [
      'a price that is no amount and a prefix that is too long',
      `sms,${'4'.repeat(19)},x`,
      'price_usd: must be digits with at most one point, such as 0.05; prefix: must be at most 18',
    ],
    ['an unknown type', 'telex,44,0.05', 'type: must be one of call, sms'],
    ['a prefix where there is none', 'email,44,0.05', 'prefix: must be empty'],
    ['too few fields', 'sms,44', '2 fields instead of 3'],
    ['a broken quote', 'sms,"44,0.05', 'field 2 is not quoted correctly'],
  ])('with %s is named with what is wrong', (_what, line, message) => {
    expect(problems(`type,prefix,price_usd\nsms,1,0.05\n\n${line}\nsms,2,0.05`)).toEqual([
      [4, expect.stringContaining(message)],
    ]);
  });

  it('with a rounding that there is not is told which there are', () => {
    expect(problems('type,prefix,price_usd,rounding\nsms,1,0,sideways')).toEqual([
      [2, 'rounding: must be one of half_up, half_even, up, down'],
    ]);
  });

  it('must not repeat a type and prefix, or an id', () => {
    expect(problems('type,prefix,price_usd,id\nsms,1,0,a\nsms,1,0,b\nsms,2,0,a')).toEqual([
      [3, 'the type and prefix are those of line 2'],
      [4, 'the id is that of line 2'],
    ]);
  });

  it.each([
    ['broken JSON', '{', 'more: is not valid JSON'],
    ['no object', '[1]', 'more: must be a JSON object'],
    ['a field with a column', '{"prefix":"1"}', 'more: holds a field that has a place'],
    ['an unknown field', '{"surcharge":1}', 'more: has no field surcharge'],
    ['a wrong tier', '{"sizeTiers":[]}', 'more: sizeTiers: '],
  ])('whose other fields are %s is refused', (_what, more, message) => {
    const line = rateCardCsvLine(defaultRateCard.rules[4] as RateRuleJson);
    const quoted = `"${more.replaceAll('"', '""')}"`;
    expect(problems(`${rateCardCsvHeader('USD')}\n${line}${quoted}`)).toEqual([
      [2, expect.stringContaining(message)],
    ]);
  });
});

describe('the line of names', () => {
  it.each([
    ['is missing', '\n', 'the line of column names is missing'],
    ['has an unknown column', 'type,prefix,price_usd,colour\n', 'another was found'],
    ['has a column twice', 'type,type,prefix,price_usd\n', 'a column stands there twice'],
    ['lacks the price', 'type,prefix\n', 'the column price_usd is missing'],
    ['is for another currency', 'type,prefix,price_eur\n', 'must be price_usd'],
    ['does not say the currency', 'type,prefix,price\n', 'must be price_usd'],
  ])('stops the import when it %s', (_what, csv, message) => {
    expect(problems(csv)).toEqual([[1, expect.stringContaining(message)]]);
  });

  it('may have its columns in any order and any case', () => {
    expect(problems('\uFEFFPrice_USD, Prefix ,TYPE\n0.05,44,sms')).toEqual([]);
  });
});
