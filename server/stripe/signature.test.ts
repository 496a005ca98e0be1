import Stripe from 'stripe';
import { describe, expect, it } from 'vitest';
import { verifyWebhook } from './signature.ts';

const NOW_MS = Date.UTC(2026, 10, 23, 12, 0, 0);
const EVENT = JSON.stringify({
  id: 'evt_1',
  object: 'event',
  type: 'payment_intent.succeeded',
  data: { object: { id: 'pi_1', object: 'payment_intent' } },
});

function sign(payload: string, secret: string, ageSeconds = 0): string {
  const timestamp = NOW_MS / 1000 - ageSeconds;
  return Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp });
}

function verify(given: Partial<Parameters<typeof verifyWebhook>[0]> = {}) {
  return verifyWebhook({
    rawBody: EVENT,
    header: sign(EVENT, 'whsec_new'),
    secrets: ['whsec_new'],
    nowMs: NOW_MS,
    ...given,
  });
}

describe('a webhook', () => {
  it('signed with a configured secret is taken, as text or as bytes', () => {
    expect(verify()).toMatchObject({ ok: true, event: { id: 'evt_1' } });
    expect(verify({ rawBody: Buffer.from(EVENT) })).toMatchObject({ ok: true });
  });

  it('is taken with either secret while one is being replaced', () => {
    const secrets = ['whsec_new', 'whsec_old'];
    expect(verify({ secrets, header: sign(EVENT, 'whsec_old') })).toMatchObject({ ok: true });
    expect(verify({ secrets, header: sign(EVENT, 'whsec_new') })).toMatchObject({ ok: true });
    const header = `${sign(EVENT, 'whsec_foreign')},${sign(EVENT, 'whsec_old').split(',')[1]}`;
    expect(verify({ secrets, header })).toMatchObject({ ok: true });
  });

  it.each([
    ['a foreign secret', { header: sign(EVENT, 'whsec_foreign') }],
    ['a changed body', { rawBody: EVENT.replace('pi_1', 'pi_2') }],
    ['no timestamp', { header: 'v1=00' }],
    ['no signature', { header: `t=${NOW_MS / 1000}` }],
    ['nonsense', { header: 'hello' }],
    ['an empty body', { rawBody: '' }],
  ])('with %s is refused', (_name, given) => {
    expect(verify(given)).toEqual({ ok: false, reason: 'bad_signature' });
  });

  it('without a signature is refused', () => {
    expect(verify({ header: '' })).toEqual({ ok: false, reason: 'missing_signature' });
  });

  it('is refused when it was signed too long ago or in the future', () => {
    const at = (ageSeconds: number) => verify({ header: sign(EVENT, 'whsec_new', ageSeconds) });
    expect(at(300)).toMatchObject({ ok: true });
    expect(at(301)).toEqual({ ok: false, reason: 'too_old' });
    expect(at(-300)).toMatchObject({ ok: true });
    expect(at(-301)).toEqual({ ok: false, reason: 'from_the_future' });
  });

  it('signed with an empty or blank secret is never taken', () => {
    for (const secret of ['', ' ', '\t\n']) {
      // The SDK refuses to make such a signature, so it is made of another secret.
      const header = sign(EVENT, 'whsec_new');
      expect(verify({ secrets: [secret], header })).toEqual({ ok: false, reason: 'no_secret' });
      expect(verify({ secrets: [secret, 'whsec_new'], header })).toMatchObject({ ok: true });
    }
    expect(verify({ secrets: [] })).toEqual({ ok: false, reason: 'no_secret' });
  });

  it('that is no event of version 1 is refused though it is well signed', () => {
    for (const body of ['not json', '{}', '[]', 'null', '{"object":"v2.core.event"}']) {
      const given = { rawBody: body, header: sign(body, 'whsec_new') };
      expect(verify(given)).toEqual({ ok: false, reason: 'not_an_event' });
    }
  });

  it('always has an age limit: a tolerance of 0 is a mistake of the program', () => {
    expect(() => verify({ toleranceSeconds: 0 })).toThrow(RangeError);
  });
});
