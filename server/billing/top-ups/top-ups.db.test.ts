/** Top-ups from the form to the ledger, against the Stripe stand-in and a real database. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../http/operations.ts';
import { createLogger } from '../../log.ts';
import { inboxSummary } from '../../store/stripe-inbox.ts';
import { createStripeGateway } from '../../stripe/gateway.ts';
import {
  createStripeDispatcher,
  createStripeEvents,
  type StripeEvents,
} from '../stripe-events/stripe-events.ts';
import {
  type StripeWorld,
  startStripeWorld,
  WORLD_SECRET_KEY,
  WORLD_WEBHOOK_SECRET,
} from '../stripe-events/stripe-world.fixtures.ts';
import { createTopUps } from './top-ups.ts';

const logger = createLogger('silent');

let world: StripeWorld;
let eventsWithoutStripe: StripeEvents;
let users = 0;
let userId: string;

beforeAll(async () => {
  world = await startStripeWorld();
  eventsWithoutStripe = createStripeEvents({
    sql: world.database.app,
    gateway: createStripeGateway({ secretKey: WORLD_SECRET_KEY, apiBase: 'http://127.0.0.1:1' }),
  });
});

afterAll(() => world?.stop());

beforeEach(() => {
  users += 1;
  userId = `payer-${users}`;
  world.standIn.controls.clearFaults();
});

const start = (amount: string, attemptKey?: string) => world.start(userId, amount, attemptKey);

async function statusOf(eventId: string): Promise<string | undefined> {
  const [event] = await world.database.app<{ status: string }[]>`
    select status from stripe_inbox where event_id = ${eventId}`;
  return event?.status;
}

/** Waits until the stand-in has delivered what concerns the intent, and applies the whole inbox. */
async function applyInbox(intentId: string, type: string): Promise<string[]> {
  await world.arrived(intentId, type);
  return world.applyInbox();
}

