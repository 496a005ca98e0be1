/** A wallet with a Stripe beside it: the stand-in, its webhooks over HTTP, and a real database. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import Stripe from 'stripe';
import { type StripeStandIn, startStripeStandIn } from '../../dev/stripe/server.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import type { AppEnv } from '../../http/app.ts';
import { errorResponse } from '../../http/errors.ts';
import { requestId } from '../../http/request-id.ts';
import { stripeWebhook } from '../../http/stripe-webhook.ts';
import { createLogger } from '../../log.ts';
import { createStripeGateway, type StripeGateway } from '../../stripe/gateway.ts';
import type { StartTopUp } from '../../views/top-ups.ts';
import { stripeComparisons } from '../reconciliation/comparisons.ts';
import { createReconciliation, type Reconciliation } from '../reconciliation/reconciling.ts';
import { createTopUps, type TopUps } from '../top-ups/top-ups.ts';
import { createWallets, type Wallets } from '../wallets/wallets.ts';
import { createStripeEvents, type StripeEvents } from './stripe-events.ts';

export const WORLD_SECRET_KEY = 'sk_test_world';
export const WORLD_WEBHOOK_SECRET = 'whsec_world';
const logger = createLogger('silent');

export interface StripeWorld {
  database: TestDatabase;
  standIn: StripeStandIn;
  /** The stock SDK, for what a browser or the dashboard does. */
  stripe: Stripe;
  gateway: StripeGateway;
  wallets: Wallets;
  topUps: TopUps;
  events: StripeEvents;
  webhookUrl: string;
  /** Reconciliation as of an instant. */
  reconciliation(now: Date): Reconciliation;
  start(
    userId: string,
    amount: string,
    attemptKey?: string,
  ): Promise<Extract<StartTopUp, { ok: true }>>;
  /** Confirms the top-up's payment with a test card, as the browser does; the payment intent's id. */
  pay(started: { clientSecret: string }, card?: string): Promise<string>;
  /** Waits until the event is in the inbox; its id. */
  arrived(objectId: string, type: string): Promise<string>;
  /** Applies what waits in the inbox; what each event came to. */
  applyInbox(): Promise<string[]>;
  balanceOf(userId: string): Promise<bigint>;
  stop(): Promise<void>;
}

export async function startStripeWorld(
  options: { gatewayTimeoutMs?: number } = {},
): Promise<StripeWorld> {
  const database = await createTestDatabase();
  const sql = database.app;
  const app = new Hono<AppEnv>();
  app.use(requestId());
  app.onError((error, c) => errorResponse(error, c.get('requestId')));
  app.post('/hook', (c, next) =>
    stripeWebhook({
      stripeEvents: events,
      webhookSecrets: [WORLD_WEBHOOK_SECRET],
      notifyStripeEvent: () => {},
      logger,
    })(c, next),
  );
  const server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const webhookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const standIn = await startStripeStandIn({
    port: 0,
    secretKey: WORLD_SECRET_KEY,
    publishableKey: 'pk_test_world',
    webhooks: [{ url: webhookUrl, secret: WORLD_WEBHOOK_SECRET }],
  });
  const { hostname, port } = new URL(standIn.url);
  const stripe = new Stripe(WORLD_SECRET_KEY, {
    host: hostname,
    port: Number(port),
    protocol: 'http',
  });
  const gateway = createStripeGateway({
    secretKey: WORLD_SECRET_KEY,
    apiBase: standIn.url,
    ...(options.gatewayTimeoutMs !== undefined && { timeoutMs: options.gatewayTimeoutMs }),
  });
  const wallets = createWallets(sql);
  const topUps = createTopUps({ sql, wallets, gateway, livemode: false, logger });
  const events = createStripeEvents({ sql, gateway });

  return {
    database,
    standIn,
    stripe,
    gateway,
    wallets,
    topUps,
    events,
    webhookUrl,

    reconciliation: (now) =>
      createReconciliation({
        sql,
        comparisons: stripeComparisons({ sql, gateway, events, logger }),
        clock: () => now,
        logger,
      }),

    async start(userId, amount, attemptKey = `attempt-${userId}`) {
      const started = await topUps.start({ userId, attemptKey, amount });
      if (!started.ok) throw new Error(started.code);
      return started;
    },

    async pay(started, card = 'pm_card_visa') {
      const [intentId = ''] = started.clientSecret.split('_secret_');
      await stripe.paymentIntents
        .confirm(intentId, { payment_method: card, return_url: 'http://localhost/done' })
        .catch((error: unknown) => {
          if (!(error instanceof Stripe.errors.StripeCardError)) throw error;
        });
      return intentId;
    },

    async arrived(objectId, type) {
      for (let tries = 0; tries < 400; tries += 1) {
        const [event] = await sql<{ eventId: string }[]>`
          select event_id as "eventId" from stripe_inbox
          where object_id = ${objectId} and type = ${type}`;
        if (event !== undefined) return event.eventId;
        await new Promise((done) => setTimeout(done, 25));
      }
      throw new Error(`${type} was not delivered`);
    },

    async applyInbox() {
      const waiting = await sql<{ eventId: string }[]>`
        select event_id as "eventId" from stripe_inbox where status = 'waiting'`;
      const outcomes: string[] = [];
      for (const { eventId } of waiting) outcomes.push((await events.apply(eventId)).outcome);
      return outcomes;
    },

    balanceOf: async (userId) => (await wallets.ofUser(userId)).balanceMicros,

    async stop() {
      await standIn.stop();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await database.close();
    },
  };
}
