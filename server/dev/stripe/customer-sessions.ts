import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { requireCustomer } from './customers.ts';
import { ApiError, noSuch } from './errors.ts';
import { randomToken } from './ids.ts';
import { boolean, integer, nonEmpty } from './params.ts';
import { detach, paymentMethodsOf } from './payment-methods.ts';
import { type Route, route } from './route.ts';
import type { CustomerSessionRecord } from './store.ts';

const LIFETIME_SECONDS = 30 * 60;
const toggle = z.enum(['enabled', 'disabled']);
const createSchema = z.strictObject({
  customer: nonEmpty,
  components: z.strictObject({
    payment_element: z.strictObject({
      enabled: boolean,
      features: z
        .strictObject({
          payment_method_allow_redisplay_filters: z
            .array(z.enum(['always', 'limited', 'unspecified']))
            .optional(),
          payment_method_redisplay: toggle.optional(),
          payment_method_redisplay_limit: integer.optional(),
          payment_method_remove: toggle.optional(),
          payment_method_save: toggle.optional(),
          payment_method_save_usage: z.enum(['off_session', 'on_session']).optional(),
        })
        .optional(),
    }),
  }),
});

type Features = Stripe.CustomerSession.Components.PaymentElement.Features;

function featuresOf(params: z.infer<typeof createSchema>): Features {
  const given = params.components.payment_element.features ?? {};
  return {
    payment_method_allow_redisplay_filters: given.payment_method_allow_redisplay_filters ?? [
      'always',
    ],
    payment_method_redisplay: given.payment_method_redisplay ?? 'disabled',
    payment_method_redisplay_limit:
      given.payment_method_redisplay === 'enabled'
        ? (given.payment_method_redisplay_limit ?? 3)
        : null,
    payment_method_remove: given.payment_method_remove ?? 'disabled',
    payment_method_save: given.payment_method_save ?? 'disabled',
    payment_method_save_usage: given.payment_method_save_usage ?? null,
  };
}

function create(call: Call, params: z.infer<typeof createSchema>): Stripe.CustomerSession {
  requireCustomer(call, params.customer);
  const { enabled } = params.components.payment_element;
  const session: CustomerSessionRecord = {
    object: 'customer_session',
    client_secret: `cuss_secret_${randomToken(40)}`,
    components: {
      active_entitlements: { enabled: false },
      buy_button: { enabled: false },
      customer_portal: { enabled: false },
      customer_sheet: { enabled: false, features: null },
      mobile_payment_element: { enabled: false, features: null },
      payment_element: { enabled, features: enabled ? featuresOf(params) : null },
      pricing_table: { enabled: false },
    },
    created: call.nowSeconds,
    customer: params.customer,
    customer_account: null,
    expires_at: call.nowSeconds + LIFETIME_SECONDS,
    livemode: false,
  };
  return call.store.put('customer_session', session.client_secret, session);
}

/** The live session of a client secret; a foreign or expired secret is refused. */
function openSession(call: Call, clientSecret: string): CustomerSessionRecord {
  const session = call.store.get('customer_session', clientSecret);
  if (!session || session.expires_at <= call.nowSeconds) {
    throw new ApiError(400, 'invalid_request_error', 'Invalid or expired customer session.', {
      code: 'customer_session_expired',
      param: 'customer_session_client_secret',
    });
  }
  return session;
}

function sessionFeatures(session: CustomerSessionRecord): Features | null {
  return session.components?.payment_element.features ?? null;
}

/** Saved cards that the Payment Element may show, newest first. */
function savedCards(call: Call, session: CustomerSessionRecord): Stripe.PaymentMethod[] {
  const features = sessionFeatures(session);
  if (features?.payment_method_redisplay !== 'enabled') return [];
  return paymentMethodsOf(call, session.customer)
    .filter((row) =>
      features.payment_method_allow_redisplay_filters.includes(
        row.allow_redisplay ?? 'unspecified',
      ),
    )
    .reverse()
    .slice(0, features.payment_method_redisplay_limit ?? 3);
}

export const customerSessionRoutes: Route[] = [
  route('POST', '/v1/customer_sessions', createSchema, create),
  // What the Payment Element loads when it starts. Stripe's own route of this name is private to
  // Stripe.js, so only what the stand-in's element needs is here.
  route(
    'GET',
    '/v1/elements/sessions',
    z.strictObject({ customer_session_client_secret: nonEmpty.optional() }),
    (call, params) => {
      const secret = params.customer_session_client_secret;
      const session = secret === undefined ? undefined : openSession(call, secret);
      return {
        object: 'elements_session',
        features: session ? sessionFeatures(session) : null,
        payment_methods: session
          ? savedCards(call, session).map(({ id, card }) => ({
              id,
              brand: card?.display_brand ?? card?.brand ?? 'card',
              last4: card?.last4 ?? '',
              exp_month: card?.exp_month ?? 0,
              exp_year: card?.exp_year ?? 0,
            }))
          : [],
      };
    },
    'publishable',
  ),
  route(
    'POST',
    '/v1/elements/payment_methods/:id/detach',
    z.strictObject({ customer_session_client_secret: nonEmpty }),
    (call, params, id) => {
      const session = openSession(call, params.customer_session_client_secret);
      const owned = call.store.get('payment_method', id)?.customer === session.customer;
      if (!owned || sessionFeatures(session)?.payment_method_remove !== 'enabled') {
        throw noSuch('PaymentMethod', id);
      }
      return { id: detach(call, id).id, object: 'payment_method' };
    },
    'publishable',
  ),
];
