/** Finishing a payment that the bank asked about, in the browser. */
import type { Stripe } from '@stripe/stripe-js';
import type { StartRecovery } from '../server/views/auto-top-ups.ts';

const START_TIMEOUT_MS = 30_000;

export type RecoveryOutcome =
  | { kind: 'confirmed' }
  /** Pressing the button again asks the bank again. */
  | { kind: 'problem'; message: string };

/** What the server gave for the link; kept while the page is open, because a link works once. */
export type StartedRecovery = Extract<StartRecovery, { ok: true }>;

/** Uses the link up. A lost answer is safe: nothing is charged before the bank is asked. */
export async function startRecovery(token: string): Promise<StartRecovery> {
  try {
    const response = await fetch('/confirm-payment/start', {
      method: 'POST',
      body: new URLSearchParams({ token }),
      signal: AbortSignal.timeout(START_TIMEOUT_MS),
    });
    const reply: unknown = await response.json();
    if (reply !== null && typeof reply === 'object' && 'ok' in reply) {
      return reply as StartRecovery;
    }
  } catch {
    // No answer, or not one of ours: what the person can do is the same.
  }
  return { ok: false, message: 'The payment could not be opened. Nothing was charged.' };
}

/** Asks the bank, with the same card and the same payment that it asked about. */
export async function confirmRecovery(
  stripe: Pick<Stripe, 'confirmCardPayment'>,
  { clientSecret, paymentMethodId }: StartedRecovery,
): Promise<RecoveryOutcome> {
  const { error } = await stripe.confirmCardPayment(clientSecret, {
    payment_method: paymentMethodId,
  });
  const status = error?.payment_intent?.status;
  if (error === undefined || status === 'succeeded' || status === 'processing') {
    return { kind: 'confirmed' };
  }
  const said = error.message ?? 'The payment was not confirmed.';
  return { kind: 'problem', message: `${said} Nothing was charged: you can try again.` };
}
