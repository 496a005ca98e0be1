/** Saved cards against the Stripe stand-in and a real database. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type Stripe from 'stripe';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SECRET_KEY, startTestWorld, type TestWorld } from '../../dev/stripe/test-world.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { receivedEvent } from '../../http/stripe-webhook.ts';
import { createLogger } from '../../log.ts';
import { savedCards } from '../../store/saved-cards.ts';
import { inboxSummary, trimPayloads } from '../../store/stripe-inbox.ts';
import { findStripeCustomer } from '../../store/top-ups.ts';
import { createStripeGateway, type StripeGateway } from '../../stripe/gateway.ts';
import type { CardServices } from '../../views/cards.ts';
import { createStripeEvents, type StripeEvents } from '../stripe-events/stripe-events.ts';
import { createCustomerOf } from '../top-ups/stripe-customers.ts';
import { createPaymentMethods } from './payment-methods.ts';

const logger = createLogger('silent');

let database: TestDatabase;
let world: TestWorld;
let stripe: Stripe;
let gateway: StripeGateway;
let cards: CardServices;
let cardsWithoutStripe: CardServices;
let events: StripeEvents;
let userId: string;
let now = new Date();

beforeAll(async () => {
  database = await createTestDatabase();
  world = await startTestWorld();
  stripe = world.stripe;
  gateway = createStripeGateway({ secretKey: SECRET_KEY, apiBase: world.standIn.url });
  const away = createStripeGateway({ secretKey: SECRET_KEY, apiBase: 'http://127.0.0.1:1' });
  const common = { sql: database.app, livemode: false, now: () => now, logger };
  cards = createPaymentMethods({ ...common, gateway });
  cardsWithoutStripe = createPaymentMethods({ ...common, gateway: away });
  events = createStripeEvents({ sql: database.app, gateway });
});

afterAll(async () => {
  await world?.stop();
  await database?.close();
});

beforeEach(() => {
  userId = `holder-${randomUUID()}`;
  now = new Date();
  world.standIn.controls.clearFaults();
});

const customerOf = (user = userId) =>
  createCustomerOf({ sql: database.app, gateway, livemode: false })(user);

/** Saves one of Stripe's test cards, as a payment that saves it does. */
async function attach(card = 'pm_card_visa', user = userId): Promise<string> {
  const attached = await stripe.paymentMethods.attach(card, { customer: await customerOf(user) });
  return attached.id;
}

async function listed(user = userId) {
  return (await cards.list(user)).cards;
}

async function last4s(user = userId): Promise<string[]> {
  return (await listed(user)).map(({ last4 }) => last4);
}

/** Events of Stripe that came after a moment, oldest first. */
function eventsSince(known: ReadonlySet<string>): Stripe.Event[] {
  const all = world.standIn.controls.events(1_000).map(({ event }) => event);
  return all.filter(({ id }) => !known.has(id)).reverse();
}

function knownEvents(): Set<string> {
  return new Set(world.standIn.controls.events(1_000).map(({ event }) => event.id));
}

/** Brings an event by the way of the webhook, and applies it. */
async function deliver(event: Stripe.Event): Promise<string> {
  await events.receive(receivedEvent(event, JSON.stringify(event)));
  return (await events.apply(event.id)).outcome;
}

/** The cards as they stand in the database, without asking Stripe. */
async function recorded(user = userId) {
  return savedCards(database.app, user, false);
}

describe('the list', () => {
  it('is empty for who has never paid, without asking Stripe', async () => {
    expect(await cardsWithoutStripe.list(userId)).toEqual({ cards: [], isCurrent: true });
  });

  it('shows what is saved at Stripe, the first card as the default', async () => {
    const [visa, mastercard] = [await attach(), await attach('pm_card_mastercard')];
    expect(await cards.list(userId)).toMatchObject({
      isCurrent: true,
      cards: [
        { id: visa, brand: 'visa', last4: '4242', name: null, expiry: 'valid' },
        { id: mastercard, brand: 'mastercard', last4: '4444' },
      ],
    });
  });

  it('shows what is known, and says so, when Stripe cannot be asked', async () => {
    await attach();
    await cards.list(userId);
    await attach('pm_card_mastercard');
    expect(await cardsWithoutStripe.list(userId)).toMatchObject({
      isCurrent: false,
      cards: [{ last4: '4242' }],
    });
  });

  it('tells which cards expire within 60 days and which have expired', async () => {
    const card = await attach();
    await stripe.paymentMethods.update(card, { card: { exp_month: 3, exp_year: 2031 } });
    for (const [at, expiry] of [
      ['2031-01-30T23:59:59Z', 'valid'],
      ['2031-01-31T00:00:00Z', 'soon'],
      ['2031-03-31T23:59:59Z', 'soon'],
      ['2031-04-01T00:00:00Z', 'expired'],
    ] as const) {
      now = new Date(at);
      expect(await listed(), at).toMatchObject([{ expiry }]);
    }
  });
});

