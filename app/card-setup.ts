/** Saves a card in the browser: our server first, then Stripe, and what came of it in words. */
import type { Stripe, StripeElements, StripeError } from '@stripe/stripe-js';
import type { StartCardSetup } from '../server/views/cards.ts';

const START_TIMEOUT_MS = 30_000;

type StartRefusal = Extract<StartCardSetup, { ok: false }>;

/** What the server answers when asked to begin the setup of a card. */
export type SetupReply =
  | Extract<StartCardSetup, { ok: true }>
  | { ok: false; code: StartRefusal['code'] | 'SIGNED_OUT' | 'UNREACHABLE'; message: string };

export type SetupOutcome =
  | { kind: 'saved' }
  /** The session is over. */
  | { kind: 'signed_out' }
  /** The person can try again in the same form. */
  | { kind: 'problem'; message: string };

export interface SetupInput {
  stripe: Pick<Stripe, 'confirmSetup'>;
  elements: StripeElements;
  /** The same for every press in one form, so that they are one setup. */
  attemptKey: string;
  start(attemptKey: string): Promise<SetupReply>;
  /** Absolute address that the bank sends the person back to. */
  returnUrl: string;
}

/** One press of the button. */
export async function saveCard(input: SetupInput): Promise<SetupOutcome> {
  const { stripe, elements } = input;
  const { error: incomplete } = await elements.submit();
  if (incomplete) return problem(incomplete.message ?? 'Please check your card details.');

  const reply = await input.start(input.attemptKey);
  if (!reply.ok) {
    return reply.code === 'SIGNED_OUT' ? { kind: 'signed_out' } : problem(reply.message);
  }
  const { error } = await stripe.confirmSetup({
    elements,
    clientSecret: reply.clientSecret,
    confirmParams: { return_url: input.returnUrl },
    redirect: 'if_required',
  });
  return error ? notConfirmed(error) : { kind: 'saved' };
}

/** Asks our server to begin the setup. A lost answer is safe: the key makes the next try the same. */
export async function startCardSetup(attemptKey: string): Promise<SetupReply> {
  try {
    const response = await fetch('/account/payment-methods/start', {
      method: 'POST',
      body: new URLSearchParams({ attemptKey }),
      signal: AbortSignal.timeout(START_TIMEOUT_MS),
    });
    const reply: unknown = await response.json();
    if (isSetupReply(reply)) return reply;
  } catch {
    // No answer, or not one of ours: what the person can do is the same.
  }
  return {
    ok: false,
    code: 'UNREACHABLE',
    message: 'We could not be reached, so no card was saved. Please try again.',
  };
}

function isSetupReply(reply: unknown): reply is SetupReply {
  return reply !== null && typeof reply === 'object' && 'ok' in reply;
}

function notConfirmed(error: StripeError): SetupOutcome {
  // An earlier press had saved it, and only its answer was lost.
  if (error.setup_intent?.status === 'succeeded') return { kind: 'saved' };
  const said = error.message ?? 'Your card was not accepted.';
  switch (error.type) {
    case 'card_error':
      return problem(`${said} It was not saved: try another card.`);
    case 'validation_error':
      return problem(said);
    case 'invalid_request_error':
      return error.code === 'setup_intent_authentication_failure'
        ? problem(`${said} The card was not saved.`)
        : problem('Stripe did not accept the card. It was not saved: please try again.');
    default:
      return problem(
        'The connection to Stripe broke off, so we do not know yet whether the card was saved. ' +
          'Pressing Save again cannot save it twice.',
      );
  }
}

function problem(message: string): SetupOutcome {
  return { kind: 'problem', message };
}
