/** Payment intents: Stripe's form of them, and the wallet's. */
import type Stripe from 'stripe';
import { StripeGatewayError } from './errors.ts';

const INTENT_STATUSES = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
  'processing',
  'requires_capture',
  'succeeded',
  'canceled',
] as const;

export type IntentStatus = (typeof INTENT_STATUSES)[number];

/** A payment intent as the wallet needs it. Amounts in minor units of `currency`. */
export interface StripeIntent {
  id: string;
  status: IntentStatus;
  clientSecret: string;
  amountMinor: bigint;
  amountReceivedMinor: bigint;
  /** Upper-case ISO 4217. */
  currency: string;
  customerId: string | null;
  livemode: boolean;
  /** The top-up that the intent was made for; null when it was not made by this program. */
  topUpId: string | null;
  /** Why the last attempt failed: Stripe's code, and its message for the cardholder. */
  lastError: {
    code: string;
    message: string;
    adviceCode: string | null;
    networkAdviceCode: string | null;
    /** The card that was refused. */
    paymentMethodId: string | null;
  } | null;
  /** The card of the last attempt that reached the card's bank. */
  card: { brand: string; last4: string } | null;
  /** What became of the money of the last attempt, in minor units; null when there was none. */
  charge: { paidAt: Date | null; refundedMinor: bigint; isDisputed: boolean } | null;
  createdAt: Date;
}

function isIntentStatus(status: string): status is IntentStatus {
  return INTENT_STATUSES.some((known) => known === status);
}

function cardOf(intent: Stripe.PaymentIntent): StripeIntent['card'] {
  const charge = intent.latest_charge;
  const card =
    charge !== null && typeof charge !== 'string' ? charge.payment_method_details?.card : undefined;
  return card?.brand && card.last4 ? { brand: card.brand, last4: card.last4 } : null;
}

function chargeOf(intent: Stripe.PaymentIntent): StripeIntent['charge'] {
  const charge = intent.latest_charge;
  if (charge === null || typeof charge === 'string') return null;
  return {
    paidAt: charge.paid ? new Date(charge.created * 1000) : null,
    refundedMinor: BigInt(charge.amount_refunded),
    isDisputed: charge.disputed,
  };
}

function lastErrorOf(intent: Stripe.PaymentIntent): StripeIntent['lastError'] {
  const error = intent.last_payment_error;
  if (!error) return null;
  return {
    code: error.decline_code ?? error.code ?? error.type,
    message: error.message ?? 'The payment failed.',
    adviceCode: error.advice_code ?? null,
    networkAdviceCode: error.network_advice_code ?? null,
    paymentMethodId: error.payment_method?.id ?? null,
  };
}

/**
 * A payment intent as the SDK gives it, its latest charge expanded, in the wallet's form.
 * @throws StripeGatewayError when its status is one that this program does not know
 */
export function toIntent(intent: Stripe.PaymentIntent): StripeIntent {
  const { status, client_secret: clientSecret, customer } = intent;
  // A state that this program does not know must not be taken for one that it does.
  if (!isIntentStatus(status) || clientSecret === null) {
    throw new StripeGatewayError('a payment intent of an unknown kind', {
      code: 'PAYMENT_PROVIDER_UNAVAILABLE',
      retryable: true,
    });
  }
  return {
    id: intent.id,
    status,
    clientSecret,
    amountMinor: BigInt(intent.amount),
    amountReceivedMinor: BigInt(intent.amount_received),
    currency: intent.currency.toUpperCase(),
    customerId: typeof customer === 'string' ? customer : (customer?.id ?? null),
    livemode: intent.livemode,
    topUpId: intent.metadata.topupId ?? null,
    lastError: lastErrorOf(intent),
    card: cardOf(intent),
    charge: chargeOf(intent),
    createdAt: new Date(intent.created * 1000),
  };
}
