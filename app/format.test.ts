import { describe, expect, it } from 'vitest';
import {
  absoluteMicros,
  formatDate,
  formatDateTime,
  formatDuration,
  formatLastDate,
  formatMoney,
  formatMonthTo,
  formatPeriod,
  formatQuantity,
  humanize,
  microsToAmount,
  microsToDecimal,
  microsToMinorUnits,
  parseAmountMicros,
} from './format.ts';

describe('microsToDecimal', () => {
  it('writes every micro and no needless zero', () => {
    expect(microsToDecimal('0')).toBe('0');
    expect(microsToDecimal('1')).toBe('0.000001');
    expect(microsToDecimal('-375000')).toBe('-0.375');
    expect(microsToDecimal('25000000')).toBe('25');
  });

  it('keeps amounts that a double cannot hold', () => {
    expect(microsToDecimal('9223372036854775807')).toBe('9223372036854.775807');
    expect(microsToDecimal(-(2n ** 63n))).toBe('-9223372036854.775808');
  });
});

describe('formatMoney', () => {
  it('shows at least the decimals of the currency, and more only where the amount has them', () => {
    expect(formatMoney('25000000', 'USD')).toBe('$25.00');
    expect(formatMoney('24625000', 'USD')).toBe('$24.625');
    expect(formatMoney('1', 'USD')).toBe('$0.000001');
    expect(formatMoney('500000000', 'JPY')).toBe('¥500');
    expect(formatMoney('3000000', 'KWD')).toBe('KWD\u00a03.000');
  });

  it('never rounds the largest amount the ledger can hold', () => {
    expect(formatMoney(2n ** 63n - 1n, 'USD')).toBe('$9,223,372,036,854.775807');
  });

  it('marks the direction when asked to, and none for zero', () => {
    expect(formatMoney('25000000', 'USD', { signed: true })).toBe('+$25.00');
    expect(formatMoney('-375000', 'USD', { signed: true })).toBe('-$0.375');
    expect(formatMoney('0', 'USD', { signed: true })).toBe('$0.00');
  });

  it('leaves out only decimals that are all zero when short', () => {
    expect(formatMoney('25000000', 'USD', { short: true })).toBe('$25');
    expect(formatMoney('25500000', 'USD', { short: true })).toBe('$25.50');
  });
});

describe('parseAmountMicros', () => {
  it('reads plain amounts with the decimals of the currency', () => {
    expect(parseAmountMicros('25', 2)).toBe(25_000_000n);
    expect(parseAmountMicros(' 25.5 ', 2)).toBe(25_500_000n);
    expect(parseAmountMicros('0.01', 2)).toBe(10_000n);
    expect(parseAmountMicros('500', 0)).toBe(500_000_000n);
    expect(parseAmountMicros('1.234', 3)).toBe(1_234_000n);
  });

  it.each(['', '0', '0.00', '-5', '1,000', '1,50', '$5', '5.', '.5', '1e3', '5.001', '٥', '1 0'])(
    'refuses %j',
    (text) => {
      expect(parseAmountMicros(text, 2)).toBeNull();
    },
  );

  it('refuses decimals in a currency that has none', () => {
    expect(parseAmountMicros('5.0', 0)).toBeNull();
  });
});

describe('one spelling of an amount', () => {
  it('writes the same amount the same way however it was typed', () => {
    for (const typed of ['25', '25.0', '25.00']) {
      expect(microsToAmount(parseAmountMicros(typed, 2) ?? 0n, 2)).toBe('25.00');
    }
    expect(microsToAmount(500_000_000n, 0)).toBe('500');
    expect(microsToAmount(1_500_000n, 3)).toBe('1.500');
  });

  it('counts in the smallest coin of the currency for Stripe', () => {
    expect(microsToMinorUnits(25_000_000n, 2)).toBe(2500);
    expect(microsToMinorUnits(500_000_000n, 0)).toBe(500);
    expect(microsToMinorUnits(1_234_000n, 3)).toBe(1234);
  });

  it('drops only the sign of an absolute amount', () => {
    expect(absoluteMicros('-375000')).toBe('375000');
    expect(absoluteMicros(375_000n)).toBe('375000');
  });
});

describe('times and quantities', () => {
  it('writes durations in the units that are there', () => {
    expect(formatDuration(0)).toBe('0 s');
    expect(formatDuration(330)).toBe('5 min 30 s');
    expect(formatDuration(3600)).toBe('1 h');
    expect(formatDuration(7530)).toBe('2 h 5 min 30 s');
  });

  it('agrees in number', () => {
    expect(formatQuantity(1, 'page')).toBe('1 page');
    expect(formatQuantity(1003, 'page')).toBe('1,003 pages');
  });

  it('shows instants in the time zone of the wallet', () => {
    expect(formatDateTime('2026-10-31T23:30:00Z', 'Europe/Berlin')).toBe('1 Nov 2026, 00:30');
    expect(formatDate('2026-10-31T23:30:00Z', 'America/New_York')).toBe('31 Oct 2026');
  });

  it('ends a half-open span on the day before its end', () => {
    expect(formatLastDate('2026-10-31T23:00:00Z', 'Europe/Berlin')).toBe('31 Oct 2026');
  });

  it('names the month that ends at an instant, in the time zone of the wallet', () => {
    expect(formatMonthTo('2026-10-31T23:00:00Z', 'Europe/Berlin')).toBe('October 2026');
    expect(formatMonthTo('2026-11-01T04:00:00Z', 'America/New_York')).toBe('October 2026');
  });

  it('names a month in words', () => {
    expect(formatPeriod('2026-10')).toBe('October 2026');
  });

  it('makes words of identifiers', () => {
    expect(humanize('file_transfer')).toBe('File transfer');
    expect(humanize('connectionFee')).toBe('Connection fee');
  });
});
