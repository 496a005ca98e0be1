/** Automatic top-ups against the Stripe stand-in and a real database, with a clock that is set. */
import { randomUUID } from 'node:crypto';
import Stripe from 'stripe';
import { type StripeStandIn, startStripeStandIn } from '../../dev/stripe/server.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { requestHash, usageKey } from '../../ledger/key.ts';
import { createLogger } from '../../log.ts';
import { type AutoTopUpCharge, findAutoTopUpCharge } from '../../store/auto-top-ups.ts';
import { chargeWallet } from '../../store/charges.ts';
import { beginCardRead, recordSavedCards } from '../../store/saved-cards.ts';
import { saveStripeCustomer } from '../../store/top-ups.ts';
import { createStripeGateway, type StripeGateway } from '../../stripe/gateway.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createStripeEvents, type StripeEvents } from '../stripe-events/stripe-events.ts';
import { createTopUps } from '../top-ups/top-ups.ts';
import { createWallets, type Wallets } from '../wallets/wallets.ts';
import { type AutoTopUpCharging, createAutoTopUpCharging } from './auto-top-up-charging.ts';
import { CONSENT } from './auto-top-up-rules.ts';
import { createAutoTopUpWorker } from './auto-top-up-worker.ts';
import { type AutoTopUps, createAutoTopUps } from './auto-top-ups.ts';
import { createRecoveryLinks } from './recovery-links.ts';

const SECRET_KEY = 'sk_test_auto';
const logger = createLogger('silent');

export interface AutoTopUpWorld {
  readonly database: TestDatabase;
  readonly standIn: StripeStandIn;
  readonly stripe: Stripe;
  readonly gateway: StripeGateway;
  readonly wallets: Wallets;
  readonly events: StripeEvents;
  readonly autoTopUps: AutoTopUps;
  readonly charging: AutoTopUpCharging;
  readonly worker: ReturnType<typeof createAutoTopUpWorker>;
  /** One pass of the worker, with all that it begins. */
  work(): Promise<void>;
  /** Moves the ledger's clock on. */
  pass(time: { hours?: number; minutes?: number }): Promise<void>;
  setClock(iso: string): Promise<void>;
  close(): Promise<void>;
}

export async function startAutoTopUpWorld(startIso: string): Promise<AutoTopUpWorld> {
  const database = await createTestDatabase();
  const sql = database.app;
  const standIn = await startStripeStandIn({
    port: 0,
    secretKey: SECRET_KEY,
    publishableKey: 'pk_test_auto',
    webhooks: [],
  });
  const { hostname, port } = new URL(standIn.url);
  const gateway = createStripeGateway({ secretKey: SECRET_KEY, apiBase: standIn.url });
  const wallets = createWallets(sql);
  const events = createStripeEvents({ sql, gateway });
  const topUps = createTopUps({ sql, wallets, gateway, livemode: false, logger });
  const charging = createAutoTopUpCharging({
    sql,
    gateway,
    livemode: false,
    settlePayment: (id) => events.applyPayment(id),
    clock: () => new Date(),
    logger,
  });
  const worker = createAutoTopUpWorker({ sql, charging, livemode: false, intervalMs: 100, logger });
  let nowMs = Date.parse(startIso);
  const setClock = async (iso: string) => {
    nowMs = Date.parse(iso);
    await database.setClock(iso);
  };
  await setClock(startIso);
  return {
    database,
    standIn,
    stripe: new Stripe(SECRET_KEY, { host: hostname, port: Number(port), protocol: 'http' }),
    gateway,
    wallets,
    events,
    charging,
    worker,
    autoTopUps: createAutoTopUps({
      sql,
      wallets,
      gateway,
      links: createRecoveryLinks('a secret of thirty-two characters'),
      limits: topUps.limits,
      livemode: false,
    }),
    setClock,
    async work() {
      await worker.tick();
      await worker.settled();
    },
    pass: ({ hours = 0, minutes = 0 }) =>
      setClock(new Date(nowMs + hours * 3_600_000 + minutes * 60_000).toISOString()),
    async close() {
      await worker.stop();
      await standIn.stop();
      await database.close();
    },
  };
}