describe('a card', () => {
  it('is named, and the name is taken away again', async () => {
    const card = await attach();
    await cards.list(userId);
    expect(await cards.rename(userId, card, '  Company\n card ')).toEqual({ ok: true });
    expect(await listed()).toMatchObject([{ name: 'Company card' }]);
    expect(await cards.rename(userId, card, ' ')).toEqual({ ok: true });
    expect(await listed()).toMatchObject([{ name: null }]);
  });

  it('gets no name that is too long or holds a card number', async () => {
    const card = await attach();
    await cards.list(userId);
    for (const name of ['x'.repeat(41), '4242 4242 4242 4242', 'my 4242-4242-4242-4242']) {
      const refused = await cards.rename(userId, card, name);
      expect(refused, name).toMatchObject({ ok: false, code: 'INVALID_NAME' });
    }
    expect(await listed()).toMatchObject([{ name: null }]);
  });

  it('becomes the default, and the others follow in their order', async () => {
    await attach('pm_card_visa');
    await attach('pm_card_mastercard');
    const amex = await attach('pm_card_amex');
    expect(await last4s()).toEqual(['4242', '4444', '0005']);
    await cards.move(userId, amex, 1);
    expect(await last4s()).toEqual(['0005', '4242', '4444']);
  });

  it('is removed at Stripe and here', async () => {
    const [visa] = [await attach(), await attach('pm_card_mastercard')];
    await cards.list(userId);
    expect(await cards.remove(userId, visa)).toEqual({ ok: true });
    expect((await stripe.paymentMethods.retrieve(visa)).customer).toBeNull();
    expect(await recorded()).toMatchObject([{ last4: '4444' }]);
    expect(await cards.remove(userId, visa)).toMatchObject({ ok: false, code: 'NOT_FOUND' });
  });

  it('stays when Stripe cannot be reached, and the answer says so', async () => {
    const card = await attach();
    await cards.list(userId);
    expect(await cardsWithoutStripe.remove(userId, card)).toMatchObject({
      ok: false,
      code: 'PAYMENT_PROVIDER_UNAVAILABLE',
    });
    expect(await last4s()).toEqual(['4242']);
  });

  it('stays when Stripe fails, and goes when only its answer was lost', async () => {
    const card = await attach();
    await cards.list(userId);
    world.standIn.controls.api('error_before_commit', { count: 3 });
    expect(await cards.remove(userId, card)).toMatchObject({ ok: false });
    expect(await recorded()).toHaveLength(1);
    world.standIn.controls.clearFaults();
    world.standIn.controls.api('cut_after_commit', { count: 3 });
    expect(await cards.remove(userId, card)).toEqual({ ok: true });
    expect(await recorded()).toEqual([]);
  });

  it('that was removed elsewhere counts as removed', async () => {
    const card = await attach();
    await cards.list(userId);
    await stripe.paymentMethods.detach(card);
    expect(await cards.remove(userId, card)).toEqual({ ok: true });
    expect(await recorded()).toEqual([]);
  });

  it('of somebody else is neither named, moved nor removed', async () => {
    const card = await attach();
    await cards.list(userId);
    const stranger = `stranger-${userId}`;
    await attach('pm_card_mastercard', stranger);
    await cards.list(stranger);
    for (const change of [
      cards.rename(stranger, card, 'Mine'),
      cards.move(stranger, card, 1),
      cards.remove(stranger, card),
    ]) {
      expect(await change).toMatchObject({ ok: false, code: 'NOT_FOUND' });
    }
    expect(await listed()).toMatchObject([{ id: card, name: null }]);
  });
});

