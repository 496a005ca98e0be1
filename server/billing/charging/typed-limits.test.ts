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
    [{ ...empty, amount: 'ten' }, 'amount', /in digits/],
    [{ ...empty, amount: '1.005' }, 'amount', /USD has 2 decimals at the most/],
    [{ ...empty, amount: '9'.repeat(20) }, 'amount', /too large/],
    [{ ...empty, amount: '-5' }, 'amount', /in digits/],
    [{ ...empty, prefix: '44' }, 'amount', /Enter an amount/],
    [{ ...empty, amount: '5', period: 'week' }, 'period', /Choose a period/],
    [{ ...empty, amount: '5', type: 'video' }, 'type', /Choose a type/],
    [{ ...empty, amount: '5', prefix: '44x' }, 'prefix', /1 to 15 digits/],
    [{ ...empty, amount: '5', type: 'email', prefix: '44' }, 'prefix', /goes to no number/],
  ])('are refused at their place: %j, its %s', (row, field, problem) => {
    const read = readLimits([empty, row], usd);
    expect(read).toEqual({
      ok: false,
      problems: { 1: { [field]: expect.stringMatching(problem) } },
    });
  });

  it('are told everything that is wrong with each', () => {
    const rows = [
      { period: 'week', type: 'sms', prefix: '4x', amount: 'ten' },
      { ...empty, amount: '-1' },
    ];
    const read = readLimits(rows, usd);
    expect(read.ok ? {} : read.problems).toMatchObject({
      0: { period: expect.any(String), prefix: expect.any(String), amount: expect.any(String) },
      1: { amount: expect.any(String) },
    });
  });

  it('may not be given twice for the same usage, nor more than a wallet can have', () => {
    const twice = [
      { ...empty, amount: '5' },
      { ...empty, amount: '6' },
    ];
    expect(readLimits(twice, usd)).toEqual({
      ok: false,
      problems: { 1: { amount: expect.stringContaining('same usage') } },
    });
    const many = Array.from({ length: 21 }, (_, n) => ({
      ...empty,
      prefix: `${n + 1}`,
      amount: '5',
    }));
    expect(readLimits(many, usd)).toEqual({
      ok: false,
      problems: { 20: { amount: expect.stringContaining('at most 20') } },
    });
  });
});