describe('a top-up', () => {
  it('is credited by the webhook, not by the payment itself', async () => {
    const started = await start('25');
    const intentId = await world.pay(started);
    expect(await world.balanceOf(userId)).toBe(0n);
    await applyInbox(intentId, 'payment_intent.succeeded');
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({
      status: 'succeeded',
      creditedSeq: 2n,
    });
  });

  it('started twice with one attempt key pays once', async () => {
    const [first, second] = await Promise.all([start('25'), start('25')]);
    expect(second).toEqual(first);
    expect(await start('25.00')).toEqual(first);
    expect(
      await world.topUps.start({ userId, attemptKey: `attempt-${userId}`, amount: '26' }),
    ).toMatchObject({ ok: false, code: 'KEY_REUSED' });
  });

  it('that was paid already is not offered for payment again', async () => {
    const started = await start('25');
    await world.pay(started);
    expect(await start('25')).toMatchObject({ topUpId: started.topUpId, status: 'processing' });
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({ status: 'processing' });
  });

  it('whose page was told that it is paid is on its way, and credited by the webhook alone', async () => {
    const started = await start('25');
    const { topUpId } = started;
    const status = async () => (await world.topUps.get(userId, topUpId))?.status;
    await world.topUps.noteConfirmed(userId, topUpId);
    expect(await status(), 'whatever the page says').toBe('created');
    const intentId = await world.pay(started);
    await world.topUps.noteConfirmed('somebody-else', topUpId);
    expect(await status()).toBe('created');
    await world.topUps.noteConfirmed(userId, topUpId);
    expect(await status()).toBe('processing');
    expect(await world.balanceOf(userId)).toBe(0n);
    await applyInbox(intentId, 'payment_intent.succeeded');
    await world.topUps.noteConfirmed(userId, topUpId);
    expect(await status()).toBe('succeeded');
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
  });

  it('that is declined changes nothing, and a late failure never undoes a success', async () => {
    const started = await start('25');
    const intentId = await world.pay(started, 'pm_card_chargeDeclined');
    await applyInbox(intentId, 'payment_intent.payment_failed');
    expect(await world.balanceOf(userId)).toBe(0n);
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({
      status: 'failed',
      failureCode: 'generic_decline',
    });
    await world.pay(started);
    await applyInbox(intentId, 'payment_intent.succeeded');
    const [failure] = await world.database.owner<{ eventId: string }[]>`
      update stripe_inbox set status = 'waiting'
      where object_id = ${intentId} and type = 'payment_intent.payment_failed'
      returning event_id as "eventId"`;
    await world.events.apply(failure?.eventId ?? '');
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({ status: 'succeeded' });
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
  });

  it('is credited once however often its events are applied, also at once', async () => {
    const started = await start('25');
    const intentId = await world.pay(started);
    await applyInbox(intentId, 'payment_intent.succeeded');
    const stored = await world.database.owner<{ eventId: string }[]>`
      update stripe_inbox set status = 'waiting' where object_id = ${intentId}
      returning event_id as "eventId"`;
    await Promise.all(
      stored.flatMap(({ eventId }) =>
        Array.from({ length: 10 }, () => world.events.apply(eventId)),
      ),
    );
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
    expect((await world.wallets.ofUser(userId)).seq).toBe(2n);
  });

  it('survives an answer of Stripe that was lost after it was carried out', async () => {
    world.standIn.controls.api('cut_after_commit', { count: 5, pathPrefix: '/v1/payment_intents' });
    await world.topUps.start({ userId, attemptKey: `attempt-${userId}`, amount: '25' });
    world.standIn.controls.clearFaults();
    const started = await start('25');
    const intents = await world.stripe.paymentIntents.list({ limit: 100 });
    expect(
      intents.data.filter(({ metadata }) => metadata.topupId === started.topUpId),
    ).toHaveLength(1);
  });

  it('is credited after an outage of Stripe, however often it was tried meanwhile', async () => {
    const started = await start('25');
    const intentId = await world.pay(started);
    const eventId = await world.arrived(intentId, 'payment_intent.succeeded');
    await world.database.owner`update stripe_inbox set failures = 1000 where event_id = ${eventId}`;
    await expect(eventsWithoutStripe.apply(eventId)).rejects.toThrow('did not answer');
    expect(await statusOf(eventId)).toBe('waiting');
    await applyInbox(intentId, 'payment_intent.succeeded');
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
  });

  it('that cannot be applied for a week waits for a person', async () => {
    const started = await start('25');
    const intentId = await world.pay(started);
    const eventId = await world.arrived(intentId, 'payment_intent.succeeded');
    await world.database.owner`
      update stripe_inbox set waiting_since = now() - interval '8 days' where event_id = ${eventId}`;
    await expect(eventsWithoutStripe.apply(eventId)).rejects.toThrow('did not answer');
    expect(await statusOf(eventId)).toBe('dead');
  });

  it('is not lost when its success is announced before it can be read', async () => {
    const started = await start('25');
    const [intentId = ''] = started.clientSecret.split('_secret_');
    await world.database.owner`
      insert into stripe_inbox (event_id, type, object_id, livemode, payload)
      values (${`evt_early_${userId}`}, 'payment_intent.succeeded', ${intentId}, false, '{}')`;
    await expect(world.events.apply(`evt_early_${userId}`)).rejects.toThrow('still read as');
    await world.pay(started);
    await world.events.apply(`evt_early_${userId}`);
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
  });

  it('is credited by the sweep when no webhook ever comes', async () => {
    world.standIn.controls.webhooks('drop', { count: 100 });
    const started = await start('25');
    await world.pay(started);
    await world.database.owner`
      update top_ups set created_at = now() - interval '1 hour' where id = ${started.topUpId}`;
    await world.events.sweep(new Date());
    await world.events.sweep(new Date());
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({ status: 'succeeded' });
  });

  it('is refused when too many were started in an hour', async () => {
    for (let attempt = 0; attempt < 30; attempt += 1) {
      await start('25', `attempt-${userId}-${attempt}`);
    }
    expect(
      await world.topUps.start({ userId, attemptKey: `attempt-${userId}-more`, amount: '25' }),
    ).toMatchObject({ ok: false, code: 'THROTTLED' });
  });

  it.each([
    ['', 'INVALID_AMOUNT'],
    ['abc', 'INVALID_AMOUNT'],
    ['1e3', 'INVALID_AMOUNT'],
    ['-25', 'INVALID_AMOUNT'],
    ['25.001', 'INVALID_AMOUNT'],
    ['4.99', 'BELOW_MINIMUM'],
    ['1000.01', 'ABOVE_MAXIMUM'],
  ])('of "%s" is refused with %s and writes nothing', async (amount, code) => {
    expect(await world.topUps.start({ userId, attemptKey: 'attempt-bad', amount })).toMatchObject({
      ok: false,
      code,
    });
    expect(await world.topUps.list(userId)).toEqual([]);
  });

  it('of the test mode is not paid in the live one', async () => {
    const attemptKey = `attempt-${userId}`;
    await start('25', attemptKey);
    const live = createTopUps({
      sql: world.database.app,
      wallets: world.wallets,
      gateway: world.gateway,
      livemode: true,
      logger,
    });
    expect(await live.start({ userId, attemptKey, amount: '25' })).toMatchObject({
      ok: false,
      code: 'KEY_REUSED',
    });
  });

  it('cannot claim the credit of another, whoever writes it', async () => {
    const started = await start('25');
    const intentId = await world.pay(started);
    await applyInbox(intentId, 'payment_intent.succeeded');
    await expect(
      world.database.owner`
        insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor,
          livemode, status, credited_seq)
        select gen_random_uuid(), wallet_id, 'attempt-copy', currency, amount_micros, amount_minor,
          livemode, status, credited_seq
        from top_ups where id = ${started.topUpId}`,
    ).rejects.toThrow('top_ups_credited_once');
  });

  it('stays in sight when the user gets a wallet in another currency', async () => {
    const started = await start('25');
    await world.wallets.open({ userId, currency: 'EUR' }, 'system:test');
    expect((await world.wallets.ofUser(userId)).currency).toBe('USD');
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({ currency: 'USD' });
  });

  it('of another user cannot be seen', async () => {
    const started = await start('25');
    expect(await world.topUps.get('somebody-else', started.topUpId)).toBeNull();
  });
});

