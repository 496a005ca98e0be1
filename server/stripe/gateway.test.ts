import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Stripe from 'stripe';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { asBrowser, SECRET_KEY, startTestWorld, type TestWorld } from '../dev/stripe/test-world.ts';
import { StripeGatewayError } from './errors.ts';
import { createStripeGateway, type StripeGateway } from './gateway.ts';

let world: TestWorld;
let gateway: StripeGateway;
let customerId: string;

beforeAll(async () => {
  world = await startTestWorld();
  gateway = createStripeGateway({ secretKey: SECRET_KEY, apiBase: world.standIn.url });
  customerId = (await gateway.createCustomer({ userId: 'u-1', idempotencyKey: 'u-1' })).id;
});
afterEach(() => world.standIn.controls.clearFaults());
afterAll(() => world.stop());

let topUps = 0;

function topUp(given: Partial<Parameters<StripeGateway['createTopUpIntent']>[0]> = {}) {
  topUps += 1;
  return gateway.createTopUpIntent({
    amountMinor: 2500n,
    currency: 'USD',
    customerId,
    idempotencyKey: `top-up-${topUps}`,
    topUpId: `t-${topUps}`,
    ...given,
  });
}

function pay(intentId: string, card = 'pm_card_visa') {
  const params = { payment_method: card, return_url: 'https://example.com/' };
  return world.stripe.paymentIntents.confirm(intentId, params);
}

async function errorOf(promise: Promise<unknown>): Promise<StripeGatewayError> {
  const error = await promise.catch((caught: unknown) => caught);
  if (!(error instanceof StripeGatewayError)) throw new Error(`not a gateway error: ${error}`);
  return error;
}

describe('a top-up intent', () => {
  it('carries the top-up, the customer and the amount to the minor unit', async () => {
    const intent = await topUp({ receiptEmail: 'ada@example.com' });
    expect(intent).toMatchObject({
      amountMinor: 2500n,
      amountReceivedMinor: 0n,
      card: null,
      currency: 'USD',
      customerId,
      lastError: null,
      livemode: false,
      status: 'requires_payment_method',
      topUpId: `t-${topUps}`,
    });
    const atStripe = await world.stripe.paymentIntents.retrieve(intent.id);
    expect(atStripe).toMatchObject({
      automatic_payment_methods: { enabled: true },
      currency: 'usd',
      receipt_email: 'ada@example.com',
      setup_future_usage: null,
    });
  });

  it('is made once for its key, also when the answer is lost on the way', async () => {
    world.standIn.controls.api('cut_after_commit', { count: 2 });
    const first = await topUp({ idempotencyKey: 'once', topUpId: 'once' });
    const second = await topUp({ idempotencyKey: 'once', topUpId: 'once' });
    const all = await world.stripe.paymentIntents.list({ customer: customerId, limit: 100 });
    expect(second.id).toBe(first.id);
    expect(all.data.filter(({ metadata }) => metadata.topupId === 'once')).toHaveLength(1);
  });

  it('shows what was received and from which card once it is paid', async () => {
    const intent = await topUp();
    await pay(intent.id);
    expect(await gateway.retrieveIntent(intent.id)).toMatchObject({
      amountReceivedMinor: 2500n,
      card: { brand: 'visa', last4: '4242' },
      status: 'succeeded',
    });
  });

  it('shows why the last attempt failed', async () => {
    const intent = await topUp();
    await expect(pay(intent.id, 'pm_card_chargeDeclinedInsufficientFunds')).rejects.toThrow();
    expect(await gateway.retrieveIntent(intent.id)).toMatchObject({
      amountReceivedMinor: 0n,
      lastError: { code: 'insufficient_funds', message: 'Your card has insufficient funds.' },
      status: 'requires_payment_method',
    });
  });

  it('can be canceled until it is paid', async () => {
    const open = await topUp();
    expect(await gateway.cancelIntent(open.id)).toMatchObject({ status: 'canceled' });
    const paid = await topUp();
    await pay(paid.id);
    expect(await errorOf(gateway.cancelIntent(paid.id))).toMatchObject({
      code: 'PAYMENT_PROVIDER_REFUSED',
      providerCode: 'payment_intent_unexpected_state',
      retryable: false,
    });
  });
});

