import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
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
afterEach(() => world.standIn.controls.clearFaults());
afterAll(async () => {
  await world?.stop();
  await receiver?.stop();
});

async function pay(): Promise<string> {
  const intent = await world.stripe.paymentIntents.create({
    amount: 2500,
    confirm: true,
    currency: 'usd',
    payment_method: 'pm_card_visa',
    return_url: 'https://example.com/',
  });
  return String(intent.latest_charge);
}

async function pageText(): Promise<string> {
  return (await fetch(world.standIn.url)).text();
}

/** Sends the form of the page's first button with this label, of those that name the object. */
async function press(label: string, named = '', headers: Record<string, string> = {}) {
  const forms = (await pageText()).match(/<form .*?<\/form>/g) ?? [];
  const form = forms.find((html) => html.includes(`>${label}<`) && html.includes(named));
  expect.assert(form !== undefined, `the page has no button "${label}"`);
  const [, path] = /action="([^"]*)"/.exec(form) ?? [];
  const fields = [...form.matchAll(/name="([^"]*)" value="([^"]*)"/g)];
  return fetch(`${world.standIn.url}${path}`, {
    method: 'POST',
    redirect: 'manual',
    headers,
    body: new URLSearchParams(fields.map(([, name = '', value = '']) => [name, value])),
  });
}

it("the developer's page shows payments and events and offers what can be done with them", async () => {
  const charge = await pay();
  expect(await pageText()).toMatch(
    /25\.00 USD[\s\S]*succeeded[\s\S]*Dispute this[\s\S]*Refund this/,
  );
  expect(await pageText()).toContain('payment_intent.succeeded');

  expect((await press('Refund this', charge)).status).toBe(303);
  expect(await pageText()).toContain('25.00 USD refunded');
  expect((await world.stripe.charges.retrieve(charge)).amount_refunded).toBe(2500);
});

it("the page's button declines the next payment, and no other", async () => {
  await press('Decline the next');
  await expect(pay()).rejects.toMatchObject({ code: 'card_declined' });
  expect(await pageText()).toContain('Your card was declined.');
  await pay();
  await press('Decline the next');
  await press('Forget all faults');
  await pay();
});

it("the page's button delivers an event again, under its own id", async () => {
  const event = await world.stripe.customers
    .create({})
    .then(() => world.stripe.events.list({ type: 'customer.created', limit: 1 }))
    .then(({ data }) => data[0]);
  expect.assert(event !== undefined);
  const deliveries = () =>
    receiver.received.filter((delivery) => eventOf(delivery).id === event.id).length;
  await expect.poll(deliveries).toBe(1);
  await press('Deliver again', event.id);
  await expect.poll(deliveries).toBe(2);
});

it("the page's buttons refuse the next refund, and fail one that was made", async () => {
  const charge = await pay();
  await press('Refuse the next refund');
  await expect(world.stripe.refunds.create({ charge })).rejects.toThrow('refuses this call');
  const { id } = await world.stripe.refunds.create({ charge, amount: 700 });
  expect(await pageText()).toContain('Fail the refund of 7.00 USD');
  await press('Fail the refund of 7.00 USD', id);
  expect(await pageText()).not.toContain('Fail the refund of 7.00 USD');
  expect((await world.stripe.refunds.retrieve(id)).status).toBe('failed');
});

it("the page's buttons dispute a charge and end the dispute", async () => {
  const charge = await pay();
  await press('Dispute this', charge);
  const [dispute] = (await world.stripe.disputes.list({ charge })).data;
  expect(await pageText()).toContain('dispute needs_response');
  await press('Dispute lost', dispute?.id);
  expect(await pageText()).toContain('dispute lost');

  await press('Dispute this', await pay());
  await press('Dispute won');
  expect(await pageText()).toContain('dispute won');
});

it("the page's buttons renew a saved card, as its bank does", async () => {
  const customer = await world.stripe.customers.create({});
  const card = await world.stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  expect(await pageText()).toMatch(/Saved cards[\s\S]*visa 4242[\s\S]*Renew by its bank/);
  await press('Renew by its bank', card.id);
  const renewed = await world.stripe.paymentMethods.retrieve(card.id);
  expect(renewed.card?.exp_year).toBe((card.card?.exp_year ?? 0) + 4);
  expect(await pageText()).toContain('payment_method.automatically_updated');
});

it("another site cannot press the page's buttons", async () => {
  const charge = await pay();
  const answer = await press('Refund this', charge, { origin: 'https://evil.example' });
  expect(answer.status).toBe(403);
  expect((await world.stripe.charges.retrieve(charge)).amount_refunded).toBe(0);
});
