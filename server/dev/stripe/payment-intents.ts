import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { nextAction } from './challenge.ts';
import { needsAuthentication, takePayment } from './charging.ts';
import { checkAmount } from './currencies.ts';
import { requireCustomer } from './customers.ts';
import { invalidRequest, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { viewPaymentIntent } from './intent-view.ts';
import { listRoute } from './lists.ts';
import { methodSettings, resolveMethodSettings } from './method-settings.ts';
import { newPaymentIntent } from './objects.ts';
import { boolean, integer, mergeMetadata, metadata, nonEmpty, unsettable } from './params.ts';
import { cardRecord, findPaymentMethod, spentError } from './payment-methods.ts';
import { checkClientSecret, type Route, route } from './route.ts';

const setupFutureUsage = z.enum(['off_session', 'on_session']);
const confirmation = {
  error_on_requires_action: boolean.optional(),
  off_session: z.union([boolean, z.enum(['one_off', 'recurring'])]).optional(),
  payment_method: nonEmpty.optional(),
  return_url: z.url().optional(),
  setup_future_usage: setupFutureUsage.optional(),
  use_stripe_sdk: boolean.optional(),
};
const descriptive = {
  description: z.string().optional(),
  metadata: metadata.optional(),
  receipt_email: unsettable.optional(),
};
const confirmSchema = z.strictObject({
  ...confirmation,
  client_secret: z.string().optional(),
  receipt_email: unsettable.optional(),
});
const updateSchema = z.strictObject({
  ...descriptive,
  amount: integer.optional(),
  currency: nonEmpty.optional(),
  customer: nonEmpty.optional(),
  payment_method: nonEmpty.optional(),
  setup_future_usage: z.union([z.literal(''), setupFutureUsage]).optional(),
});
const createSchema = z.strictObject({
  ...confirmation,
  ...descriptive,
  ...methodSettings,
  amount: integer,
  capture_method: z.enum(['automatic', 'automatic_async']).optional(),
  confirm: boolean.optional(),
  currency: nonEmpty,
  customer: nonEmpty.optional(),
  statement_descriptor: z.string().max(22).optional(),
  statement_descriptor_suffix: z.string().max(22).optional(),
});

const BEFORE_PAYMENT: readonly string[] = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
];

function unexpectedState(call: Call, intent: Stripe.PaymentIntent, verb: string): Error {
  return invalidRequest(
    `You cannot ${verb} this PaymentIntent because it has a status of ${intent.status}.`,
    { code: 'payment_intent_unexpected_state', payment_intent: viewPaymentIntent(call, intent) },
  );
}

function retrieve(call: Call, id: string): Stripe.PaymentIntent {
  const intent = call.store.get('payment_intent', id);
  if (!intent) throw noSuch('payment_intent', id, 'intent');
  return intent;
}

function confirm(
  call: Call,
  intent: Stripe.PaymentIntent,
  params: z.infer<typeof confirmSchema>,
): Stripe.PaymentIntent {
  if (!BEFORE_PAYMENT.includes(intent.status)) throw unexpectedState(call, intent, 'confirm');
  const methodId = params.payment_method ?? intent.payment_method;
  if (typeof methodId !== 'string') {
    throw invalidRequest(
      "You cannot confirm this PaymentIntent because it's missing a payment method.",
      { code: 'payment_intent_unexpected_state' },
    );
  }
  const offSession = params.off_session !== undefined && params.off_session !== false;
  if (offSession && call.caller === 'publishable') {
    throw invalidRequest('off_session may only be set with a secret key.', {
      param: 'off_session',
    });
  }
  const redirects = intent.automatic_payment_methods?.allow_redirects === 'always';
  if (redirects && call.caller === 'secret' && !offSession && params.return_url === undefined) {
    throw invalidRequest(
      "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents.",
    );
  }
  const paymentMethod = usableMethod(call, methodId, intent.customer);
  const record = cardRecord(call, paymentMethod.id);
  const confirmed = call.store.put('payment_intent', intent.id, {
    ...intent,
    payment_method: paymentMethod.id,
    receipt_email: params.receipt_email ?? intent.receipt_email,
    setup_future_usage: params.setup_future_usage ?? intent.setup_future_usage,
  });
  // Nobody is there to be asked, or the caller wants an error instead of a question.
  const unattended = offSession || params.error_on_requires_action === true;
  if (!unattended && needsAuthentication(record.behaviour, record.authenticated)) {
    const way = { returnUrl: params.return_url, useStripeSdk: params.use_stripe_sdk === true };
    const waiting = call.store.put('payment_intent', intent.id, {
      ...confirmed,
      next_action: nextAction(call, confirmed, way),
      status: 'requires_action',
    });
    emit(call, 'payment_intent.requires_action', waiting);
    return waiting;
  }
  return takePayment(call, {
    intent: confirmed,
    paymentMethod,
    offSession: unattended,
    authenticated: false,
  });
}

/** The payment method, if it can pay for an intent of the customer. */
function usableMethod(
  call: Call,
  methodId: string,
  customer: Stripe.PaymentIntent['customer'],
): Stripe.PaymentMethod {
  const paymentMethod = findPaymentMethod(call, methodId);
  if (cardRecord(call, paymentMethod.id).spent) throw spentError();
  if (paymentMethod.customer !== null && paymentMethod.customer !== customer) {
    throw invalidRequest(
      'The provided PaymentMethod is attached to another customer than that of this PaymentIntent.',
      { param: 'payment_method' },
    );
  }
  return paymentMethod;
}

