/** The ledger against Stripe's list, with the stand-in and a real database. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { openDifferences, takeUnreported } from '../../store/reconciliation.ts';
import { type StripeWorld, startStripeWorld } from '../stripe-events/stripe-world.fixtures.ts';
import { createReconcileWatchdog } from './reconcile-watchdog.ts';
import type { Comparer } from './reconciling.ts';
import { comparison } from './reconciling.ts';

const HOUR_MS = 3_600_000;
let world: StripeWorld;
let users = 0;
let userId: string;

beforeAll(async () => {
  world = await startStripeWorld();
});
afterAll(() => world?.stop());

beforeEach(() => {
  users += 1;
  userId = `compared-${users}`;
  world.standIn.controls.clearFaults();
});

const soon = (ms: number) => new Date(Date.now() + ms);
/** All that these tests make. */
const range = () => ({ from: soon(-HOUR_MS), to: soon(HOUR_MS) });

/** Compares as of an hour from now, so that nothing is still on its way. */
async function compare({ settle = false, now = soon(HOUR_MS) } = {}): Promise<string[]> {
  const found: string[] = [];
  await world.reconciliation(now).compare({
    range: range(),
    settle,
    onDifference: (_kind, { objectId, problem }) => {
      found.push(`${objectId} ${problem}`);
    },
  });
  return found;
}

/** What is wrong with one payment. */
async function problemsOf(objectId: string, options?: Parameters<typeof compare>[0]) {
  const found = (await compare(options)).map((each) => each.split(' '));
  return found.filter(([id]) => id === objectId).map(([, problem]) => problem);
}

/** A top-up that is paid at Stripe; its webhook is lost unless it is `credited`. */
async function paid({ credited, user = userId }: { credited: boolean; user?: string }) {
  if (!credited) world.standIn.controls.webhooks('drop', { count: 100 });
  const started = await world.start(user, '25');
  const intentId = await world.pay(started);
  if (credited) {
    await world.arrived(intentId, 'payment_intent.succeeded');
    await world.applyInbox();
  }
  return { topUpId: started.topUpId, intentId };
}

const owner = () => world.database.owner;
const PAID = {
  automatic_payment_methods: { enabled: true },
  confirm: true,
  payment_method: 'pm_card_visa',
  return_url: 'http://localhost/done',
} as const;

async function customerOf(user: string): Promise<string> {
  const [row] = await owner()<{ id: string }[]>`
    select stripe_customer_id as id from stripe_customers where user_id = ${user}`;
  if (row === undefined) throw new Error('no customer');
  return row.id;
}

/** Credits a top-up of 25 USD as if Stripe had said that this payment pays for it. */
async function creditWrongly(given: { topUpId: string; intentId: string; livemode?: boolean }) {
  const [applied] = await owner()<{ code: string }[]>`
    select code from apply_top_up(${given.intentId}, ${given.topUpId},
      (select stripe_customer_id from stripe_customers
       where user_id = ${userId} and livemode = ${given.livemode ?? false}),
      'USD', 2500, ${given.livemode ?? false}, 'test:wrong', now())`;
  expect(applied?.code).toBe('CREDITED');
}

describe('Stripe and the ledger agree', () => {
  it('on payments that are credited, declined, abandoned, or of another product', async () => {
    const { intentId } = await paid({ credited: true });
    const declined = await world.start(userId, '30', `attempt-${userId}-b`);
    const declinedId = await world.pay(declined, 'pm_card_chargeDeclined');
    await world.arrived(declinedId, 'payment_intent.payment_failed');
    await world.applyInbox();
    const abandoned = await world.start(userId, '35', `attempt-${userId}-c`);
    const foreign = await world.stripe.paymentIntents.create({
      amount: 700,
      currency: 'usd',
      ...PAID,
    });
    const found = await compare();
    for (const id of [
      intentId,
      declinedId,
      abandoned.clientSecret.split('_secret_')[0],
      foreign.id,
    ]) {
      expect(found.filter((each) => each.startsWith(`${id} `))).toEqual([]);
    }
  });

  it('for some minutes on a payment whose webhook may still come', async () => {
    const { intentId } = await paid({ credited: false });
    expect(await problemsOf(intentId, { now: new Date() })).toEqual([]);
    expect(await problemsOf(intentId)).toEqual(['not_credited']);
    expect(await problemsOf(intentId, { settle: true })).toEqual([]);
    expect(await world.balanceOf(userId)).toBe(25_000_000n);
  });
});

