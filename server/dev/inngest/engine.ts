import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Reply } from './app-link.ts';
import type { Clock } from './clock.ts';
import { instantOf, retryInstant } from './duration.ts';
import type { FaultPlan } from './faults.ts';
import { type Job, JobQueue } from './job-queue.ts';
import {
  DISCOVERY,
  failureOf,
  type InngestEvent,
  type StepFailure,
  type StepOp,
  type StepState,
  stepOp,
  unsupported,
} from './protocol.ts';
import type { FunctionConfig } from './registration.ts';
import { nameOf, Run } from './run.ts';
import { RunList } from './run-list.ts';
import { eventMatcher, invocationOf } from './waiting.ts';

export interface EngineOptions {
  clock: Clock;
  logger: Logger;
  faults: FaultPlan;
  /** Milliseconds to wait before attempt `attempt` (1 is the first retry). */
  backoffMs: (attempt: number) => number;
  /** Makes one request to the application. Never rejects. */
  call: (run: Run, job: Job, queueItemId: string) => Promise<Reply>;
  /** The application did not answer at all; the queue stays shut until `reachable` is set. */
  onUnreachable: (reason: string) => void;
  /** Sends an event of the runner's own. */
  emit: (event: InngestEvent) => void;
  findFunction: (id: string) => FunctionConfig | undefined;
  /** Called whenever `idle` or `settled` may have changed. */
  changed: () => void;
}

/** A request under way; a checkpoint is taken from no other. */
interface Flight {
  run: Run;
  lost: boolean;
}

/** Drives runs: asks the SDK for the next steps, remembers results, retries, and ends them. */
export class Engine {
  readonly queue: JobQueue;
  readonly runs = new RunList();
  readonly #flights = new Map<string, Flight>();
  #stopped = false;

  constructor(private readonly options: EngineOptions) {
    this.queue = new JobQueue((job) => this.#execute(job), options.changed);
  }

  /** Starts a run of a function for an event. */
  startRun(fn: FunctionConfig, event: InngestEvent, report: Run['report'] = null): Run {
    const run = new Run(fn, event, this.options.clock.now(), report);
    this.runs.add(run);
    this.#discover(run);
    return run;
  }

  /** Hands an event to the runs that wait for it. */
  deliver(event: InngestEvent): void {
    for (const run of this.runs.active()) {
      for (const [stepId, pending] of run.pending) {
        if (pending.matches?.(event)) this.#resolve(run, stepId, { type: 'data', data: event });
      }
    }
  }

  /**
   * Remembers steps that ran within a request that is still under way. `stale` tells the SDK to
   * stop: nobody waits for that request any more.
   */
  checkpoint(runId: string, queueItemId: string, steps: StepOp[]): 'taken' | 'stale' | 'refused' {
    const flight = this.#flights.get(queueItemId);
    if (!flight || flight.lost || flight.run.id !== runId || flight.run.ended) return 'stale';
    if (steps.some((op) => op.op !== 'StepRun')) return 'refused';
    for (const op of steps) this.#remember(flight.run, op, { type: 'data', data: op.data });
    return 'taken';
  }

  /** Starts nothing more, and what is under way no longer counts. */
  stop(): void {
    this.#stopped = true;
    this.queue.paused = true;
  }

  async #execute(job: Job): Promise<void> {
    const { run } = job;
    const { clock, faults } = this.options;
    if (run.ended) return;
    const delay = faults.take('delay', run.fn.id);
    if (delay) {
      clock.schedule(clock.now() + delay.delayMs, () => this.queue.push(job));
      return;
    }
    const flight = { run, lost: faults.take('lose-reply', run.fn.id) !== null };
    const queueItemId = randomUUID();
    this.#flights.set(queueItemId, flight);
    run.status = 'running';
    run.requests += 1;
    // The request takes with it all that is remembered by now.
    if (job.stepId === DISCOVERY) run.rediscover = false;
    const reply = await this.options.call(run, job, queueItemId);
    this.#flights.delete(queueItemId);
    if (run.ended || this.#stopped) return;
    if (reply.kind === 'unreachable') {
      this.queue.reachable = false;
      this.options.onUnreachable(reply.reason);
      this.queue.push(job);
      return;
    }
    try {
      this.#take(job, flight.lost ? { kind: 'broken', reason: 'the reply was lost' } : reply);
    } catch (error) {
      this.#fail(run, failureOf(error));
    }
  }

  #take(job: Job, reply: Exclude<Reply, { kind: 'unreachable' }>): void {
    if (reply.kind === 'broken') {
      const message = `no usable answer from the application: ${reply.reason}`;
      this.#retry(job, { name: 'Error', message }, null);
    } else if (reply.status === 200) {
      this.#complete(job.run, reply.body);
    } else if (reply.status === 206) {
      const ops = z.array(stepOp).safeParse(reply.body);
      if (ops.success) this.#apply(job, ops.data, reply);
      else this.#fail(job.run, { name: 'Error', message: 'the SDK reported unreadable steps' });
    } else if (reply.noRetry || reply.status === 400) {
      this.#fail(job.run, failureOf(reply.body));
    } else {
      this.#retry(job, failureOf(reply.body), reply.retryAfter);
    }
  }

