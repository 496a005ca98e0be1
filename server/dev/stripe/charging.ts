import type Stripe from 'stripe';
import type { Call } from './call.ts';
import { type CardBehaviour, chargeDecline, type Decline } from './cards.ts';
import { openDispute } from './disputes.ts';
import { ApiError, type ErrorFields } from './errors.ts';
import { emit } from './events.ts';
import { viewPaymentIntent } from './intent-view.ts';
import { newBalanceTransaction } from './objects.ts';
import { newCharge } from './objects-charge.ts';
import { attach, cardRecord, updateCard } from './payment-methods.ts';

const AUTHENTICATION_REQUIRED: Decline = {
  code: 'authentication_required',
  declineCode: 'authentication_required',
  message:
    'Your card was declined. This transaction requires authentication. Please bring the customer back on-session to authenticate.',
  adviceCode: 'try_again_later',
};

/** Stripe's standard fee: 2.9 % + 30 minor units, in whole minor units. */
function feeOf(amount: number): number {
  return Math.min(amount, Math.round((amount * 29) / 1000) + 30);
}

export function declineFields(decline: Decline): ErrorFields {
  return {
    code: decline.code,
    ...(decline.declineCode ? { decline_code: decline.declineCode } : {}),
    ...(decline.adviceCode ? { advice_code: decline.adviceCode } : {}),
  };
}

/** Whether the card asks for 3-D Secure now; `authenticated` is true once that was passed. */
export function needsAuthentication(
  behaviour: CardBehaviour,
  savedAuthenticated: boolean,
): boolean {
  if (behaviour === 'authenticate_always') return true;
  return behaviour === 'authenticate_on_setup' && !savedAuthenticated;
}

export interface Attempt {
  intent: Stripe.PaymentIntent;
  paymentMethod: Stripe.PaymentMethod;
  offSession: boolean;
  /** 3-D Secure has just been passed for this intent. */
  authenticated: boolean;
}

/**
 * Tries to take the money: on success the intent is `succeeded` and paid into the balance; on a
 * refusal the intent goes back to `requires_payment_method` and Stripe's 402 is raised after the
 * failure has been recorded.
 */
export function takePayment(call: Call, attempt: Attempt): Stripe.PaymentIntent {
  const record = cardRecord(call, attempt.paymentMethod.id);
  const unauthenticated =
    !attempt.authenticated && needsAuthentication(record.behaviour, record.authenticated);
  const decline =
    call.faults.takeDecline() ??
    chargeDecline(record.behaviour) ??
    (attempt.offSession && unauthenticated ? AUTHENTICATION_REQUIRED : undefined);
  if (decline) throw refuse(call, attempt, decline);
  return succeed(call, attempt, record.behaviour);
}

function refuse(call: Call, attempt: Attempt, decline: Decline): ApiError {
  const charge = newCharge({ nowSeconds: call.nowSeconds, decline, ...attempt });
  call.store.put('charge', charge.id, charge);
  const fields = { ...declineFields(decline), charge: charge.id };
  const failed = call.store.put('payment_intent', attempt.intent.id, {
    ...attempt.intent,
    last_payment_error: {
      ...fields,
      message: decline.message,
      payment_method: attempt.paymentMethod,
      type: 'card_error',
    },
    latest_charge: charge.id,
    next_action: null,
    payment_method: null,
    status: 'requires_payment_method',
  });
  emit(call, 'charge.failed', charge);
  emit(call, 'payment_intent.payment_failed', failed);
  return new ApiError(402, 'card_error', decline.message, {
    ...fields,
    payment_intent: viewPaymentIntent(call, failed),
    payment_method: attempt.paymentMethod,
  });
}

function succeed(call: Call, attempt: Attempt, behaviour: CardBehaviour): Stripe.PaymentIntent {
  const { intent } = attempt;
  const unpaid = newCharge({ nowSeconds: call.nowSeconds, ...attempt });
  const transaction = newBalanceTransaction(call.nowSeconds, {
    amount: intent.amount,
    currency: intent.currency,
    description: intent.description,
    fee: feeOf(intent.amount),
    reporting_category: 'charge',
    source: unpaid.id,
    type: 'charge',
  });
  call.store.put('balance_transaction', transaction.id, transaction);
  const charge = call.store.put('charge', unpaid.id, {
    ...unpaid,
    balance_transaction: transaction.id,
  });
  const succeeded = call.store.put('payment_intent', intent.id, {
    ...intent,
    amount_received: intent.amount,
    last_payment_error: null,
    latest_charge: charge.id,
    next_action: null,
    payment_method: attempt.paymentMethod.id,
    status: 'succeeded',
  });
  keepOrSpend(call, attempt);
  emit(call, 'charge.succeeded', charge);
  emit(call, 'payment_intent.succeeded', succeeded);
  if (behaviour === 'disputed') openDispute(call, charge.id, { status: 'needs_response' });
  if (behaviour === 'inquiry') openDispute(call, charge.id, { status: 'warning_needs_response' });
  return succeeded;
}

/** Saves the card to the customer when the intent asks for it; a card used once is spent. */
function keepOrSpend(call: Call, { intent, paymentMethod, authenticated }: Attempt): void {
  if (intent.setup_future_usage !== null && typeof intent.customer === 'string') {
    attach(call, paymentMethod, intent.customer);
    if (authenticated) updateCard(call, paymentMethod.id, { authenticated: true });
  } else if (paymentMethod.customer === null) {
    updateCard(call, paymentMethod.id, { spent: true });
  }
}