describe('adding a card', () => {
  async function confirm(clientSecret: string, card: string): Promise<void> {
    const [id = ''] = clientSecret.split('_secret_');
    await stripe.setupIntents.confirm(id, {
      payment_method: card,
      return_url: 'http://localhost/back',
    });
  }

  async function start(attemptKey = `attempt-${userId}`): Promise<string> {
    const started = await cards.startAdding({ userId, attemptKey });
    if (!started.ok) throw new Error(started.code);
    return started.clientSecret;
  }

  it('saves it for payments without its holder, and shows it at once', async () => {
    const clientSecret = await start();
    await confirm(clientSecret, 'pm_card_visa');
    expect(await last4s()).toEqual(['4242']);
    const [id = ''] = clientSecret.split('_secret_');
    expect(await stripe.setupIntents.retrieve(id)).toMatchObject({ usage: 'off_session' });
  });

  it('twice with one attempt key is one setup, also when the answer is lost', async () => {
    await customerOf();
    world.standIn.controls.api('cut_after_commit', { count: 1 });
    const [first, second] = await Promise.all([start(), start()]);
    expect(second).toBe(first);
    const { data } = await stripe.setupIntents.list({ customer: await customerOf() });
    expect(data).toHaveLength(1);
  });

  it('that the bank declines saves nothing, and another card is saved by the same setup', async () => {
    const clientSecret = await start();
    await expect(confirm(clientSecret, 'pm_card_chargeDeclined')).rejects.toThrow('declined');
    expect(await last4s()).toEqual([]);
    await confirm(clientSecret, 'pm_card_visa');
    expect(await last4s()).toEqual(['4242']);
  });

  it('is refused when Stripe cannot be reached, and after too many tries in an hour', async () => {
    expect(
      await cardsWithoutStripe.startAdding({ userId, attemptKey: 'attempt-away' }),
    ).toMatchObject({ ok: false, code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
    for (let tries = 0; tries < 20; tries += 1) await start(`attempt-${tries}`);
    expect(await cards.startAdding({ userId, attemptKey: 'attempt-20' })).toMatchObject({
      ok: false,
      code: 'THROTTLED',
    });
  });
});

describe('events', () => {
  it('record the card that a setup saved, renew its expiry date, and forget it', async () => {
    let known = knownEvents();
    const setup = await stripe.setupIntents.create({
      customer: await customerOf(),
      payment_method: 'pm_card_visa',
      confirm: true,
    });
    const happened = async () => {
      const came = eventsSince(known);
      known = knownEvents();
      for (const event of came) await deliver(event);
      return came.map(({ type }) => type);
    };
    expect(await happened()).toEqual(
      expect.arrayContaining(['setup_intent.succeeded', 'payment_method.attached']),
    );
    const [card] = await recorded();
    expect(card).toMatchObject({ paymentMethodId: setup.payment_method, last4: '4242' });

    world.standIn.controls.renewCard(card?.paymentMethodId ?? '');
    expect(await happened()).toEqual(['payment_method.automatically_updated']);
    expect(await recorded()).toMatchObject([{ expYear: (card?.expYear ?? 0) + 4 }]);

    await stripe.paymentMethods.detach(card?.paymentMethodId ?? '');
    expect(await happened()).toEqual(['payment_method.detached']);
    expect(await recorded()).toEqual([]);
  });

  it('of cards are applied in the inbox, and those of strangers change nothing', async () => {
    const known = knownEvents();
    const before = await inboxSummary(database.app);
    const card = await attach();
    const stranger = await stripe.customers.create({});
    await stripe.paymentMethods.attach('pm_card_visa', { customer: stranger.id });
    await stripe.paymentMethods.update(card, { metadata: { a: 'b' } });
    const outcomes = new Map<string, string[]>();
    for (const event of eventsSince(known)) {
      const outcome = await deliver(event);
      outcomes.set(event.type, [...(outcomes.get(event.type) ?? []), outcome]);
    }
    expect(Object.fromEntries(outcomes)).toMatchObject({
      'customer.created': ['moves no money', 'moves no money'],
      'payment_method.attached': ['cards recorded', 'no customer of ours'],
      'payment_method.updated': ['cards recorded'],
    });
    const after = await inboxSummary(database.app);
    expect(after.applied - before.applied).toBe(3);
    expect(after.waiting).toBe(before.waiting);
  });

  it('wait while Stripe cannot be asked', async () => {
    const known = knownEvents();
    await attach();
    const [attached] = eventsSince(known).filter(({ type }) => type === 'payment_method.attached');
    if (attached === undefined) throw new Error('no card was attached');
    const away = createStripeEvents({
      sql: database.app,
      gateway: createStripeGateway({ secretKey: SECRET_KEY, apiBase: 'http://127.0.0.1:1' }),
    });
    const waiting = events;
    events = away;
    await expect(deliver(attached)).rejects.toThrow('did not answer');
    events = waiting;
    expect(await recorded()).toEqual([]);
    expect(await deliver(attached)).toBe('cards recorded');
    expect(await recorded()).toHaveLength(1);
  });

  it('of a deleted customer remove its cards, and the user gets another customer', async () => {
    await attach();
    await cards.list(userId);
    const deleted = await customerOf();
    const known = knownEvents();
    await stripe.customers.del(deleted);
    for (const event of eventsSince(known).reverse()) await deliver(event);
    expect(await recorded()).toEqual([]);
    expect(await findStripeCustomer(database.app, userId, false)).toBeNull();
    const next = await customerOf();
    expect(next).not.toBe(deleted);
    expect(await stripe.customers.retrieve(next)).toMatchObject({ metadata: { userId } });
  });

  it('are applied anew also when their payload was trimmed after a month', async () => {
    const known = knownEvents();
    const card = await attach();
    await stripe.paymentMethods.detach(card);
    const came = eventsSince(known).filter(({ type }) => type.startsWith('payment_method.'));
    for (const event of came) await deliver(event);
    await trimPayloads(database.app, new Date(Date.now() + 60_000), 1_000);
    for (const { id } of came)
      expect(await events.replay(id)).toEqual({ outcome: 'cards recorded' });
  });

  it('that never came of a deleted customer are made up for by the page that pays', async () => {
    const deleted = await customerOf();
    await stripe.customers.del(deleted);
    expect(await cards.session(userId)).toMatch(/^cuss_secret_/);
    expect(await customerOf()).not.toBe(deleted);
  });

  it('in any order, doubled and at once end with the cards that Stripe has', async () => {
    const step = fc.constantFrom('attach', 'attach', 'detach', 'renew', 'update');
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 2, maxLength: 8 }),
        fc.infiniteStream(fc.nat()),
        async (steps, random) => {
          const user = `holder-${randomUUID()}`;
          const customer = await customerOf(user);
          const known = knownEvents();
          const attached: string[] = [];
          for (const what of steps) {
            const id = attached.at(-1);
            if (what === 'attach' || id === undefined) attached.push(await attach(undefined, user));
            else if (what === 'detach') await stripe.paymentMethods.detach(attached.pop() ?? '');
            else if (what === 'renew') world.standIn.controls.renewCard(id);
            else await stripe.paymentMethods.update(id, { card: { exp_month: 1 } });
          }
          const came = eventsSince(known);
          const shuffled = [...came, ...came]
            .map((event) => ({ event, place: random.next().value }))
            .sort((a, b) => a.place - b.place);
          await Promise.all(shuffled.map(({ event }) => deliver(event)));
          const { data } = await stripe.paymentMethods.list({ customer });
          const atStripe = data.map(({ id, card }) => [id, card?.exp_month, card?.exp_year]);
          const here = (await recorded(user)).map((card) => [
            card.paymentMethodId,
            card.expMonth,
            card.expYear,
          ]);
          expect(here.sort()).toEqual(atStripe.sort());
        },
      ),
      { numRuns: 20 },
    );
  });
});

it('nothing of a card but its brand, last digits and expiry is in the database', async () => {
  await attach();
  await cards.list(userId);
  const [row] = await database.app`select * from saved_cards where user_id = ${userId}`;
  expect(Object.keys(row ?? {}).sort()).toEqual([
    'brand',
    'created_at',
    'exp_month',
    'exp_year',
    'last4',
    'livemode',
    'name',
    'payment_method_id',
    'position',
    'user_id',
  ]);
});
