/** What every procedure builds on: the caller's key and scopes, and the shape of errors. */
import { initTRPC, TRPCError } from '@trpc/server';
import { ZodError } from 'zod';
import { type ApiCaller, hasScope, type Scope } from '../billing/api-keys.ts';
import type { Charging } from '../billing/charging.ts';
import type { Holds } from '../billing/holds.ts';
import type { Month } from '../billing/month.ts';
import type { RateCards } from '../billing/rate-cards.ts';
import type { Wallets } from '../billing/wallets.ts';
import { asFault, FAULTS } from '../faults.ts';

/** The use cases that procedures call. */
export interface RouterServices {
  readonly wallets: Wallets;
  readonly charging: Charging;
  readonly holds: Holds;
  readonly rateCards: RateCards;
  readonly month: Month;
}

export interface TrpcContext {
  readonly services: RouterServices;
  readonly requestId: string;
  /** The key that the request's Bearer token names; null without one, or when it is revoked. */
  readonly apiKey: () => Promise<ApiCaller | null>;
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
      message: cause instanceof ZodError ? zodMessage(cause) : publicMessage(error),
      data: { ...data, requestId: ctx?.requestId ?? null },
    };
  },
});

/** Which field is wrong and how, without its value: numbers and texts are private. */
function zodMessage(error: ZodError): string {
  return error.issues
    .slice(0, 10)
    .map((issue) => [issue.path.join('.'), issue.message].filter((part) => part !== '').join(': '))
    .join('; ');
}

/**
 * tRPC's own errors say what the caller did wrong; what code threw is said by the fault table. Node
 * quotes malformed JSON in its error, and numbers in it are private.
 */
function publicMessage(error: TRPCError): string {
  if (error.cause instanceof SyntaxError) {
    return FAULTS.INVALID_JSON.message;
  }
  return error.code === 'INTERNAL_SERVER_ERROR' ? FAULTS.INTERNAL.message : error.message;
}

const faults = t.middleware(async ({ next }) => {
  const result = await next();
  if (
    result.ok ||
    result.error.cause === undefined ||
    result.error.code !== 'INTERNAL_SERVER_ERROR'
  ) {
    return result;
  }
  const fault = asFault(result.error.cause);
  throw new TRPCError({
    code: FAULTS[fault.code].trpc,
    message: fault.publicMessage,
    cause: fault,
  });
});

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

/** A procedure for callers whose key has the scope. */
export function scoped(scope: Scope) {
  return t.procedure.use(faults).use(async ({ ctx, next }) => {
    const apiKey = await ctx.apiKey();
    if (apiKey === null) {
      throw new TRPCError({ code: 'UNAUTHORIZED', message: FAULTS.UNAUTHORIZED.message });
    }
    if (!hasScope(apiKey, scope)) {
      throw new TRPCError({ code: 'FORBIDDEN', message: `This API key lacks the scope ${scope}.` });
    }
    return next({ ctx: { ...ctx, actor: `api_key:${apiKey.id}` } });
  });
}
