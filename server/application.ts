/** The composition root: every part is made here, once, out of the environment. */
import type { RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Logger } from 'pino';
import { createBackgrounds } from './backgrounds.ts';
import { createAccounts } from './billing/accounts/accounts.ts';
import { createAdmin } from './billing/accounts/admin.ts';
import { createApiKeys } from './billing/accounts/api-keys.ts';
import { createAutoTopUps } from './billing/auto-top-ups/auto-top-ups.ts';
import { createRecoveryLinks } from './billing/auto-top-ups/recovery-links.ts';
import { createCharging } from './billing/charging/charging.ts';
import { createExplaining } from './billing/charging/explaining.ts';
import { createGrants } from './billing/charging/grants.ts';
import { createHolds } from './billing/charging/holds.ts';
import { createRefunds } from './billing/charging/refunds.ts';
import { createSpendingLimits } from './billing/charging/spending-limits.ts';
import { createWalletDirectory } from './billing/charging/wallet-directory.ts';
import { createPaymentRefunds } from './billing/money-back/payment-refunds.ts';
import { createRefundAsking } from './billing/money-back/refund-asking.ts';
import { createRefundDesk } from './billing/money-back/refund-desk.ts';
import { createMonth } from './billing/month/month.ts';
import { createStatements } from './billing/month/statements.ts';
import { createSubscriptions } from './billing/month/subscriptions.ts';
import { alertLinks, createAlerts } from './billing/notices/notices.ts';
import { createPulse } from './billing/pulse.ts';
import { createPrices } from './billing/rate-cards/prices.ts';
import { createRateCardDesk } from './billing/rate-cards/rate-card-desk.ts';
import { createRateCards } from './billing/rate-cards/rate-cards.ts';
import { createRehearsing } from './billing/rate-cards/rehearsing.ts';
import { createRepricingDesk } from './billing/rate-cards/repricing-desk.ts';
import { createRerating } from './billing/rate-cards/rerating.ts';
import { stripeComparisons } from './billing/reconciliation/comparisons.ts';
import { createReconciliation } from './billing/reconciliation/reconciling.ts';
import { createPaymentMethods } from './billing/saved-cards/payment-methods.ts';
import { createStripeDesk } from './billing/stripe-events/stripe-desk.ts';
import { createStripeEvents } from './billing/stripe-events/stripe-events.ts';
import { createTopUps } from './billing/top-ups/top-ups.ts';
import { createUsageOverview } from './billing/wallets/usage-overview.ts';
import { createWalletDesk } from './billing/wallets/wallet-desk.ts';
import { createWallets } from './billing/wallets/wallets.ts';
import type { Env } from './env.ts';
import { Fault } from './faults.ts';
import { createHttpApp, type Pages } from './http/app.ts';
import { billingRoutes } from './http/billing-routes.ts';
import { createCallerCache } from './http/caller-cache.ts';
import { chargeListener } from './http/charge-listener.ts';
import type { LoadContext, Services } from './http/load-context.ts';
import { createMetrics } from './http/operations.ts';
import { billingMonthRequested, createInngest, stripeEventReceived } from './inngest/client.ts';
import { createFunctions, RANGES_AT_ONCE } from './inngest/functions.ts';
import { inngestHandler } from './inngest/serve.ts';
import { createMailer } from './mail/mailer.ts';
import { mailBacklog } from './store/mail-outbox.ts';
import { MigrationError, pendingMigrations, schemaVersion } from './store/migrate.ts';
import type { MonthRun } from './store/month.ts';
import { unfinishedRefunds } from './store/payment-refunds.ts';
import { countOpenDifferences } from './store/reconciliation.ts';
import { APP_ROLE, connect } from './store/sql.ts';
import { inboxSummary } from './store/stripe-inbox.ts';
import { createStripeGateway } from './stripe/gateway.ts';
import type { RouterServices } from './trpc/context.ts';

const APP_NAME = 'Prepaid Wallet';

/** Far above what a range takes, so that only a statement that is stuck is ended. */
const MONTH_STATEMENT_TIMEOUT_MS = 1_800_000;

