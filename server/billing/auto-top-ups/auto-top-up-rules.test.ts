import { describe, expect, it } from 'vitest';
import { classOfDecline, classOfRefusedCall } from './auto-top-up-rules.ts';
import { createRecoveryLinks } from './recovery-links.ts';

const refusal = { code: 'generic_decline', adviceCode: null, networkAdviceCode: null, param: null };

describe('a refused card', () => {
  it.each(['generic_decline', 'insufficient_funds', 'processing_error', 'do_not_honor'])(
    'may pay later after %s',
    (code) => {
      expect(classOfDecline({ ...refusal, code, adviceCode: 'try_again_later' })).toBe('later');
    },
  );

  it.each(['lost_card', 'stolen_card', 'pickup_card', 'invalid_account', 'expired_card'])(
    'is never asked again after %s, whatever is advised',
    (code) => {
      expect(classOfDecline({ ...refusal, code, adviceCode: 'try_again_later' })).toBe('never');
    },
  );

  it('is never asked again when Stripe or the network advises so', () => {
    expect(classOfDecline({ ...refusal, adviceCode: 'do_not_try_again' })).toBe('never');
    expect(classOfDecline({ ...refusal, networkAdviceCode: '03' })).toBe('never');
    expect(classOfDecline({ ...refusal, networkAdviceCode: '02' })).toBe('later');
  });

  it('waits for its holder when the bank asks for them', () => {
    expect(classOfDecline({ ...refusal, code: 'authentication_required' })).toBe('authentication');
  });
});

describe('a refused call', () => {
  it('rules out the card that is gone, and no other card', () => {
    const gone = { ...refusal, code: 'resource_missing', param: 'payment_method' };
    expect(classOfRefusedCall(gone)).toBe('never');
    expect(classOfRefusedCall({ ...gone, param: 'customer' })).toBe('api');
    expect(classOfRefusedCall({ ...refusal, code: 'amount_too_small' })).toBe('api');
  });
});

describe('a recovery link', () => {
  const token = { topUpId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10', no: 3 };
  const links = createRecoveryLinks('one secret');

  it('names its payment and its number', () => {
    expect(links.read(links.sign(token))).toEqual(token);
  });

  it('that was changed anywhere, or signed with another secret, names nothing', () => {
    const signed = links.sign(token);
    for (let at = 0; at < signed.length; at += 1) {
      const other = signed[at] === '1' ? '2' : '1';
      const changed = `${signed.slice(0, at)}${other}${signed.slice(at + 1)}`;
      // The last character's lowest bits are no part of the signature.
      if (at < signed.length - 1) {
        expect(links.read(changed), changed).toBeNull();
      }
    }
    expect(createRecoveryLinks('another secret').read(signed)).toBeNull();
    expect(links.read('')).toBeNull();
  });
});
