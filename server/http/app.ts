/** The HTTP surface: every route of the program, and what stands in front of each. */
import { Hono } from 'hono';
import { except } from 'hono/combine';
import type { Logger } from 'pino';
import type { ApiKeys } from '../billing/accounts/api-keys.ts';
import type { Bound } from '../billing/pulse.ts';
import type { StripeEvents } from '../billing/stripe-events/stripe-events.ts';
import { asFault, Fault } from '../faults.ts';
import type { RouterServices } from '../trpc/context.ts';
import { limitBody } from './body-limit.ts';
import { errorResponse, logFailure } from './errors.ts';
import type { LoadContext } from './load-context.ts';
import { type Metrics, type Operations, operationRoutes } from './operations.ts';
import { originCheck } from './origin-check.ts';
import { type RequestIdVariables, requestId } from './request-id.ts';
import {
  type SecureHeadersVariables,
  type SecurityHeadersOptions,
  securityHeaders,
} from './security-headers.ts';
import { stripeWebhook } from './stripe-webhook.ts';
import { trpc } from './trpc.ts';
import { unavailablePage, wantsPage } from './unavailable-page.ts';

/** The socket, as @hono/node-server hands it on. */
interface NodeBindings {
  incoming?: { socket: { remoteAddress?: string | undefined } };
}

export type AppEnv = {
  Bindings: NodeBindings;
  Variables: RequestIdVariables & SecureHeadersVariables;
};

/** The pages: a built Remix application, or a development server's. */
export interface Pages {
  /** Answers a request for a page. */
  handle(request: Request, context: LoadContext): Promise<Response>;
  /** Answers a request for a built file, or nothing when there is no such file. */
  asset(path: string): Promise<Response | null>;
}

export interface AppOptions {
  readonly logger: Logger;
  readonly appUrl: string;
  /** How many proxies in front of us write `X-Forwarded-For`; 0 believes the socket only. */
  readonly trustedProxies: number;
  readonly security: SecurityHeadersOptions;
  readonly allowOwnHost: boolean;
  /** What the charging API calls; pages have theirs from `loadContext`. */
  readonly services: RouterServices;
  readonly apiKeys: ApiKeys;
  readonly stripeEvents: StripeEvents;
  readonly notifyStripeEvent: (eventId: string) => void;
  readonly webhookSecrets: readonly string[];
  readonly inngest: (request: Request) => Promise<Response>;
  readonly billing: Hono<AppEnv>;
  readonly operations: Operations;
  readonly metrics: Metrics;
  /** Ends the wait for a database that stands still. */
  readonly bound: Bound;
  readonly pages: Pages;
  /** Everything a page is given, but for the request's own facts. */
  readonly loadContext: (request: {
    request: Request;
    requestId: string;
    cspNonce: string;
    ip: string;
  }) => Promise<{ context: LoadContext; setCookie: string | null }>;
}

/** Where support staff bring the prices of a rate card. */
const PRICE_FILE_PATH = '/admin/rate-cards/:cardId/import';
const KIB = 1024;

/** What is answered whatever the database does, and procedures. */
const WITHOUT_DATABASE = ['/healthz', '/assets/*', '/trpc/*'];

/** Paths whose callers are known by a signature or a Bearer token, never by a cookie. */
const COOKIELESS_PATHS = [
  '/trpc',
  '/api/stripe/webhook',
  '/api/inngest',
  '/api/billing',
  '/api/cron',
  '/unsubscribe',
];

