import { expect, test } from 'vitest';
import { describeRefusal } from './refusals.ts';

test.each([
  ['USD', '0.0145 USD needed, 0.00 USD available, 0.0145 USD missing'],
  ['JPY', '0.0145 JPY needed, 0 JPY available, 0.0145 JPY missing'],
  ['KWD', '0.0145 KWD needed, 0.000 KWD available, 0.0145 KWD missing'],
])('a refusal tells money exactly, with the decimals of %s', (currency, text) => {
  const refusal = {
    ok: false,
    code: 'INSUFFICIENT_FUNDS',
    currency,
    requiredMicros: '14500',
    availableMicros: '0',
    shortfallMicros: '14500',
  } as const;
  expect(describeRefusal(refusal)).toBe(`Insufficient funds: ${text}.`);
});
