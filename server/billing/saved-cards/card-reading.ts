/** Brings the cards that we know of to what Stripe has. */

import {
  beginCardRead,
  type CardRecording,
  forgetStripeCustomer,
  recordSavedCards,
} from '../../store/saved-cards.ts';
import type { Sql } from '../../store/sql.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';

/** Types of Stripe's events after which a customer's cards are read again. */
export const CARD_EVENTS: ReadonlySet<string> = new Set([
  'setup_intent.succeeded',
  'payment_method.attached',
  'payment_method.updated',
  'payment_method.automatically_updated',
  'payment_method.detached',
  'customer.deleted',
]);

const MAX_READINGS = 5;

const OUTCOMES = {
  OK: 'cards recorded',
  STALE: 'cards recorded by a later reading',
  NO_CUSTOMER: 'no customer of ours',
} as const satisfies Record<Exclude<CardRecording, 'VOID'>, string>;

/**
 * Reads all cards of a customer at Stripe and records them; what an event says of a card may be
 * older than what was recorded, so events only say whose cards to read. Every change at Stripe
 * brings an event, and the reading that began last is what stays: whatever the order, the end is
 * what Stripe has. Returns what came of it, in words. Throws `StripeGatewayError`.
 */
export async function readCards(
  { sql, gateway }: { sql: Sql; gateway: StripeGateway },
  customerId: string,
): Promise<string> {
  for (let reading = 0; reading < MAX_READINGS; reading += 1) {
    const read = await beginCardRead(sql, customerId);
    if (read === null) {
      return OUTCOMES.NO_CUSTOMER;
    }
    const cards = await gateway.listCards(customerId);
    if (cards === null) {
      await forgetStripeCustomer(sql, customerId);
      return 'customer deleted';
    }
    const recording = await recordSavedCards(sql, customerId, read, cards.reverse());
    if (recording !== 'VOID') {
      return OUTCOMES[recording];
    }
  }
  throw new Error('cards were removed while they were read, again and again');
}
