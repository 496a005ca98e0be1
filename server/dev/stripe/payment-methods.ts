import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { cardByAlias, checkTypedCard, setupDecline, type TestCard } from './cards.ts';
import { ApiError, invalidRequest, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { page, pagination } from './lists.ts';
import { newPaymentMethod } from './objects.ts';
import { emptyBillingDetails } from './objects-charge.ts';
import { address, integer, mergeMetadata, metadata, nonEmpty, unsettable } from './params.ts';
import { type Route, route } from './route.ts';
import type { CardRecord } from './store.ts';

const billingDetails = z.strictObject({
  address: z.union([z.literal(''), address]).optional(),
  email: unsettable.optional(),
  name: unsettable.optional(),
  phone: unsettable.optional(),
});
const allowRedisplay = z.enum(['always', 'limited', 'unspecified']);

function mergeBillingDetails(
  current: Stripe.PaymentMethod.BillingDetails,
  change: z.infer<typeof billingDetails> | undefined,
): Stripe.PaymentMethod.BillingDetails {
  if (!change) return current;
  const empty = emptyBillingDetails().address;
  const merged =
    change.address === '' ? empty : { ...(current.address ?? empty), ...change.address };
  return { ...current, ...change, address: merged } as Stripe.PaymentMethod.BillingDetails;
}

function store(
  call: Call,
  paymentMethod: Stripe.PaymentMethod,
  card: TestCard,
): Stripe.PaymentMethod {
  call.store.put('card', paymentMethod.id, {
    behaviour: card.behaviour,
    authenticated: false,
    spent: false,
  });
  return call.store.put('payment_method', paymentMethod.id, paymentMethod);
}

/**
 * The payment method that a parameter names. A `pm_card_*` name makes a new one each time, as
 * Stripe's test names do.
 */
export function findPaymentMethod(call: Call, id: string): Stripe.PaymentMethod {
  const known = call.store.get('payment_method', id);
  if (known) return known;
  const card = cardByAlias(id);
  if (!card) throw noSuch('PaymentMethod', id, 'payment_method', 400);
  const paymentMethod = newPaymentMethod({
    nowSeconds: call.nowSeconds,
    card,
    expMonth: 12,
    expYear: new Date(call.nowSeconds * 1000).getUTCFullYear() + 1,
    cvcGiven: true,
    billingDetails: emptyBillingDetails(),
  });
  return store(call, paymentMethod, card);
}

export function cardRecord(call: Call, paymentMethodId: string): CardRecord {
  const record = call.store.get('card', paymentMethodId);
  if (!record) throw new Error(`payment method ${paymentMethodId} has no card record`);
  return record;
}

export function updateCard(call: Call, id: string, change: Partial<CardRecord>): void {
  call.store.put('card', id, { ...cardRecord(call, id), ...change });
}

/** Attaches it, unless it already belongs to the customer; another customer's is refused. */
export function attach(
  call: Call,
  paymentMethod: Stripe.PaymentMethod,
  customerId: string,
): Stripe.PaymentMethod {
  if (paymentMethod.customer === customerId) return paymentMethod;
  if (paymentMethod.customer !== null) {
    throw invalidRequest(
      'The payment method you provided has already been attached to a customer.',
      { code: 'payment_method_unexpected_state', param: 'payment_method' },
    );
  }
  if (!call.store.get('customer', customerId))
    throw noSuch('customer', customerId, 'customer', 400);
  const attached = call.store.put('payment_method', paymentMethod.id, {
    ...paymentMethod,
    customer: customerId,
  });
  emit(call, 'payment_method.attached', attached);
  return attached;
}

export function detach(call: Call, id: string): Stripe.PaymentMethod {
  const paymentMethod = retrieve(call, id);
  if (paymentMethod.customer === null) {
    throw invalidRequest(
      'The payment method you provided is not attached to a customer so detachment is impossible.',
      { code: 'payment_method_unexpected_state' },
    );
  }
  const detached = call.store.put('payment_method', id, { ...paymentMethod, customer: null });
  updateCard(call, id, { spent: true });
  emit(call, 'payment_method.detached', detached, { customer: paymentMethod.customer });
  return detached;
}

/** What a card network tells when a bank has renewed a card: the same card, four years longer. */
export function renewCard(call: Call, id: string): Stripe.PaymentMethod {
  const current = retrieve(call, id);
  if (current.customer === null || !current.card) throw noSuch('PaymentMethod', id);
  const { card } = current;
  const renewed = call.store.put('payment_method', id, {
    ...current,
    card: { ...card, exp_year: card.exp_year + 4 },
  });
  emit(call, 'payment_method.automatically_updated', renewed, { card });
  return renewed;
}

function retrieve(call: Call, id: string): Stripe.PaymentMethod {
  const paymentMethod = call.store.get('payment_method', id);
  if (!paymentMethod) throw noSuch('PaymentMethod', id, 'payment_method');
  return paymentMethod;
}

/** Cards of a customer, oldest first. */
export function paymentMethodsOf(call: Call, customerId: string): Stripe.PaymentMethod[] {
  return call.store.all('payment_method').filter((row) => row.customer === customerId);
}

const cardParams = z.strictObject({
  number: nonEmpty,
  exp_month: integer,
  exp_year: integer,
  cvc: z.string().optional(),
});

export const paymentMethodRoutes: Route[] = [
  route(
    'POST',
    '/v1/payment_methods',
    z.strictObject({
      type: z.literal('card'),
      card: cardParams,
      billing_details: billingDetails.optional(),
      allow_redisplay: allowRedisplay.optional(),
      metadata: metadata.optional(),
    }),
    (call, params) => {
      const card = checkTypedCard(
        {
          number: params.card.number,
          expMonth: params.card.exp_month,
          expYear: params.card.exp_year,
          cvc: params.card.cvc,
        },
        new Date(call.nowSeconds * 1000),
      );
      const year = params.card.exp_year;
      const made = newPaymentMethod({
        nowSeconds: call.nowSeconds,
        card,
        expMonth: params.card.exp_month,
        expYear: year < 100 ? 2000 + year : year,
        cvcGiven: params.card.cvc !== undefined,
        billingDetails: mergeBillingDetails(emptyBillingDetails(), params.billing_details),
      });
      return store(
        call,
        {
          ...made,
          allow_redisplay: params.allow_redisplay ?? 'unspecified',
          metadata: mergeMetadata({}, params.metadata),
        },
        card,
      );
    },
    'publishable',
  ),
  route(
    'GET',
    '/v1/payment_methods',
    z.strictObject({
      ...pagination,
      customer: nonEmpty.optional(),
      type: z.string().optional(),
      allow_redisplay: allowRedisplay.optional(),
    }),
    (call, params) => {
      if (params.customer !== undefined && !call.store.get('customer', params.customer)) {
        throw noSuch('customer', params.customer, 'customer', 400);
      }
      const rows = params.customer === undefined ? [] : paymentMethodsOf(call, params.customer);
      return page(
        rows.filter(
          (row) =>
            (params.type === undefined || row.type === params.type) &&
            (params.allow_redisplay === undefined ||
              row.allow_redisplay === params.allow_redisplay),
        ),
        params,
        '/v1/payment_methods',
      );
    },
  ),
  route(
    'GET',
    '/v1/customers/:id/payment_methods',
    z.strictObject({ ...pagination, type: z.string().optional() }),
    (call, params, id) => {
      if (!call.store.get('customer', id)) throw noSuch('customer', id, 'customer');
      const rows = paymentMethodsOf(call, id).filter(
        (row) => params.type === undefined || row.type === params.type,
      );
      return page(rows, params, `/v1/customers/${id}/payment_methods`);
    },
  ),
  route('GET', '/v1/payment_methods/:id', z.strictObject({}), (call, _params, id) =>
    retrieve(call, id),
  ),
  route(
    'POST',
    '/v1/payment_methods/:id',
    z.strictObject({
      allow_redisplay: allowRedisplay.optional(),
      billing_details: billingDetails.optional(),
      card: z
        .strictObject({ exp_month: integer.optional(), exp_year: integer.optional() })
        .optional(),
      metadata: metadata.optional(),
    }),
    (call, params, id) => {
      const current = retrieve(call, id);
      if (current.customer === null || !current.card) {
        throw invalidRequest(
          'You must save this PaymentMethod to a customer before you can update it.',
          { code: 'payment_method_unexpected_state' },
        );
      }
      const updated = call.store.put('payment_method', id, {
        ...current,
        allow_redisplay: params.allow_redisplay ?? current.allow_redisplay ?? 'unspecified',
        billing_details: mergeBillingDetails(current.billing_details, params.billing_details),
        card: {
          ...current.card,
          exp_month: params.card?.exp_month ?? current.card.exp_month,
          exp_year: params.card?.exp_year ?? current.card.exp_year,
        },
        metadata: mergeMetadata(current.metadata ?? {}, params.metadata),
      });
      emit(call, 'payment_method.updated', updated, {});
      return updated;
    },
  ),
  route(
    'POST',
    '/v1/payment_methods/:id/attach',
    z.strictObject({ customer: nonEmpty }),
    (call, params, id) => {
      const paymentMethod = findPaymentMethod(call, id);
      const record = cardRecord(call, paymentMethod.id);
      if (record.spent) throw spentError();
      const decline = setupDecline(record.behaviour);
      if (decline) {
        throw new ApiError(402, 'card_error', decline.message, {
          code: decline.code,
          ...(decline.declineCode ? { decline_code: decline.declineCode } : {}),
        });
      }
      return attach(call, paymentMethod, params.customer);
    },
  ),
  route('POST', '/v1/payment_methods/:id/detach', z.strictObject({}), (call, _params, id) =>
    detach(call, id),
  ),
];

export function spentError(): ApiError {
  return invalidRequest(
    'The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or was detached from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.',
    { code: 'payment_method_unexpected_state', param: 'payment_method' },
  );
}
