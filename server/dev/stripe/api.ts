import { createHash } from 'node:crypto';
import type { Call, World } from './call.ts';
import { customerSessionRoutes } from './customer-sessions.ts';
import { customerRoutes } from './customers.ts';
import { disputeRoutes } from './disputes.ts';
import { ApiError, invalidRequest } from './errors.ts';
import { API_VERSION } from './events.ts';
import { expand } from './expand.ts';
import type { ApiFault } from './faults.ts';
import { fraudWarningRoutes } from './fraud-warnings.ts';
import { newId } from './ids.ts';
import { decodeForm, type ParamTree } from './params.ts';
import { paymentIntentRoutes } from './payment-intents.ts';
import { paymentMethodRoutes } from './payment-methods.ts';
import { readRoutes } from './reads.ts';
import { refundRoutes } from './refunds.ts';
import type { Route } from './route.ts';
import { setupIntentRoutes } from './setup-intents.ts';

/** All that `/v1` answers. */
export const ROUTES: readonly Route[] = [
  ...customerRoutes,
  ...customerSessionRoutes,
  ...disputeRoutes,
  ...fraudWarningRoutes,
  ...paymentIntentRoutes,
  ...paymentMethodRoutes,
  ...readRoutes,
  ...refundRoutes,
  ...setupIntentRoutes,
];

export interface ApiKeys {
  secretKey: string;
  publishableKey: string;
}

export interface ApiRequest {
  method: string;
  url: URL;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export interface ApiAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
  /** What is to go wrong with this answer after all. */
  fault?: ApiFault | undefined;
}

function header(request: ApiRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The key in `Authorization` (Bearer, or Basic's user name) or in the parameter `key`. */
function presentedKey(request: ApiRequest, tree: ParamTree): string | undefined {
  const [scheme = '', credentials = ''] = (header(request, 'authorization') ?? '').split(' ');
  if (/^bearer$/i.test(scheme)) return credentials;
  if (/^basic$/i.test(scheme)) return Buffer.from(credentials, 'base64').toString().split(':')[0];
  return typeof tree.key === 'string' ? tree.key : undefined;
}

function authenticate(keys: ApiKeys, key: string | undefined): Call['caller'] {
  if (key === keys.secretKey) return 'secret';
  if (key === keys.publishableKey) return 'publishable';
  const message =
    key === undefined || key === ''
      ? 'You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. `Authorization: Bearer YOUR_SECRET_KEY`).'
      : `Invalid API Key provided: ****${key.slice(-4)}`;
  throw new ApiError(401, 'invalid_request_error', message);
}

function findRoute(request: ApiRequest): { found: Route; id: string } {
  const { pathname } = request.url;
  for (const found of ROUTES) {
    const match = found.method === request.method ? found.pattern.exec(pathname) : null;
    if (match) return { found, id: match[1] ?? '' };
  }
  throw new ApiError(
    404,
    'invalid_request_error',
    `Unrecognized request URL (${request.method}: ${pathname}).`,
  );
}

/** Answers one request to `/v1`: authentication, version, parameters, idempotency, then the call. */
export function answerApi(world: World, keys: ApiKeys, request: ApiRequest): ApiAnswer {
  const requestId = newId('req');
  try {
    return answer(world, keys, request, requestId);
  } catch (error) {
    if (error instanceof ApiError) return errorAnswer(error, requestId);
    throw error;
  }
}

function answer(world: World, keys: ApiKeys, request: ApiRequest, requestId: string): ApiAnswer {
  const form = request.method === 'POST' ? request.body : request.url.search.slice(1);
  const { key, expand: expandPaths, _stripe_version, ...tree } = decodeForm(form);
  const caller = authenticate(keys, presentedKey(request, key === undefined ? {} : { key }));
  const version = header(request, 'stripe-version') ?? _stripe_version;
  if (version !== undefined && version !== API_VERSION) {
    throw invalidRequest(`Invalid Stripe API version: ${String(version)}; use ${API_VERSION}.`);
  }
  const { found, id } = findRoute(request);
  if (caller === 'publishable' && found.access === 'secret') {
    throw new ApiError(
      401,
      'invalid_request_error',
      'This API call cannot be made with a publishable API key. Please use a secret API key.',
      { code: 'secret_key_required' },
    );
  }
  const idempotencyKey = request.method === 'POST' ? header(request, 'idempotency-key') : undefined;
  const call: Call = {
    ...world,
    caller,
    nowSeconds: Math.floor(Date.now() / 1000),
    request: { id: requestId, idempotency_key: idempotencyKey ?? null },
  };
  const run = () => JSON.stringify(expand(world.store, found.prepare(tree)(call, id), expandPaths));
  const fault =
    caller === 'secret' && request.method === 'POST'
      ? world.faults.takeApi(request.url.pathname)
      : undefined;
  if (fault === 'error_before_commit') throw internalError();
  if (fault === 'refused') throw invalidRequest('A control of the stand-in refuses this call.');
  if (fault === 'rate_limit') {
    throw new ApiError(429, 'invalid_request_error', 'Request rate limit exceeded.', {
      code: 'rate_limit',
    });
  }
  const done =
    idempotencyKey === undefined
      ? { status: 200, headers: {}, body: run() }
      : once(world, call, `${caller}:${idempotencyKey}`, fingerprintOf(request, form), run);
  return { ...done, headers: headersOf(requestId, done.headers), fault };
}

function headersOf(requestId: string, extra: Record<string, string>): Record<string, string> {
  return {
    'content-type': 'application/json',
    'request-id': requestId,
    'stripe-version': API_VERSION,
    ...extra,
  };
}

/** Stripe's answer for an error, with the headers that every answer has. */
export function errorAnswer(error: ApiError, requestId: string): ApiAnswer {
  return {
    status: error.status,
    headers: headersOf(requestId, {}),
    body: JSON.stringify(error.toBody()),
  };
}

export function internalError(): ApiError {
  return new ApiError(500, 'api_error', 'An unknown error occurred.');
}

/** The parameters in any order make the same fingerprint. */
function fingerprintOf(request: ApiRequest, form: string): string {
  const params = [...new URLSearchParams(form)].map(([name, value]) => `${name}=${value}`).sort();
  const whole = JSON.stringify([request.method, request.url.pathname, params]);
  return createHash('sha256').update(whole).digest('hex');
}

/**
 * Runs a call once for each idempotency key: the same request again gets the stored answer, another
 * request under the key is refused. Answers to malformed requests are not stored, as Stripe does.
 */
function once(
  world: World,
  call: Call,
  key: string,
  fingerprint: string,
  run: () => string,
): ApiAnswer {
  if (key.length > 300) throw invalidRequest('Idempotency keys may have up to 255 characters.');
  const stored = world.store.get('idempotency', key);
  if (stored && stored.fingerprint !== fingerprint) {
    throw new ApiError(
      400,
      'idempotency_error',
      'Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a different key if you meant to execute a different request.',
    );
  }
  if (stored) {
    return {
      status: stored.status,
      headers: { 'idempotent-replayed': 'true', 'original-request': stored.requestId },
      body: stored.body,
    };
  }
  const fresh = attempt(run);
  world.store.put('idempotency', key, {
    ...fresh,
    fingerprint,
    requestId: call.request?.id ?? '',
    createdMs: Date.now(),
  });
  return { ...fresh, headers: {} };
}

/** A declined card is an answer like any other; other errors are raised. */
function attempt(run: () => string): { status: number; body: string } {
  try {
    return { status: 200, body: run() };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 402) throw error;
    return { status: error.status, body: JSON.stringify(error.toBody()) };
  }
}
