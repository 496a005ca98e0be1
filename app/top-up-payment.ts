/** Pays a top-up in the browser: our server first, then Stripe, and what came of it in words. */
import type { Stripe, StripeElements, StripeError } from '@stripe/stripe-js';
import type { StartTopUp, TopUpStatus } from '../server/views/top-ups.ts';
import type { Attempts } from './top-up-attempt.ts';

const START_TIMEOUT_MS = 30_000;

type StartRefusal = Extract<StartTopUp, { ok: false }>;

/** What the server answers when asked to start a top-up. */
export type StartReply =
  | Extract<StartTopUp, { ok: true }>
  | { ok: false; code: StartRefusal['code'] | 'SIGNED_OUT' | 'UNREACHABLE'; message: string };

export type PaymentOutcome =
  /** Nothing more to do here: the top-up's own page tells the rest. */
  | { kind: 'follow'; topUpId: string; isConfirmed: boolean }
  /** The amount has to be changed. */
  | { kind: 'amount'; message: string }
  /** The session is over. */
  | { kind: 'signed_out' }
  /** The person can try again in the same form; with a top-up id, its page knows more. */
  | { kind: 'problem'; message: string; topUpId: string | null };

export interface PaymentInput {
  stripe: Pick<Stripe, 'confirmPayment'>;
  elements: StripeElements;
  attempts: Attempts;
  amount: string;
  start(input: { attemptKey: string; amount: string }): Promise<StartReply>;
  /** Absolute address that the bank sends the person back to. */
  returnUrl(topUpId: string): string;
}

/** Statuses in which the card has already been asked, or need not be asked any more. */
const settled: readonly TopUpStatus[] = ['processing', 'succeeded', 'canceled', 'quarantined'];

/** One press of the button. Pressed again for the same amount, it is the same payment. */
export async function payTopUp(input: PaymentInput): Promise<PaymentOutcome> {
  const { stripe, elements, attempts, amount } = input;
  const { error: incomplete } = await elements.submit();
  if (incomplete) {
    return problem(incomplete.message ?? 'Please check your card details.');
  }

  const reply = await input.start({ attemptKey: attempts.of(amount).key, amount });
  if (!reply.ok) return refused(reply, attempts);

  const { topUpId, status, clientSecret } = reply;
  attempts.started(topUpId);
  if (settled.includes(status)) return { kind: 'follow', topUpId, isConfirmed: false };

  const { error } = await stripe.confirmPayment({
    elements,
    clientSecret,
    confirmParams: { return_url: input.returnUrl(topUpId) },
    redirect: 'if_required',
  });
  return error ? notConfirmed(error, topUpId) : { kind: 'follow', topUpId, isConfirmed: true };
}

/** Asks our server to start the top-up. A lost answer is safe: the key makes the next try the same. */
export async function startTopUp(input: {
  attemptKey: string;
  amount: string;
}): Promise<StartReply> {
  try {
    const response = await fetch('/account/top-up/start', {
      method: 'POST',
      body: new URLSearchParams(input),
      signal: AbortSignal.timeout(START_TIMEOUT_MS),
    });
    const reply: unknown = await response.json();
    if (isStartReply(reply)) return reply;
  } catch {
    // No answer, or not one of ours: what the person can do is the same.
  }
  return {
    ok: false,
    code: 'UNREACHABLE',
    message: 'The payment could not be started, so this try charged nothing. Please try again.',
  };
}

function isStartReply(reply: unknown): reply is StartReply {
  return reply !== null && typeof reply === 'object' && 'ok' in reply;
}

function refused(
  { code, message }: Extract<StartReply, { ok: false }>,
  attempts: Attempts,
): PaymentOutcome {
  switch (code) {
    case 'SIGNED_OUT':
      return { kind: 'signed_out' };
    case 'INVALID_AMOUNT':
    case 'BELOW_MINIMUM':
    case 'ABOVE_MAXIMUM':
      return { kind: 'amount', message };
    case 'KEY_REUSED':
      // The key belongs to another top-up, so this page has not paid anything with it.
      attempts.abandon();
      return problem(
        'This payment was started with another amount. Nothing was charged by this try: ' +
          'press Pay again.',
      );
    default:
      return problem(message);
  }
}

function notConfirmed(error: StripeError, topUpId: string): PaymentOutcome {
  const intentStatus = error.payment_intent?.status;
  if (intentStatus === 'succeeded' || intentStatus === 'processing') {
    return { kind: 'follow', topUpId, isConfirmed: true };
  }
  const said = error.message ?? 'Your card was not accepted.';
  switch (error.type) {
    case 'card_error':
      return problem(`${said} Nothing was charged: try another card.`);
    case 'validation_error':
      return problem(said);
    case 'invalid_request_error':
      return error.code === 'payment_intent_authentication_failure'
        ? problem(`${said} Nothing was charged.`)
        : problem('Stripe did not accept the payment. Nothing was charged: please try again.');
    default:
      return problem(
        'The connection to Stripe broke off, so the result is not known yet. ' +
          'Pressing Pay again cannot charge you twice.',
        topUpId,
      );
  }
}

function problem(message: string, topUpId: string | null = null): PaymentOutcome {
  return { kind: 'problem', message, topUpId };
}
