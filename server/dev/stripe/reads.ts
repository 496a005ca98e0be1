import { z } from 'zod';
import { noSuch } from './errors.ts';
import { created, createdMatches, page, pagination } from './lists.ts';
import { boolean, nonEmpty } from './params.ts';
import { type Route, route } from './route.ts';

/** Objects that the API only lets one read: charges, events and balance transactions. */
export const readRoutes: Route[] = [
  route(
    'GET',
    '/v1/charges',
    z.strictObject({
      ...pagination,
      created,
      customer: nonEmpty.optional(),
      payment_intent: nonEmpty.optional(),
    }),
    (call, params) =>
      page(
        call.store
          .all('charge')
          .filter(
            (row) =>
              createdMatches(row.created, params.created) &&
              (params.customer === undefined || row.customer === params.customer) &&
              (params.payment_intent === undefined || row.payment_intent === params.payment_intent),
          ),
        params,
        '/v1/charges',
      ),
  ),
  route('GET', '/v1/charges/:id', z.strictObject({}), (call, _params, id) => {
    const charge = call.store.get('charge', id);
    if (!charge) throw noSuch('charge', id);
    return charge;
  }),
  route(
    'GET',
    '/v1/events',
    z.strictObject({
      ...pagination,
      created,
      delivery_success: boolean.optional(),
      type: nonEmpty.optional(),
      types: z.array(nonEmpty).max(20).optional(),
    }),
    (call, params) =>
      page(
        call.store
          .all('event')
          .filter(
            (row) =>
              createdMatches(row.created, params.created) &&
              (params.type === undefined || typeMatches(row.type, params.type)) &&
              (params.types === undefined || params.types.includes(row.type)) &&
              (params.delivery_success === undefined ||
                params.delivery_success === call.webhooks.isDelivered(row.id)),
          ),
        params,
        '/v1/events',
      ),
  ),
  route('GET', '/v1/events/:id', z.strictObject({}), (call, _params, id) => {
    const event = call.store.get('event', id);
    if (!event) throw noSuch('event', id);
    return { ...event, pending_webhooks: call.webhooks.pendingFor(id) };
  }),
  route(
    'GET',
    '/v1/balance_transactions',
    z.strictObject({
      ...pagination,
      created,
      source: nonEmpty.optional(),
      type: nonEmpty.optional(),
    }),
    (call, params) =>
      page(
        call.store
          .all('balance_transaction')
          .filter(
            (row) =>
              createdMatches(row.created, params.created) &&
              (params.source === undefined || row.source === params.source) &&
              (params.type === undefined || row.type === params.type),
          ),
        params,
        '/v1/balance_transactions',
      ),
  ),
  route('GET', '/v1/balance_transactions/:id', z.strictObject({}), (call, _params, id) => {
    const transaction = call.store.get('balance_transaction', id);
    if (!transaction) throw noSuch('balance transaction', id);
    return transaction;
  }),
];

/** `charge.*` asks for every type that starts with `charge.`. */
function typeMatches(type: string, wanted: string): boolean {
  return wanted.endsWith('.*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}
