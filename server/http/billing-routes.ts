/** The month over HTTP: a cron starts it, operators ask how it stands. */
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { isPeriod, type Month, type MonthRequest } from '../billing/month/month.ts';
import { Fault } from '../faults.ts';
import { describeInputProblems } from '../input-problems.ts';
import type { AppEnv } from './app.ts';
import { bearerMatches } from './bearer.ts';
import { errorResponse } from './errors.ts';

export interface BillingRoutesOptions {
  readonly month: Pick<Month, 'launch' | 'status'>;
  /** Any of these is `BILLING_CRON_TOKEN`; none when it is not set. */
  readonly tokens: readonly string[];
  /** Vercel's `CRON_SECRET`; null when it is not set. */
  readonly cronSecret: string | null;
  /** Whether the request comes from a signed-in member of the support staff. */
  readonly adminSession: (request: Request) => Promise<boolean>;
}

const periodSchema = z
  .string('must be a text such as "2026-10"')
  .refine(isPeriod, 'must be a calendar month written YYYY-MM');

const bodySchema = z.strictObject(
  { period: periodSchema.optional() },
  {
    // A field that is not known keeps the message that names it.
    error: ({ code }) => (code === 'invalid_type' ? 'the body must be a JSON object' : undefined),
  },
);
const querySchema = z.object({ period: periodSchema.optional() });

/** The routes under `/api/billing` and `/api/cron`; what they throw, the application answers. */
export function billingRoutes(options: BillingRoutesOptions): Hono<AppEnv> {
  const { month } = options;
  const routes = new Hono<AppEnv>();

  routes.post('/api/billing/monthly', async (c) => {
    if (!bearerMatches(c.req.header('authorization'), options.tokens)) {
      return unauthorized(c, 'BILLING_CRON_TOKEN', options.tokens.length > 0);
    }
    const { period } = parse(bodySchema, parseJson(await c.req.text()));
    return start(c, { period, actor: 'cron:http' });
  });

  routes.get('/api/billing/monthly', async (c) => {
    const allowed =
      bearerMatches(c.req.header('authorization'), options.tokens) ||
      (await options.adminSession(c.req.raw));
    if (!allowed) {
      return unauthorized(c, 'BILLING_CRON_TOKEN', options.tokens.length > 0);
    }
    const { period } = parse(querySchema, c.req.query());
    c.header('cache-control', 'no-store');
    return c.json(await month.status(period));
  });

  // Vercel's cron sends GET, with a secret of its own; so a GET that writes has a path of its own.
  routes.get('/api/cron/monthly-billing', (c) => {
    const tokens = options.cronSecret === null ? [] : [options.cronSecret];
    if (!bearerMatches(c.req.header('authorization'), tokens)) {
      return unauthorized(c, 'CRON_SECRET', tokens.length > 0);
    }
    return start(c, { actor: 'cron:vercel' });
  });

  async function start(c: Context<AppEnv>, request: MonthRequest): Promise<Response> {
    const requested = await month.launch(request);
    if (!requested.ok) {
      throw new Fault('CONFLICT', { publicMessage: requested.message });
    }
    const { runId, period, status } = requested;
    c.header('cache-control', 'no-store');
    return c.json({ runId, period, status }, 202);
  }

  return routes;
}

function unauthorized(c: Context<AppEnv>, variable: string, isSet: boolean): Response {
  const publicMessage = isSet
    ? `A Bearer token is required that is ${variable}.`
    : `${variable} is not set on this server, so this is closed.`;
  const response = errorResponse(new Fault('UNAUTHORIZED', { publicMessage }), c.get('requestId'));
  response.headers.set('www-authenticate', 'Bearer');
  return response;
}

/** An empty body asks for everything by default. */
function parseJson(text: string): unknown {
  if (text.trim() === '') {
    return {};
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault('INVALID_JSON');
  }
}

function parse<Output>(schema: z.ZodType<Output>, input: unknown): Output {
  const parsed = schema.safeParse(input);
  if (parsed.success) {
    return parsed.data;
  }
  throw new Fault('BAD_REQUEST', { publicMessage: describeInputProblems(parsed.error) });
}