describe('a difference is found', () => {
  it('when a payment is not credited, and ends when it is', async () => {
    const { intentId, topUpId } = await paid({ credited: false });
    expect(await problemsOf(intentId)).toEqual(['not_credited']);
    expect(await world.balanceOf(userId)).toBe(0n);
    const [open] = await openDifferences(world.database.app, { before: null, limit: 1 });
    expect(open).toMatchObject({
      objectId: intentId,
      topUpId,
      atStripe: { status: 'succeeded', amount: '25.00 USD', mode: 'test' },
      inLedger: { status: 'created', amount: null, payment: intentId },
    });
    await world.events.applyPayment(intentId);
    expect(await problemsOf(intentId)).toEqual([]);
    const [closed] = await owner()`
      select resolved_at is not null as closed from reconciliation_differences
      where object_id = ${intentId}`;
    expect(closed).toEqual({ closed: true });
  });

  it('when a customer of ours paid and no top-up asked for it', async () => {
    await paid({ credited: true });
    const { id } = await world.stripe.paymentIntents.create({
      amount: 900,
      currency: 'usd',
      customer: await customerOf(userId),
      ...PAID,
    });
    expect(await problemsOf(id)).toEqual(['no_top_up']);
    expect(await problemsOf(id, { settle: true })).toEqual(['no_top_up']);
  });

  it('when a payment waits in quarantine, until a person has decided', async () => {
    const { id } = await world.stripe.paymentIntents.create({
      amount: 900,
      currency: 'usd',
      metadata: { topupId: crypto.randomUUID() },
      ...PAID,
    });
    expect(await problemsOf(id, { settle: true })).toEqual(['in_quarantine']);
    await owner()`
      select resolve_quarantine(${id}, 'dismissed', 'A test', 'support:1', null, null, 'USD', 900,
        false, now())`;
    expect(await problemsOf(id)).toEqual([]);
  });

  it('when a top-up is credited whose payment never succeeded', async () => {
    const started = await world.start(userId, '25');
    const [intentId = ''] = started.clientSecret.split('_secret_');
    await creditWrongly({ topUpId: started.topUpId, intentId });
    expect(await problemsOf(intentId)).toEqual(['not_paid']);
  });

  it('when a top-up is credited whose payment Stripe does not know', async () => {
    const started = await world.start(userId, '25');
    const intentId = `pi_unknown_${users}`;
    await owner()`update top_ups set payment_intent_id = ${intentId} where id = ${started.topUpId}`;
    await creditWrongly({ topUpId: started.topUpId, intentId });
    expect(await problemsOf(intentId)).toEqual(['unknown_at_stripe']);
  });

  it('when another amount was credited than was paid', async () => {
    const started = await world.start(userId, '25');
    const [intentId = ''] = started.clientSecret.split('_secret_');
    await world.stripe.paymentIntents.update(intentId, { amount: 2_400 });
    world.standIn.controls.webhooks('drop', { count: 100 });
    await world.pay(started);
    await creditWrongly({ topUpId: started.topUpId, intentId });
    expect(await problemsOf(intentId)).toEqual(['amount_differs']);
  });

  it.each([
    ['currency', { currency: 'eur' }],
    ['customer', { customer: 'stranger' }],
  ])('when the %s of a credit is another', async (field, change) => {
    const started = await world.start(userId, '25');
    world.standIn.controls.webhooks('drop', { count: 100 });
    const stranger = await world.stripe.customers.create({});
    const { id } = await world.stripe.paymentIntents.create({
      amount: 2_500,
      currency: 'currency' in change ? change.currency : 'usd',
      customer: 'customer' in change ? stranger.id : await customerOf(userId),
      metadata: { topupId: started.topUpId },
      ...PAID,
    });
    await owner()`update top_ups set payment_intent_id = ${id} where id = ${started.topUpId}`;
    await creditWrongly({ topUpId: started.topUpId, intentId: id });
    expect(await problemsOf(id)).toEqual([`${field}_differs`]);
  });

  it("when a payment of Stripe's test mode was credited as a live one", async () => {
    const started = await world.start(userId, '25');
    const [intentId = ''] = started.clientSecret.split('_secret_');
    world.standIn.controls.webhooks('drop', { count: 100 });
    await world.pay(started);
    await owner()`
      insert into stripe_customers (user_id, livemode, stripe_customer_id)
      values (${userId}, true, ${`cus_live_${users}`})`;
    await owner()`update top_ups set livemode = true where id = ${started.topUpId}`;
    await creditWrongly({ topUpId: started.topUpId, intentId, livemode: true });
    expect(await problemsOf(intentId)).toEqual(['customer_differs', 'livemode_differs']);
  });

  it('when a top-up is in a state that Stripe contradicts, which the daily run mends', async () => {
    const started = await world.start(userId, '25');
    const [intentId = ''] = started.clientSecret.split('_secret_');
    await owner()`update top_ups set status = 'processing' where id = ${started.topUpId}`;
    expect(await problemsOf(intentId)).toEqual(['state_differs']);
    expect(await problemsOf(intentId, { settle: true })).toEqual([]);
    expect(await world.topUps.get(userId, started.topUpId)).toMatchObject({ status: 'created' });
  });
});

