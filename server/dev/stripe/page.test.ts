import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestWorld, type TestWorld } from './test-world.ts';

let world: TestWorld;

beforeAll(async () => {
  world = await startTestWorld();
});
afterAll(() => world.stop());

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

function run(
  command: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
) {
  return fetch(`${world.standIn.url}/run/${command}`, {
    method: 'POST',
    redirect: 'manual',
    headers,
    body: new URLSearchParams(fields),
  });
}

async function pageText(): Promise<string> {
  return (await fetch(world.standIn.url)).text();
}

it("the developer's page shows payments and events and offers what can be done with them", async () => {
  const charge = await pay();
  expect(await pageText()).toMatch(
    /25\.00 USD[\s\S]*succeeded[\s\S]*Dispute this[\s\S]*Refund this/,
  );
  expect(await pageText()).toContain('payment_intent.succeeded');

  expect((await run('refund-charge', { charge })).status).toBe(303);
  expect(await pageText()).toContain('25.00 USD refunded');
  expect((await world.stripe.charges.retrieve(charge)).amount_refunded).toBe(2500);
});

it("the page's buttons refuse the next refund, and fail one that was made", async () => {
  const charge = await pay();
  await run('api', { fault: 'refused', pathPrefix: '/v1/refunds' });
  await expect(world.stripe.refunds.create({ charge })).rejects.toThrow('refuses this call');
  const { id } = await world.stripe.refunds.create({ charge, amount: 700 });
  expect(await pageText()).toContain('Fail the refund of 7.00 USD');
  await run('fail-refund', { refund: id });
  expect(await pageText()).not.toContain('Fail the refund of 7.00 USD');
  expect((await world.stripe.refunds.retrieve(id)).status).toBe('failed');
});

it("the page's buttons dispute a charge and end the dispute", async () => {
  const charge = await pay();
  await run('dispute-charge', { charge });
  const [dispute] = (await world.stripe.disputes.list({ charge })).data;
  expect(await pageText()).toContain('dispute needs_response');
  await run('close-dispute', { dispute: dispute?.id ?? '', end: 'lost' });
  expect(await pageText()).toContain('dispute lost');
});

it("the page's buttons renew a saved card, as its bank does", async () => {
  const customer = await world.stripe.customers.create({});
  const card = await world.stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  expect(await pageText()).toMatch(/Saved cards[\s\S]*visa 4242[\s\S]*Renew by its bank/);
  await run('renew-card', { card: card.id });
  const renewed = await world.stripe.paymentMethods.retrieve(card.id);
  expect(renewed.card?.exp_year).toBe((card.card?.exp_year ?? 0) + 4);
  expect(await pageText()).toContain('payment_method.automatically_updated');
});

it("another site cannot press the page's buttons", async () => {
  const charge = await pay();
  const answer = await run('refund-charge', { charge }, { origin: 'https://evil.example' });
  expect(answer.status).toBe(403);
  expect((await world.stripe.charges.retrieve(charge)).amount_refunded).toBe(0);
});
