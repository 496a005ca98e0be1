/** The world of money that comes back, and in it what asks Stripe for refunds. */
import type Stripe from 'stripe';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { createLogger } from '../../log.ts';
import { chargeWallet } from '../../store/charges.ts';
import { createStripeGateway } from '../../stripe/gateway.ts';
import {
  MONEY_BACK_SECRET_KEY,
  type MoneyBackWorld,
  type Payment,
  startMoneyBackWorld,
} from './money-back.fixtures.ts';
import {
  createPaymentRefunds,
  type PaymentRefundAnswer,
  type PaymentRefundRequest,
  type PaymentRefunds,
} from './payment-refunds.ts';
import { createRefundAsking } from './refund-asking.ts';
import { createRefundSweeper } from './refund-sweeper.ts';

export const SUPPORT = { actor: 'support:test', whileFrozen: true };

export interface RefundProcess {
  readonly refunds: PaymentRefunds;
  /** Takes up every refund whose end is not known, due or not. */
  sweep(): Promise<void>;
}

export interface RefundWorld extends MoneyBackWorld {
  /** A server process of its own; `secretKey` is its Stripe key. */
  process(options?: { secretKey?: string; patienceMs?: number }): RefundProcess;
  /** A process that dies before it asks Stripe for what it has reserved. */
  readonly dying: PaymentRefunds;
  /** Pays in a currency; the payment is credited. */
  paid(userId: string, amount: string, currency?: string): Promise<Payment>;
  /** Charges usage; the answer's code. */
  spend(walletId: string, amountMicros: bigint, reference: string): Promise<string>;
  /** Refunds that Stripe has of a payment. */
  atStripe(payment: Payment): Promise<Stripe.Refund[]>;
  typesOf(walletId: string): Promise<string[]>;
}

/** Every call to Stripe is given `timeoutMs` and made three times. */
export async function startRefundWorld(timeoutMs = 300): Promise<RefundWorld> {
  const world = await startMoneyBackWorld();
  const sql = world.database.app;
  const logger = createLogger('silent');

  const never = () => Promise.resolve();
  return {
    ...world,

    process({ secretKey = MONEY_BACK_SECRET_KEY, patienceMs } = {}) {
      const gateway = createStripeGateway({ secretKey, apiBase: world.standIn.url, timeoutMs });
      const asking = createRefundAsking({ sql, gateway, logger });
      const patience = patienceMs === undefined ? {} : { patienceMs };
      const options = { sql, asking, livemode: false, intervalMs: 60_000, logger };
      const sweeper = createRefundSweeper(options);
      return {
        refunds: createPaymentRefunds({ sql, asking, livemode: false, ...patience }),
        async sweep() {
          await asking.settled();
          await world.database.owner`
            update payment_refunds set next_attempt_at = now()`;
          await sweeper.tick();
        },
      };
    },

    dying: createPaymentRefunds({
      sql,
      asking: { ask: never, askAgain: never, settled: never },
      livemode: false,
    }),

    async paid(userId, amount, currency) {
      await world.wallets.open({ userId, currency }, 'system:test');
      const payment = await world.pay(userId, amount);
      await world.deliverAll();
      return payment;
    },

    async spend(walletId, amountMicros, reference) {
      const { code } = await chargeWallet(sql, {
        walletId,
        key: ledgerKey('test', reference),
        requestHash: requestHash({ reference }),
        amountMicros,
        overrun: 'refuse',
        occurredAt: null,
        actor: 'service:test',
        detail: {},
      });
      return code;
    },

    async atStripe({ intentId }) {
      const { data } = await world.stripe.refunds.list({ payment_intent: intentId, limit: 100 });
      return data;
    },

    async typesOf(walletId) {
      const rows = await sql<{ type: string }[]>`
        select type from wallet_events where wallet_id = ${walletId} order by seq`;
      return rows.map(({ type }) => type);
    },
  };
}

/** What a refund request came to, for a test that expects it to be taken. */
export function taken(answer: PaymentRefundAnswer): Extract<PaymentRefundAnswer, { ok: true }> {
  if (!answer.ok) {
    throw new Error(answer.code);
  }
  return answer;
}

let keys = 0;

/** A request under a key of its own. */
export function requestOf(
  { walletId }: Pick<Payment, 'walletId'>,
  request: Partial<Omit<PaymentRefundRequest, 'wallet'>> = {},
): PaymentRefundRequest {
  keys += 1;
  return { wallet: { walletId }, key: `refund-${keys}`, reason: 'asked for', ...request };
}
