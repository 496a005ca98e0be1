import type { Handler } from 'hono';
import type { Logger } from 'pino';
import type Stripe from 'stripe';
import type { ReceivedEvent, StripeEvents } from '../billing/stripe-events/stripe-events.ts';
import { Fault } from '../faults.ts';
import { verifyWebhook } from '../stripe/signature.ts';
import type { AppEnv } from './app.ts';

/**
 * Stripe's webhook: verify, store, answer. 200 says that the event is stored, and nothing else;
 * what it means for a wallet is decided later, as often as it takes.
 */
export function stripeWebhook(options: {
  readonly stripeEvents: StripeEvents;
  readonly webhookSecrets: readonly string[];
  /** Tells Inngest that an event waits; must not throw, and is not waited for. */
  readonly notifyStripeEvent: (eventId: string) => void;
  readonly logger: Logger;
}): Handler<AppEnv> {
  return async (c) => {
    // The signature is over the bytes as they came.
    const rawBody = await c.req.text();
    const verified = verifyWebhook({
      rawBody,
      header: c.req.header('stripe-signature') ?? '',
      secrets: options.webhookSecrets,
      nowMs: Date.now(),
    });
    if (!verified.ok) {
      throw new Fault('BAD_SIGNATURE', { message: verified.reason });
    }
    const { event } = verified;
    const isNew = await options.stripeEvents.receive(receivedEvent(event, rawBody));
    options.logger.info(
      { requestId: c.get('requestId'), eventId: event.id, type: event.type, isNew },
      'stripe event stored',
    );
    options.notifyStripeEvent(event.id);
    return c.json({ received: true });
  };
}

/** What is kept of a verified event: what it is about, and all of it as it came. */
export function receivedEvent(event: Stripe.Event, payload: string): ReceivedEvent {
  const { object } = event.data;
  return {
    id: event.id,
    type: event.type,
    livemode: event.livemode,
    apiVersion: event.api_version,
    objectId: 'id' in object && typeof object.id === 'string' ? object.id : null,
    payload,
  };
}
