import type Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asBrowser, startTestWorld, type TestWorld } from './test-world.ts';

let world: TestWorld;
let stripe: Stripe;

beforeAll(async () => {
  world = await startTestWorld();
  stripe = world.stripe;
});
afterAll(() => world.stop());

const RETURN_URL = 'https://example.com/back';

function create(params: Partial<Stripe.PaymentIntentCreateParams> = {}) {
  return stripe.paymentIntents.create({ amount: 2500, currency: 'usd', ...params });
}

/** Event types that named an object of this payment intent, oldest first. */
async function eventsOf(intentId: string): Promise<string[]> {
  const { data } = await stripe.events.list({ limit: 100 });
  return data
    .filter((event) => JSON.stringify(event.data.object).includes(intentId))
    .map((event) => event.type)
    .reverse();
}

/** Types a card as the Payment Element does and confirms with it. */
async function payAsBrowser(intent: Stripe.PaymentIntent, number: string) {
  const { url } = world.standIn;
  const method = await asBrowser(url, 'POST', '/v1/payment_methods', {
    type: 'card',
    'card[number]': number,
    'card[exp_month]': '12',
    'card[exp_year]': '2040',
    'card[cvc]': '123',
  });
  return asBrowser(url, 'POST', `/v1/payment_intents/${intent.id}/confirm`, {
    client_secret: intent.client_secret ?? '',
    payment_method: String(method.body.id),
    use_stripe_sdk: 'true',
  });
}

async function answerChallenge(intent: Stripe.PaymentIntent, outcome: 'complete' | 'fail') {
  const body = new URLSearchParams({
    intent: intent.id,
    client_secret: intent.client_secret ?? '',
    outcome,
  });
  const url = `${world.standIn.url}/endive/three-d-secure`;
  return (await fetch(url, { method: 'POST', body })).json();
}

describe('a payment with 4242', () => {
  it('is received in full, charged once and announced in order', async () => {
    const intent = await create({ metadata: { topupId: 't-1' } });
    expect(intent.status).toBe('requires_payment_method');
    const confirmed = await payAsBrowser(intent, '4242 4242 4242 4242');
    expect(confirmed.body).toMatchObject({ status: 'succeeded' });

    const paid = await stripe.paymentIntents.retrieve(intent.id, { expand: ['latest_charge'] });
    expect(paid).toMatchObject({
      amount_received: 2500,
      livemode: false,
      metadata: { topupId: 't-1' },
      latest_charge: {
        amount_captured: 2500,
        payment_method_details: { card: { brand: 'visa', last4: '4242' } },
      },
    });
    expect(await eventsOf(intent.id)).toEqual([
      'payment_intent.created',
      'charge.succeeded',
      'payment_intent.succeeded',
    ]);
  });

  it('cannot be confirmed, changed or canceled again', async () => {
    const intent = await create();
    await payAsBrowser(intent, '4242424242424242');
    const again = await payAsBrowser(intent, '4242424242424242');
    expect(again.body.error).toMatchObject({ code: 'payment_intent_unexpected_state' });
    await expect(stripe.paymentIntents.update(intent.id, { amount: 1 })).rejects.toThrow();
    await expect(stripe.paymentIntents.cancel(intent.id)).rejects.toMatchObject({
      code: 'payment_intent_unexpected_state',
    });
    const charges = await stripe.charges.list({ payment_intent: intent.id });
    expect(charges.data).toHaveLength(1);
  });
});