export interface ApplicationOptions {
  readonly env: Env;
  readonly logger: Logger;
  readonly pages: Pages;
  /** Development: the account that the sign-in page offers. */
  readonly demoSignIn?: LoadContext['config']['demoSignIn'];
  /** Development: the web socket of the server that reloads pages. */
  readonly reloadWebSocket?: string | undefined;
}

export interface Application {
  readonly listener: RequestListener;
  /**
   * The version of the database's schema. Throws `DATABASE_UNAVAILABLE`, saying what is wrong, when
   * the database does not answer or its schema is not this program's.
   */
  checkSchema(): Promise<number>;
  /** Starts what runs beside the requests. */
  start(): void;
  /** Ends it, and the connections to the database. */
  stop(): Promise<void>;
}

/** Makes the application. It answers requests at once, and connects to the database at the first. */
export function createApplication(options: ApplicationOptions): Application {
  const { env, logger } = options;
  const clock = () => new Date();
  const sql = connect(env.databaseUrl, { role: APP_ROLE, max: 20 });
  // Closing a month may take minutes, and must not take connections from what cannot wait.
  const monthSql = connect(env.databaseUrl, {
    role: APP_ROLE,
    max: RANGES_AT_ONCE,
    applicationName: 'prepaid-wallet month',
    statementTimeoutMs: MONTH_STATEMENT_TIMEOUT_MS,
  });
  const livemode = env.stripe.secretKey.includes('_live_');

  const inngest = createInngest({
    isDev: env.inngest.dev,
    eventKey: env.inngest.eventKey ?? undefined,
    signingKey: env.inngest.signingKey ?? undefined,
    baseUrl: env.inngest.baseUrl ?? undefined,
    logger,
  });
  const announceEvent = async (eventId: string, dispatchId: string) => {
    await inngest.send({ ...stripeEventReceived.create({ eventId }), id: dispatchId });
  };
  const announceMonth = async ({ runId, period }: MonthRun) => {
    await inngest.send(billingMonthRequested.create({ runId, period }));
  };

  const gateway = createStripeGateway({
    secretKey: env.stripe.secretKey,
    ...(env.stripe.apiBase !== null && { apiBase: env.stripe.apiBase }),
  });
  const wallets = createWallets(sql);
  const rateCards = createRateCards({ sql, nowMs: Date.now });
  const directory = createWalletDirectory(sql);
  const holds = createHolds({ sql, rateCards, now: clock, directory });
  const charging = createCharging({ sql, rateCards, now: clock, directory, holds });
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
  const statements = createStatements({ sql, appName: APP_NAME });
  const recoveryLinks = createRecoveryLinks(env.sessionSecret);
  const unsubscribeLinks = alertLinks(env.sessionSecret);
  const topUps = createTopUps({ sql, wallets, gateway, livemode, logger });
  const refundAsking = createRefundAsking({ sql, gateway, logger });
  const paymentRefunds = createPaymentRefunds({ sql, asking: refundAsking, livemode });
  const subscriptions = createSubscriptions(sql);
  const pageServices: Services = {
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
  const mailer =
    env.smtpUrl === null || env.mailFrom === null
      ? null
      : createMailer({
          smtpUrl: env.smtpUrl,
          from: env.mailFrom,
          appName: APP_NAME,
          appUrl: env.appUrl,
        });
  const config: LoadContext['config'] = {
    appName: APP_NAME,
    appUrl: env.appUrl,
    stripePublishableKey: env.stripe.publishableKey,
    stripeScriptUrl: env.stripe.apiBase === null ? null : `${env.stripe.apiBase}/endive/stripe.js`,
    demoSignIn: options.demoSignIn ?? null,
  };

  const functions = createFunctions(inngest, {
    applyStripeEvent: (eventId) => stripeEvents.apply(eventId),
    requestMonth: (at) => month.requestMonth(at),
    planMonth: (runId, cursor) => month.planMonth(runId, cursor),
    closeRange: (input) => month.closeRange(input),
    planReconciliation: async (at) => reconciliation.plan(at),
    reconcileRange: (input) => reconciliation.reconcileRange(input),
    finishReconciliation: (day) => reconciliation.finish(day),
  });

  const refunds = createRefunds({ sql });
  const apiServices: RouterServices = {
    wallets,
    charging,
    holds,
    grants: createGrants({ sql }),
    refunds,
    paymentRefunds,
    explaining,
    rateCards,
    spendingLimits,
    subscriptions,
    month,
  };
  const apiKeys = createApiKeys({ sql, logger });
  const metrics = createMetrics({
    inbox: () => inboxSummary(sql),
    openDifferences: () => countOpenDifferences(sql),
    mail: () => mailBacklog(sql),
    refunds: () => unfinishedRefunds(sql),
  });
  const pulse = createPulse({
    open: () =>
      connect(env.databaseUrl, {
        role: APP_ROLE,
        max: 1,
        applicationName: 'prepaid-wallet pulse',
      }),
    logger,
  });
  const sessionOf = (request: Request) => accounts.session(request.headers.get('cookie'));

  const app = createHttpApp({
    logger,
    appUrl: env.appUrl,
    allowOwnHost: !env.production,
    trustedProxies: env.trustedProxies,
    security: {
      appUrl: env.appUrl,
      stripeApiBase: env.stripe.apiBase,
      devWebSocket: options.reloadWebSocket ?? null,
      inlineStyles: options.reloadWebSocket !== undefined,
    },
    services: apiServices,
    apiKeys,
    stripeEvents,
    webhookSecrets: env.stripe.webhookSecrets,
    notifyStripeEvent: (eventId) => {
      // Best effort: the dispatcher sends again what this loses.
      announceEvent(eventId, eventId).catch((err: unknown) =>
        logger.warn({ err, eventId }, 'stripe event not announced'),
      );
    },
    inngest: inngestHandler(inngest, functions, { serveOrigin: env.appUrl }),
    billing: billingRoutes({
      month,
      tokens: env.billingCronTokens,
      cronSecret: env.cronSecret,
      adminSession: async (request) => (await sessionOf(request))?.user.role === 'support',
    }),
    operations: {
      metricsToken: env.metricsToken,
      schema: checkSchema,
    },
    metrics,
    bound: pulse.bound,
    pages: options.pages,
    loadContext: async ({ request, requestId, cspNonce, ip }) => {
      const session = await sessionOf(request);
      const cookieHeader = request.headers.get('cookie');
      return {
        setCookie: session?.setCookie ?? null,
        context: {
          requestId,
          cspNonce,
          ip,
          user: session?.user ?? null,
          config,
          reportError: (err) => logger.error({ err, requestId }, 'page failed'),
          services: {
            ...pageServices,
            // The session that the browser comes with ends when a new one starts.
            accounts: {
              ...accounts,
              signUp: (input) => accounts.signUp({ ...input, cookieHeader }),
              signIn: (input) => accounts.signIn({ ...input, cookieHeader }),
            },
          },
        },
      };
    },
  });

  async function checkSchema(): Promise<number> {
    const missing = await pendingMigrations({ sql }).catch((error: unknown) => {
      throw error instanceof MigrationError
        ? new Fault('DATABASE_UNAVAILABLE', { publicMessage: error.message, cause: error })
        : error;
    });
    if (missing.length > 0) {
      throw new Fault('DATABASE_UNAVAILABLE', {
        publicMessage: `The database lacks ${missing.join(', ')}: run npm run db:migrate.`,
      });
    }
    return schemaVersion(sql);
  }

  const backgrounds = createBackgrounds({
    sql,
    clock,
    logger,
    livemode,
    gateway,
    accounts,
    statements,
    stripeEvents,
    refundAsking,
    reconciliation,
    recoveryLinks,
    unsubscribeLinks,
    mailer,
    announceEvent,
    announceMonth,
  });

  return {
    listener: chargeListener(
      {
        services: apiServices,
        apiKeys,
        callers: createCallerCache(apiKeys, Date.now),
        metrics,
        logger,
        bound: pulse.bound,
      },
      getRequestListener(app.fetch, {
        // A HEAD or an aborted request must not end the process.
        errorHandler: (err) => {
          logger.error({ err }, 'request not handled');
          return new Response(null, { status: 500 });
        },
      }),
    ),
    checkSchema,
    start() {
      for (const background of [pulse, ...backgrounds]) {
        background.start();
      }
    },
    async stop() {
      await Promise.all([pulse, ...backgrounds].map((background) => background.stop()));
      await Promise.all([sql.end({ timeout: 5 }), monthSql.end({ timeout: 5 })]);
    },
  };
}
