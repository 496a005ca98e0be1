import { expect, it } from 'vitest';
import { cardExpiry } from './card-expiry.ts';

const card = { expMonth: 2, expYear: 2028 };

it.each([
  ['2027-12-31T23:59:59.999Z', 'valid'],
  ['2028-01-01T00:00:00.000Z', 'soon'],
  ['2028-02-29T23:59:59.999Z', 'soon'],
  ['2028-03-01T00:00:00.000Z', 'expired'],
  ['2030-01-01T00:00:00.000Z', 'expired'],
])('a card of February 2028 at %s: %s', (now, expiry) => {
  expect(cardExpiry(card, Date.parse(now))).toBe(expiry);
});

it('a card of December is good until the year ends', () => {
  const december = { expMonth: 12, expYear: 2027 };
  expect(cardExpiry(december, Date.parse('2027-12-31T23:59:59.999Z'))).toBe('soon');
  expect(cardExpiry(december, Date.parse('2028-01-01T00:00:00.000Z'))).toBe('expired');
});
