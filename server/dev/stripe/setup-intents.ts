import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { setupDecline } from './cards.ts';
import { AUTHENTICATION_FAILED, nextAction } from './challenge.ts';
import { declineFields } from './charging.ts';
import { requireCustomer } from './customers.ts';
import { ApiError, invalidRequest, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { viewSetupIntent } from './intent-view.ts';
import { listRoute } from './lists.ts';
import { methodSettings, resolveMethodSettings } from './method-settings.ts';
import { newSetupIntent } from './objects.ts';
import { boolean, mergeMetadata, metadata, nonEmpty } from './params.ts';
import {
  attach,
  cardRecord,
  findPaymentMethod,
  spentError,
  updateCard,
} from './payment-methods.ts';
import { checkClientSecret, type Route, route } from './route.ts';

const confirmation = {
  payment_method: nonEmpty.optional(),
  return_url: z.url().optional(),
  use_stripe_sdk: boolean.optional(),
};
const confirmSchema = z.strictObject({ ...confirmation, client_secret: z.string().optional() });
const createSchema = z.strictObject({
  ...confirmation,
  ...methodSettings,
  confirm: boolean.optional(),
  customer: nonEmpty.optional(),
  description: z.string().optional(),
  metadata: metadata.optional(),
  usage: z.enum(['off_session', 'on_session']).optional(),
});

const BEFORE_SETUP: readonly string[] = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
];

function unexpectedState(call: Call, intent: Stripe.SetupIntent, verb: string): ApiError {
  return invalidRequest(
    `You cannot ${verb} this SetupIntent because it has a status of ${intent.status}.`,
    { code: 'setup_intent_unexpected_state', setup_intent: viewSetupIntent(call, intent) },
  );
}

function retrieve(call: Call, id: string): Stripe.SetupIntent {
  const intent = call.store.get('setup_intent', id);
  if (!intent) throw noSuch('setupintent', id, 'intent');
  return intent;
}

function succeed(call: Call, intent: Stripe.SetupIntent, methodId: string): Stripe.SetupIntent {
  const paymentMethod = findPaymentMethod(call, methodId);
  if (typeof intent.customer === 'string') attach(call, paymentMethod, intent.customer);
  const succeeded = call.store.put('setup_intent', intent.id, {
    ...intent,
    last_setup_error: null,
    next_action: null,
    payment_method: paymentMethod.id,
    status: 'succeeded',
  });
  emit(call, 'setup_intent.succeeded', succeeded);
  return succeeded;
}

function fail(
  call: Call,
  intent: Stripe.SetupIntent,
  error: Stripe.SetupIntent.LastSetupError,
): Stripe.SetupIntent {
  const failed = call.store.put('setup_intent', intent.id, {
    ...intent,
    last_setup_error: error,
    next_action: null,
    payment_method: null,
    status: 'requires_payment_method',
  });
  emit(call, 'setup_intent.setup_failed', failed);
  return failed;
}

function confirm(
  call: Call,
  intent: Stripe.SetupIntent,
  params: z.infer<typeof confirmSchema>,
): Stripe.SetupIntent {
  if (!BEFORE_SETUP.includes(intent.status)) throw unexpectedState(call, intent, 'confirm');
  const methodId = params.payment_method ?? intent.payment_method;
  if (typeof methodId !== 'string') {
    throw invalidRequest(
      "You cannot confirm this SetupIntent because it's missing a payment method.",
      { code: 'setup_intent_unexpected_state' },
    );
  }
  const paymentMethod = findPaymentMethod(call, methodId);
  const { behaviour, spent } = cardRecord(call, paymentMethod.id);
  if (spent) throw spentError();
  if (paymentMethod.customer !== null && paymentMethod.customer !== intent.customer) {
    throw invalidRequest('The provided PaymentMethod is attached to another customer.', {
      param: 'payment_method',
    });
  }
  const decline = setupDecline(behaviour);
  if (decline) {
    const fields = { ...declineFields(decline), payment_method: paymentMethod };
    const failed = fail(call, intent, {
      ...fields,
      message: decline.message,
      type: 'card_error',
    });
    throw new ApiError(402, 'card_error', decline.message, {
      ...fields,
      setup_intent: viewSetupIntent(call, failed),
    });
  }
  if (behaviour !== 'authenticate_on_setup' && behaviour !== 'authenticate_always') {
    return succeed(call, intent, paymentMethod.id);
  }
  const way = { returnUrl: params.return_url, useStripeSdk: params.use_stripe_sdk === true };
  const waiting = call.store.put('setup_intent', intent.id, {
    ...intent,
    next_action: nextAction(call, intent, way),
    payment_method: paymentMethod.id,
    status: 'requires_action',
  });
  emit(call, 'setup_intent.requires_action', waiting);
  return waiting;
}

