import { describe, expect, it } from 'vitest';
import { layOut } from './layout.ts';
import { parseNotice } from './notice.ts';
import { letterOf } from './texts.ts';

const sender = { appName: 'Prepaid Wallet', appUrl: 'https://wallet.example.com' };
const dollars = { currency: 'USD', exponent: 2, timezone: 'Europe/Berlin' };
const payload = { at: '2026-10-05T12:00:00+00:00', topUpId: 'top-up-1', ...dollars };

function mail(kind: string, given: Record<string, unknown>) {
  const notice = parseNotice(kind, { ...payload, ...given });
  expect.assert(notice !== null);
  return layOut(letterOf(notice), sender);
}

describe('a mail', () => {
  it.each([
    [{ currency: 'USD', exponent: 2 }, '25000000', '$25.00'],
    [{ currency: 'JPY', exponent: 0 }, '2500000000', '¥2,500'],
    [{ currency: 'KWD', exponent: 3 }, '5250000', 'KWD 5.250'],
    [{ currency: 'USD', exponent: 2 }, '4999999', '$4.999999'],
    [{ currency: 'USD', exponent: 2 }, '9007199254740993001', '$9,007,199,254,740.993001'],
  ])('writes an amount in the decimals of %o, exactly', (currency, amountMicros, text) => {
    const { subject } = mail('receipt', { ...currency, amountMicros });
    expect(subject.replaceAll('\u00a0', ' ')).toBe(`Receipt: ${text} added to your wallet`);
  });

  it('says the time in the time zone of the wallet', () => {
    expect(mail('receipt', { amountMicros: '25000000' }).text).toContain(
      'Time: 5 Oct 2026, 14:00 (Europe/Berlin)',
    );
  });

  it('offers to stop alerts, and not receipts or failed payments', () => {
    const low = { availableMicros: '4000000', thresholdsMicros: ['5000000'] };
    const link = 'https://wallet.example.com/account/settings#alerts';
    for (const form of ['text', 'html'] as const) {
      expect(mail('low_balance', low)[form]).toContain(link);
      expect(mail('receipt', { amountMicros: '1' })[form]).not.toContain(link);
      expect(mail('payment_failed', { amountMicros: '1' })[form]).not.toContain(link);
    }
  });

  it('names each threshold that was passed, the lowest first', () => {
    const { subject, text } = mail('low_balance', {
      availableMicros: '500000',
      thresholdsMicros: ['1000000', '5000000'],
    });
    expect(subject).toBe('Low balance: less than $1.00 available');
    expect(text).toContain('fell below $1.00: $0.50 was left');
    expect(text).toContain('passed your alert at $5.00');
  });

  it('cannot be made to hold markup by what Stripe says', () => {
    const { html, text } = mail('payment_failed', {
      amountMicros: '25000000',
      reason: '<script>alert("x")</script>',
    });
    expect(html).not.toContain('<script>');
    expect(html).toContain('&lt;script&gt;');
    expect(text).toContain('<script>');
  });

  it('is not written from a row that lacks something, or of a kind that is not known', () => {
    expect(parseNotice('receipt', payload)).toBeNull();
    expect(parseNotice('receipt', null)).toBeNull();
    expect(parseNotice('receipt', { ...payload, amountMicros: 25 })).toBeNull();
    expect(parseNotice('of_tomorrow', { ...payload, amountMicros: '1' })).toBeNull();
  });
});
