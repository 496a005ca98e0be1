/** The use cases that procedures call, over a test's database, and callers of the procedures. */
import type { Scope } from '../billing/accounts/api-keys.ts';
import { createCharging } from '../billing/charging/charging.ts';
import { createExplaining } from '../billing/charging/explaining.ts';
import { createGrants } from '../billing/charging/grants.ts';
import { createHolds } from '../billing/charging/holds.ts';
import { createRefunds } from '../billing/charging/refunds.ts';
import { createSpendingLimits } from '../billing/charging/spending-limits.ts';
import { createPaymentRefunds } from '../billing/money-back/payment-refunds.ts';
import { createRefundAsking } from '../billing/money-back/refund-asking.ts';
import { createMonth } from '../billing/month/month.ts';
import { createSubscriptions } from '../billing/month/subscriptions.ts';
import { createRateCards } from '../billing/rate-cards/rate-cards.ts';
import { createWallets } from '../billing/wallets/wallets.ts';
import { createLogger } from '../log.ts';
import type { Sql } from '../store/sql.ts';
import { createStripeGateway, type StripeGateway } from '../stripe/gateway.ts';
import type { RouterServices } from './context.ts';
import { createCaller } from './router.ts';

/** Nothing listens there. */
const nowhere = () =>
  createStripeGateway({ secretKey: 'sk_test_nowhere', apiBase: 'http://127.0.0.1:9' });

/** Without a gateway Stripe does not answer: what is refunded to cards stays reserved. */
export function testServices(sql: Sql, gateway: StripeGateway = nowhere()): RouterServices {
  const logger = createLogger('silent');
  const rateCards = createRateCards({ sql, nowMs: Date.now });
  const clock = () => new Date();
  const asking = createRefundAsking({ sql, gateway, logger });
  return {
    wallets: createWallets(sql),
    charging: createCharging({ sql, rateCards, now: clock }),
    holds: createHolds({ sql, rateCards, now: clock }),
    grants: createGrants({ sql }),
    refunds: createRefunds({ sql }),
    paymentRefunds: createPaymentRefunds({ sql, asking, livemode: false }),
    explaining: createExplaining({ sql, rateCards }),
    rateCards,
    spendingLimits: createSpendingLimits(sql),
    subscriptions: createSubscriptions(sql),
    month: createMonth({ sql, longSql: sql, clock, send: async () => {}, logger }),
  };
}

export type TestCaller = ReturnType<typeof createCaller>;

/** Calls procedures by a key with this scope. */
export function testCaller(services: RouterServices, scope: Scope): TestCaller {
  return createCaller({
    services,
    requestId: 'request-1',
    apiKey: async () => ({ id: 'key_test', name: 'test', scopes: [scope], limiter: null }),
  });
}
