/** Charges to a saved card while nobody is there to answer the bank. */
import Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorld, type TestWorld } from './test-world.ts';

let world: TestWorld;

beforeAll(async () => {
  world = await startTestWorld();
});

afterAll(() => world.stop());

async function savedCard(name: string) {
  const customer = await world.stripe.customers.create();
  const { id } = await world.stripe.paymentMethods.attach(name, { customer: customer.id });
  return { customer: customer.id, payment_method: id };
}

const charge = (
  card: { customer: string; payment_method: string },
  params: Partial<Stripe.PaymentIntentCreateParams> = {},
) =>
  world.stripe.paymentIntents.create({
    amount: 2_500,
    currency: 'usd',
    confirm: true,
    error_on_requires_action: true,
    ...card,
    ...params,
  });

async function refusalOf(promise: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Stripe.errors.StripeError)) {
    throw new Error('it was not refused');
  }
  return error;
}

describe('error_on_requires_action', () => {
  it.each([true, false])('refuses a card that asks its holder; off_session %s', async (off) => {
    const card = await savedCard('pm_card_authenticationRequired');
    const error = await refusalOf(
      charge(card, off ? { off_session: true } : { return_url: 'https://example.com' }),
    );
    expect(error).toMatchObject({ code: 'authentication_required', statusCode: 402 });
    expect(error.payment_intent).toMatchObject({
      status: 'requires_payment_method',
      last_payment_error: { payment_method: { id: card.payment_method } },
    });
  });

  it('charges a card that asks for nothing', async () => {
    const card = await savedCard('pm_card_visa');
    expect(await charge(card, { off_session: true })).toMatchObject({ status: 'succeeded' });
  });

  it('goes only with a confirmation', async () => {
    const card = await savedCard('pm_card_visa');
    const error = await refusalOf(charge(card, { confirm: false }));
    expect(error).toMatchObject({ statusCode: 400, param: 'error_on_requires_action' });
  });
});

it('a card that was removed is refused before any intent is made', async () => {
  const card = await savedCard('pm_card_visa');
  await world.stripe.paymentMethods.detach(card.payment_method);
  const error = await refusalOf(charge(card, { off_session: true }));
  expect(error).toMatchObject({ statusCode: 400, param: 'payment_method' });
  const { data } = await world.stripe.paymentIntents.list({ customer: card.customer });
  expect(data).toEqual([]);
});
