/** The use cases, each made once: what the API calls, what pages call, and what runs beside both. */
import type { Logger } from 'pino';
import { type Accounts, createAccounts } from './billing/accounts/accounts.ts';
import { createAdmin } from './billing/accounts/admin.ts';
import { type ApiKeys, createApiKeys } from './billing/accounts/api-keys.ts';
import type { TokenSigner } from './billing/accounts/signed-token.ts';
import { createAutoTopUps } from './billing/auto-top-ups/auto-top-ups.ts';
import { createRecoveryLinks, type RecoveryLinks } from './billing/auto-top-ups/recovery-links.ts';
import { createCharging } from './billing/charging/charging.ts';
import { createExplaining } from './billing/charging/explaining.ts';
import { createGrants } from './billing/charging/grants.ts';
import { createHolds } from './billing/charging/holds.ts';
import { createRefunds } from './billing/charging/refunds.ts';
import { createSpendingLimits } from './billing/charging/spending-limits.ts';
import { createWalletDirectory } from './billing/charging/wallet-directory.ts';
import { createPaymentRefunds } from './billing/money-back/payment-refunds.ts';
import { createRefundAsking, type RefundAsking } from './billing/money-back/refund-asking.ts';
import { createRefundDesk } from './billing/money-back/refund-desk.ts';
import { createMonth, type Month } from './billing/month/month.ts';
import { createStatements, type Statements } from './billing/month/statements.ts';
import { createSubscriptions } from './billing/month/subscriptions.ts';
import { alertLinks, createAlerts } from './billing/notices/notices.ts';
import { createPrices } from './billing/rate-cards/prices.ts';
import { createRateCardDesk } from './billing/rate-cards/rate-card-desk.ts';
import { createRateCards } from './billing/rate-cards/rate-cards.ts';
import { createRehearsing } from './billing/rate-cards/rehearsing.ts';
import { createRepricingDesk } from './billing/rate-cards/repricing-desk.ts';
import { createRerating } from './billing/rate-cards/rerating.ts';
import { stripeComparisons } from './billing/reconciliation/comparisons.ts';
import { createReconciliation, type Reconciliation } from './billing/reconciliation/reconciling.ts';
import { createPaymentMethods } from './billing/saved-cards/payment-methods.ts';
import { createStripeDesk } from './billing/stripe-events/stripe-desk.ts';
import { createStripeEvents, type StripeEvents } from './billing/stripe-events/stripe-events.ts';
import { createTopUps } from './billing/top-ups/top-ups.ts';
import { createUsageOverview } from './billing/wallets/usage-overview.ts';
import { createWalletDesk } from './billing/wallets/wallet-desk.ts';
import { createWallets } from './billing/wallets/wallets.ts';
import type { Env } from './env.ts';
import type { Services } from './http/load-context.ts';
import type { MonthRun } from './store/month.ts';
import type { Sql } from './store/sql.ts';
import type { StripeGateway } from './stripe/gateway.ts';
import type { RouterServices } from './trpc/context.ts';

export interface UseCases {
  /** What procedures of the charging API call. */
  readonly api: RouterServices;
  /** What loaders and actions of pages call. */
  readonly pages: Services;
  readonly accounts: Accounts;
  readonly apiKeys: ApiKeys;
  readonly month: Month;
  readonly statements: Statements;
  readonly stripeEvents: StripeEvents;
  readonly refundAsking: RefundAsking;
  readonly reconciliation: Reconciliation;
  readonly recoveryLinks: RecoveryLinks;
  readonly unsubscribeLinks: TokenSigner;
}

/**
 * `monthSql` is for statements that may run for minutes, and batches of charges go over `chargeLines`,
 * clients of one connection each; `livemode` is that of Stripe's key.
 */