export function createHttpApp(options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.use(requestId());
  app.use(async (c, next) => {
    const startedAtMs = performance.now();
    await next();
    const seconds = (performance.now() - startedAtMs) / 1000;
    options.metrics.observe(c.req.method, c.res.status, seconds);
    options.logger.info(
      {
        requestId: c.get('requestId'),
        method: c.req.method,
        path: loggedPath(c.req.path),
        status: c.res.status,
        ms: Math.round(seconds * 1000),
      },
      'request',
    );
  });
  app.use(securityHeaders(options.security));
  app.use(
    originCheck({
      appUrl: options.appUrl,
      allowOwnHost: options.allowOwnHost,
      exemptPaths: COOKIELESS_PATHS,
    }),
  );
  app.onError((error, c) => {
    const id = c.get('requestId');
    const fault = asFault(error);
    if (fault.status >= 500) {
      logFailure(options.logger, error, { requestId: id });
    }
    return fault.status === 503 && wantsPage(c)
      ? unavailablePage(fault, id)
      : errorResponse(fault, id);
  });
  // Procedures are bounded one by one, so that each call of a batch is answered in their own form.
  app.use(except(WITHOUT_DATABASE, (_, next) => options.bound(next)));

  app.route('/', operationRoutes(options.operations, options.metrics));

  app.use('/api/stripe/webhook', limitBody(1024 * KIB));
  app.post('/api/stripe/webhook', stripeWebhook(options));

  // A run's step outputs come with every request.
  app.use('/api/inngest', limitBody(16 * 1024 * KIB));
  app.on(['GET', 'PUT', 'POST'], '/api/inngest', (c) => options.inngest(c.req.raw));

  app.use('/api/billing/*', limitBody(16 * KIB));
  app.route('/', options.billing);

  app.use('/trpc/*', limitBody(2 * 1024 * KIB));
  app.all('/trpc/*', (c) => trpc(c.req.raw, c.get('requestId'), options));

  app.get('/api/wallet', async (c) => {
    const { context } = await contextOf(c.req.raw, c.get('requestId'), '', '', options);
    if (context.user === null) {
      throw new Fault('UNAUTHORIZED');
    }
    const { seq, ...wallet } = await context.services.wallets.ofUser(context.user.id);
    return new Response(stringify({ ...wallet, asOfSeq: seq }), {
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    });
  });
  app.all('/api/*', () => {
    throw new Fault('NOT_FOUND');
  });

  // The prices of hundreds of thousands of destinations come as one file.
  app.use(PRICE_FILE_PATH, limitBody(32 * 1024 * KIB));
  app.use(except(PRICE_FILE_PATH, limitBody(64 * KIB)));
  app.all('*', async (c) => {
    const { method, path } = c.req;
    const asset = method === 'GET' || method === 'HEAD' ? await options.pages.asset(path) : null;
    if (asset !== null) {
      return asset;
    }
    const ip = clientIp(
      c.env.incoming?.socket.remoteAddress ?? '',
      c.req.header('x-forwarded-for'),
      options.trustedProxies,
    );
    const { context, setCookie } = await contextOf(
      c.req.raw,
      c.get('requestId'),
      c.get('secureHeadersNonce') ?? '',
      ip,
      options,
    );
    const response = await options.pages.handle(c.req.raw, context);
    // A page that signs in or out sets the cookie itself.
    if (setCookie !== null && !response.headers.has('set-cookie')) {
      response.headers.append('set-cookie', setCookie);
    }
    if (!response.headers.has('cache-control')) {
      response.headers.set('cache-control', 'private, no-store');
    }
    return response;
  });
  return app;
}

/** Without the query, which may carry what a person typed, and without the secret of a link. */
function loggedPath(path: string): string {
  return path.startsWith('/unsubscribe/') ? '/unsubscribe/…' : path;
}

function contextOf(
  request: Request,
  requestId: string,
  cspNonce: string,
  ip: string,
  options: AppOptions,
): Promise<{ context: LoadContext; setCookie: string | null }> {
  return options.loadContext({ request, requestId, cspNonce, ip });
}

/**
 * The address a request comes from: the socket's or, behind proxies that we trust, the one that the
 * outermost of them saw. Entries further left are the client's own claim and are not believed.
 */
function clientIp(
  socketAddress: string,
  forwardedFor: string | undefined,
  trustedProxies: number,
): string {
  if (trustedProxies === 0 || forwardedFor === undefined) {
    return socketAddress;
  }
  const hops = forwardedFor.split(',').map((hop) => hop.trim());
  return hops.at(-trustedProxies) ?? hops[0] ?? socketAddress;
}

function stringify(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'bigint' ? inner.toString() : inner,
  );
}
