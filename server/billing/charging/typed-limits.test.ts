import { describe, expect, it } from 'vitest';
import { readLimits } from './typed-limits.ts';

const usd = { code: 'USD', exponent: 2 };
const empty = { period: 'day', type: '', prefix: '', amount: '' };

describe('limits that a person typed', () => {
  it('are read in the currency of the wallet, and rows without an amount are left out', () => {
    const typed = [
      empty,
      { period: 'month', type: 'call', prefix: '+44', amount: '12.50' },
      { ...empty, amount: '0' },
    ];
    expect(readLimits(typed, usd)).toEqual({
      ok: true,
      limits: [
        { period: 'month', type: 'call', prefix: '44', amountMicros: 12_500_000n },
        { period: 'day', type: null, prefix: null, amountMicros: 0n },
      ],
    });
    expect(readLimits([{ ...empty, amount: '500' }], { code: 'JPY', exponent: 0 })).toMatchObject({
      limits: [{ amountMicros: 500_000_000n }],
    });
    expect(readLimits([{ ...empty, amount: '1.234' }], { code: 'KWD', exponent: 3 })).toMatchObject(
      {
        limits: [{ amountMicros: 1_234_000n }],
      },
    );
  });

  it.each([
    [{ ...empty, amount: 'ten' }, /in digits/],
    [{ ...empty, amount: '1.005' }, /USD has 2 decimals at the most/],
    [{ ...empty, amount: '9'.repeat(20) }, /too large/],
    [{ ...empty, amount: '-5' }, /in digits/],
    [{ ...empty, prefix: '44' }, /Enter an amount/],
    [{ ...empty, amount: '5', period: 'week' }, /Choose a period/],
    [{ ...empty, amount: '5', type: 'video' }, /Choose a period/],
    [{ ...empty, amount: '5', prefix: '44x' }, /1 to 15 digits/],
    [{ ...empty, amount: '5', type: 'email', prefix: '44' }, /goes to no number/],
  ])('are refused at their place: %j', (row, problem) => {
    const read = readLimits([empty, row], usd);
    expect(read).toEqual({ ok: false, problems: { 1: expect.stringMatching(problem) } });
  });

  it('may not be given twice for the same usage, nor more than a wallet can have', () => {
    const twice = [
      { ...empty, amount: '5' },
      { ...empty, amount: '6' },
    ];
    expect(readLimits(twice, usd)).toEqual({
      ok: false,
      problems: { 1: expect.stringContaining('same usage') },
    });
    const many = Array.from({ length: 21 }, (_, n) => ({
      ...empty,
      prefix: `${n + 1}`,
      amount: '5',
    }));
    expect(readLimits(many, usd)).toEqual({
      ok: false,
      problems: { 20: expect.stringContaining('at most 20') },
    });
  });
});
