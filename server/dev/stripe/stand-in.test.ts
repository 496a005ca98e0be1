import Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StripeStandIn, startStripeStandIn } from './server.ts';

let standIn: StripeStandIn;
let stripe: Stripe;

beforeAll(async () => {
  standIn = await startStripeStandIn({
    port: 0,
    secretKey: 'sk_test_a',
    publishableKey: 'pk_test_a',
    webhooks: [],
  });
  const { hostname, port } = new URL(standIn.url);
  stripe = new Stripe('sk_test_a', { host: hostname, port, protocol: 'http' });
});
afterAll(() => standIn.stop());

describe('smoke', () => {
  it('pays', async () => {
    const customer = await stripe.customers.create({
      email: 'a@example.com',
      metadata: { userId: 'u1' },
    });
    const intent = await stripe.paymentIntents.create({
      amount: 2500,
      currency: 'usd',
      customer: customer.id,
      automatic_payment_methods: { enabled: true },
      metadata: { topupId: 't1' },
    });
    const paid = await stripe.paymentIntents.confirm(intent.id, {
      payment_method: 'pm_card_visa',
      return_url: 'http://x.test/',
      expand: ['latest_charge'],
    });
    expect(paid.status).toBe('succeeded');
    const events = await stripe.events.list({ limit: 100 });
    await expect(
      stripe.paymentIntents.create({
        amount: 1,
        currency: 'usd',
        payment_method_types: ['card'],
      } as never),
    ).rejects.toMatchObject({ code: 'payment_method_types_no_longer_supported' });
  });
});
