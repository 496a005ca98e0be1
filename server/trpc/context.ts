/** What every procedure builds on: the caller's key and scopes, and the shape of errors. */
import { getErrorShape, getTRPCErrorFromUnknown, initTRPC, TRPCError } from '@trpc/server';
import { ZodError, type z } from 'zod';
import { type ApiCaller, hasScope, type Scope } from '../billing/accounts/api-keys.ts';
import type { Charging } from '../billing/charging/charging.ts';
import type { Explaining } from '../billing/charging/explaining.ts';
import type { Grants } from '../billing/charging/grants.ts';
import type { Holds } from '../billing/charging/holds.ts';
import type { Refunds } from '../billing/charging/refunds.ts';
import type { SpendingLimits } from '../billing/charging/spending-limits.ts';
import type { PaymentRefunds } from '../billing/money-back/payment-refunds.ts';
import type { Month } from '../billing/month/month.ts';
import type { Subscriptions } from '../billing/month/subscriptions.ts';
import type { Bound } from '../billing/pulse.ts';
import type { RateCards } from '../billing/rate-cards/rate-cards.ts';
import type { Wallets } from '../billing/wallets/wallets.ts';
import { asFault, FAULTS, Fault } from '../faults.ts';
import { describeInputProblems } from '../input-problems.ts';

/** The use cases that procedures call. */
export interface RouterServices {
  readonly wallets: Wallets;
  readonly charging: Charging;
  readonly holds: Holds;
  readonly grants: Grants;
  readonly refunds: Refunds;
  readonly paymentRefunds: PaymentRefunds;
  readonly explaining: Explaining;
  readonly rateCards: RateCards;
  readonly spendingLimits: SpendingLimits;
  readonly subscriptions: Subscriptions;
  readonly month: Month;
}

export interface TrpcContext {
  readonly services: RouterServices;
  readonly requestId: string;
  /** The key that the request's Bearer token names; null without one, or when it is revoked. */
  readonly apiKey: () => Promise<ApiCaller | null>;
  /** Ends the wait for a database that stands still; without it calls wait as long as it takes. */
  readonly bound?: Bound | undefined;
}

const t = initTRPC.context<TrpcContext>().create({
  errorFormatter({ shape, error, ctx }) {
    const { cause } = error;
    const data = {
      code: shape.data.code,
      httpStatus: shape.data.httpStatus,
      path: shape.data.path,
    };
    return {
      code: shape.code,
      message: cause instanceof ZodError ? describeInputProblems(cause) : publicMessage(error),
      data: { ...data, requestId: ctx?.requestId ?? null },
    };
  },
});

/**
 * What a caller may read of an error: tRPC's own messages, which say what the caller did wrong, but
 * nothing of what code threw. Node's error quotes malformed JSON, which may hold phone numbers.
 */
function publicMessage(error: TRPCError): string {
  if (error.cause instanceof SyntaxError) {
    return FAULTS.INVALID_JSON.message;
  }
  return error.code === 'INTERNAL_SERVER_ERROR' ? FAULTS.INTERNAL.message : error.message;
}

/** What a use case threw, as tRPC's error: a fault by its table, tRPC's own errors as they are. */
function asTrpcError(cause: unknown): TRPCError {
  const error = getTRPCErrorFromUnknown(cause);
  if (error.cause === undefined || error.code !== 'INTERNAL_SERVER_ERROR') {
    return error;
  }
  const fault = asFault(error.cause);
  return new TRPCError({
    code: FAULTS[fault.code].trpc,
    message: fault.publicMessage,
    cause: fault,
  });
}

const faults = t.middleware(async ({ ctx: { bound = unbound }, next }) => {
  const result = await bound(() => next()).catch((cause: unknown) => {
    throw asTrpcError(cause);
  });
  if (result.ok) {
    return result;
  }
  throw asTrpcError(result.error);
});

function unbound<T>(work: () => Promise<T>): Promise<T> {
  return work();
}

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

/**
 * What a call counts for in its key's rate limit: an item of a batch counts as a call. Read from
 * the input as it came, so that too much is refused before it is even parsed.
 */
function costOf(rawInput: unknown): number {
  const items = typeof rawInput === 'object' && rawInput !== null && 'items' in rawInput;
  return items && Array.isArray(rawInput.items) ? Math.max(1, rawInput.items.length) : 1;
}

/**
 * Admits a caller and answers the actor for the ledger. Throws when there is no live key, when the key
 * has made too many calls, or when it lacks the scope, in this order.
 */
async function admit(
  apiKey: ApiCaller | null,
  scope: Scope,
  rawInput: () => unknown,
): Promise<string> {
  if (apiKey === null) {
    throw unauthorized();
  }
  if (apiKey.limiter !== null) {
    const waitSeconds = apiKey.limiter.take(costOf(await rawInput()));
    if (waitSeconds > 0) {
      throw new Fault('RATE_LIMITED', { retryAfterSeconds: Math.ceil(waitSeconds) });
    }
  }
  if (!hasScope(apiKey, scope)) {
    throw new TRPCError({ code: 'FORBIDDEN', message: `This API key lacks the scope ${scope}.` });
  }
  return `api_key:${apiKey.id}`;
}

/** A procedure for callers whose key has the scope, within the key's rate limit. */
export function scoped(scope: Scope) {
  return t.procedure.use(faults).use(async ({ ctx, getRawInput, next }) => {
    const actor = await admit(await ctx.apiKey(), scope, getRawInput);
    return next({ ctx: { ...ctx, actor } });
  });
}

/** A procedure in its parts, for the router and for `callDirectly` alike. */
export interface ProcedureParts<Input extends z.ZodType, Output> {
  readonly scope: Scope;
  readonly input: Input;
  readonly run: (
    services: RouterServices,
    input: z.output<Input>,
    actor: string,
  ) => Promise<Output>;
}

/**
 * Calls a procedure as the router does (caller, limit, scope, input, use case, errors), without the
 * router's chain of middleware, which copies the context at every step: that takes some 80 of the
 * 200 microseconds of a charge. Throws a `TRPCError`.
 */
export async function callDirectly<Input extends z.ZodType, Output>(
  procedure: ProcedureParts<Input, Output>,
  rawInput: () => unknown,
  { services, apiKey, bound = unbound }: TrpcContext,
): Promise<Output> {
  try {
    return await bound(async () => {
      const actor = await admit(await apiKey(), procedure.scope, rawInput);
      const input = procedure.input.safeParse(rawInput());
      if (!input.success) {
        throw new TRPCError({ code: 'BAD_REQUEST', cause: input.error });
      }
      return procedure.run(services, input.data, actor);
    });
  } catch (cause) {
    throw asTrpcError(cause);
  }
}

/** Throws a `TRPCError` when the call comes without a live key. */
export async function requireKey({ apiKey, bound = unbound }: TrpcContext): Promise<void> {
  const caller = await bound(apiKey).catch((cause: unknown) => {
    throw asTrpcError(cause);
  });
  if (caller === null) {
    throw unauthorized();
  }
}

function unauthorized(): TRPCError {
  return new TRPCError({ code: 'UNAUTHORIZED', message: FAULTS.UNAUTHORIZED.message });
}

/** An error as it travels, in the shape that this router gives errors. */
export function errorShapeOf(error: TRPCError, path: string, context: TrpcContext) {
  return getErrorShape({
    config: t._config,
    error,
    type: 'mutation',
    path,
    input: undefined,
    ctx: context,
  });
}
