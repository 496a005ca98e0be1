import { describe, expect, it } from 'vitest';
import type { TopUpLimits } from '../../views/top-ups.ts';
import { readTerms } from './auto-top-up-terms.ts';

const dollars: TopUpLimits = {
  currency: 'USD',
  exponent: 2,
  minMicros: 5_000_000n,
  maxMicros: 500_000_000n,
  presetsMicros: [],
};
const dinars: TopUpLimits = { ...dollars, currency: 'KWD', exponent: 3 };
const typed = { threshold: '10', mode: 'restore', amount: '25', monthlyCap: '100' } as const;

function problemsOf(terms: Partial<Parameters<typeof readTerms>[0]>, limits = dollars) {
  const read = readTerms({ ...typed, ...terms }, limits);
  return read.ok ? {} : read.problems;
}

describe('terms of automatic top-up', () => {
  it('are read as amounts', () => {
    expect(readTerms(typed, dollars)).toEqual({
      ok: true,
      terms: {
        thresholdMicros: 10_000_000n,
        amountMicros: 25_000_000n,
        monthlyCapMicros: 100_000_000n,
      },
    });
  });

  it.each([
    [{ threshold: '500.01' }, 'threshold', 'Enter an amount of up to 500.00 USD.'],
    [{ amount: 'ten' }, 'amount', 'Enter an amount in digits, such as 25.'],
    [{ amount: '14.99' }, 'amount', /^Restore to 15\.00 USD at least/],
    [{ amount: '510.01' }, 'amount', 'One charge is at the most 500.00 USD.'],
    [{ mode: 'add', amount: '4.99' }, 'amount', 'Enter an amount from 5.00 USD to 500.00 USD.'],
    [{ mode: 'add', monthlyCap: '24.99' }, 'monthlyCap', 'Enter an amount of at least 25.00 USD.'],
    [{ monthlyCap: '4.99' }, 'monthlyCap', 'Enter an amount of at least 5.00 USD.'],
  ] as const)('that make no sense are named: %j', (terms, field, problem) => {
    expect(problemsOf(terms)).toEqual({ [field]: expect.stringMatching(problem) });
  });

  it('are charged in the steps in which the currency is paid', () => {
    expect(problemsOf({ amount: '25.005' }, dinars)).toEqual({
      amount: 'KWD is paid in steps of 0.010 KWD.',
    });
  });

  it('are told everything that is wrong with them, and nothing that follows from another mistake', () => {
    expect(problemsOf({ threshold: 'x', amount: 'y', monthlyCap: 'z' })).toEqual({
      threshold: expect.any(String),
      amount: expect.any(String),
      monthlyCap: expect.any(String),
    });
    expect(problemsOf({ threshold: 'x', amount: '1' })).toEqual({ threshold: expect.any(String) });
  });
});
