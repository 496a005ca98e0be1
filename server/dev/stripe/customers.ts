import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { invalidRequest, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { created, createdMatches, page, pagination } from './lists.ts';
import { newCustomer } from './objects.ts';
import { address, mergeMetadata, metadata, nonEmpty, unsettable } from './params.ts';
import { attach, detach, findPaymentMethod, paymentMethodsOf } from './payment-methods.ts';
import { type Route, route } from './route.ts';

const writable = {
  address: z.union([z.literal(''), address]).optional(),
  description: unsettable.optional(),
  email: unsettable.optional(),
  metadata: metadata.optional(),
  name: unsettable.optional(),
  phone: unsettable.optional(),
  invoice_settings: z.strictObject({ default_payment_method: unsettable.optional() }).optional(),
};
const updateSchema = z.strictObject(writable);

/** The customer that a parameter names; a deleted one counts as missing, as for Stripe. */
export function requireCustomer(call: Call, id: string): Stripe.Customer {
  const customer = call.store.get('customer', id);
  if (!customer) throw noSuch('customer', id, 'customer', 400);
  return customer;
}

function apply(
  call: Call,
  current: Stripe.Customer,
  params: z.infer<typeof updateSchema>,
): Stripe.Customer {
  if (params.email && !/^[^\s@]+@[^\s@]+$/.test(params.email)) {
    throw invalidRequest(`Invalid email address: ${params.email}`, {
      code: 'email_invalid',
      param: 'email',
    });
  }
  const { metadata: changes, address: place, invoice_settings: settings, ...simple } = params;
  const given = Object.fromEntries(
    Object.entries(simple).filter(([, value]) => value !== undefined),
  ) as Partial<Pick<Stripe.Customer, 'description' | 'email' | 'name' | 'phone'>>;
  const defaultMethod = settings?.default_payment_method;
  if (defaultMethod && call.store.get('payment_method', defaultMethod)?.customer !== current.id) {
    throw noSuch('PaymentMethod', defaultMethod, 'invoice_settings[default_payment_method]', 400);
  }
  return {
    ...current,
    ...given,
    address: mergeAddress(current.address ?? null, place),
    invoice_settings: {
      ...current.invoice_settings,
      default_payment_method:
        defaultMethod === undefined
          ? current.invoice_settings.default_payment_method
          : defaultMethod,
    },
    metadata: mergeMetadata(current.metadata, changes),
  };
}

function mergeAddress(
  current: Stripe.Address | null,
  change: '' | z.infer<typeof address> | undefined,
): Stripe.Address | null {
  if (change === undefined) return current;
  if (change === '') return null;
  return {
    city: change.city ?? current?.city ?? null,
    country: change.country ?? current?.country ?? null,
    line1: change.line1 ?? current?.line1 ?? null,
    line2: change.line2 ?? current?.line2 ?? null,
    postal_code: change.postal_code ?? current?.postal_code ?? null,
    state: change.state ?? current?.state ?? null,
  };
}

export const customerRoutes: Route[] = [
  route(
    'POST',
    '/v1/customers',
    z.strictObject({ ...writable, payment_method: nonEmpty.optional() }),
    (call, { payment_method, ...params }) => {
      const customer = apply(call, newCustomer(call.nowSeconds), params);
      call.store.put('customer', customer.id, customer);
      emit(call, 'customer.created', customer);
      if (payment_method) attach(call, findPaymentMethod(call, payment_method), customer.id);
      return customer;
    },
  ),
  route(
    'GET',
    '/v1/customers',
    z.strictObject({ ...pagination, created, email: z.string().optional() }),
    (call, params) =>
      page(
        call.store
          .all('customer')
          .filter(
            (row) =>
              createdMatches(row.created, params.created) &&
              (params.email === undefined || row.email === params.email),
          ),
        params,
        '/v1/customers',
      ),
  ),
  route('GET', '/v1/customers/:id', z.strictObject({}), (call, _params, id) => {
    const found = call.store.get('customer', id) ?? call.store.get('deleted_customer', id);
    if (!found) throw noSuch('customer', id);
    return found;
  }),
  route('POST', '/v1/customers/:id', updateSchema, (call, params, id) => {
    const current = call.store.get('customer', id);
    if (!current) throw noSuch('customer', id);
    const updated = call.store.put('customer', id, apply(call, current, params));
    emit(call, 'customer.updated', updated, previousOf(current, updated));
    return updated;
  }),
  route('DELETE', '/v1/customers/:id', z.strictObject({}), (call, _params, id) => {
    const current = call.store.get('customer', id);
    if (!current) throw noSuch('customer', id);
    for (const paymentMethod of paymentMethodsOf(call, id)) detach(call, paymentMethod.id);
    call.store.delete('customer', id);
    emit(call, 'customer.deleted', current);
    return call.store.put('deleted_customer', id, { id, object: 'customer', deleted: true });
  }),
];

/** The fields of `before` that differ in `after`, as `previous_attributes` lists them. */
function previousOf(before: Stripe.Customer, after: Stripe.Customer): Record<string, unknown> {
  const changed = Object.entries(before).filter(
    ([key, value]) => JSON.stringify(value) !== JSON.stringify(after[key as keyof Stripe.Customer]),
  );
  return Object.fromEntries(changed);
}