describe('a refused card', () => {
  it.each([
    ['4000000000000002', 'card_declined', 'generic_decline'],
    ['4000000000009995', 'card_declined', 'insufficient_funds'],
    ['4000000000009987', 'card_declined', 'lost_card'],
    ['4000000000009979', 'card_declined', 'stolen_card'],
    ['4000000000000341', 'card_declined', 'generic_decline'],
    ['4100000000000019', 'card_declined', 'fraudulent'],
    ['4000000000000069', 'expired_card', undefined],
    ['4000000000000127', 'incorrect_cvc', undefined],
    ['4000000000000119', 'processing_error', undefined],
  ])('%s leaves the intent open to another card and says why', async (number, code, decline) => {
    const intent = await create();
    const { status, body } = await payAsBrowser(intent, number);
    expect(status).toBe(402);
    expect(body.error).toMatchObject({ type: 'card_error', code });
    expect(body.error?.decline_code).toBe(decline);
    const failed = await stripe.paymentIntents.retrieve(intent.id);
    expect(failed).toMatchObject({
      amount_received: 0,
      last_payment_error: { code },
      status: 'requires_payment_method',
    });
    expect(await eventsOf(intent.id)).toEqual([
      'payment_intent.created',
      'charge.failed',
      'payment_intent.payment_failed',
    ]);
    expect((await payAsBrowser(intent, '4242424242424242')).body.status).toBe('succeeded');
  });

  it('does not show the browser what only the secret key may see', async () => {
    const intent = await create({ metadata: { note: 'internal' } });
    const { body } = await payAsBrowser(intent, '4000000000000002');
    expect(body.error?.payment_intent).not.toHaveProperty('metadata');
  });

  it.each([
    ['4242424242424241', 'incorrect_number'],
    ['4111111111111111', 'card_declined'],
  ])('%s, which is no test card, makes no payment method', async (number, code) => {
    const answer = await asBrowser(world.standIn.url, 'POST', '/v1/payment_methods', {
      type: 'card',
      'card[number]': number,
      'card[exp_month]': '12',
      'card[exp_year]': '2040',
    });
    expect(answer.status).toBe(402);
    expect(answer.body.error).toMatchObject({ code });
    expect(JSON.stringify(answer.body)).not.toContain(number);
  });

  it('happens to the next payment on request, whatever its card', async () => {
    world.standIn.controls.declineNext('insufficient_funds');
    const declined = await payAsBrowser(await create(), '4242424242424242');
    expect(declined.body.error).toMatchObject({ decline_code: 'insufficient_funds' });
    const next = await payAsBrowser(await create(), '4242424242424242');
    expect(next.body.status).toBe('succeeded');
  });
});

describe('3-D Secure', () => {
  it('is paid after the challenge and not before', async () => {
    const intent = await create();
    const asked = await payAsBrowser(intent, '4000002760003184');
    expect(asked.body).toMatchObject({
      status: 'requires_action',
      next_action: { type: 'use_stripe_sdk' },
    });
    expect((await stripe.charges.list({ payment_intent: intent.id })).data).toEqual([]);
    expect(await answerChallenge(intent, 'complete')).toMatchObject({ status: 'succeeded' });
    expect(await answerChallenge(intent, 'complete')).toMatchObject({ status: 'succeeded' });
    expect((await stripe.charges.list({ payment_intent: intent.id })).data).toHaveLength(1);
  });

  it('that fails takes nothing and says so', async () => {
    const intent = await create();
    await payAsBrowser(intent, '4000002500003155');
    await answerChallenge(intent, 'fail');
    expect(await stripe.paymentIntents.retrieve(intent.id)).toMatchObject({
      amount_received: 0,
      last_payment_error: { code: 'payment_intent_authentication_failure' },
      status: 'requires_payment_method',
    });
  });

  it('cannot be answered without the client secret', async () => {
    const intent = await create();
    await payAsBrowser(intent, '4000002760003184');
    const forged = { ...intent, client_secret: `${intent.id}_secret_guess` };
    expect(await answerChallenge(forged, 'complete')).toHaveProperty('error');
    expect((await stripe.paymentIntents.retrieve(intent.id)).status).toBe('requires_action');
  });

  it('off-session is refused with authentication_required', async () => {
    const customer = await stripe.customers.create({});
    const method = await stripe.paymentMethods.attach('pm_card_authenticationRequired', {
      customer: customer.id,
    });
    await expect(
      create({
        confirm: true,
        customer: customer.id,
        off_session: true,
        payment_method: method.id,
      }),
    ).rejects.toMatchObject({ code: 'authentication_required', type: 'StripeCardError' });
  });
});

