import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import type { Hono } from 'hono';
import { type Logger, pino } from 'pino';
import { AppLink } from './app-link.ts';
import { type Clock, ClockScope, systemClock } from './clock.ts';
import { CronTable } from './cron.ts';
import { Engine } from './engine.ts';
import { EventInbox } from './event-inbox.ts';
import { type Fault, FaultPlan } from './faults.ts';
import type { InngestEvent } from './protocol.ts';
import { type FunctionConfig, isTriggeredBy } from './registration.ts';
import type { RunSummary } from './run.ts';
import { createRunnerApi } from './runner-api.ts';
import { SyncLoop } from './sync-loop.ts';

export interface InngestRunnerOptions {
  /** 0 takes any free port. */
  port: number;
  /** 127.0.0.1 by default. */
  host?: string;
  /** The application's serve endpoint, such as `http://127.0.0.1:3000/api/inngest`. */
  appUrl: string;
  logger?: Logger;
  /** Time for retries, sleeps, waits, crons and event ids; the machine's by default. */
  clock?: Clock;
  /** Milliseconds before retry `attempt` (1 is the first): by default 0.5 s, doubling up to 30 s. */
  backoffMs?: (attempt: number) => number;
  /** How often the application is asked to register again. */
  syncIntervalMs?: number;
}

export interface InngestRunner {
  /** What the application needs as INNGEST_BASE_URL. */
  url: string;
  /** Ends at once; requests under way are cut and nothing is kept. */
  stop(): Promise<void>;
  /** Runs, newest first. */
  runs(): RunSummary[];
  /**
   * Resolves when no request is under way and none could start now: what is left waits for time, an
   * event, the application, or `resume`.
   */
  idle(): Promise<void>;
  /** Resolves when every event was taken up and every run has ended. */
  settled(): Promise<void>;
  /** Resolves when the application has registered its functions. */
  synced(): Promise<void>;
  /** Starts no further request; events are still accepted. */
  pause(): void;
  resume(): void;
  /** Orders a disturbance, for tests. */
  inject(fault: Fault): void;
}

const doublingBackoffMs = (attempt: number) => Math.min(500 * 2 ** (attempt - 1), 30_000);

/**
 * Starts a server that stands where Inngest's dev server stands: the stock SDK registers with it,
 * sends it events and is driven by it. For development and tests; it keeps everything in memory.
 * Functions may use what `SUPPORTED` in registration.ts names, and the steps run, sendEvent, sleep,
 * sleepUntil, waitForEvent (without `if`) and invoke. Anything else is refused with a reason: at
 * registration, or by failing the run.
 */
export async function startInngestRunner(options: InngestRunnerOptions): Promise<InngestRunner> {
  const logger = options.logger ?? pino({ level: 'silent' });
  const clock = new ClockScope(options.clock ?? systemClock);
  const faults = new FaultPlan();
  const host = options.host ?? '127.0.0.1';
  const stopping = new AbortController();
  const link = new AppLink(options.appUrl, stopping.signal);
  let functions: readonly FunctionConfig[] = [];
  let registered = false;

  const waiters = new Set<{ isDone: () => boolean; resolve: () => void }>();
  const changed = () => {
    for (const waiter of waiters) {
      if (!waiter.isDone()) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  };
  const when = (isDone: () => boolean) =>
    new Promise<void>((resolve) => {
      waiters.add({ isDone, resolve });
      changed();
    });

  const engine = new Engine({
    clock,
    logger,
    faults,
    backoffMs: options.backoffMs ?? doublingBackoffMs,
    call: (run, job, queueItemId) =>
      link.call(
        run.fn.id,
        job.stepId,
        run.id,
        randomUUID(),
        run.requestBody(job.attempt, queueItemId),
      ),
    onUnreachable: (reason) => loop.lost(reason),
    emit: (event) => inbox.accept([event]),
    findFunction: (id) => functions.find((fn) => fn.id === id),
    changed,
  });

  const inbox = new EventInbox(clock.now.bind(clock), (event) => {
    const copies = faults.take('duplicate-event', event.name) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      engine.deliver(event);
      for (const fn of functions) if (isTriggeredBy(fn, event)) engine.startRun(fn, event);
    }
  });

  const startCron = (fn: FunctionConfig, expression: string, ts: number) => {
    const data = { cron: expression };
    engine.startRun(fn, { id: randomUUID(), name: 'inngest/scheduled.timer', data, ts });
  };
  const crons = new CronTable(clock, (functionId, expression, dueMs) => {
    const fn = functions.find((each) => each.id === functionId);
    if (fn) startCron(fn, expression, dueMs);
  });

  const loop = new SyncLoop({
    link,
    logger,
    intervalMs: options.syncIntervalMs ?? 5_000,
    onReachable: () => {
      if (!registered) {
        logger.warn({ url }, 'inngest: the application registers elsewhere; set INNGEST_BASE_URL');
      }
      engine.queue.reachable = true;
    },
  });

  const api = createRunnerApi({
    logger,
    now: () => clock.now(),
    functions: () => functions,
    runs: () => engine.runs.summaries(),
    register: (given) => {
      functions = given;
      crons.set(
        given.flatMap((fn) =>
          fn.triggers.flatMap((each) =>
            each.kind === 'cron' ? [{ functionId: fn.id, expression: each.expression }] : [],
          ),
        ),
      );
      registered = true;
      inbox.open();
      changed();
    },
    accept: (events: InngestEvent[]) => inbox.accept(events),
    checkpoint: (runId, queueItemId, steps) => engine.checkpoint(runId, queueItemId, steps),
    startCron: (functionId) => {
      const fn = functions.find((each) => each.id === functionId);
      const trigger = fn?.triggers.find((each) => each.kind === 'cron');
      if (!fn || !trigger) return false;
      startCron(fn, trigger.expression, clock.now());
      return true;
    },
  });

  const { server, port } = await listen(api.fetch, host, options.port);
  const url = `http://${host}:${port}`;
  loop.start();

  return {
    url,
    async stop() {
      loop.stop();
      engine.stop();
      stopping.abort();
      clock.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      });
    },
    runs: () => engine.runs.summaries(),
    idle: () => when(() => engine.queue.idle),
    settled: () => when(() => !inbox.holding && engine.runs.active().length === 0),
    synced: () => when(() => registered),
    pause: () => {
      engine.queue.paused = true;
    },
    resume: () => {
      engine.queue.paused = false;
    },
    inject: (fault) => faults.order(fault),
  };
}

function listen(fetch: Hono['fetch'], hostname: string, port: number) {
  return new Promise<{ server: ReturnType<typeof serve>; port: number }>((resolve, reject) => {
    const server = serve({ fetch, hostname, port }, (info: AddressInfo) =>
      resolve({ server, port: info.port }),
    );
    server.once('error', reject);
  });
}
