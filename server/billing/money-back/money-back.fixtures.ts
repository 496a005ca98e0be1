/** A wallet, the Stripe stand-in, and what their tests do to both. Webhooks are delivered by hand. */
import Stripe from 'stripe';
import { type StripeStandIn, startStripeStandIn } from '../../dev/stripe/server.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { receivedEvent } from '../../http/stripe-webhook.ts';
import { createLogger } from '../../log.ts';
import { verifyRange } from '../../store/ledger.ts';
import { createStripeGateway, type StripeGateway } from '../../stripe/gateway.ts';
import { createStripeEvents, type StripeEvents } from '../stripe-events/stripe-events.ts';
import { createTopUps, type TopUps } from '../top-ups/top-ups.ts';
import { createWallets, type Wallets } from '../wallets/wallets.ts';

export const MONEY_BACK_SECRET_KEY = 'sk_test_money_back';
const secretKey = MONEY_BACK_SECRET_KEY;

export interface Payment {
  readonly userId: string;
  readonly walletId: string;
  readonly topUpId: string;
  readonly intentId: string;
  readonly chargeId: string;
}

export interface MoneyBackWorld {
  readonly database: TestDatabase;
  readonly standIn: StripeStandIn;
  readonly stripe: Stripe;
  readonly gateway: StripeGateway;
  readonly wallets: Wallets;
  readonly topUps: TopUps;
  readonly events: StripeEvents;
  /** Pays a top-up at Stripe; the wallet hears of it when events are delivered. */
  pay(userId: string, amount: string, card?: string): Promise<Payment>;
  /** Events of Stripe since the last call, oldest first. */
  newEvents(): Stripe.Event[];
  /** Stores an event and applies it; what it came to, or why it could not be applied. */
  deliver(event: Stripe.Event, through?: StripeEvents): Promise<string>;
  /** Delivers all new events in their order. */
  deliverAll(): Promise<string[]>;
  /** The ledger's money of a wallet, and what it is kept for. */
  stateOf(walletId: string): Promise<LedgerState>;
  /** What `npm run ledger -- verify` finds wrong with a wallet. */
  verify(walletId: string): Promise<string[]>;
  stop(): Promise<void>;
}

export interface LedgerState {
  readonly status: string;
  readonly balanceMicros: bigint;
  readonly arrearsMicros: bigint;
  readonly refunds: readonly { readonly stripeRefundId: string | null }[];
  readonly disputes: readonly object[];
  readonly warnings: readonly object[];
}

export async function startMoneyBackWorld(): Promise<MoneyBackWorld> {
  const database = await createTestDatabase();
  const standIn = await startStripeStandIn({
    port: 0,
    secretKey,
    publishableKey: 'pk_test_money_back',
    webhooks: [],
  });
  const { hostname, port } = new URL(standIn.url);
  const stripe = new Stripe(secretKey, { host: hostname, port: Number(port), protocol: 'http' });
  const sql = database.app;
  const gateway = createStripeGateway({ secretKey, apiBase: standIn.url });
  const wallets = createWallets(sql);
  const logger = createLogger('silent');
  const topUps = createTopUps({ sql, wallets, gateway, livemode: false, logger });
  const events = createStripeEvents({ sql, gateway });
  const seen = new Set<string>();
  let attempts = 0;

  const newEvents = () => {
    const fresh = standIn.controls
      .events(1_000_000)
      .map(({ event }) => event)
      .filter(({ id }) => !seen.has(id))
      .reverse();
    for (const { id } of fresh) seen.add(id);
    return fresh;
  };

  async function deliver(event: Stripe.Event, through = events): Promise<string> {
    await through.receive(receivedEvent(event, JSON.stringify(event)));
    return through.apply(event.id).then(
      ({ outcome }) => outcome,
      (error: unknown) => `not applied: ${error instanceof Error ? error.message : error}`,
    );
  }

  return {
    database,
    standIn,
    stripe,
    gateway,
    wallets,
    topUps,
    events,
    newEvents,
    deliver,

    async pay(userId, amount, card = 'pm_card_visa') {
      const started = await topUps.start({ userId, attemptKey: `attempt-${attempts++}`, amount });
      if (!started.ok) {
        throw new Error(started.code);
      }
      const [intentId = ''] = started.clientSecret.split('_secret_');
      const intent = await stripe.paymentIntents.confirm(intentId, {
        payment_method: card,
        return_url: 'http://localhost/done',
      });
      const { walletId } = await wallets.ofUser(userId);
      const chargeId = String(intent.latest_charge);
      return { userId, walletId, topUpId: started.topUpId, intentId, chargeId };
    },

    async deliverAll() {
      const outcomes: string[] = [];
      for (const event of newEvents()) {
        outcomes.push(await deliver(event));
      }
      return outcomes;
    },

    async stateOf(walletId) {
      const [wallet] = await sql<Omit<LedgerState, 'refunds' | 'disputes' | 'warnings'>[]>`
        select status, balance_micros as "balanceMicros", arrears_micros as "arrearsMicros"
        from wallets where id = ${walletId}`;
      if (wallet === undefined) {
        throw new Error('there is no such wallet');
      }
      const refunds = await sql<{ stripeRefundId: string | null }[]>`
        select stripe_refund_id as "stripeRefundId", top_up_id as "topUpId", status,
          amount_micros as "amountMicros", debited_micros as "debitedMicros"
        from payment_refunds where wallet_id = ${walletId} order by stripe_refund_id`;
      const disputes = await sql`
        select dispute_id as "disputeId", top_up_id as "topUpId", state, status,
          withdrawn_micros as "withdrawnMicros", reinstated_micros as "reinstatedMicros", freezes
        from payment_disputes where wallet_id = ${walletId} order by dispute_id`;
      const warnings = await sql`
        select warning_id as "warningId", top_up_id as "topUpId", actionable
        from payment_fraud_warnings where wallet_id = ${walletId} order by warning_id`;
      return {
        ...wallet,
        refunds: [...refunds],
        disputes: [...disputes],
        warnings: [...warnings],
      };
    },

    async verify(walletId) {
      const range = { from: walletId, to: walletId };
      const { differences } = await verifyRange(database.owner, range, 100);
      return differences.map(({ problem, message }) => `${problem}: ${message}`);
    },

    async stop() {
      await standIn.stop();
      await database.close();
    },
  };
}