describe('a difference', () => {
  it('is recorded once however often it is seen, told of once, and anew when it comes back', async () => {
    const { intentId } = await paid({ credited: false });
    const told = async () =>
      (await takeUnreported(world.database.app, 1_000)).filter(
        ({ objectId }) => objectId === intentId,
      ).length;
    await compare();
    await compare();
    await Promise.all([compare(), compare()]);
    expect(
      await owner()`select id from reconciliation_differences where object_id = ${intentId}`,
    ).toHaveLength(1);
    expect([await told(), await told()]).toEqual([1, 0]);
    await compare();
    expect(await told()).toBe(0);
    await owner()`
      update reconciliation_differences set resolved_at = now() where object_id = ${intentId}`;
    await compare();
    expect(await told()).toBe(1);
  });

  it('outside the range that is looked at stays as it is', async () => {
    const { intentId } = await paid({ credited: false });
    await compare();
    await world.events.applyPayment(intentId);
    await world.reconciliation(soon(HOUR_MS)).compare({
      range: { from: soon(-2 * HOUR_MS), to: soon(-HOUR_MS) },
      settle: false,
      onDifference: () => {},
    });
    const open = await openDifferences(world.database.app, { before: null, limit: 100 });
    expect(open.map(({ objectId }) => objectId)).toContain(intentId);
    await compare();
  });
});

describe("Stripe's list", () => {
  it('is read in pages of at most 100 whose spans cover the range without gap or overlap', async () => {
    const seconds = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 1_000);
    const pages: { count: number; from: Date; to: Date }[] = [];
    let held = 0;
    const comparer: Comparer<Date> = {
      kind: 'payment',
      async *list() {
        for (let n = 1_049; n >= 0; n -= 1) {
          held = Math.max(held, 1_050 - n - pages.reduce((sum, { count }) => sum + count, 0));
          yield seconds(n);
        }
      },
      createdAt: (item) => item,
      async compare(items, span) {
        pages.push({ count: items.length, ...span });
        return [];
      },
    };
    const counts = await comparison(world.database.app, comparer).run({
      range: { from: seconds(0), to: seconds(2_000) },
      now: seconds(3_000),
      settle: false,
      onDifference: () => {},
    });
    expect(counts).toEqual({ checked: 1_050, differences: 0 });
    expect(held).toBeLessThanOrEqual(100);
    expect(pages[0]?.to).toEqual(seconds(2_000));
    expect(pages.at(-1)?.from).toEqual(seconds(0));
    for (const [index, { to }] of pages.entries()) {
      if (index > 0) expect(to).toEqual(pages[index - 1]?.from);
    }
  });

  it('of several pages is compared both ways', async () => {
    world.standIn.controls.webhooks('drop', { count: 1_000 });
    const customer = await world.stripe.customers.create({});
    const ids: string[] = [];
    for (let n = 0; n < 120; n += 1) {
      const { id } = await world.stripe.paymentIntents.create({
        amount: 500 + n,
        currency: 'usd',
        customer: customer.id,
        metadata: { topupId: crypto.randomUUID() },
        ...PAID,
      });
      ids.push(id);
    }
    const found = await compare();
    expect(ids.filter((id) => found.includes(`${id} no_top_up`))).toHaveLength(120);
  });
});

