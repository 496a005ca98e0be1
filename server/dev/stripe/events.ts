import Stripe from 'stripe';
import type { Call } from './call.ts';
import { newId } from './ids.ts';

type EventType = Stripe.Event['type'];
type EventObject<T extends EventType> = Extract<Stripe.Event, { type: T }>['data']['object'];

/** The version whose shapes the stand-in speaks: the one the installed SDK pins. */
export const API_VERSION = Stripe.API_VERSION;

/** Records an event with a snapshot of its object and sends it to every webhook endpoint. */
export function emit<T extends EventType>(
  call: Call,
  type: T,
  object: EventObject<T>,
  previousAttributes?: Record<string, unknown>,
): void {
  const id = newId('evt');
  // The compiler cannot follow that `type` and `object` belong to the same member of the union.
  const event = {
    id,
    object: 'event',
    api_version: API_VERSION,
    created: call.nowSeconds,
    data: {
      object: structuredClone(object),
      ...(previousAttributes ? { previous_attributes: previousAttributes } : {}),
    },
    livemode: false,
    pending_webhooks: call.webhooks.endpointCount,
    request: call.request,
    type,
  } as unknown as Stripe.Event;
  call.store.put('event', id, event);
  call.webhooks.send(event);
}