describe('a payment that does not match is quarantined and not credited', () => {
  it.each([
    ['amount', { amount: 2_600 }],
    ['currency', { currency: 'eur' }],
    ['customer', { customer: 'other' }],
    ['livemode', {}],
  ])('another %s', async (field, change) => {
    // The page's own intent is left unpaid; somebody pays one that claims the same top-up.
    const wallet = await world.wallets.ofUser(userId);
    const topUpId = crypto.randomUUID();
    const customer = await world.stripe.customers.create({});
    const stranger = await world.stripe.customers.create({});
    await world.database.owner`
      insert into stripe_customers (user_id, livemode, stripe_customer_id)
      values (${userId}, false, ${customer.id})`;
    await world.database.owner`
      insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode)
      values (${topUpId}, ${wallet.walletId}, 'attempt-x', 'USD', 25000000, 2500,
              ${field === 'livemode'})`;
    const intent = await world.stripe.paymentIntents.create({
      amount: 2_500,
      currency: 'usd',
      ...change,
      customer: 'customer' in change ? stranger.id : customer.id,
      metadata: { topupId: topUpId },
      automatic_payment_methods: { enabled: true },
      confirm: true,
      payment_method: 'pm_card_visa',
      return_url: 'http://localhost/done',
    });
    await applyInbox(intent.id, 'payment_intent.succeeded');
    expect(await world.balanceOf(userId)).toBe(0n);
    const [held] = await world.database.app`
      select reason from stripe_quarantine where payment_intent_id = ${intent.id}`;
    expect(held).toEqual({ reason: `${field} differs` });
    expect(await world.topUps.get(userId, topUpId)).toMatchObject({ status: 'quarantined' });
  });
});