describe('with webhooks off for 72 hours', () => {
  it('every payment is credited exactly once, also one whose top-up lost its intent', async () => {
    world.standIn.controls.webhooks('drop', { count: 1_000 });
    const payers = Array.from({ length: 5 }, (_, index) => `${userId}-${index}`);
    for (const [index, user] of payers.entries()) {
      const { topUpId } = await paid({ credited: false, user });
      if (index % 2 === 0) {
        // The process ended between Stripe's answer and its record.
        await owner()`
          update top_ups set payment_intent_id = null, status = 'created' where id = ${topUpId}`;
      }
    }
    const now = soon(72 * HOUR_MS + HOUR_MS);
    await world.events.sweep(now);
    expect(await Promise.all(payers.map(world.balanceOf))).toEqual(payers.map(() => 0n));

    const reconciliation = world.reconciliation(now);
    const day = async () => {
      const { day: name, ranges } = reconciliation.plan(now);
      for (const each of ranges) await reconciliation.reconcileRange({ day: name, ...each });
    };
    await Promise.all([day(), day()]);
    await day();
    for (const user of payers) {
      expect(await world.balanceOf(user)).toBe(25_000_000n);
      const [credits] = await owner()<{ count: number }[]>`
        select count(*)::int from wallet_events e join wallets w on w.id = e.wallet_id
        where w.user_id = ${user} and e.type = 'top_up'`;
      expect(credits?.count).toBe(1);
    }
    const open = await openDifferences(world.database.app, { before: null, limit: 1_000 });
    const names = await owner()<{ id: string }[]>`
      select t.id from top_ups t join wallets w on w.id = t.wallet_id
      where w.user_id = any (${`{${payers.join(',')}}`}::text[])`;
    expect(open.filter(({ topUpId }) => names.some(({ id }) => id === topUpId))).toEqual([]);
  });
});

describe('the watchdog', () => {
  const logger = createLogger('silent');
  const watchdog = (now: Date) =>
    createReconcileWatchdog({
      sql: world.database.app,
      reconciliation: world.reconciliation(now),
      clock: () => now,
      intervalMs: 60_000,
      logger,
    });

  it("makes the day's run when the scheduler does not, in one process only, and once", async () => {
    const now = new Date('2027-05-03T04:30:00Z');
    expect(await watchdog(new Date('2027-05-03T04:29:59Z')).tick()).toBe(false);
    const ran = await Promise.all(Array.from({ length: 6 }, () => watchdog(now).tick()));
    expect(ran.filter(Boolean)).toHaveLength(1);
    expect(await watchdog(now).tick()).toBe(false);
    const [run] = await owner()`
      select finished_at is not null as finished from reconciliation_runs
      where day = '2027-05-03'`;
    expect(run).toEqual({ finished: true });
  });

  it('leaves a run alone that the scheduler makes, and takes over one that stands still', async () => {
    const now = new Date('2027-05-04T06:00:00Z');
    const { day, ranges } = world.reconciliation(now).plan(now);
    const [first] = ranges;
    await world
      .reconciliation(now)
      .reconcileRange({ day, from: first?.from ?? '', to: first?.to ?? '' });
    expect(await watchdog(now).tick()).toBe(false);
    await owner()`
      update reconciliation_runs set touched_at = now() - interval '31 minutes' where day = ${day}`;
    expect(await watchdog(now).tick()).toBe(true);
  });
});
