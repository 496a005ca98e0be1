import { createHmac } from 'node:crypto';
import type { Logger } from 'pino';
import type Stripe from 'stripe';
import type { Faults } from './faults.ts';
import type { Delivery, Store } from './store.ts';

export interface WebhookEndpoint {
  /** Only loopback addresses: nothing made up may leave this machine. */
  url: string;
  /** `whsec_…`, the key of the signature. */
  secret: string;
}

const ATTEMPT_TIMEOUT_MS = 10_000;
const GIVE_UP_AFTER_MS = 3 * 24 * 60 * 60 * 1000;
/** Waits between attempts; the last one is repeated. Stripe's own are hours. */
const BACKOFF_MS = [500, 2000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000];

function checkEndpoint(endpoint: WebhookEndpoint): WebhookEndpoint {
  const url = new URL(endpoint.url);
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol !== 'http:' || !loopback) {
    throw new Error('The Stripe stand-in only sends webhooks to http:// on a loopback address');
  }
  if (endpoint.secret.trim() === '') throw new Error('A webhook endpoint needs a signing secret');
  return endpoint;
}

/** `t=…,v1=…`: docs.stripe.com/webhooks#verify-manually. */
function signatureHeader(body: string, secret: string, atSeconds: number): string {
  const signature = createHmac('sha256', secret).update(`${atSeconds}.${body}`).digest('hex');
  return `t=${atSeconds},v1=${signature}`;
}

/**
 * Sends events to the endpoints and tries again, with growing waits, until each answered 2xx.
 * What was not delivered is taken up again when the stand-in restarts.
 */
export class Webhooks {
  readonly #endpoints: WebhookEndpoint[];
  readonly #store: Store;
  readonly #faults: Faults;
  readonly #logger: Logger | undefined;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #stopping = new AbortController();
  #held: Delivery[] = [];

  constructor(options: {
    endpoints: WebhookEndpoint[];
    store: Store;
    faults: Faults;
    logger?: Logger | undefined;
  }) {
    this.#endpoints = options.endpoints.map(checkEndpoint);
    this.#store = options.store;
    this.#faults = options.faults;
    this.#logger = options.logger;
  }

  get endpointCount(): number {
    return this.#endpoints.length;
  }

  /** Takes up what an earlier run of the stand-in left undelivered. */
  resume(): void {
    for (const delivery of this.#store.all('delivery')) {
      if (delivery.state === 'pending') this.#schedule(delivery, 0);
    }
  }

  send(event: Stripe.Event): void {
    this.#endpoints.forEach((_endpoint, endpoint) => {
      const delivery: Delivery = {
        eventId: event.id,
        endpoint,
        state: 'pending',
        attempts: 0,
        nextAttemptMs: Date.now(),
        lastOutcome: null,
      };
      this.#save(delivery);
      this.#sendFirst(delivery, event.type);
    });
  }

  /** Sends an event once more to every endpoint, whatever became of it before. */
  redeliver(eventId: string): void {
    for (const delivery of this.deliveriesOf(eventId)) {
      this.#schedule(this.#save({ ...delivery, state: 'pending' }), 0);
    }
  }

  deliveriesOf(eventId: string): Delivery[] {
    return this.#endpoints.flatMap(
      (_endpoint, index) => this.#store.get('delivery', `${eventId}/${index}`) ?? [],
    );
  }

  isDelivered(eventId: string): boolean {
    return this.deliveriesOf(eventId).every((delivery) => delivery.state === 'delivered');
  }

  pendingFor(eventId: string): number {
    return this.deliveriesOf(eventId).filter((delivery) => delivery.state === 'pending').length;
  }

  /** Stops sending; attempts under way are cut and count as not made. */
  stop(): void {
    this.#stopping.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #sendFirst(delivery: Delivery, eventType: string): void {
    const rule = this.#faults.takeDelivery(eventType);
    switch (rule?.fault) {
      case undefined:
        this.#schedule(delivery, 0);
        return;
      case 'drop':
        this.#save({ ...delivery, state: 'dropped', lastOutcome: 'dropped on request' });
        return;
      case 'delay':
        this.#schedule(delivery, rule.delayMs);
        return;
      case 'duplicate':
        this.#schedule(delivery, 0);
        this.#schedule(delivery, 0, 'again');
        return;
      case 'reorder':
        this.#held.push(delivery);
        if (rule.remaining <= 0) this.#releaseHeld();
        else this.#timer('held', rule.delayMs, () => this.#releaseHeld());
        return;
    }
  }

  /** Sends what was held back, the newest first and each after the one before has been answered. */
  #releaseHeld(): void {
    const held = this.#held.reverse();
    this.#held = [];
    void held.reduce(
      (before, delivery) => before.then(() => this.#attempt(delivery)),
      Promise.resolve(),
    );
  }

  #schedule(delivery: Delivery, waitMs: number, copy = ''): void {
    const key = `${delivery.eventId}/${delivery.endpoint}${copy}`;
    this.#timer(key, waitMs, () => void this.#attempt(delivery));
  }

  #timer(key: string, waitMs: number, run: () => void): void {
    if (this.#stopping.signal.aborted) return;
    clearTimeout(this.#timers.get(key));
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      run();
    }, waitMs);
    this.#timers.set(key, timer);
  }

  async #attempt(given: Delivery): Promise<void> {
    const event = this.#store.get('event', given.eventId);
    const endpoint = this.#endpoints[given.endpoint];
    if (!event || !endpoint) return;
    const outcome = await this.#post(endpoint, JSON.stringify(event, null, 2));
    if (this.#stopping.signal.aborted) return;
    const current = this.#store.get('delivery', `${given.eventId}/${given.endpoint}`) ?? given;
    const attempts = current.attempts + 1;
    const tried = { ...current, attempts, lastOutcome: outcome };
    if (/^2\d\d$/.test(outcome)) {
      this.#save({ ...tried, state: 'delivered' });
      return;
    }
    // A second copy that fails after the first one arrived is of no further interest.
    if (current.state === 'delivered') return;
    if (Date.now() - event.created * 1000 > GIVE_UP_AFTER_MS) {
      this.#save({ ...tried, state: 'given_up' });
      return;
    }
    const waitMs = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length) - 1] ?? 0;
    this.#logger?.warn(
      { eventId: event.id, eventType: event.type, outcome, waitMs },
      'webhook was not accepted; it will be sent again',
    );
    this.#schedule(this.#save({ ...tried, nextAttemptMs: Date.now() + waitMs }), waitMs);
  }

  /** The HTTP status, or the name of what prevented an answer. Redirects are not followed. */
  async #post(endpoint: WebhookEndpoint, body: string): Promise<string> {
    const nowSeconds = Math.floor(Date.now() / 1000);
    try {
      const response = await fetch(endpoint.url, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'stripe-signature': signatureHeader(body, endpoint.secret, nowSeconds),
          'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
        },
        body,
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ATTEMPT_TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      return String(response.status);
    } catch (error) {
      return error instanceof Error && error.name === 'TimeoutError' ? 'timeout' : 'unreachable';
    }
  }

  #save(delivery: Delivery): Delivery {
    return this.#store.put('delivery', `${delivery.eventId}/${delivery.endpoint}`, delivery);
  }
}