/** A user with a wallet and saved cards; the first is the default. */
export class AutoTopUpUser {
  readonly userId = `auto-${randomUUID()}`;
  readonly #world: AutoTopUpWorld;
  customerId = '';
  cards: string[] = [];

  constructor(world: AutoTopUpWorld) {
    this.#world = world;
  }

  static async with(
    world: AutoTopUpWorld,
    cards: readonly string[],
    { timezone = 'UTC', currency = 'USD' } = {},
  ): Promise<AutoTopUpUser> {
    const user = new AutoTopUpUser(world);
    const { userId } = user;
    await world.wallets.open({ userId, currency, timezone }, 'test:auto');
    user.customerId = (await world.stripe.customers.create({ metadata: { userId } })).id;
    const { customerId } = user;
    await saveStripeCustomer(world.database.app, { userId, livemode: false, customerId });
    for (const card of cards) {
      const attached = await world.stripe.paymentMethods.attach(card, { customer: customerId });
      user.cards.push(attached.id);
    }
    await user.readCards();
    return user;
  }

  /** Records the cards that the customer has at Stripe, in the order in which they were saved. */
  async readCards(): Promise<void> {
    const { database, gateway } = this.#world;
    const read = await beginCardRead(database.app, this.customerId);
    const cards = (await gateway.listCards(this.customerId)) ?? [];
    await recordSavedCards(
      database.app,
      this.customerId,
      read ?? 0n,
      cards.toSorted((a, b) => this.cards.indexOf(a.id) - this.cards.indexOf(b.id)),
    );
  }

  wallet(): Promise<WalletView> {
    return this.#world.wallets.ofUser(this.userId);
  }

  /** Restores 25 below 10, at the most 100 a month, unless told otherwise. */
  async turnOn(
    terms: Partial<Parameters<AutoTopUps['save']>[0]> = {},
  ): ReturnType<AutoTopUps['save']> {
    return this.#world.autoTopUps.save({
      userId: this.userId,
      threshold: '10',
      mode: 'restore',
      amount: '25',
      monthlyCap: '100',
      consentVersion: CONSENT.version,
      ...terms,
    });
  }

  /** Charges usage to a destination, whatever is available. */
  async use(amountMicros: bigint, to = '+14155550132'): Promise<void> {
    const { walletId } = await this.wallet();
    const referenceId = randomUUID();
    const outcome = await chargeWallet(this.#world.database.app, {
      walletId,
      key: usageKey('call', referenceId),
      requestHash: requestHash({ referenceId }),
      amountMicros,
      overrun: 'arrears',
      occurredAt: null,
      actor: 'test:auto',
      detail: { usage: { type: 'call', to, durationSeconds: 60 }, referenceId },
    });
    if (outcome.code !== 'OK') {
      throw new Error(outcome.code);
    }
  }

  async settings() {
    const { settings } = await this.#world.autoTopUps.get(this.userId);
    if (settings === null) {
      throw new Error('it was never turned on');
    }
    return settings;
  }

  async attempts() {
    return (await this.#world.autoTopUps.get(this.userId)).attempts;
  }

  async newest(): Promise<AutoTopUpCharge> {
    const [attempt] = await this.attempts();
    const charge =
      attempt && (await findAutoTopUpCharge(this.#world.database.app, attempt.topUpId));
    if (!charge) {
      throw new Error('nothing was charged');
    }
    return charge;
  }

  /** Cents that Stripe took from the user's cards, oldest first. */
  async paidCents(): Promise<number[]> {
    const { data } = await this.#world.stripe.charges.list({ customer: this.customerId });
    return data
      .filter(({ paid }) => paid)
      .map(({ amount }) => amount)
      .reverse();
  }

  /** How often Stripe asked a bank for the user's cards. */
  async asked(): Promise<number> {
    const { data } = await this.#world.stripe.charges.list({ customer: this.customerId });
    return data.length;
  }
}
