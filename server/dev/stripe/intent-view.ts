import type Stripe from 'stripe';
import type { Call } from './call.ts';

const PUBLIC_FIELDS = [
  'id',
  'object',
  'amount',
  'automatic_payment_methods',
  'canceled_at',
  'cancellation_reason',
  'capture_method',
  'client_secret',
  'confirmation_method',
  'created',
  'currency',
  'description',
  'last_payment_error',
  'livemode',
  'next_action',
  'payment_method',
  'payment_method_types',
  'processing',
  'receipt_email',
  'setup_future_usage',
  'shipping',
  'source',
  'status',
] as const satisfies readonly (keyof Stripe.PaymentIntent)[];

/** A browser sees less of an intent than the secret key does: no customer, charge or metadata. */
export function viewPaymentIntent(call: Call, intent: Stripe.PaymentIntent): Stripe.PaymentIntent {
  if (call.caller === 'secret') return intent;
  const fields = PUBLIC_FIELDS.map((field) => [field, intent[field]]);
  return Object.fromEntries(fields) as Stripe.PaymentIntent;
}

/** As `viewPaymentIntent`, for setup intents. */
export function viewSetupIntent(call: Call, intent: Stripe.SetupIntent): Stripe.SetupIntent {
  if (call.caller === 'secret') return intent;
  return { ...intent, application: null, customer: null, metadata: null };
}
