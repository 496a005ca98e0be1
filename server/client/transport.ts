/** One try of a call: batched with its neighbours of the same tick, over HTTP. */
import { randomUUID } from 'node:crypto';
import {
  createTRPCUntypedClient,
  httpBatchLink,
  httpLink,
  type Operation,
  splitLink,
} from '@trpc/client';
import type { AppRouter } from '../trpc/router.ts';
import { UnreadableAnswer } from './errors.ts';

/** As many calls as the service takes in one request. */
const MAX_BATCH = 200;

/** Calls whose inputs are large: together they could outgrow what the service reads. */
const SENT_ALONE: ReadonlySet<string> = new Set([
  'usage.chargeBatch',
  'rateCards.publish',
  'rateCards.putRules',
  'rateCards.importCsv',
]);

/** What is known of a try from outside; a call has one for each of its tries. */
export interface Try {
  /** Of the HTTP request that the try went out with, once it has. */
  requestId: string | null;
}

export interface Transport {
  send(
    type: 'query' | 'mutation',
    path: string,
    input: unknown,
    options: { readonly signal: AbortSignal; readonly attempt: Try },
  ): Promise<unknown>;
}

/** `endpoint` is the router's address, without a slash at its end. */
export function createTransport(options: {
  readonly endpoint: string;
  readonly apiKey: string;
  readonly fetch: typeof globalThis.fetch;
}): Transport {
  const { endpoint, apiKey } = options;

  /** An id made here names the request in the service's log even when no answer comes. */
  function headers(operations: readonly Operation[]) {
    const requestId = randomUUID();
    for (const { context } of operations) {
      (context.attempt as Try).requestId = requestId;
    }
    return { authorization: `Bearer ${apiKey}`, 'x-request-id': requestId };
  }

  const link = {
    url: endpoint,
    // Queries too: an address ends up in logs, and inputs hold phone numbers.
    methodOverride: 'POST' as const,
    fetch: async (input: RequestInfo | URL | string, init?: object) =>
      readAnswer(await options.fetch(input, init as RequestInit)),
  };
  const client = createTRPCUntypedClient<AppRouter>({
    links: [
      splitLink({
        condition: ({ path }) => SENT_ALONE.has(path),
        true: httpLink({ ...link, headers: ({ op }) => headers([op]) }),
        false: httpBatchLink({
          ...link,
          maxItems: MAX_BATCH,
          headers: ({ opList }) => headers(opList),
        }),
      }),
    ],
  });
  return {
    send: (type, path, input, { signal, attempt }) =>
      client[type](path, input, { signal, context: { attempt } }),
  };
}

/** The answer as tRPC reads it. Throws `UnreadableAnswer` for what the router did not write. */
async function readAnswer(response: Response) {
  const text = await response.text();
  const retryAfterMs = retryAfter(response.headers.get('retry-after'));
  const json = parse(text);
  if (!isFromRouter(json)) {
    throw new UnreadableAnswer(response.status, retryAfterMs, said(json));
  }
  return { ok: response.ok, json: async () => json, retryAfterMs };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isFromRouter(json: unknown): boolean {
  if (Array.isArray(json)) {
    return true;
  }
  const { result, error } = (json ?? {}) as { result?: unknown; error?: { code?: unknown } };
  return result !== undefined || typeof error?.code === 'number';
}

/** Errors from in front of the router: `{error: {code, message, requestId}}`. */
function said(json: unknown): UnreadableAnswer['said'] {
  const { error } = (json ?? {}) as { error?: { code?: unknown; message?: unknown } };
  return typeof error?.code === 'string' && typeof error.message === 'string'
    ? { code: error.code, message: error.message }
    : null;
}

/** `Retry-After` in milliseconds: it is given in seconds, or as a date. */
function retryAfter(header: string | null): number | null {
  if (header === null) {
    return null;
  }
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}
