/** The composition root: connects the use cases with the database, Stripe, Inngest, mail and HTTP. */
import type { RequestListener } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import type { Logger } from 'pino';
import { createBackgrounds } from './backgrounds.ts';
import { createPulse } from './billing/pulse.ts';
import type { Env } from './env.ts';
import { Fault } from './faults.ts';
import { createHttpApp, type Pages } from './http/app.ts';
import { billingRoutes } from './http/billing-routes.ts';
import { createCallerCache } from './http/caller-cache.ts';
import { chargeListener } from './http/charge-listener.ts';
import type { LoadContext } from './http/load-context.ts';
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
import { createUseCases } from './use-cases.ts';

const APP_NAME = 'Prepaid Wallet';

/** Far above what a range takes, so that only a statement that is stuck is ended. */
const MONTH_STATEMENT_TIMEOUT_MS = 1_800_000;
/** Batches of charges that the database applies at once. */
const CHARGE_LINES = 2;
/** How long what runs beside the requests may take to end, and then how long queries may. */
const STOP_TIMEOUT_SECONDS = 5;

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
  /** Ends it and the connections to the database, within seconds even when that does not answer. */
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
  // A connection that has a batch of charges under way takes the next one at once.
  const chargeLines = Array.from({ length: CHARGE_LINES }, () =>
    connect(env.databaseUrl, {
      role: APP_ROLE,
      max: 1,
      applicationName: 'prepaid-wallet charges',
    }),
  );
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
  const useCases = createUseCases({
    env,
    appName: APP_NAME,
    sql,
    monthSql,
    chargeLines,
    gateway,
    livemode,
    clock,
    logger,
    announceMonth,
  });
  const { accounts, apiKeys, month, reconciliation, stripeEvents } = useCases;
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
    services: useCases.api,
    apiKeys,
    stripeEvents,
    webhookSecrets: env.stripe.webhookSecrets,
    notifyStripeEvent: (eventId) => {
      // Best effort: the dispatcher sends again what this loses.
      announceEvent(eventId, eventId).catch((err: unknown) =>
        logger.warn({ err, eventId }, 'stripe event not announced'),
      );
    },
    inngest: inngestHandler(inngest, functions, {
      serveOrigin: env.appUrl,
      signed: !env.inngest.dev,
    }),
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
            ...useCases.pages,
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
    useCases,
    mailer,
    announceEvent,
    announceMonth,
  });

  return {
    listener: chargeListener(
      {
        services: useCases.api,
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
      // What waits for a database that does not answer would wait for ever. It is left: what it was
      // doing stands in the database, done or still to do.
      await Promise.race([
        Promise.all([pulse, ...backgrounds].map((background) => background.stop())),
        sleep(STOP_TIMEOUT_SECONDS * 1000, null, { ref: false }),
      ]);
      await Promise.all(
        [sql, monthSql, ...chargeLines].map((client) =>
          client.end({ timeout: STOP_TIMEOUT_SECONDS }),
        ),
      );
    },
  };
}
