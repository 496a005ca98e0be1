/** What operators see and decide, against the stand-in and a real database. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { EVERY_WALLET } from '../../store/ledger.ts';
import { createStripeGateway } from '../../stripe/gateway.ts';
import type { InboxFilter, StripeDesk } from '../../views/stripe-desk.ts';
import { createPayloadTrimmer } from './payload-trimmer.ts';
import { createStripeDesk } from './stripe-desk.ts';
import { withoutPersonalData } from './stripe-payload.ts';
import { type StripeWorld, startStripeWorld, WORLD_SECRET_KEY } from './stripe-world.fixtures.ts';

const logger = createLogger('silent');
const ALL: InboxFilter = { status: null, type: null, objectId: null };
let world: StripeWorld;
let desk: StripeDesk;
let users = 0;
let userId: string;

beforeAll(async () => {
  world = await startStripeWorld();
  desk = deskOf();
});
afterAll(() => world?.stop());

beforeEach(() => {
  users += 1;
  userId = `desk-${users}`;
  world.standIn.controls.clearFaults();
});

function deskOf(change: { livemode?: boolean; apiBase?: string } = {}): StripeDesk {
  const { apiBase = world.standIn.url, livemode = false } = change;
  return createStripeDesk({
    sql: world.database.app,
    gateway: createStripeGateway({ secretKey: WORLD_SECRET_KEY, apiBase }),
    stripeEvents: world.events,
    livemode,
    logger,
  });
}

const owner = () => world.database.owner;

/** A payment that claims a top-up of the user and is not what was asked for: 26 and not 25 USD. */
async function quarantined(change: { currency?: string; metadata?: { topupId: string } } = {}) {
  const { walletId } = await world.wallets.ofUser(userId);
  const topUpId = crypto.randomUUID();
  const customer = await world.stripe.customers.create({});
  await owner()`
    insert into stripe_customers (user_id, livemode, stripe_customer_id)
    values (${userId}, false, ${customer.id})`;
  await owner()`
    insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode)
    values (${topUpId}, ${walletId}, 'attempt-x', 'USD', 25000000, 2500, false)`;
  const { id, latest_charge } = await world.stripe.paymentIntents.create({
    amount: 2_600,
    currency: 'usd',
    customer: customer.id,
    metadata: { topupId: topUpId },
    automatic_payment_methods: { enabled: true },
    confirm: true,
    payment_method: 'pm_card_visa',
    return_url: 'http://localhost/done',
    ...change,
  });
  await world.arrived(id, 'payment_intent.succeeded');
  await world.applyInbox();
  expect(await world.balanceOf(userId)).toBe(0n);
  return { topUpId, walletId, paymentIntentId: id, chargeId: String(latest_charge) };
}

const resolve = (
  paymentIntentId: string,
  as: 'credited' | 'refunded' | 'dismissed',
  walletId: string | null = null,
  by = desk,
) => by.resolve({ paymentIntentId, as, walletId, note: 'Asked by mail', actor: 'support:7' });

async function creditsOf(paymentIntentId: string) {
  return owner()<{ actor: string; amount: bigint; detail: Record<string, unknown> }[]>`
    select actor, balance_delta_micros as amount, detail from wallet_events
    where type = 'top_up' and detail ->> 'paymentIntentId' = ${paymentIntentId}`;
}

async function wholeLedgerIsSound(): Promise<void> {
  const [checked] = await owner()<{ found: bigint; differences: unknown }[]>`
    select found, differences from verify_wallets(${EVERY_WALLET.from}, ${EVERY_WALLET.to}, 10)`;
  expect(checked?.differences ?? []).toEqual([]);
}

