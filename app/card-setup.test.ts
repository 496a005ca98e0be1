import type { StripeElements, StripeError } from '@stripe/stripe-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type SetupInput, type SetupReply, saveCard, startCardSetup } from './card-setup.ts';

interface World {
  reply?: SetupReply;
  cardError?: Partial<StripeError>;
  incomplete?: string;
}

/** A press of the button in a world where our server and Stripe answer as given. */
function world({ reply = { ok: true, clientSecret: 'secret' }, cardError, incomplete }: World) {
  const start = vi.fn(async (_attemptKey: string) => reply);
  const confirmSetup = vi.fn(async () => (cardError ? { error: cardError } : {}));
  const submit = async () => (incomplete ? { error: { message: incomplete } } : {});
  const input = {
    stripe: { confirmSetup } as unknown as SetupInput['stripe'],
    elements: { submit } as unknown as StripeElements,
    attemptKey: 'key-1',
    start,
    returnUrl: 'https://wallet.test/account/payment-methods',
  };
  return { press: () => saveCard(input), start, confirmSetup };
}

describe('saveCard', () => {
  it('asks our server first, then Stripe', async () => {
    const { press, start, confirmSetup } = world({});
    expect(await press()).toEqual({ kind: 'saved' });
    expect(start).toHaveBeenCalledWith('key-1');
    expect(confirmSetup).toHaveBeenCalledWith(
      expect.objectContaining({
        clientSecret: 'secret',
        confirmParams: { return_url: 'https://wallet.test/account/payment-methods' },
        redirect: 'if_required',
      }),
    );
  });

  it('starts nothing while the card details are incomplete', async () => {
    const { press, start } = world({ incomplete: 'Your card number is incomplete.' });
    expect(await press()).toEqual({ kind: 'problem', message: 'Your card number is incomplete.' });
    expect(start).not.toHaveBeenCalled();
  });

  it.each([
    ['SIGNED_OUT', { kind: 'signed_out' }],
    ['THROTTLED', { kind: 'problem', message: 'why' }],
  ] as const)('asks Stripe for nothing when our server says %s', async (code, outcome) => {
    const { press, confirmSetup } = world({ reply: { ok: false, code, message: 'why' } });
    expect(await press()).toEqual(outcome);
    expect(confirmSetup).not.toHaveBeenCalled();
  });

  it.each([
    ['a decline', { type: 'card_error', message: 'Declined.' }, 'Declined. It was not saved'],
    [
      'a failed 3-D Secure',
      {
        type: 'invalid_request_error',
        code: 'setup_intent_authentication_failure',
        message: 'Not authenticated.',
      },
      'Not authenticated. The card was not saved.',
    ],
    ['a lost connection', { type: 'api_connection_error' }, 'do not know yet'],
  ] satisfies [string, Partial<StripeError>, string][])('explains %s', async (_, error, words) => {
    const { press } = world({ cardError: error });
    expect(await press()).toEqual({ kind: 'problem', message: expect.stringContaining(words) });
  });

  it('counts a card that an earlier press has saved as saved', async () => {
    const { press } = world({
      cardError: {
        type: 'invalid_request_error',
        setup_intent: { status: 'succeeded' } as NonNullable<StripeError['setup_intent']>,
      },
    });
    expect(await press()).toEqual({ kind: 'saved' });
  });
});

describe('startCardSetup', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ['no answer', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['an answer that is not JSON', async () => new Response('<h1>Bad gateway</h1>')],
    ['an answer of another kind', async () => Response.json({ error: { code: 'FORBIDDEN' } })],
  ])('says that no card was saved after %s', async (_, answer) => {
    vi.stubGlobal('fetch', answer);
    expect(await startCardSetup('key-1')).toMatchObject({ ok: false, code: 'UNREACHABLE' });
  });
});
