import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Stripe from 'stripe';
import { type StripeStandIn, type StripeStandInOptions, startStripeStandIn } from './server.ts';

export const SECRET_KEY = 'sk_test_standin';
export const PUBLISHABLE_KEY = 'pk_test_standin';
export const WEBHOOK_SECRET = 'whsec_standin';

/** The stock SDK, pointed at a stand-in. */
export function sdkFor(url: string, key = SECRET_KEY): Stripe {
  const { hostname, port } = new URL(url);
  return new Stripe(key, { host: hostname, port, protocol: 'http', maxNetworkRetries: 0 });
}

export interface TestWorld {
  standIn: StripeStandIn;
  stripe: Stripe;
  stop(): Promise<void>;
}

/** A stand-in for one test file, without webhooks unless they are given. */
export async function startTestWorld(
  options: Partial<StripeStandInOptions> = {},
): Promise<TestWorld> {
  const standIn = await startStripeStandIn({
    port: 0,
    secretKey: SECRET_KEY,
    publishableKey: PUBLISHABLE_KEY,
    webhooks: [],
    ...options,
  });
  return { standIn, stripe: sdkFor(standIn.url), stop: () => standIn.stop() };
}

/** A request as a browser makes it: form-encoded, with the publishable key. */
export async function asBrowser(
  url: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  params: Record<string, string>,
): Promise<{
  status: number;
  body: Record<string, unknown> & { error?: Record<string, unknown> };
}> {
  const form = new URLSearchParams(params);
  const response = await fetch(`${url}${path}${method === 'POST' ? '' : `?${form}`}`, {
    method,
    headers: { authorization: `Bearer ${PUBLISHABLE_KEY}` },
    ...(method === 'POST' ? { body: form } : {}),
  });
  return { status: response.status, body: await response.json() };
}

export interface Receiver {
  url: string;
  /** Raw bodies and signatures, in the order in which they came. */
  received: { body: string; signature: string }[];
  /** Statuses to answer with, in turn; 200 when there is none left. */
  answers: number[];
  /** Waits until so many deliveries have come. */
  untilReceived(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** A webhook endpoint that records what it gets. */
export async function startReceiver(): Promise<Receiver> {
  const received: Receiver['received'] = [];
  const answers: number[] = [];
  let notify = () => {};
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push({ body, signature: String(request.headers['stripe-signature']) });
    response.writeHead(answers.shift() ?? 200, { location: '/elsewhere' }).end();
    notify();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/webhook`,
    received,
    answers,
    untilReceived: async (count) => {
      while (received.length < count) {
        await new Promise<void>((resolve) => {
          notify = resolve;
        });
      }
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Type and object of each delivered event, read from its body. */
export function eventOf(delivery: { body: string }): Stripe.Event {
  return JSON.parse(delivery.body);
}