  #apply(job: Job, ops: StepOp[], reply: { noRetry: boolean; retryAfter: string | null }): void {
    const { run } = job;
    let advanced = false;
    for (const op of ops) {
      if (run.ended) return;
      switch (op.op) {
        case 'StepRun':
          this.#remember(run, op, { type: 'data', data: op.data });
          advanced = true;
          break;
        case 'StepError':
          if (!reply.noRetry && job.attempt < run.fn.retries) {
            this.#retry(job, failureOf(op.error), reply.retryAfter);
            return;
          }
          this.#remember(run, op, { type: 'error', error: failureOf(op.error) });
          advanced = true;
          break;
        case 'StepFailed':
          this.#remember(run, op, { type: 'error', error: failureOf(op.error) });
          advanced = true;
          break;
        case 'StepPlanned':
          if (run.expect(op, { cancel: () => {} })) {
            this.queue.push({ run, stepId: op.id, attempt: 0 });
          }
          break;
        case 'Sleep':
          this.#await(run, op, op.name ?? '', { type: 'data', data: null });
          break;
        case 'WaitForEvent':
          this.#awaitEvent(run, op);
          break;
        case 'InvokeFunction':
          this.#invoke(run, op);
          break;
        case 'RunComplete':
          this.#complete(run, op.data);
          return;
        default:
          this.#fail(run, unsupported(`the step "${nameOf(op)}" (${op.op})`));
          return;
      }
    }
    if (run.ended) return;
    if (job.stepId === DISCOVERY) run.discovering = false;
    if (advanced || run.rediscover) this.#discover(run);
    else if (!run.discovering && run.pending.size === 0) {
      this.#fail(run, { name: 'Error', message: 'the SDK reported nothing to do next' });
    }
  }

  /** Asks the SDK what comes next; one such request at a time for a run. */
  #discover(run: Run): void {
    if (run.discovering) {
      run.rediscover = true;
      return;
    }
    run.discovering = true;
    this.queue.push({ run, stepId: DISCOVERY, attempt: 0 });
  }

  #retry(job: Job, error: StepFailure, retryAfter: string | null): void {
    const { clock, backoffMs, logger } = this.options;
    const { run } = job;
    const attempt = job.attempt + 1;
    run.error = error;
    if (attempt > run.fn.retries) {
      this.#fail(run, error);
      return;
    }
    const now = clock.now();
    const asked = retryAfter === null ? null : retryInstant(retryAfter, now);
    const at = asked ?? now + backoffMs(attempt);
    logger.warn(
      { functionId: run.fn.id, runId: run.id, attempt, waitMs: at - now, error: error.message },
      'inngest: attempt failed, will be retried',
    );
    clock.schedule(at, () => this.queue.push({ ...job, attempt }));
  }

  /** Announces a step whose result is `otherwise` once the time in `until` has come. */
  #await(run: Run, op: StepOp, until: string, otherwise: StepState, rest = {}): boolean {
    const { clock } = this.options;
    const at = instantOf(until, clock.now());
    if (at === null) {
      this.#fail(run, unsupported(`the time "${until}" of step "${nameOf(op)}"`));
      return false;
    }
    const cancel = clock.schedule(at, () => this.#resolve(run, op.id, otherwise));
    const isNew = run.expect(op, { cancel, ...rest });
    if (!isNew) cancel();
    return isNew;
  }

  #awaitEvent(run: Run, op: StepOp): void {
    const matches = eventMatcher(op, run.event);
    if (!matches) {
      this.#fail(run, unsupported(`the expression of step "${nameOf(op)}"`));
      return;
    }
    this.#await(run, op, String(op.opts?.timeout ?? ''), { type: 'data', data: null }, { matches });
  }

  #invoke(run: Run, op: StepOp): void {
    const { clock, findFunction } = this.options;
    const { functionId, timeout, event } = invocationOf(op, clock.now());
    const timedOut = { name: 'Error', message: `step "${nameOf(op)}" timed out` };
    const isNew = this.#await(run, op, timeout, { type: 'error', error: timedOut });
    if (!isNew) return;
    const fn = findFunction(functionId);
    if (fn) {
      this.startRun(fn, event, (state) => this.#resolve(run, op.id, state));
    } else {
      const error = { name: 'Error', message: `there is no function "${functionId}"` };
      this.#resolve(run, op.id, { type: 'error', error });
    }
  }

  /** A pending step has its result. */
  #resolve(run: Run, stepId: string, state: StepState): void {
    const pending = run.pending.get(stepId);
    if (!pending) return;
    this.#keep(run, stepId, pending.name, state);
    if (!run.ended) this.#discover(run);
  }

  #remember(run: Run, op: StepOp, state: StepState): void {
    if (state.type === 'error') run.error = state.error;
    this.#keep(run, op.id, nameOf(op), state);
  }

  #keep(run: Run, stepId: string, name: string, state: StepState): void {
    const problem = run.remember(stepId, name, state);
    if (problem !== null) this.#fail(run, { name: 'Error', message: problem });
  }

  #complete(run: Run, output: unknown): void {
    run.output = output;
    run.end('completed', this.options.clock.now());
    run.report?.({ type: 'data', data: output });
    this.options.changed();
  }

  #fail(run: Run, error: StepFailure): void {
    const { clock, logger, emit } = this.options;
    run.error = error;
    run.end('failed', clock.now());
    logger.error(
      { functionId: run.fn.id, runId: run.id, error: error.message },
      'inngest: run failed',
    );
    run.report?.({ type: 'error', error });
    emit({
      id: randomUUID(),
      name: 'inngest/function.failed',
      data: { function_id: run.fn.id, run_id: run.id, error, event: run.event },
      ts: clock.now(),
    });
    this.options.changed();
  }
}
