import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Stripe from 'stripe';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ROUTES } from './api.ts';
import {
  asBrowser,
  PUBLISHABLE_KEY,
  sdkFor,
  startTestWorld,
  type TestWorld,
} from './test-world.ts';

let world: TestWorld;
let stripe: Stripe;

beforeAll(async () => {
  world = await startTestWorld();
  stripe = world.stripe;
});
afterEach(() => world.standIn.controls.clearFaults());
afterAll(() => world.stop());

/** Parameters that the SDK's types forbid, as an old program would send them. */
function untyped<T>(params: object): T {
  return params as T;
}

describe('authentication', () => {
  it('refuses a wrong secret key without repeating it', async () => {
    const wrong = sdkFor(world.standIn.url, 'sk_test_very_wrong_key_1234');
    const error = await wrong.customers.list().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
    expect(String(error)).not.toContain('very_wrong');
  });

  it('takes the secret key as the user name of Basic authentication too', async () => {
    const credentials = Buffer.from('sk_test_standin:').toString('base64');
    const response = await fetch(`${world.standIn.url}/v1/customers`, {
      headers: { authorization: `Basic ${credentials}` },
    });
    expect(response.status).toBe(200);
  });

  it('refuses another version of the API', async () => {
    await expect(stripe.customers.list({}, { apiVersion: '2024-06-20' })).rejects.toMatchObject({
      statusCode: 400,
    });
  });

  it('lets a publishable key read nothing but an intent whose client secret it has', async () => {
    const { url } = world.standIn;
    const intent = await stripe.paymentIntents.create({
      amount: 500,
      currency: 'usd',
      metadata: { topupId: 'secret to the browser' },
    });
    const path = `/v1/payment_intents/${intent.id}`;
    const clientSecret = intent.client_secret ?? '';

    const own = await asBrowser(url, 'GET', path, { client_secret: clientSecret });
    expect(own.body).toMatchObject({ id: intent.id, amount: 500 });
    expect(own.body).not.toHaveProperty('metadata');
    expect(own.body).not.toHaveProperty('customer');

    const foreign = await asBrowser(url, 'GET', path, { client_secret: `${clientSecret}x` });
    expect(foreign.status).toBe(400);
    expect((await asBrowser(url, 'GET', path, {})).status).toBe(401);
    const attempts = [
      asBrowser(url, 'POST', '/v1/refunds', { payment_intent: intent.id }),
      asBrowser(url, 'POST', `${path}/cancel`, { client_secret: clientSecret }),
    ];
    for (const { status, body } of await Promise.all(attempts)) {
      expect(status).toBe(401);
      expect(body.error).toMatchObject({ code: 'secret_key_required' });
    }
  });

  it('opens to a publishable key what a browser needs to pay, and no other route', async () => {
    const open: string[] = [];
    for (const { method, pattern } of ROUTES) {
      const path = pattern.source
        .slice(1, -1)
        .replaceAll('\\/', '/')
        .replace(/\(.*\)/, 'none');
      const { body } = await asBrowser(world.standIn.url, method, path, { client_secret: 'none' });
      const message = String(body.error?.message);
      if (!message.includes('cannot be made with a publishable API key')) {
        open.push(`${method} ${path}`);
      }
    }
    // They tell or change nothing without the client secret of an intent or of a customer's session,
    // but that a card is made of what was typed.
    expect(open.sort()).toEqual([
      'GET /v1/elements/sessions',
      'GET /v1/payment_intents/none',
      'GET /v1/setup_intents/none',
      'POST /v1/elements/payment_methods/none/detach',
      'POST /v1/payment_intents/none/confirm',
      'POST /v1/payment_methods',
      'POST /v1/setup_intents/none/confirm',
    ]);
  });

  it('lets any page call it with a publishable key', async () => {
    const response = await fetch(`${world.standIn.url}/v1/payment_methods`, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:3000' },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(PUBLISHABLE_KEY).toMatch(/^pk_test_/);
  });
});

describe('parameters', () => {
  it('refuses a parameter that does not exist, by its full name', async () => {
    await expect(
      stripe.customers.create(untyped({ address: { planet: 'Mars' } })),
    ).rejects.toMatchObject({ code: 'parameter_unknown', param: 'address[planet]' });
  });

  it.each([
    [
      'payment',
      () =>
        stripe.paymentIntents.create(
          untyped({ amount: 500, currency: 'usd', payment_method_types: ['card'] }),
        ),
    ],
    ['setup', () => stripe.setupIntents.create(untyped({ payment_method_types: ['card'] }))],
  ])(
    'refuses payment_method_types on a %s intent as 2026-10-28.endive does',
    async (_kind, create) => {
      await expect(create()).rejects.toMatchObject({
        code: 'payment_method_types_no_longer_supported',
        statusCode: 400,
      });
    },
  );

  it('refuses automatic methods beside a list of methods', async () => {
    await expect(
      stripe.paymentIntents.create({
        amount: 500,
        currency: 'usd',
        automatic_payment_methods: { enabled: true },
        allowed_payment_method_types: ['card'],
      }),
    ).rejects.toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
  });

  it('names a parameter that is missing or not a whole number', async () => {
    await expect(stripe.paymentIntents.create(untyped({ currency: 'usd' }))).rejects.toMatchObject({
      code: 'parameter_missing',
      param: 'amount',
    });
    await expect(
      stripe.paymentIntents.create({ amount: 10.5, currency: 'usd' }),
    ).rejects.toMatchObject({ code: 'parameter_invalid_integer', param: 'amount' });
  });

  it('answers 404 with a code for an object that is not there', async () => {
    await expect(stripe.paymentIntents.retrieve('pi_none')).rejects.toMatchObject({
      code: 'resource_missing',
      statusCode: 404,
    });
  });

  it('does not let a parameter name reach an object prototype', async () => {
    const response = await fetch(`${world.standIn.url}/v1/customers`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_standin' },
      body: 'metadata[__proto__][polluted]=1',
    });
    expect(response.status).toBe(400);
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('idempotency keys', () => {
  it('replay the stored answer to the same request and make nothing new', async () => {
    const params = { amount: 700, currency: 'usd', metadata: { topupId: 'idem-1' } };
    const first = await stripe.paymentIntents.create(params, { idempotencyKey: 'idem-1' });
    const second = await stripe.paymentIntents.create(params, { idempotencyKey: 'idem-1' });
    expect(second.id).toBe(first.id);
    expect(second.lastResponse.headers['idempotent-replayed']).toBe('true');
    expect(first.lastResponse.headers['idempotent-replayed']).toBeUndefined();
    expect(second.lastResponse.requestId).not.toBe(first.lastResponse.requestId);
  });

  it('refuse another request under the same key', async () => {
    const options = { idempotencyKey: 'idem-2' };
    await stripe.paymentIntents.create({ amount: 700, currency: 'usd' }, options);
    await expect(
      stripe.paymentIntents.create({ amount: 800, currency: 'usd' }, options),
    ).rejects.toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  });

  it('replay a decline instead of trying the card again', async () => {
    const params = {
      amount: 700,
      currency: 'usd',
      confirm: true,
      payment_method: 'pm_card_chargeDeclined',
      return_url: 'https://example.com/',
    };
    const options = { idempotencyKey: 'idem-3' };
    const intentIds = [];
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const error = await stripe.paymentIntents.create(params, options).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(Stripe.errors.StripeCardError);
      intentIds.push((error as Stripe.errors.StripeCardError).payment_intent?.id);
    }
    expect(intentIds[0]).toBe(intentIds[1]);
  });

  it('leave a key free after a malformed request', async () => {
    const options = { idempotencyKey: 'idem-4' };
    await expect(
      stripe.paymentIntents.create({ amount: 1, currency: 'usd' }, options),
    ).rejects.toMatchObject({ code: 'amount_too_small' });
    const made = await stripe.paymentIntents.create({ amount: 700, currency: 'usd' }, options);
    expect(made.amount).toBe(700);
  });
});

describe('lists and expansion', () => {
  it('page through everything once, newest first', async () => {
    const customer = await stripe.customers.create({});
    const made: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      const params = { amount: 500 + index, currency: 'usd', customer: customer.id };
      made.unshift((await stripe.paymentIntents.create(params)).id);
    }
    const listed: string[] = [];
    const params = { customer: customer.id, limit: 2 };
    for await (const intent of stripe.paymentIntents.list(params)) listed.push(intent.id);
    expect(listed).toEqual(made);
  });

  it('filter by the time of creation', async () => {
    const later = Math.floor(Date.now() / 1000) + 60;
    const none = await stripe.paymentIntents.list({ created: { gte: later } });
    expect(none.data).toEqual([]);
  });

  it('put objects where ids stood, several levels deep', async () => {
    const intent = await stripe.paymentIntents.create({
      amount: 900,
      currency: 'usd',
      confirm: true,
      payment_method: 'pm_card_visa',
      return_url: 'https://example.com/',
      expand: ['latest_charge.balance_transaction'],
    });
    expect(intent.latest_charge).toMatchObject({
      object: 'charge',
      balance_transaction: { object: 'balance_transaction', amount: 900 },
    });
    await expect(
      stripe.paymentIntents.retrieve(intent.id, { expand: ['amount'] }),
    ).rejects.toMatchObject({ param: 'expand' });
  });
});

describe('faults', () => {
  const params = { amount: 1200, currency: 'usd' };

  it.each(['error_after_commit', 'cut_after_commit'] as const)(
    'after %s the call has taken effect and its key brings the answer',
    async (fault) => {
      // The SDK itself tries once more when a connection is cut.
      world.standIn.controls.api(fault, { count: fault === 'cut_after_commit' ? 2 : 1 });
      const options = { idempotencyKey: `fault-${fault}` };
      await expect(stripe.paymentIntents.create(params, options)).rejects.toThrow();
      const before = await stripe.paymentIntents.list({ limit: 1 });
      const again = await stripe.paymentIntents.create(params, options);
      expect(again.id).toBe(before.data[0]?.id);
      expect(again.lastResponse.headers['idempotent-replayed']).toBe('true');
    },
  );

  it.each(['error_before_commit', 'rate_limit', 'refused'] as const)(
    'after %s nothing has happened',
    async (fault) => {
      const before = await stripe.paymentIntents.list({ limit: 1 });
      world.standIn.controls.api(fault, { pathPrefix: '/v1/payment_intents' });
      await stripe.customers.create({});
      await expect(stripe.paymentIntents.create(params)).rejects.toThrow();
      const after = await stripe.paymentIntents.list({ limit: 1 });
      expect(after.data[0]?.id).toBe(before.data[0]?.id);
    },
  );
});

describe('controls over HTTP', () => {
  it('work for programs and the own page, and for no other site', async () => {
    const post = (headers: Record<string, string>) =>
      fetch(`${world.standIn.url}/_control/decline-next`, { method: 'POST', headers, body: '{}' });
    expect((await post({})).status).toBe(200);
    expect((await post({ origin: world.standIn.url })).status).toBe(200);
    expect((await post({ origin: 'https://evil.example' })).status).toBe(403);
    expect((await post({ origin: 'null' })).status).toBe(403);
  });

  it('refuse a command they do not know', async () => {
    const response = await fetch(`${world.standIn.url}/_control/format-disk`, { method: 'POST' });
    expect(response.status).toBe(404);
    expect(await response.json()).toHaveProperty('error.message');
  });
});

describe('state', () => {
  let folder: string;
  let statePath: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stripe-standin-'));
    statePath = join(folder, 'state.json');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('outlives the process, idempotency keys and a line torn by a kill included', async () => {
    const options = { idempotencyKey: 'kept' };
    const params = { amount: 2500, currency: 'usd' };
    const before = await startTestWorld({ statePath });
    const made = await before.stripe.paymentIntents.create(params, options);
    await before.stop();
    appendFileSync(statePath, '["payment_intent","pi_torn",{"id":');
    const after = await startTestWorld({ statePath });
    const again = await after.stripe.paymentIntents.create(params, options);
    const read = await after.stripe.paymentIntents.retrieve(made.id);
    await after.stop();
    expect(again.id).toBe(made.id);
    expect(read.client_secret).toBe(made.client_secret);
  });

  it('that is damaged is refused and left as it is', async () => {
    writeFileSync(statePath, 'damaged\n["customer","cus_1",null]\n');
    await expect(startTestWorld({ statePath })).rejects.toThrow(/damaged at line 1/);
    expect(readFileSync(statePath, 'utf8')).toContain('damaged');
  });

  it('never holds the number of a card', async () => {
    const recording = await startTestWorld({ statePath });
    await asBrowser(recording.standIn.url, 'POST', '/v1/payment_methods', {
      type: 'card',
      'card[number]': '4242424242424242',
      'card[exp_month]': '12',
      'card[exp_year]': '2040',
      'card[cvc]': '987',
    });
    await recording.stop();
    expect(readFileSync(statePath, 'utf8')).not.toMatch(/4242424242424242|987"/);
  });
});
