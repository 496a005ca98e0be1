import type { StripeElements, StripeError } from '@stripe/stripe-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type AttemptStorage, topUpAttempts } from './top-up-attempt.ts';
import { type PaymentInput, payTopUp, type StartReply, startTopUp } from './top-up-payment.ts';

function storageInMemory(): AttemptStorage {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  };
}

const started: StartReply = {
  ok: true,
  topUpId: 'top-up-1',
  status: 'created',
  clientSecret: 'secret',
  amountMinor: 2500,
};

interface World {
  reply?: StartReply;
  cardError?: Partial<StripeError>;
  incomplete?: string;
}

/** A press of the button in a world where our server and Stripe answer as given. */
function world({ reply = started, cardError, incomplete }: World = {}) {
  let keysMade = 0;
  const start = vi.fn(async (_: { attemptKey: string; amount: string }) => reply);
  const confirmPayment = vi.fn(async () => (cardError ? { error: cardError } : {}));
  const submit = async () => (incomplete ? { error: { message: incomplete } } : {});
  const input = {
    stripe: { confirmPayment } as unknown as PaymentInput['stripe'],
    elements: { submit } as unknown as StripeElements,
    attempts: topUpAttempts('wallet-1', storageInMemory(), () => {
      keysMade += 1;
      return `key-${keysMade}`;
    }),
    amount: '25.00',
    start,
    returnUrl: (topUpId: string) => `https://wallet.test/account/top-up/${topUpId}`,
  };
  return { press: () => payTopUp(input), start, confirmPayment, attempts: input.attempts };
}

describe('payTopUp', () => {
  it('asks our server first, then Stripe, then follows the top-up', async () => {
    const { press, start, confirmPayment } = world();
    expect(await press()).toEqual({ kind: 'follow', topUpId: 'top-up-1', isConfirmed: true });
    expect(start).toHaveBeenCalledWith({ attemptKey: 'key-1', amount: '25.00' });
    expect(confirmPayment).toHaveBeenCalledWith(
      expect.objectContaining({
        clientSecret: 'secret',
        confirmParams: { return_url: 'https://wallet.test/account/top-up/top-up-1' },
        redirect: 'if_required',
      }),
    );
  });

  it('starts nothing while the card details are incomplete', async () => {
    const { press, start } = world({ incomplete: 'Your card number is incomplete.' });
    expect(await press()).toMatchObject({
      kind: 'problem',
      message: 'Your card number is incomplete.',
    });
    expect(start).not.toHaveBeenCalled();
  });

  it('does not ask a card again for a top-up that is paid or being paid', async () => {
    for (const status of ['processing', 'succeeded'] as const) {
      const { press, confirmPayment } = world({ reply: { ...started, status } });
      expect(await press()).toMatchObject({ kind: 'follow', topUpId: 'top-up-1' });
      expect(confirmPayment).not.toHaveBeenCalled();
    }
  });

  it('offers another card after a decline, within the same attempt', async () => {
    const { press, start } = world({
      cardError: { type: 'card_error', message: 'Your card was declined.' },
    });
    expect(await press()).toEqual({
      kind: 'problem',
      message: 'Your card was declined. Nothing was charged: try another card.',
      topUpId: null,
    });
    await press();
    expect(start.mock.calls.map(([{ attemptKey }]) => attemptKey)).toEqual(['key-1', 'key-1']);
  });

  it('claims neither success nor failure when the connection to Stripe broke off', async () => {
    const { press } = world({ cardError: { type: 'api_connection_error' } });
    expect(await press()).toMatchObject({
      kind: 'problem',
      message: expect.stringContaining('not known yet'),
      topUpId: 'top-up-1',
    });
  });

  it('follows a top-up that turns out to be paid already', async () => {
    const { press } = world({
      cardError: {
        type: 'invalid_request_error',
        payment_intent: { status: 'succeeded' } as NonNullable<StripeError['payment_intent']>,
      },
    });
    expect(await press()).toMatchObject({ kind: 'follow', topUpId: 'top-up-1' });
  });

  it('makes a new key when the old one belongs to another top-up', async () => {
    const { press, start } = world({
      reply: { ok: false, code: 'KEY_REUSED', message: 'This was another payment.' },
    });
    expect(await press()).toMatchObject({ kind: 'problem' });
    await press();
    expect(start.mock.calls.map(([{ attemptKey }]) => attemptKey)).toEqual(['key-1', 'key-2']);
  });

  it('binds a refused amount to the amount', async () => {
    const { press } = world({
      reply: { ok: false, code: 'BELOW_MINIMUM', message: 'The least is $5.00.' },
    });
    expect(await press()).toEqual({ kind: 'amount', message: 'The least is $5.00.' });
  });
});

describe('startTopUp', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ['no answer', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['an answer that is not JSON', async () => new Response('<h1>Bad gateway</h1>')],
    ['an answer of another kind', async () => Response.json({ error: { code: 'FORBIDDEN' } })],
  ])('says that this try charged nothing after %s', async (_, answer) => {
    vi.stubGlobal('fetch', answer);
    expect(await startTopUp({ attemptKey: 'key-1', amount: '25.00' })).toMatchObject({
      ok: false,
      code: 'UNREACHABLE',
      message: expect.stringContaining('charged nothing'),
    });
  });
});