export function createUseCases(parts: {
  readonly env: Env;
  readonly appName: string;
  readonly sql: Sql;
  readonly monthSql: Sql;
  readonly chargeLines: readonly Sql[];
  readonly gateway: StripeGateway;
  readonly livemode: boolean;
  readonly clock: () => Date;
  readonly logger: Logger;
  readonly announceMonth: (run: MonthRun) => Promise<void>;
}): UseCases {
  const {
    env,
    appName,
    sql,
    monthSql,
    chargeLines,
    gateway,
    livemode,
    clock,
    logger,
    announceMonth,
  } = parts;
  const wallets = createWallets(sql);
  const rateCards = createRateCards({ sql, nowMs: Date.now });
  const directory = createWalletDirectory(sql);
  const holds = createHolds({ sql, rateCards, now: clock, directory });
  const charging = createCharging({
    sql,
    lines: chargeLines,
    rateCards,
    now: clock,
    directory,
    holds,
  });
  const explaining = createExplaining({ sql, rateCards });
  const spendingLimits = createSpendingLimits(sql);
  const month = createMonth({ sql, longSql: monthSql, clock, send: announceMonth, logger });
  const stripeEvents = createStripeEvents({ sql, gateway });
  const reconciliation = createReconciliation({
    sql,
    comparisons: stripeComparisons({ sql, gateway, events: stripeEvents, logger }),
    clock,
    logger,
  });
  const accounts = createAccounts({
    sql,
    sessionSecret: env.sessionSecret,
    appUrl: env.appUrl,
    openWallet: (userId) => wallets.ofUser(userId),
    logger,
  });
  const statements = createStatements({ sql, appName });
  const recoveryLinks = createRecoveryLinks(env.sessionSecret);
  const unsubscribeLinks = alertLinks(env.sessionSecret);
  const topUps = createTopUps({ sql, wallets, gateway, livemode, logger });
  const refundAsking = createRefundAsking({ sql, gateway, logger });
  const paymentRefunds = createPaymentRefunds({ sql, asking: refundAsking, livemode });
  const subscriptions = createSubscriptions(sql);

  const api: RouterServices = {
    wallets,
    charging,
    holds,
    grants: createGrants({ sql }),
    refunds: createRefunds({ sql }),
    paymentRefunds,
    explaining,
    rateCards,
    spendingLimits,
    subscriptions,
    month,
  };
  const pages: Services = {
    accounts,
    wallets: { ...wallets, explainEvents: explaining.explainEvents },
    topUps,
    autoTopUps: createAutoTopUps({
      sql,
      wallets,
      gateway,
      links: recoveryLinks,
      limits: topUps.limits,
      livemode,
    }),
    alerts: createAlerts({ sql, wallets, links: unsubscribeLinks }),
    statements,
    usage: createUsageOverview({ sql, rateCards }),
    paymentMethods: createPaymentMethods({
      sql,
      gateway,
      livemode,
      now: clock,
      logger,
    }),
    refundDesk: createRefundDesk({
      sql,
      wallets,
      paymentRefunds,
      usersMayAsk: env.userRefunds,
    }),
    rateCardDesk: createRateCardDesk({ sql, rateCards, now: clock }),
    repricingDesk: createRepricingDesk({
      rehearsing: createRehearsing({ sql, rateCards }),
      rerating: createRerating({ sql, rateCards }),
      nowMs: Date.now,
    }),
    prices: createPrices({ rateCards, wallets, now: clock }),
    admin: createAdmin({ sql, month }),
    walletDesk: createWalletDesk({ sql, wallets, spendingLimits }),
    spendingLimits: {
      ofUser: async (userId) =>
        (await spendingLimits.get({ walletId: (await wallets.ofUser(userId)).walletId })).limits,
    },
    subscriptions,
    stripeDesk: createStripeDesk({ sql, gateway, stripeEvents, livemode, logger }),
  };

  return {
    api,
    pages,
    accounts,
    apiKeys: createApiKeys({ sql, logger }),
    month,
    statements,
    stripeEvents,
    refundAsking,
    reconciliation,
    recoveryLinks,
    unsubscribeLinks,
  };
}
