/** Stripe's side of a top-up: cards, what was charged, and webhooks that go astray. */
import Stripe from 'stripe';
import { withDatabase } from './users.ts';
import { startedWallet, variable } from './wallet.ts';

export const CARDS = {
  accepted: '4242 4242 4242 4242',
  mastercard: '5555 5555 5555 4444',
  amex: '3782 822463 10005',
  declined: '4000 0000 0000 0002',
  insufficientFunds: '4000 0000 0000 9995',
  asksTheBank: '4000 0027 6000 3184',
  /** Is saved without complaint, and declined when it is to pay. */
  failsWhenCharged: '4000 0000 0000 0341',
} as const;

/** The stock SDK, to ask Stripe rather than the wallet. */
export function stripeApi(): Stripe {
  const { hostname, port } = new URL(startedWallet().stripeUrl);
  return new Stripe(variable('STRIPE_SECRET_KEY'), { host: hostname, port, protocol: 'http' });
}

/** Amounts in cents that Stripe took from the user's cards. */
export async function paidCents(userId: string): Promise<number[]> {
  const customer = await customerOf(userId);
  if (customer === null) {
    return [];
  }
  const { data } = await stripeApi().charges.list({ customer, limit: 100 });
  return data.filter(({ paid }) => paid).map(({ amount }) => amount);
}

/** Stripe's customer of the user, once there is one. */
export async function customerOf(userId: string): Promise<string | null> {
  const [row] = await withDatabase(
    (sql) => sql<{ id: string }[]>`
      select stripe_customer_id as id from stripe_customers where user_id = ${userId}`,
  );
  return row?.id ?? null;
}

/** Loses every webhook until `clearFaults`: any word about a payment makes the wallet look at it. */
export async function loseWebhooks(): Promise<void> {
  await control('webhooks', { fault: 'drop', count: 1000 });
}

/** Sends the webhooks once more that tell of the user's payments that succeeded. */
export async function redeliverSuccesses(userId: string): Promise<void> {
  const customer = await customerOf(userId);
  const { data } = await stripeApi().events.list({ type: 'payment_intent.succeeded', limit: 100 });
  const ofUser = data.filter(
    (event) => event.type === 'payment_intent.succeeded' && event.data.object.customer === customer,
  );
  await Promise.all(ofUser.map(({ id }) => control('redeliver', { event: id })));
}

/** The next writing calls of Stripe's API under a path fail, before they change anything. */
export async function failCalls(pathPrefix: string, count: number): Promise<void> {
  await control('api', { fault: 'error_before_commit', pathPrefix, count });
}

/** What Stripe has sent back to the user's cards. */
export async function refundsOf(userId: string): Promise<Stripe.Refund[]> {
  const { data } = await stripeApi().charges.list({
    customer: (await customerOf(userId)) ?? '',
    limit: 100,
  });
  const lists = await Promise.all(
    data.map(({ id }) => stripeApi().refunds.list({ charge: id, limit: 100 })),
  );
  return lists.flatMap((list) => list.data);
}

/** The bank sends a refund back. */
export async function failRefund(refundId: string): Promise<void> {
  await control('fail-refund', { refund: refundId });
}

/** Forgets every fault that has not happened yet. */
export async function clearFaults(): Promise<void> {
  await control('clear-faults', {});
}

async function control(command: string, body: Record<string, unknown>): Promise<void> {
  const response = await fetch(`${startedWallet().stripeUrl}/_control/${command}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    throw new Error(`the stand-in refused ${command}: ${await response.text()}`);
  }
}
