/** What operators ask: is it alive, is it ready, how is it doing. */
import { Hono } from 'hono';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { Fault } from '../faults.ts';
import type { InboxSummary, MailBacklog, RefundBacklog } from '../views/admin.ts';
import type { AppEnv } from './app.ts';
import { bearerMatches } from './bearer.ts';

export interface Operations {
  /** The schema's version. Throws a fault when the database or its schema does not serve. */
  readonly schema: () => Promise<number>;
  readonly metricsToken: string | null;
}

export interface Metrics {
  observe(method: string, status: number, seconds: number): void;
  text(): Promise<string>;
}

/** Prometheus metrics of this process, and of what all processes share. */
export function createMetrics(shared: {
  inbox: () => Promise<InboxSummary>;
  openDifferences: () => Promise<number>;
  mail: () => Promise<MailBacklog>;
  refunds: () => Promise<readonly RefundBacklog[]>;
}): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'http_request_seconds',
    help: 'Time to answer an HTTP request',
    labelNames: ['method', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  new Gauge({
    name: 'stripe_inbox_events',
    help: 'Events of Stripe by where they stand; quarantined counts payments that were not credited',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      const { received: _, ...counts } = await shared.inbox();
      for (const [status, count] of Object.entries(counts)) {
        this.set({ status }, count);
      }
    },
  });
  new Gauge({
    name: 'reconciliation_differences_open',
    help: 'Things on which Stripe and the ledger disagree, as the last comparisons found them',
    registers: [registry],
    async collect() {
      this.set(await shared.openDifferences());
    },
  });
  // Each gauge reads for itself: one that another sets would say what that read the last time.
  new Gauge({
    name: 'mail_outbox_oldest_seconds',
    help: 'How long the oldest mail has been waiting to be sent; 0 when none waits',
    registers: [registry],
    async collect() {
      this.set((await shared.mail()).oldestSeconds);
    },
  });
  new Gauge({
    name: 'mail_outbox_mails',
    help: 'Mails that wait to be sent, and those that were given up',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      const { waiting, dead } = await shared.mail();
      this.set({ status: 'waiting' }, waiting);
      this.set({ status: 'dead' }, dead);
    },
  });
  new Gauge({
    name: 'payment_refunds_oldest_seconds',
    help: 'How long the oldest refund to a card has not been finished; 0 when none is so',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      for (const { status, oldestSeconds } of await shared.refunds()) {
        this.set({ status }, oldestSeconds);
      }
    },
  });
  new Gauge({
    name: 'payment_refunds_unfinished',
    help: 'Refunds to cards that Stripe has not answered for (reserved) or not finished (pending, requires_action)',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      for (const { status, refunds } of await shared.refunds()) {
        this.set({ status }, refunds);
      }
    },
  });
  return {
    observe: (method, status, seconds) =>
      requests.observe({ method, status: String(status) }, seconds),
    text: () => registry.metrics(),
  };
}

export function operationRoutes(operations: Operations, metrics: Metrics): Hono<AppEnv> {
  const routes = new Hono<AppEnv>();

  routes.get('/healthz', (c) => c.json({ status: 'ok' }));

  routes.get('/readyz', async (c) => {
    const version = await operations.schema();
    return c.json({ status: 'ready', schemaVersion: version });
  });

  routes.get('/metrics', async (c) => {
    const tokens = operations.metricsToken === null ? [] : [operations.metricsToken];
    if (!bearerMatches(c.req.header('authorization'), tokens)) {
      throw new Fault('UNAUTHORIZED');
    }
    return c.text(await metrics.text());
  });

  return routes;
}
