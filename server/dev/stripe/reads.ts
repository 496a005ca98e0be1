import { z } from 'zod';
import { noSuch } from './errors.ts';
import { created, createdMatches, listRoute, page, pagination, readRoute } from './lists.ts';
import { boolean, nonEmpty } from './params.ts';
import { type Route, route } from './route.ts';

/** Objects that the API only lets one read: charges, events and balance transactions. */
export const readRoutes: Route[] = [
  listRoute('/v1/charges', 'charge', ['customer', 'payment_intent']),
  readRoute('/v1/charges', 'charge'),
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
  listRoute('/v1/balance_transactions', 'balance_transaction', ['source', 'type']),
  readRoute('/v1/balance_transactions', 'balance_transaction'),
];

/** `charge.*` asks for every type that starts with `charge.`. */
function typeMatches(type: string, wanted: string): boolean {
  return wanted.endsWith('.*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}
