import { describe, expect, it } from 'vitest';
import { type Price, priceWords, termsWords } from './price-words.ts';

const call: Price = {
  type: 'call',
  prefix: '',
  priceMicros: '50000',
  connectionFeeMicros: '100000',
  initialSeconds: 1,
  nextSeconds: 1,
  minimumMicros: null,
  maximumMicros: null,
  sizeTiers: [],
  monthlyTiers: [],
  windows: [],
  isOwn: false,
};
const fax: Price = { ...call, type: 'fax', initialSeconds: null, nextSeconds: null };

describe('a price in words', () => {
  it.each([
    [call, '$0.05 a minute + $0.10 to connect'],
    [{ ...call, connectionFeeMicros: '0' }, '$0.05 a minute'],
    [{ ...call, priceMicros: '0' }, '$0.10 to connect'],
    [{ ...call, priceMicros: '0', connectionFeeMicros: '0' }, 'Free'],
    [{ ...fax, connectionFeeMicros: '0', priceMicros: '12345' }, '$0.012345 a page'],
  ])('says what usage costs', (price, words) => {
    expect(priceWords(price, 'USD')).toBe(words);
  });

  it.each([
    [call, ['Billed by the second']],
    [{ ...call, initialSeconds: 60, nextSeconds: 60 }, ['Billed by each begun 60 seconds']],
    [
      { ...call, initialSeconds: 30, nextSeconds: 6 },
      ['Billed 30 seconds at least, then by each begun 6 seconds'],
    ],
    [{ ...fax, minimumMicros: '10000' }, ['At least $0.01']],
    [{ ...fax, maximumMicros: '2000000' }, ['At most $2.00']],
    [
      {
        ...fax,
        type: 'file_transfer',
        sizeTiers: [
          { upToBytes: 1_000_000, priceMicros: '10000' },
          { upToBytes: null, priceMicros: '20000' },
        ],
      },
      ['Up to 1,000,000 bytes $0.01', 'Larger $0.02'],
    ],
    [
      { ...fax, monthlyTiers: [{ aboveUnits: 100, priceMicros: '120000' }] },
      ['After 100 pages in a month: $0.12 a page'],
    ],
    [
      {
        ...call,
        initialSeconds: null,
        monthlyTiers: [{ aboveUnits: 36_000, priceMicros: '40000' }],
      },
      ['After 10 h in a month: $0.04 a minute'],
    ],
    [
      {
        ...call,
        initialSeconds: null,
        windows: [
          {
            days: ['sat', 'sun'],
            from: '00:00',
            to: '24:00',
            priceMicros: '10000',
            connectionFeeMicros: null,
          },
          { days: null, from: '20:00', to: '06:00', priceMicros: null, connectionFeeMicros: '0' },
        ],
      },
      ['Sat, Sun 00:00–24:00: $0.01 a minute', '20:00–06:00: nothing to connect'],
    ],
  ])('says how it is billed', (price, words) => {
    expect(termsWords(price, 'USD')).toEqual(words);
  });
});