describe('saved cards', () => {
  it('of a payment that saves are listed without their numbers, and removed', async () => {
    const intent = await topUp({ saveForLater: true });
    await pay(intent.id, 'pm_card_mastercard');
    const [card, ...others] = (await gateway.listCards(customerId)) ?? [];
    expect(others).toEqual([]);
    expect(card).toMatchObject({ brand: 'mastercard', expMonth: 12, last4: '4444' });
    await gateway.detachCard(card?.id ?? '');
    expect(await gateway.listCards(customerId)).toEqual([]);
  });

  it('are added by a setup intent for cards alone, made once for its key', async () => {
    const [first, second] = await Promise.all([
      gateway.createSetupIntent({ customerId, idempotencyKey: 'setup-1' }),
      gateway.createSetupIntent({ customerId, idempotencyKey: 'setup-1' }),
    ]);
    expect(second).toEqual(first);
    expect(await world.stripe.setupIntents.retrieve(first.id)).toMatchObject({
      allowed_payment_method_types: ['card'],
      client_secret: first.clientSecret,
      customer: customerId,
      usage: 'off_session',
    });
  });

  it('of a deleted customer are null, and of one that never was an error', async () => {
    const gone = await gateway.createCustomer({ userId: 'u-gone', idempotencyKey: 'u-gone' });
    await world.stripe.paymentMethods.attach('pm_card_visa', { customer: gone.id });
    await world.stripe.customers.del(gone.id);
    expect(await gateway.listCards(gone.id)).toBeNull();
    expect(await errorOf(gateway.listCards('cus_never'))).toMatchObject({
      code: 'PAYMENT_PROVIDER_REFUSED',
      providerCode: 'resource_missing',
    });
  });

  it('are all shown by the session, however they were saved, and new ones saved off-session', async () => {
    const { id } = await gateway.createCustomer({ userId: 'u-many', idempotencyKey: 'u-many' });
    for (let count = 0; count < 4; count += 1) {
      await world.stripe.paymentMethods.attach('pm_card_visa', { customer: id });
    }
    const { clientSecret } = await gateway.createCustomerSession(id);
    const { body } = await asBrowser(world.standIn.url, 'GET', '/v1/elements/sessions', {
      customer_session_client_secret: clientSecret,
    });
    expect(body.payment_methods).toHaveLength(4);
    expect(body.features).toMatchObject({
      payment_method_redisplay: 'enabled',
      payment_method_remove: 'enabled',
      payment_method_save: 'enabled',
      payment_method_save_usage: 'off_session',
    });
  });

  it('are opened to the browser by a session that ends', async () => {
    const session = await gateway.createCustomerSession(customerId);
    expect(session.clientSecret).toMatch(/^cuss_secret_/);
    expect(session.expiresAt.getTime()).toBeGreaterThan(Date.now());
  });
});

it('lists every intent of a range once, over several pages, and none outside of it', async () => {
  const from = new Date(Date.now() - 1000);
  const made = new Set<string>();
  for (let index = 0; index < 105; index += 1) made.add((await topUp()).id);
  const to = new Date(Date.now() + 1000);
  const listed: string[] = [];
  for await (const intent of gateway.listIntents({ from, to })) listed.push(intent.id);
  expect(listed).toHaveLength(new Set(listed).size);
  expect(listed.filter((id) => made.has(id))).toHaveLength(105);
  const later = { from: to, to: new Date(to.getTime() + 60_000) };
  for await (const intent of gateway.listIntents(later)) throw new Error(`outside: ${intent.id}`);
});

describe('errors', () => {
  it('say unavailable and retryable when Stripe fails, limits or does not answer', async () => {
    for (const fault of ['error_before_commit', 'rate_limit'] as const) {
      world.standIn.controls.api(fault, { count: 10 });
      expect(await errorOf(topUp())).toMatchObject({
        code: 'PAYMENT_PROVIDER_UNAVAILABLE',
        retryable: true,
      });
      world.standIn.controls.clearFaults();
    }
    const nobody = createServer();
    await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
    const { port } = nobody.address() as AddressInfo;
    await new Promise((resolve) => nobody.close(resolve));
    const away = createStripeGateway({
      secretKey: SECRET_KEY,
      apiBase: `http://127.0.0.1:${port}`,
    });
    expect(await errorOf(away.retrieveIntent('pi_1'))).toMatchObject({
      code: 'PAYMENT_PROVIDER_UNAVAILABLE',
      retryable: true,
    });
  });

  it('say refused when Stripe says no, and name its code', async () => {
    expect(await errorOf(gateway.retrieveIntent('pi_none'))).toMatchObject({
      code: 'PAYMENT_PROVIDER_REFUSED',
      message: 'Stripe refused to read a payment intent (resource_missing)',
      providerRequestId: expect.stringMatching(/^req_/),
      retryable: false,
    });
    expect(await errorOf(topUp({ amountMinor: 1n }))).toMatchObject({
      providerCode: 'amount_too_small',
    });
    await topUp({ idempotencyKey: 'used' });
    expect(await errorOf(topUp({ idempotencyKey: 'used' }))).toMatchObject({
      providerCode: 'idempotency_error',
      retryable: false,
    });
  });

  it('carry neither keys nor addresses nor the request', async () => {
    const wrong = createStripeGateway({
      secretKey: 'sk_test_never_to_be_seen',
      apiBase: world.standIn.url,
    });
    const key = await errorOf(wrong.listCards(customerId));
    const email = 'not an address@';
    const bad = await errorOf(
      gateway.createCustomer({ userId: 'u-2', email, idempotencyKey: 'u-2' }),
    );
    for (const error of [key, bad]) {
      const everything = `${JSON.stringify(error)} ${error.stack} ${String(error.cause)}`;
      expect(everything).not.toMatch(/to_be_seen|not an address/);
    }
    expect(bad.providerCode).toBe('email_invalid');
  });

  it('an amount that a number cannot hold is refused before it is sent', async () => {
    await expect(topUp({ amountMinor: 2n ** 60n })).rejects.toBeInstanceOf(RangeError);
  });
});

it('apiBase must be an origin', () => {
  for (const apiBase of ['ftp://127.0.0.1', 'http://127.0.0.1/v1', 'http://user@127.0.0.1']) {
    expect(() => createStripeGateway({ secretKey: SECRET_KEY, apiBase })).toThrow(/apiBase/);
  }
});

it('speaks the version of the API that the SDK pins', () => {
  expect(Stripe.API_VERSION).toBe('2026-10-28.endive');
});
