import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { type ApiAnswer, type ApiKeys, answerApi, errorAnswer, internalError } from './api.ts';
import { browserAnswer } from './browser-files.ts';
import type { World } from './call.ts';
import { createControls, runCommand, type StripeControls } from './controls.ts';
import { ApiError, invalidRequest } from './errors.ts';
import { Faults } from './faults.ts';
import { newId } from './ids.ts';
import { pageAnswer } from './page.ts';
import { Store } from './store.ts';
import { type WebhookEndpoint, Webhooks } from './webhooks.ts';

export interface StripeStandInOptions {
  /** 0 takes a free port. */
  port: number;
  host?: '127.0.0.1' | 'localhost' | '::1';
  secretKey: string;
  publishableKey: string;
  webhooks: WebhookEndpoint[];
  /** File that keeps the state across restarts (a journal of JSON lines); in memory without it. */
  statePath?: string;
  logger?: Logger;
}

export interface StripeStandIn {
  /** Origin, for `STRIPE_API_BASE`. */
  url: string;
  controls: StripeControls;
  stop(): Promise<void>;
}

const MAX_BODY_BYTES = 1_000_000;

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new ApiError(413, 'invalid_request_error', 'Body too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    throw invalidRequest('The body is not JSON.');
  }
}

/** Any page may call `/v1` with a publishable key, as it may call Stripe. */
const CORS_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, stripe-version',
  'access-control-allow-methods': 'GET, POST, DELETE',
  'access-control-expose-headers': 'request-id, idempotent-replayed',
  'access-control-max-age': '600',
};

/**
 * The controls and the developer's page change things without a key, so only this origin's own
 * pages and programs that are not browsers may use them: no other site, by name or by rebinding.
 */
function checkOwnOrigin(request: IncomingMessage, world: World): void {
  const { host, origin } = request.headers;
  const own = new URL(world.baseUrl);
  const hosts = [own.host, `localhost:${own.port}`, `127.0.0.1:${own.port}`];
  const origins = hosts.map((name) => `http://${name}`);
  if (!hosts.includes(host ?? '') || (origin !== undefined && !origins.includes(origin))) {
    throw new ApiError(403, 'invalid_request_error', 'This origin may not use the controls.');
  }
}

async function answer(
  world: World,
  keys: ApiKeys,
  controls: StripeControls,
  request: IncomingMessage,
): Promise<ApiAnswer> {
  const url = new URL(request.url ?? '/', world.baseUrl);
  const method = request.method ?? 'GET';
  if (url.pathname.startsWith('/v1/')) {
    if (method === 'OPTIONS') return { status: 204, headers: CORS_HEADERS, body: '' };
    const body = await readBody(request);
    const answered = answerApi(world, keys, { method, url, headers: request.headers, body });
    return { ...answered, headers: { ...answered.headers, ...CORS_HEADERS } };
  }
  if (url.pathname.startsWith('/endive/')) {
    return browserAnswer(world, method, url, await readBody(request));
  }
  checkOwnOrigin(request, world);
  const body = await readBody(request);
  if (url.pathname.startsWith('/_control/')) {
    if (method === 'GET' && url.pathname === '/_control/events') return json(controls.events());
    if (method !== 'POST') throw new ApiError(405, 'invalid_request_error', 'Use POST.');
    return json(runCommand(controls, url.pathname.slice('/_control/'.length), parseJson(body)));
  }
  return pageAnswer(world, controls, method, url, body);
}

function json(value: unknown): ApiAnswer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  };
}

function send(response: ServerResponse, given: ApiAnswer): void {
  if (given.fault === 'hang_after_commit') return;
  if (given.fault === 'cut_after_commit') {
    response.destroy();
    return;
  }
  const answered =
    given.fault === 'error_after_commit'
      ? errorAnswer(internalError(), given.headers['request-id'] ?? newId('req'))
      : given;
  response.writeHead(answered.status, { 'cache-control': 'no-store', ...answered.headers });
  response.end(answered.body);
}

/**
 * Starts a server that stands in for Stripe in development and tests: its API for the stock SDK,
 * its signed webhooks, its browser script and Payment Element, and a page that shows what happened.
 */
export async function startStripeStandIn(options: StripeStandInOptions): Promise<StripeStandIn> {
  const host = options.host ?? '127.0.0.1';
  const keys: ApiKeys = options;
  const faults = new Faults();
  const store = new Store(options.statePath);
  const webhooks = new Webhooks({
    endpoints: options.webhooks,
    store,
    faults,
    logger: options.logger,
  });
  const world: World = { store, webhooks, faults, baseUrl: '' };
  const controls = createControls(world);
  const server = createServer((request, response) => {
    answer(world, keys, controls, request)
      .catch((error: unknown) => {
        if (error instanceof ApiError) return errorAnswer(error, newId('req'));
        options.logger?.error({ err: error }, 'the Stripe stand-in failed to answer');
        return errorAnswer(internalError(), newId('req'));
      })
      .then((answered) => send(response, answered));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  world.baseUrl = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  webhooks.resume();
  return {
    url: world.baseUrl,
    controls,
    stop: () =>
      new Promise((resolve) => {
        webhooks.stop();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
