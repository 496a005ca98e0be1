import Stripe from 'stripe';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startStripeStandIn } from './server.ts';
import {
  eventOf,
  type Receiver,
  startReceiver,
  startTestWorld,
  type TestWorld,
  WEBHOOK_SECRET,
} from './test-world.ts';

let receiver: Receiver;
let world: TestWorld;

beforeAll(async () => {
  receiver = await startReceiver();
  world = await startTestWorld({ webhooks: [{ url: receiver.url, secret: WEBHOOK_SECRET }] });
});
afterEach(() => {
  world.standIn.controls.clearFaults();
  receiver.received.length = 0;
  receiver.answers.length = 0;
});
afterAll(async () => {
  await world.stop();
  await receiver.stop();
});

const createCustomer = () => world.stripe.customers.create({});

function types(): string[] {
  return receiver.received.map((delivery) => eventOf(delivery).type);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

function deliveryOf(eventId: string) {
  const found = world.standIn.controls.events().find(({ event }) => event.id === eventId);
  return found?.deliveries[0];
}

describe('a webhook', () => {
  it('carries a whole event, signed so that the SDK takes it', async () => {
    const customer = await createCustomer();
    await receiver.untilReceived(1);
    const [delivery] = receiver.received;
    const event = Stripe.webhooks.constructEvent(
      delivery?.body ?? '',
      delivery?.signature ?? '',
      WEBHOOK_SECRET,
    );
    expect(event).toMatchObject({
      api_version: Stripe.API_VERSION,
      data: { object: { id: customer.id, object: 'customer' } },
      livemode: false,
      object: 'event',
      type: 'customer.created',
    });
    expect(event.request?.id).toBe(customer.lastResponse.requestId);
    expect(await world.stripe.events.retrieve(event.id)).toMatchObject({ id: event.id });
  });

  it('is not taken with another secret or a changed body', async () => {
    await createCustomer();
    await receiver.untilReceived(1);
    const [{ body, signature } = { body: '', signature: '' }] = receiver.received;
    expect(() => Stripe.webhooks.constructEvent(body, signature, 'whsec_other')).toThrow();
    const changed = body.replace('"balance": 0', '"balance": 9');
    expect(() => Stripe.webhooks.constructEvent(changed, signature, WEBHOOK_SECRET)).toThrow();
  });

  it('is sent again until it is accepted; a redirect is not', async () => {
    receiver.answers.push(500, 302);
    await createCustomer();
    await receiver.untilReceived(3);
    const ids = receiver.received.map((delivery) => eventOf(delivery).id);
    expect(new Set(ids).size).toBe(1);
    await until(() => deliveryOf(ids[0] ?? '')?.state === 'delivered');
    expect(deliveryOf(ids[0] ?? '')).toMatchObject({ attempts: 3, lastOutcome: '200' });
  });
});

describe('faults of delivery', () => {
  it('duplicate: the same event comes twice', async () => {
    world.standIn.controls.webhooks('duplicate');
    await createCustomer();
    await receiver.untilReceived(2);
    const [first, second] = receiver.received.map(eventOf);
    expect(second).toEqual(first);
  });

  it('drop: the event never comes until it is asked for again', async () => {
    world.standIn.controls.webhooks('drop', { eventType: 'customer.created' });
    const dropped = await createCustomer();
    await createCustomer();
    await receiver.untilReceived(1);
    const [{ event } = { event: undefined }] = world.standIn.controls
      .events()
      .filter((item) => JSON.stringify(item.event.data.object).includes(dropped.id));
    expect(receiver.received.map((delivery) => eventOf(delivery).id)).not.toContain(event?.id);
    world.standIn.controls.redeliver(event?.id ?? '');
    await receiver.untilReceived(2);
    expect(eventOf(receiver.received[1] ?? { body: '' }).id).toBe(event?.id);
  });

  it('delay: the event comes after what happened later', async () => {
    world.standIn.controls.webhooks('delay', { delayMs: 200, eventType: 'customer.created' });
    const customer = await createCustomer();
    await world.stripe.customers.update(customer.id, { name: 'Ada' });
    await receiver.untilReceived(2);
    expect(types()).toEqual(['customer.updated', 'customer.created']);
  });

  it('reorder: a payment succeeds before it was created', async () => {
    world.standIn.controls.webhooks('reorder', { count: 3 });
    await world.stripe.paymentIntents.create({
      amount: 500,
      confirm: true,
      currency: 'usd',
      payment_method: 'pm_card_visa',
      return_url: 'https://example.com/',
    });
    await receiver.untilReceived(3);
    expect(types()).toEqual([
      'payment_intent.succeeded',
      'charge.succeeded',
      'payment_intent.created',
    ]);
  });
});

it('webhooks never leave this machine', async () => {
  const options = { port: 0, secretKey: 'sk_test_a', publishableKey: 'pk_test_a' };
  for (const url of ['https://127.0.0.1/hook', 'http://example.com/hook', 'http://10.0.0.1/']) {
    await expect(
      startStripeStandIn({ ...options, webhooks: [{ url, secret: WEBHOOK_SECRET }] }),
    ).rejects.toThrow(/loopback/);
  }
});
