/**
 * The charging procedures over plain Node HTTP. They are called thousands of times a second, and
 * the fetch adapter spends more on web streams and `Request` objects than a charge takes. Inputs,
 * answers and errors are those of the router; every other request goes on to the application.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { getTRPCErrorFromUnknown, TRPCError } from '@trpc/server';
import { getHTTPStatusCode } from '@trpc/server/http';
import type { Logger } from 'pino';
import type { ApiCaller, ApiKeys } from '../billing/accounts/api-keys.ts';
import type { Bound } from '../billing/pulse.ts';
import { Fault } from '../faults.ts';
import {
  errorShapeOf,
  type RouterServices,
  requireKey,
  type TrpcContext,
} from '../trpc/context.ts';
import { HOT_PROCEDURES, type HotProcedure } from '../trpc/hot-procedures.ts';
import { apiKeySecret } from './bearer.ts';
import type { CallerCache } from './caller-cache.ts';
import { logFailure, retryAfter, toErrorBody } from './errors.ts';
import type { Metrics } from './operations.ts';
import { chooseRequestId } from './request-id.ts';
import { MAX_HTTP_BATCH } from './trpc.ts';

const PATH = /^\/trpc\/([\w.,]+)(\?batch=1)?$/;
const MAX_BODY_BYTES = 2 * 1024 * 1024;

export interface ChargeListenerOptions {
  readonly services: RouterServices;
  readonly apiKeys: Pick<ApiKeys, 'authenticate'>;
  readonly callers: CallerCache;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly bound?: Bound | undefined;
}

/** Answers the hot procedures, and hands every other request, still unread, to `next`. */
export function chargeListener(
  options: ChargeListenerOptions,
  next: RequestListener,
): RequestListener {
  return (request, response) => {
    const calls = hotCalls(request);
    if (calls === null) {
      next(request, response);
      return;
    }
    answer(request, response, calls, options).catch((error: unknown) => {
      // A caller that goes before it has sent its request is no failure of ours.
      if (!request.errored) {
        options.logger.error({ err: error }, 'charge request failed');
      }
      response.destroy();
    });
  };
}

interface Calls {
  readonly procedures: readonly (HotProcedure & { readonly path: string })[];
  readonly isBatch: boolean;
}

/** The calls of a request that consists of hot procedures alone, else null. */
function hotCalls(request: IncomingMessage): Calls | null {
  if (
    request.method !== 'POST' ||
    !request.headers['content-type']?.startsWith('application/json')
  ) {
    return null;
  }
  // Only the comma is ever encoded in these addresses, and decoding a stranger's broken one would
  // throw.
  const [, list, batch] = PATH.exec((request.url ?? '').replace(/%2c/gi, ',')) ?? [];
  const paths = list?.split(',') ?? [];
  const isBatch = batch !== undefined;
  // Several names without `batch`, or too many with it, are for the router to refuse.
  if (paths.length > MAX_HTTP_BATCH || (paths.length > 1 && !isBatch)) {
    return null;
  }
  const procedures = paths.flatMap((path) => {
    const procedure = HOT_PROCEDURES.get(path);
    return procedure === undefined ? [] : [{ path, ...procedure }];
  });
  return procedures.length === 0 || procedures.length < paths.length
    ? null
    : { procedures, isBatch };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { procedures, isBatch }: Calls,
  { services, apiKeys, callers, metrics, logger, bound }: ChargeListenerOptions,
): Promise<void> {
  const startedAtMs = performance.now();
  const requestId = chooseRequestId(request.headers['x-request-id']?.toString());
  const body = await readBody(request);
  if (body === null) {
    const { status, body: error } = toErrorBody(new Fault('PAYLOAD_TOO_LARGE'), requestId);
    send(response, status, JSON.stringify(error), {
      'x-request-id': requestId,
      connection: 'close',
    });
    return;
  }

  const secret = apiKeySecret(request.headers.authorization);
  const base = { services, requestId, bound };
  // The key may have been revoked since it was remembered: every write checks it again.
  const remembered: TrpcContext = {
    ...base,
    apiKey: async () => (secret === null ? null : callers.find(secret)),
  };
  // Looked up once for all calls of a batch.
  let caller: Promise<ApiCaller | null> | undefined;
  const lookedUp: TrpcContext = {
    ...base,
    apiKey() {
      caller ??= secret === null ? Promise.resolve(null) : apiKeys.authenticate(secret);
      return caller;
    },
  };
  const inputs = parseInputs(body, isBatch);
  const errors: TRPCError[] = [];
  const answerCall = async (
    { path, checksKey, call }: Calls['procedures'][number],
    index: number,
  ) => {
    const context = checksKey ? remembered : lookedUp;
    try {
      const answered = call(() => inputs(index), context);
      return { result: { data: await (checksKey ? forLiveKeys(answered, lookedUp) : answered) } };
    } catch (cause) {
      const error = getTRPCErrorFromUnknown(cause);
      errors.push(error);
      if (error.code === 'INTERNAL_SERVER_ERROR' || error.code === 'SERVICE_UNAVAILABLE') {
        logFailure(logger, error.cause ?? error, { requestId, procedure: path });
      }
      return { error: errorShapeOf(error, path, context) };
    }
  };
  const results = await Promise.all(procedures.map(answerCall));

  const reply = isBatch ? results : results[0];
  const status = getHTTPStatusCode(reply as Parameters<typeof getHTTPStatusCode>[0]);
  send(response, status, JSON.stringify(reply), {
    'x-request-id': requestId,
    ...retryAfter(errors),
  });
  const seconds = (performance.now() - startedAtMs) / 1000;
  metrics.observe('POST', status, seconds);
  logger.debug(
    { requestId, calls: procedures.length, status, ms: Math.round(seconds * 1000) },
    'charges',
  );
}

/**
 * The answer to a call whose key came from memory. The database checks the key when it writes; a
 * malformed request, or one whose wallet or hold does not exist, is answered without a write. So that
 * a revoked key learns nothing from such an answer, it is looked up first.
 */
async function forLiveKeys(answered: Promise<unknown>, lookedUp: TrpcContext): Promise<unknown> {
  const answer = await answered.catch(async (error: unknown) => {
    if (error instanceof TRPCError && error.code === 'BAD_REQUEST') {
      await requireKey(lookedUp);
    }
    throw error;
  });
  const verdicts = [answer].flat() as { readonly ok: boolean }[];
  if (!verdicts.some(({ ok }) => ok)) {
    await requireKey(lookedUp);
  }
  return answer;
}

/** The body; null when it is above the limit. Reads by events, which cost less than an iterator. */
function readBody(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) {
        request.pause();
        resolve(null);
        return;
      }
      chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('error', reject);
  });
}

/** The input of each call by its place. Malformed JSON fails every call, as in tRPC's adapters. */
function parseInputs(body: string, isBatch: boolean): (index: number) => unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    return () => {
      throw new TRPCError({ code: 'BAD_REQUEST', cause });
    };
  }
  return (index) => (isBatch ? (parsed as Record<string, unknown> | null)?.[index] : parsed);
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(body);
}