describe('what a person has to look at', () => {
  /** The charge of a payment that names a top-up which there is not. */
  async function disputedCharge(): Promise<string> {
    const intent = await world.stripe.paymentIntents.create({
      amount: 500,
      currency: 'usd',
      metadata: { topupId: 'none' },
      automatic_payment_methods: { enabled: true },
      confirm: true,
      payment_method: 'pm_card_visa',
      return_url: 'http://localhost/done',
    });
    return String(intent.latest_charge);
  }

  it('is counted for operators: payments in quarantine, refunds and disputes, events given up', async () => {
    const before = await inboxSummary(world.database.app);
    await world.database.owner`
      insert into stripe_quarantine (payment_intent_id, reason) values ('pi_look', 'amount differs')`;
    // A dispute of a payment in quarantine, and an event that moves no money.
    const dispute = world.standIn.controls.disputeCharge(await disputedCharge());
    const disputeEventId = await world.arrived(dispute.id, 'charge.dispute.created');
    await world.database.owner`
      insert into stripe_inbox (event_id, type, object_id, livemode, payload)
      values ('evt_customer', 'customer.updated', 'x', false, '{}')`;
    await world.events.apply(disputeEventId);
    await world.events.apply('evt_customer');
    expect(await inboxSummary(world.database.app)).toMatchObject({
      quarantined: before.quarantined + 2,
      unhandled: before.unhandled + 1,
      ignored: before.ignored + 1,
    });
    const metrics = await createMetrics({
      inbox: () => inboxSummary(world.database.app),
      openDifferences: async () => 0,
      mail: async () => ({ waiting: 0, dead: 0, oldestSeconds: 0 }),
      refunds: async () => [],
    }).text();
    expect(metrics).toContain(
      `stripe_inbox_events{status="quarantined"} ${before.quarantined + 2}\n`,
    );
    expect(metrics).toContain(`stripe_inbox_events{status="unhandled"} ${before.unhandled + 1}\n`);
  });
});

describe('the webhook', () => {
  const body = JSON.stringify({
    id: 'evt_forged',
    object: 'event',
    type: 'payment_intent.succeeded',
    livemode: false,
    api_version: '2026-10-28.endive',
    data: { object: { id: 'pi_forged', object: 'payment_intent' } },
  });
  const nowSeconds = () => Math.floor(Date.now() / 1000);
  const sign = (payload: string, secret: string, timestamp: number, scheme = 'v1') =>
    world.stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp, scheme });

  async function deliver(payload: string, header: string | null): Promise<number> {
    const response = await fetch(world.webhookUrl, {
      method: 'POST',
      body: payload,
      ...(header !== null && { headers: { 'stripe-signature': header } }),
    });
    return response.status;
  }

  it.each<[string, () => [string, string | null]]>([
    ['no signature', () => [body, null]],
    ['an empty signature', () => [body, '']],
    ['a signature of nonsense', () => [body, 'nonsense']],
    ['a foreign secret', () => [body, sign(body, 'whsec_foreign', nowSeconds())]],
    ['an empty secret', () => [body, sign(body, ' ', nowSeconds())]],
    ['a tampered body', () => [`${body} `, sign(body, WORLD_WEBHOOK_SECRET, nowSeconds())]],
    [
      'a body that was parsed and written again',
      () => [
        JSON.stringify(JSON.parse(body), null, 2),
        sign(body, WORLD_WEBHOOK_SECRET, nowSeconds()),
      ],
    ],
    ['301 seconds of age', () => [body, sign(body, WORLD_WEBHOOK_SECRET, nowSeconds() - 301)]],
    ['the old scheme', () => [body, sign(body, WORLD_WEBHOOK_SECRET, nowSeconds(), 'v0')]],
    ['no time', () => [body, sign(body, WORLD_WEBHOOK_SECRET, nowSeconds()).replace(/t=\d+,/, '')]],
    [
      'another time than was signed',
      () => [
        body,
        sign(body, WORLD_WEBHOOK_SECRET, nowSeconds()).replace(/t=\d+/, `t=${nowSeconds() - 9}`),
      ],
    ],
    ['an empty body', () => ['', sign(body, WORLD_WEBHOOK_SECRET, nowSeconds())]],
  ])('refuses %s with 400 and stores nothing', async (_name, make) => {
    const [payload, header] = make();
    expect(await deliver(payload, header)).toBe(400);
    expect(
      await world.database.app`select 1 from stripe_inbox where event_id = 'evt_forged'`,
    ).toEqual([]);
  });

  it('stores an event once however often it is delivered', async () => {
    const genuine = body.replace('evt_forged', 'evt_twice');
    for (let delivery = 0; delivery < 3; delivery += 1) {
      expect(await deliver(genuine, sign(genuine, WORLD_WEBHOOK_SECRET, nowSeconds()))).toBe(200);
    }
    expect(
      await world.database.app`select type from stripe_inbox where event_id = 'evt_twice'`,
    ).toEqual([{ type: 'payment_intent.succeeded' }]);
    await world.database
      .owner`update stripe_inbox set status = 'dead' where event_id = 'evt_twice'`;
  });
});