describe('saved cards', () => {
  it('a card paid with setup_future_usage is kept and pays off-session', async () => {
    const customer = await stripe.customers.create({});
    const intent = await create({ customer: customer.id, setup_future_usage: 'off_session' });
    await payAsBrowser(intent, '4242424242424242');
    const [card] = (await stripe.paymentMethods.list({ customer: customer.id })).data;
    const later = await create({
      confirm: true,
      customer: customer.id,
      off_session: true,
      payment_method: card?.id ?? '',
    });
    expect(later.status).toBe('succeeded');
  });

  it('a card paid once and not kept cannot be used again', async () => {
    const intent = await create();
    await payAsBrowser(intent, '4242424242424242');
    const { payment_method: used } = await stripe.paymentIntents.retrieve(intent.id);
    await expect(
      create({ confirm: true, payment_method: String(used), return_url: RETURN_URL }),
    ).rejects.toThrow(/previously used/);
  });

  it("another customer's card is refused", async () => {
    const [one, two] = [await stripe.customers.create({}), await stripe.customers.create({})];
    const card = await stripe.paymentMethods.attach('pm_card_visa', { customer: one.id });
    await expect(
      create({
        confirm: true,
        customer: two.id,
        payment_method: card.id,
        return_url: RETURN_URL,
      }),
    ).rejects.toMatchObject({ param: 'payment_method' });
  });

  it('set up with 3-D Secure pay off-session without it, a declined one is not kept', async () => {
    const customer = await stripe.customers.create({});
    const setup = await stripe.setupIntents.create({
      confirm: true,
      customer: customer.id,
      payment_method: 'pm_card_authenticationRequiredOnSetup',
      return_url: RETURN_URL,
    });
    expect(setup.next_action?.redirect_to_url?.return_url).toBe(RETURN_URL);
    const body = new URLSearchParams({
      intent: setup.id,
      client_secret: setup.client_secret ?? '',
      outcome: 'complete',
    });
    await fetch(`${world.standIn.url}/endive/three-d-secure`, { method: 'POST', body });
    await expect(
      stripe.setupIntents.create({
        confirm: true,
        customer: customer.id,
        payment_method: 'pm_card_chargeDeclined',
        return_url: RETURN_URL,
      }),
    ).rejects.toMatchObject({ code: 'card_declined' });
    const { data: cards } = await stripe.customers.listPaymentMethods(customer.id);
    expect(cards.map((card) => card.card?.last4)).toEqual(['3155']);
    const paid = await create({
      confirm: true,
      customer: customer.id,
      off_session: true,
      payment_method: cards[0]?.id ?? '',
    });
    expect(paid.status).toBe('succeeded');
  });

  it('are shown to the element only through a customer session that allows it', async () => {
    const customer = await stripe.customers.create({});
    const card = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
    await stripe.paymentMethods.update(card.id, { allow_redisplay: 'always' });
    const session = await stripe.customerSessions.create({
      customer: customer.id,
      components: {
        payment_element: {
          enabled: true,
          features: { payment_method_redisplay: 'enabled', payment_method_remove: 'disabled' },
        },
      },
    });
    const { url } = world.standIn;
    const path = '/v1/elements/sessions';
    const secret = { customer_session_client_secret: session.client_secret };
    const shown = await asBrowser(url, 'GET', path, secret);
    expect(shown.body).toMatchObject({ payment_methods: [{ id: card.id, last4: '4242' }] });
    expect((await asBrowser(url, 'GET', path, {})).body).toMatchObject({ payment_methods: [] });
    const removal = `/v1/elements/payment_methods/${card.id}/detach`;
    expect((await asBrowser(url, 'POST', removal, secret)).status).toBe(404);
  });
});

describe('amounts', () => {
  it.each([
    ['usd', 49],
    ['jpy', 49],
    ['gbp', 29],
    ['kwd', 150],
  ])('%s %i is below what Stripe charges', async (currency, amount) => {
    await expect(create({ amount, currency })).rejects.toMatchObject({
      code: 'amount_too_small',
      param: 'amount',
    });
  });

  it.each([
    ['usd', 50],
    ['jpy', 50],
    ['kwd', 1500],
  ])('%s %i is taken to the unit', async (currency, amount) => {
    const intent = await create({
      amount,
      confirm: true,
      currency,
      payment_method: 'pm_card_visa',
      return_url: RETURN_URL,
    });
    expect(intent).toMatchObject({ amount_received: amount, currency });
  });

  it('of three decimals must end in 0, of nine digits and unknown currencies are refused', async () => {
    await expect(create({ amount: 1501, currency: 'kwd' })).rejects.toThrow(/last digit/);
    await expect(create({ amount: 100_000_000 })).rejects.toMatchObject({
      code: 'amount_too_large',
    });
    await expect(create({ currency: 'xyz' })).rejects.toMatchObject({ param: 'currency' });
  });
});

it('a canceled intent cannot be paid any more', async () => {
  const intent = await create();
  const canceled = await stripe.paymentIntents.cancel(intent.id, {
    cancellation_reason: 'abandoned',
  });
  expect(canceled).toMatchObject({ cancellation_reason: 'abandoned', status: 'canceled' });
  const { body } = await payAsBrowser(intent, '4242424242424242');
  expect(body.error).toMatchObject({ code: 'payment_intent_unexpected_state' });
});
