/** The charging API over HTTP: the router behind the fetch adapter, and who calls it. */
import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import type { Logger } from 'pino';
import type { ApiCaller, ApiKeys } from '../billing/accounts/api-keys.ts';
import type { Bound } from '../billing/pulse.ts';
import type { RouterServices } from '../trpc/context.ts';
import { appRouter } from '../trpc/router.ts';
import { apiKeySecret } from './bearer.ts';
import { logFailure, retryAfter } from './errors.ts';

export interface TrpcOptions {
  readonly services: RouterServices;
  readonly apiKeys: Pick<ApiKeys, 'authenticate'>;
  readonly logger: Logger;
  readonly bound?: Bound | undefined;
}

/** The most calls in one HTTP batch. */
export const MAX_HTTP_BATCH = 200;

export function trpc(
  request: Request,
  requestId: string,
  { services, apiKeys, logger, bound }: TrpcOptions,
): Promise<Response> {
  // The procedures ask for it, so that a database that is down becomes an error of theirs; it is
  // looked up once for all calls of a batch.
  let caller: Promise<ApiCaller | null> | undefined;
  const apiKey = () => {
    caller ??= apiKeyOf(request, apiKeys);
    return caller;
  };
  return fetchRequestHandler({
    endpoint: '/trpc',
    req: request,
    router: appRouter,
    maxBatchSize: MAX_HTTP_BATCH,
    // A query may be sent as POST: its input holds what must not stand in an address.
    allowMethodOverride: true,
    createContext: async () => ({ services, requestId, apiKey, bound }),
    responseMeta: ({ errors }) => ({
      headers: { ...retryAfter(errors), 'cache-control': 'no-store' },
    }),
    onError({ error, path }) {
      if (error.code === 'INTERNAL_SERVER_ERROR' || error.code === 'SERVICE_UNAVAILABLE') {
        logFailure(logger, error.cause ?? error, { requestId, procedure: path });
      }
    },
  });
}

async function apiKeyOf(
  request: Request,
  apiKeys: Pick<ApiKeys, 'authenticate'>,
): Promise<ApiCaller | null> {
  const secret = apiKeySecret(request.headers.get('authorization') ?? undefined);
  return secret === null ? null : apiKeys.authenticate(secret);
}