function create(call: Call, params: z.infer<typeof createSchema>): Stripe.PaymentIntent {
  const currency = params.currency.toLowerCase();
  checkAmount(params.amount, currency);
  const settings = resolveMethodSettings(params);
  if (params.customer !== undefined) requireCustomer(call, params.customer);
  if (params.confirm !== true && params.off_session !== undefined) {
    throw invalidRequest('You cannot set `off_session` when `confirm` is not `true`.', {
      param: 'off_session',
    });
  }
  if (params.confirm !== true && params.error_on_requires_action !== undefined) {
    throw invalidRequest(
      'You cannot set `error_on_requires_action` when `confirm` is not `true`.',
      { param: 'error_on_requires_action' },
    );
  }
  // A request that is refused as such leaves no intent behind.
  const method =
    params.payment_method === undefined
      ? undefined
      : params.confirm === true
        ? usableMethod(call, params.payment_method, params.customer ?? null)
        : findPaymentMethod(call, params.payment_method);
  const intent = newPaymentIntent(call.nowSeconds, {
    ...settings,
    amount: params.amount,
    capture_method: params.capture_method ?? 'automatic_async',
    currency,
    customer: params.customer ?? null,
    description: params.description ?? null,
    metadata: mergeMetadata({}, params.metadata),
    receipt_email: params.receipt_email ?? null,
    setup_future_usage: params.setup_future_usage ?? null,
    statement_descriptor: params.statement_descriptor ?? null,
    statement_descriptor_suffix: params.statement_descriptor_suffix ?? null,
  });
  const stored = call.store.put('payment_intent', intent.id, {
    ...intent,
    payment_method: method?.id ?? null,
    status: method ? 'requires_confirmation' : 'requires_payment_method',
  });
  emit(call, 'payment_intent.created', stored);
  if (params.confirm !== true) return stored;
  const { error_on_requires_action, off_session, return_url, use_stripe_sdk } = params;
  return confirm(call, stored, {
    error_on_requires_action,
    off_session,
    return_url,
    use_stripe_sdk,
  });
}

function update(
  call: Call,
  intent: Stripe.PaymentIntent,
  params: z.infer<typeof updateSchema>,
): Stripe.PaymentIntent {
  const { description, metadata: changes, receipt_email, ...money } = params;
  if (Object.values(money).some((value) => value !== undefined)) {
    if (!BEFORE_PAYMENT.includes(intent.status)) throw unexpectedState(call, intent, 'update');
    const currency = (money.currency ?? intent.currency).toLowerCase();
    checkAmount(money.amount ?? intent.amount, currency);
    if (money.customer !== undefined) requireCustomer(call, money.customer);
  }
  const method = money.payment_method ? findPaymentMethod(call, money.payment_method) : undefined;
  const usage = money.setup_future_usage;
  return call.store.put('payment_intent', intent.id, {
    ...intent,
    amount: money.amount ?? intent.amount,
    currency: (money.currency ?? intent.currency).toLowerCase(),
    customer: money.customer ?? intent.customer,
    description: description ?? intent.description,
    metadata: mergeMetadata(intent.metadata, changes),
    payment_method: method?.id ?? intent.payment_method,
    receipt_email: receipt_email === undefined ? intent.receipt_email : receipt_email,
    setup_future_usage: usage === undefined ? intent.setup_future_usage : usage || null,
    status: method ? 'requires_confirmation' : intent.status,
  });
}

function cancel(
  call: Call,
  intent: Stripe.PaymentIntent,
  reason: Stripe.PaymentIntent.CancellationReason | undefined,
): Stripe.PaymentIntent {
  if (!BEFORE_PAYMENT.includes(intent.status)) throw unexpectedState(call, intent, 'cancel');
  const canceled = call.store.put('payment_intent', intent.id, {
    ...intent,
    canceled_at: call.nowSeconds,
    cancellation_reason: reason ?? null,
    next_action: null,
    status: 'canceled',
  });
  emit(call, 'payment_intent.canceled', canceled);
  return canceled;
}

export const paymentIntentRoutes: Route[] = [
  route('POST', '/v1/payment_intents', createSchema, create),
  listRoute('/v1/payment_intents', 'payment_intent', ['customer']),
  route(
    'GET',
    '/v1/payment_intents/:id',
    z.strictObject({ client_secret: z.string().optional() }),
    (call, params, id) => {
      const intent = retrieve(call, id);
      checkClientSecret(call, intent, params.client_secret);
      return viewPaymentIntent(call, intent);
    },
    'publishable',
  ),
  route('POST', '/v1/payment_intents/:id', updateSchema, (call, params, id) =>
    update(call, retrieve(call, id), params),
  ),
  route(
    'POST',
    '/v1/payment_intents/:id/confirm',
    confirmSchema,
    (call, params, id) => {
      const intent = retrieve(call, id);
      checkClientSecret(call, intent, params.client_secret);
      return viewPaymentIntent(call, confirm(call, intent, params));
    },
    'publishable',
  ),
  route(
    'POST',
    '/v1/payment_intents/:id/cancel',
    z.strictObject({
      cancellation_reason: z
        .enum(['abandoned', 'duplicate', 'fraudulent', 'requested_by_customer'])
        .optional(),
    }),
    (call, params, id) => cancel(call, retrieve(call, id), params.cancellation_reason),
  ),
];