describe('a payment in quarantine', () => {
  it('is shown with its reason and the figures of both sides', async () => {
    const { paymentIntentId, topUpId, walletId } = await quarantined();
    const { payments } = await desk.quarantine({ resolved: false });
    expect(payments[0]).toMatchObject({
      paymentIntentId,
      reason: 'amount differs',
      paid: { currency: 'USD', amountMicros: 26_000_000n, livemode: false },
      asked: { topUpId, walletId, userId, currency: 'USD', amountMicros: 25_000_000n },
      resolved: null,
    });
    expect(payments[0]?.paid?.customerId).toBe(payments[0]?.asked?.customerId);
  });

  it('is credited with what was received, once, with who decided and why', async () => {
    const { paymentIntentId, topUpId, walletId } = await quarantined();
    expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({
      ok: true,
      replayed: false,
    });
    expect(await world.balanceOf(userId)).toBe(26_000_000n);
    expect(await creditsOf(paymentIntentId)).toEqual([
      {
        actor: 'support:7',
        amount: 26_000_000n,
        detail: { topUpId, paymentIntentId, quarantined: 'amount differs' },
      },
    ]);
    expect(await desk.quarantined(paymentIntentId)).toMatchObject({
      resolved: { as: 'credited', by: 'support:7', note: 'Asked by mail', walletId },
    });
    expect(await world.topUps.get(userId, topUpId)).toMatchObject({
      status: 'succeeded',
      amountMicros: 26_000_000n,
    });
    const { payments } = await desk.quarantine({ resolved: false });
    expect(payments.map((each) => each.paymentIntentId)).not.toContain(paymentIntentId);
    await wholeLedgerIsSound();
  });

  it('is credited once by any number of people at once, while its events are applied, too', async () => {
    const { paymentIntentId, walletId } = await quarantined();
    const other = await world.wallets.ofUser(`${userId}-other`);
    const answers = await Promise.all([
      ...Array.from({ length: 6 }, () => resolve(paymentIntentId, 'credited', walletId)),
      ...Array.from({ length: 6 }, () => resolve(paymentIntentId, 'credited', other.walletId)),
      ...Array.from({ length: 6 }, () => world.events.applyPayment(paymentIntentId)),
    ]);
    expect(await creditsOf(paymentIntentId)).toHaveLength(1);
    const fresh = answers.filter((each) => 'ok' in each && each.ok && !each.replayed);
    expect(fresh).toHaveLength(1);
    expect((await world.events.applyPayment(paymentIntentId)).outcome).toBe('ALREADY_CREDITED');
    expect(await resolve(paymentIntentId, 'dismissed')).toMatchObject({
      ok: false,
      code: 'ALREADY_RESOLVED',
    });
    const [sum] = await Promise.all([
      world.balanceOf(userId).then(async (own) => own + (await world.balanceOf(`${userId}-other`))),
    ]);
    expect(sum).toBe(26_000_000n);
    await wholeLedgerIsSound();
  });

  it('that names no top-up is credited to the wallet that a person finds', async () => {
    const { paymentIntentId } = await quarantined({ metadata: { topupId: crypto.randomUUID() } });
    const { walletId } = await world.wallets.ofUser(`${userId}-right`);
    expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({ ok: true });
    expect(await world.balanceOf(`${userId}-right`)).toBe(26_000_000n);
    expect(await world.topUps.list(`${userId}-right`)).toMatchObject([
      { status: 'succeeded', amountMicros: 26_000_000n },
    ]);
    await wholeLedgerIsSound();
  });

  it('credited to another wallet leaves the top-up that it claimed unpaid', async () => {
    const { paymentIntentId, topUpId } = await quarantined();
    await owner()`update top_ups set payment_intent_id = ${paymentIntentId} where id = ${topUpId}`;
    const { walletId } = await world.wallets.ofUser(`${userId}-right`);
    expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({ ok: true });
    expect(await world.balanceOf(`${userId}-right`)).toBe(26_000_000n);
    expect(await world.balanceOf(userId)).toBe(0n);
    expect(await world.topUps.get(userId, topUpId)).toMatchObject({ status: 'canceled' });
    await wholeLedgerIsSound();
  });

  it('is recorded as refunded only when Stripe has refunded all of it', async () => {
    const { paymentIntentId, chargeId, walletId, topUpId } = await quarantined();
    expect(await resolve(paymentIntentId, 'refunded')).toMatchObject({
      code: 'NOT_REFUNDED_AT_STRIPE',
    });
    await world.stripe.refunds.create({ charge: chargeId });
    expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({
      code: 'REFUNDED_AT_STRIPE',
    });
    expect(await resolve(paymentIntentId, 'refunded')).toMatchObject({ ok: true, seq: null });
    expect(await resolve(paymentIntentId, 'refunded')).toMatchObject({ ok: true, replayed: true });
    expect((await world.events.applyPayment(paymentIntentId)).outcome).toBe(
      'QUARANTINED: amount differs',
    );
    expect(await world.topUps.get(userId, topUpId)).toMatchObject({
      status: 'canceled',
      failureCode: 'refunded',
    });
    expect(await world.balanceOf(userId)).toBe(0n);
  });

  it('is dismissed with a note, and stays so whatever events come later', async () => {
    const { paymentIntentId, walletId } = await quarantined();
    expect(await resolve(paymentIntentId, 'dismissed')).toMatchObject({ ok: true });
    await world.events.applyPayment(paymentIntentId);
    expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({
      code: 'ALREADY_RESOLVED',
    });
    expect(await creditsOf(paymentIntentId)).toEqual([]);
  });

  it('is not credited to a wallet of another currency, that is closed, or that does not exist', async () => {
    const { paymentIntentId } = await quarantined();
    const euro = await world.wallets.open(
      { userId: `${userId}-eur`, currency: 'EUR' },
      'test:desk',
    );
    const closed = await world.wallets.open({ userId: `${userId}-closed` }, 'test:desk');
    await owner()`
      select change_wallet_status(${closed.walletId}, 'closed', 'test:desk', '{"reason":"test"}')`;
    for (const [walletId, code] of [
      [euro.walletId, 'CURRENCY_DIFFERS'],
      [closed.walletId, 'WALLET_CLOSED'],
      [crypto.randomUUID(), 'WALLET_NOT_FOUND'],
      ['nonsense', 'WALLET_NOT_FOUND'],
      [null, 'WALLET_NOT_FOUND'],
    ] as const) {
      expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({ code });
    }
    expect(await desk.quarantined(paymentIntentId)).toMatchObject({ resolved: null });
  });

  it("is not credited when it is of Stripe's other mode, is disputed, or Stripe is silent", async () => {
    const { paymentIntentId, walletId, chargeId } = await quarantined();
    expect(
      await resolve(paymentIntentId, 'credited', walletId, deskOf({ livemode: true })),
    ).toMatchObject({ code: 'LIVEMODE_DIFFERS' });
    expect(
      await resolve(
        paymentIntentId,
        'credited',
        walletId,
        deskOf({ apiBase: 'http://127.0.0.1:1' }),
      ),
    ).toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
    world.standIn.controls.disputeCharge(chargeId);
    expect(await resolve(paymentIntentId, 'credited', walletId)).toMatchObject({
      code: 'DISPUTED_AT_STRIPE',
    });
    expect(await creditsOf(paymentIntentId)).toEqual([]);
  });

  it('cannot be decided about without a reason', async () => {
    const { paymentIntentId } = await quarantined();
    await expect(
      desk.resolve({ paymentIntentId, as: 'dismissed', walletId: null, note: '  ', actor: 'x' }),
    ).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('keeps its decision against its owner, and none says credited that is not', async () => {
    const { paymentIntentId } = await quarantined();
    const { walletId } = await world.wallets.ofUser(userId);
    await expect(
      owner()`
        update stripe_quarantine set resolution = 'credited', resolved_at = now(), resolved_by = 'x',
          note = 'x', credited_wallet_id = ${walletId}, credited_seq = 1
        where payment_intent_id = ${paymentIntentId}`,
    ).rejects.toThrow('stripe_quarantine_credit');
    await resolve(paymentIntentId, 'dismissed');
    await expect(
      owner()`update stripe_quarantine set note = 'other' where payment_intent_id = ${paymentIntentId}`,
    ).rejects.toThrow('resolved once');
    await expect(
      owner()`delete from stripe_quarantine where payment_intent_id = ${paymentIntentId}`,
    ).rejects.toThrow('never forgotten');
    await expect(world.database.app`update stripe_quarantine set note = 'other'`).rejects.toThrow(
      'permission denied',
    );
  });

  it('is found page by page', async () => {
    for (let n = 0; n < 3; n += 1) {
      users += 1;
      userId = `desk-${users}`;
      await quarantined();
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await desk.quarantine({ resolved: false, cursor, limit: 2 });
      seen.push(...page.payments.map((each) => each.paymentIntentId));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    const all = await owner()<{ id: string }[]>`
      select payment_intent_id as id from stripe_quarantine where resolution is null
      order by created_at desc, payment_intent_id desc`;
    expect(seen).toEqual(all.map(({ id }) => id));
  });
});

describe('the inbox', () => {
  async function store(events: { id: string; type: string; status: string; payload?: object }[]) {
    for (const { id, type, status, payload = {} } of events) {
      await owner()`
        insert into stripe_inbox (event_id, type, object_id, livemode, status, payload, finished_at)
        values (${id}, ${type}, 'pi_inbox', false, ${status},
          ${JSON.stringify(payload)}::text::jsonb,
          case when ${status} = 'waiting' then null else now() end)`;
    }
  }

  it('is listed by status, type and object, newest first, page by page', async () => {
    const ids = ['evt_a', 'evt_b', 'evt_c', 'evt_d', 'evt_e'];
    await store(
      ids.map((id, n) => ({
        id,
        type: n % 2 === 0 ? 'customer.updated' : 'charge.updated',
        status: n < 3 ? 'ignored' : 'dead',
      })),
    );
    // Events of one moment have an order, too.
    await owner()`
      update stripe_inbox set received_at = '2030-01-01T00:00:00.123456Z'
      where event_id = any (${`{${ids.join(',')}}`}::text[])`;
    const list = async (filter: Partial<InboxFilter>, limit: number) => {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await desk.events({ ...ALL, ...filter }, { cursor, limit });
        seen.push(...page.events.map(({ eventId }) => eventId));
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined);
      return seen;
    };
    const object = { objectId: 'pi_inbox' };
    expect(await list(object, 2)).toEqual([...ids].reverse());
    expect(await list({ ...object, status: 'dead' }, 1)).toEqual(['evt_e', 'evt_d']);
    expect(await list({ ...object, type: 'charge.' }, 10)).toEqual(['evt_d', 'evt_b']);
    const { events } = await desk.events(ALL, { cursor: 'tampered', limit: 1 });
    expect(events[0]?.eventId).toBe('evt_e');
  });

  it('shows an event without personal data', async () => {
    const payload = {
      id: 'evt_personal',
      data: {
        object: {
          id: 'pi_1',
          amount: 2_500,
          client_secret: 'pi_1_secret_abcdef',
          receipt_email: 'jane@example.com',
          shipping: { name: 'Jane Doe', phone: '+14155550132' },
          metadata: { topupId: 't-1', contact: 'write to jane@example.com' },
          charges: [{ billing_details: { name: 'Jane Doe', address: { line1: '1 Main St' } } }],
          last_payment_error: { message: 'Call +1 415 555 0132', payment_method: { name: null } },
          evidence: { customer_name: 'Jane Doe', uncategorized_text: 'She was there' },
        },
      },
    };
    await store([{ id: 'evt_personal', type: 'charge.updated', status: 'dead', payload }]);
    await owner()`
      update stripe_inbox set last_error = 'could not', failures = 3 where event_id = 'evt_personal'`;
    const event = await desk.event('evt_personal');
    expect(event).toMatchObject({ status: 'dead', lastError: 'could not', failures: 3 });
    const shown = event?.payload ?? '';
    for (const personal of ['jane', 'Jane', '415', 'Main St', 'there', 'abcdef']) {
      expect(shown).not.toContain(personal);
    }
    expect(JSON.parse(shown)).toMatchObject({
      data: { object: { id: 'pi_1', amount: 2_500, metadata: { topupId: 't-1' } } },
    });
    expect(await desk.event('evt_nowhere')).toBeNull();
    expect(withoutPersonalData(null)).toBe('null');
  });

  it('replays any event at any time: what was done stays done, what was dead is applied', async () => {
    const intentId = await world.pay(await world.start(userId, '25'));
    const eventId = await world.arrived(intentId, 'payment_intent.succeeded');
    await owner()`
      update stripe_inbox set status = 'dead', last_error = 'gone',
        received_at = now() - interval '9 days'
      where event_id = ${eventId}`;
    expect(await desk.replay(eventId)).toEqual({ ok: true, outcome: 'CREDITED' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => desk.replay(eventId)));
    expect(answers.every((answer) => answer?.ok)).toBe(true);
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
    expect(await desk.event(eventId)).toMatchObject({ status: 'applied', lastError: null });
    expect(await desk.replay('evt_nowhere')).toBeNull();
  });

  it('says why a replayed event could not be applied, and keeps it', async () => {
    await store([{ id: 'evt_hopeless', type: 'payment_intent.succeeded', status: 'dead' }]);
    expect(await desk.replay('evt_hopeless')).toEqual({
      ok: false,
      outcome: expect.stringContaining('resource_missing'),
    });
    expect(await desk.event('evt_hopeless')).toMatchObject({
      status: 'waiting',
      failures: 1,
      lastError: expect.stringContaining('resource_missing'),
    });
    await owner()`delete from stripe_inbox where event_id = 'evt_hopeless'`;
  });

  it('forgets after 30 days what done events told of people, but never the events', async () => {
    const payload = { id: 'x', created: 1, data: { object: { id: 'pi_inbox', name: 'Jane' } } };
    await store([
      { id: 'evt_old', type: 'charge.updated', status: 'applied', payload },
      { id: 'evt_old_dead', type: 'charge.updated', status: 'dead', payload },
      { id: 'evt_new', type: 'charge.updated', status: 'applied', payload },
    ]);
    await owner()`
      update stripe_inbox set finished_at = now() - interval '31 days'
      where event_id in ('evt_old', 'evt_old_dead')`;
    const trimmer = createPayloadTrimmer({
      sql: world.database.app,
      clock: () => new Date(),
      intervalMs: 60_000,
      logger,
    });
    expect(await trimmer.tick()).toBe(1);
    expect(await trimmer.tick()).toBe(0);
    const [old] = await owner()`select payload from stripe_inbox where event_id = 'evt_old'`;
    expect(old?.payload).toEqual({
      id: 'evt_old',
      type: 'charge.updated',
      created: 1,
      data: { object: { id: 'pi_inbox' } },
    });
    for (const id of ['evt_old_dead', 'evt_new']) {
      expect((await owner()`select payload from stripe_inbox where event_id = ${id}`)[0]).toEqual({
        payload,
      });
    }
    expect(
      await world.events.receive({
        id: 'evt_old',
        type: 'charge.updated',
        livemode: false,
        apiVersion: null,
        objectId: null,
        payload: '{}',
      }),
    ).toBe(false);
  });
});

describe('open differences', () => {
  it('are listed newest first, page by page, with what they mean', async () => {
    const found = ['pi_x', 'pi_y', 'pi_z'].map((objectId) => ({
      objectId,
      problem: 'not_paid',
      happenedAt: new Date(),
      walletId: null,
      topUpId: null,
      atStripe: { status: 'canceled' },
      inLedger: null,
    }));
    await owner()`select record_differences('payment', ${JSON.stringify(found)}::text::jsonb)`;
    const first = await desk.differences({ limit: 2 });
    expect(first.compared).toBeNull();
    expect(first.differences).toMatchObject([
      { objectId: 'pi_z', meaning: 'credited, and not paid at Stripe' },
      { objectId: 'pi_y' },
    ]);
    const second = await desk.differences({ limit: 2, cursor: first.nextCursor ?? '' });
    expect(second).toMatchObject({ differences: [{ objectId: 'pi_x' }], nextCursor: null });
    await owner()`select touch_reconciliation('2026-03-10', true)`;
    expect((await desk.differences({})).compared).toEqual({
      at: expect.any(Date),
      from: new Date('2026-02-03T00:00:00Z'),
      to: new Date('2026-03-11T00:00:00Z'),
    });
  });
});
