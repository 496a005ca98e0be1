import { describe, expect, it } from 'vitest';
import {
  describeAttempt,
  describeAutoTopUp,
  describeForSupport,
  latestRefusal,
} from './auto-top-up.ts';

const view = { currency: 'USD', timezone: 'Europe/Berlin' };
const settings = {
  status: 'paused',
  reason: 'velocity',
  burst: { prefix: '+241550', charges: 41, amountMicros: '8200000' },
  thresholdMicros: '10000000',
  mode: 'restore',
  amountMicros: '25000000',
  monthlyCapMicros: '100000000',
  usedMicros: '0',
  monthEndsAt: '2026-10-31T23:00:00.000Z',
  nextTryAt: null,
  consentedAt: '2026-10-01T12:00:00.000Z',
  consentVersion: '2026-11-23',
} as const;
const attempt = {
  topUpId: 'a',
  state: 'failed',
  amountMicros: '25000000',
  createdAt: '2026-10-05T12:00:00.000Z',
  tries: [
    { brand: 'visa', last4: '0341', failureCode: 'insufficient_funds' },
    { brand: 'mastercard', last4: '4444', failureCode: 'stolen_card' },
  ],
} as const;

describe('automatic top-up tells its user', () => {
  it('where unusual usage went, and that they can go on', () => {
    const state = describeAutoTopUp(settings, view, null);
    expect(state.text).toContain('41 charges of $8.20');
    expect(state.text).toContain('+241550');
    expect(state.action).toBe('resume');
  });

  it('when the next try is, in the time zone of the wallet', () => {
    const waiting = {
      ...settings,
      status: 'on',
      reason: 'declined',
      nextTryAt: '2026-10-05T13:00:00.000Z',
    } as const;
    const refusal = latestRefusal([{ ...attempt, tries: [...attempt.tries] }]);
    expect(describeAutoTopUp(waiting, view, refusal).text).toBe(
      'Mastercard ending 4444: declined. We try again on 5 Oct 2026, 15:00.',
    );
  });

  it.each(['dispute', 'fraud_warning', 'under_review'] as const)(
    'that only support sets aside a pause for %s',
    (reason) => {
      expect(describeAutoTopUp({ ...settings, reason, burst: null }, view, null).action).toBeNull();
    },
  );

  it('why support must be asked also when it is off', () => {
    const off = { ...settings, status: 'off', reason: 'fraud_warning', burst: null } as const;
    expect(describeAutoTopUp(off, view, null).text).toContain(
      'reported a payment of yours as fraud',
    );
    const byUser = { ...off, reason: 'user' } as const;
    expect(describeAutoTopUp(byUser, view, null).text).toContain('Turn it on again');
  });

  it('or support in short, with what support can do about it', () => {
    expect(describeForSupport({ status: 'on', reason: null })).toEqual({
      text: 'On.',
      canResume: false,
    });
    expect(describeForSupport({ status: 'paused', reason: 'fraud_warning' })).toEqual({
      text: 'Paused: fraud warning.',
      canResume: true,
    });
    expect(describeForSupport({ status: 'off', reason: 'user' }).canResume).toBe(false);
    expect(describeForSupport({ status: 'off', reason: 'dispute' }).canResume).toBe(true);
  });

  it('that a payment waits to be confirmed', () => {
    const waits = { ...settings, reason: 'authentication_required', burst: null } as const;
    expect(describeAutoTopUp(waits, view, null).action).toBe('recover');
  });

  it('what each card said, and not that a card is known to be stolen', () => {
    expect(describeAttempt({ ...attempt, tries: [...attempt.tries] })).toEqual({
      state: 'Not paid',
      cards: ['Visa ending 0341: not enough funds', 'Mastercard ending 4444: declined'],
    });
  });
});
