import type Stripe from 'stripe';
import type { Call } from './call.ts';
import { AUTHENTICATION_FAILED } from './challenge.ts';
import { type Attempt, takePayment } from './charging.ts';
import { ApiError, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { finishSetup } from './setup-intents.ts';

function failPayment(call: Call, intent: Stripe.PaymentIntent): void {
  const method =
    typeof intent.payment_method === 'string'
      ? call.store.get('payment_method', intent.payment_method)
      : undefined;
  const failed = call.store.put('payment_intent', intent.id, {
    ...intent,
    last_payment_error: {
      code: 'payment_intent_authentication_failure',
      message: AUTHENTICATION_FAILED,
      type: 'invalid_request_error',
      ...(method ? { payment_method: method } : {}),
    },
    next_action: null,
    payment_method: null,
    status: 'requires_payment_method',
  });
  emit(call, 'payment_intent.payment_failed', failed);
}

/**
 * The cardholder has answered the challenge of a payment or setup intent. Answering twice, or
 * after the intent has moved on, changes nothing. A refusal by the issuer after a passed challenge
 * is recorded on the intent.
 */
export function answerChallenge(
  call: Call,
  intentId: string,
  clientSecret: string,
  passed: boolean,
): Stripe.PaymentIntent | Stripe.SetupIntent {
  const payment = call.store.get('payment_intent', intentId);
  if (!payment) return finishSetup(call, intentId, clientSecret, passed);
  if (payment.client_secret !== clientSecret) throw noSuch('payment_intent', intentId);
  if (payment.status !== 'requires_action') return payment;
  const methodId = payment.payment_method;
  const paymentMethod =
    typeof methodId === 'string' ? call.store.get('payment_method', methodId) : undefined;
  if (!passed || !paymentMethod) failPayment(call, payment);
  else attempt(call, { intent: payment, paymentMethod, offSession: false, authenticated: true });
  return call.store.get('payment_intent', intentId) ?? payment;
}

function attempt(call: Call, input: Attempt): void {
  try {
    takePayment(call, input);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}