describe('the dispatcher', () => {
  it('sends what is not applied again, each time under another id, and stops when it is applied', async () => {
    const started = await start('25');
    const intentId = await world.pay(started);
    const sent: { eventId: string; dispatchId: string }[] = [];
    const dispatcher = createStripeDispatcher({
      sql: world.database.app,
      send: async (event) => {
        sent.push(event);
      },
      intervalMs: 1_000,
      logger,
    });
    const due = () =>
      world.database
        .owner`update stripe_inbox set next_dispatch_at = now() where object_id = ${intentId}`;
    const sentFor = async () => {
      const mine = await world.database.app<{ eventId: string }[]>`
        select event_id as "eventId" from stripe_inbox
        where object_id = ${intentId} and type = 'payment_intent.succeeded'`;
      return sent.filter(({ eventId }) => eventId === mine[0]?.eventId);
    };
    for (let tries = 0; (await sentFor()).length < 2 && tries < 200; tries += 1) {
      await due();
      await dispatcher.tick();
      await new Promise((done) => setTimeout(done, 20));
    }
    const [first, second] = await sentFor();
    expect(first?.eventId).toBe(second?.eventId);
    expect(first?.dispatchId).not.toBe(second?.dispatchId);

    await applyInbox(intentId, 'payment_intent.succeeded');
    const before = sent.length;
    await due();
    await dispatcher.tick();
    expect(sent.slice(before)).toEqual([]);
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
  });

  it('has every event due again at once that Inngest did not take', async () => {
    const ids = [1, 2, 3].map((number) => `evt_untaken_${number}`);
    for (const id of ids) {
      await world.database.owner`
        insert into stripe_inbox (event_id, type, livemode, payload, dispatches, next_dispatch_at)
        values (${id}, 'payment_intent.succeeded', false, '{}', 12, now() - interval '1 day')`;
    }
    const sent: string[] = [];
    let isDown = true;
    const dispatcher = createStripeDispatcher({
      sql: world.database.app,
      send: async ({ eventId, dispatchId }) => {
        if (isDown) {
          throw new Error('Inngest is down');
        }
        sent.push(dispatchId);
        await world.database
          .owner`update stripe_inbox set status = 'ignored' where event_id = ${eventId}`;
      },
      intervalMs: 1_000,
      logger,
    });
    await expect(dispatcher.tick()).rejects.toThrow('Inngest is down');
    isDown = false;
    await dispatcher.tick();
    expect(sent).toEqual(expect.arrayContaining(ids.map((id) => `${id}:13`)));
  });
});