/** The cardholder has answered the 3-D Secure challenge of a setup intent. */
export function finishSetup(
  call: Call,
  id: string,
  clientSecret: string,
  passed: boolean,
): Stripe.SetupIntent {
  const intent = retrieve(call, id);
  if (intent.client_secret !== clientSecret) throw noSuch('setupintent', id);
  if (intent.status !== 'requires_action' || typeof intent.payment_method !== 'string') {
    return intent;
  }
  if (!passed) {
    return fail(call, intent, {
      code: 'setup_intent_authentication_failure',
      message: AUTHENTICATION_FAILED,
      type: 'invalid_request_error',
    });
  }
  updateCard(call, intent.payment_method, { authenticated: true });
  return succeed(call, intent, intent.payment_method);
}

export const setupIntentRoutes: Route[] = [
  route('POST', '/v1/setup_intents', createSchema, (call, params) => {
    const settings = resolveMethodSettings(params);
    if (params.customer !== undefined) requireCustomer(call, params.customer);
    const method = params.payment_method
      ? findPaymentMethod(call, params.payment_method)
      : undefined;
    const intent = newSetupIntent(call.nowSeconds, {
      ...settings,
      customer: params.customer ?? null,
      description: params.description ?? null,
      metadata: mergeMetadata({}, params.metadata),
      usage: params.usage ?? 'off_session',
    });
    const stored = call.store.put('setup_intent', intent.id, {
      ...intent,
      payment_method: method?.id ?? null,
      status: method ? 'requires_confirmation' : 'requires_payment_method',
    });
    emit(call, 'setup_intent.created', stored);
    if (params.confirm !== true) return stored;
    const { return_url, use_stripe_sdk } = params;
    return confirm(call, stored, { return_url, use_stripe_sdk });
  }),
  listRoute('/v1/setup_intents', 'setup_intent', ['customer']),
  route(
    'GET',
    '/v1/setup_intents/:id',
    z.strictObject({ client_secret: z.string().optional() }),
    (call, params, id) => {
      const intent = retrieve(call, id);
      checkClientSecret(call, intent, params.client_secret);
      return viewSetupIntent(call, intent);
    },
    'publishable',
  ),
  route(
    'POST',
    '/v1/setup_intents/:id/confirm',
    confirmSchema,
    (call, params, id) => {
      const intent = retrieve(call, id);
      checkClientSecret(call, intent, params.client_secret);
      return viewSetupIntent(call, confirm(call, intent, params));
    },
    'publishable',
  ),
  route(
    'POST',
    '/v1/setup_intents/:id/cancel',
    z.strictObject({
      cancellation_reason: z.enum(['abandoned', 'duplicate', 'requested_by_customer']).optional(),
    }),
    (call, params, id) => {
      const intent = retrieve(call, id);
      if (!BEFORE_SETUP.includes(intent.status)) throw unexpectedState(call, intent, 'cancel');
      const canceled = call.store.put('setup_intent', id, {
        ...intent,
        cancellation_reason: params.cancellation_reason ?? null,
        next_action: null,
        status: 'canceled',
      });
      emit(call, 'setup_intent.canceled', canceled);
      return canceled;
    },
  ),
];
