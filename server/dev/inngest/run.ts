import { randomUUID } from 'node:crypto';
import {
  type InngestEvent,
  STEP_OUTPUT_BYTES,
  STEPS_PER_RUN,
  type StepFailure,
  type StepOp,
  type StepState,
} from './protocol.ts';
import type { FunctionConfig } from './registration.ts';

export type RunStatus = 'queued' | 'running' | 'completed' | 'failed';

export interface RunSummary {
  id: string;
  functionId: string;
  status: RunStatus;
  event: { id: string; name: string; ts: number };
  /** Steps by name: those that are remembered, and those that are waited for. */
  steps: { name: string; status: 'done' | 'failed' | 'waiting' }[];
  /** Requests made for this run so far. */
  requests: number;
  /** The last error, also when a retry got over it. */
  error: StepFailure | null;
  output: unknown;
  queuedAtMs: number;
  endedAtMs: number | null;
}

/** A step that was announced and whose result comes later: planned, asleep, or waiting. */
export interface Pending {
  name: string;
  /** Takes back its timers; the result is no longer wanted. */
  cancel: () => void;
  /** For a step that waits for an event: true when this is the one. */
  matches?: (event: InngestEvent) => boolean;
}

/** One run of a function: what it remembers, and what it waits for. */
export class Run {
  readonly id = randomUUID();
  status: RunStatus = 'queued';
  /** A request that looks for the next steps is queued or under way. */
  discovering = false;
  /** Something was remembered since that request left, so another must follow. */
  rediscover = false;
  requests = 0;
  error: StepFailure | null = null;
  output: unknown = null;
  endedAtMs: number | null = null;
  readonly pending = new Map<string, Pending>();
  readonly #memory = new Map<string, StepState>();
  readonly #names = new Map<string, string>();

  constructor(
    readonly fn: FunctionConfig,
    readonly event: InngestEvent,
    readonly queuedAtMs: number,
    /** For a run that another one invoked: takes the result there. */
    readonly report: ((state: StepState) => void) | null,
  ) {}

  get ended(): boolean {
    return this.endedAtMs !== null;
  }

  /** Keeps a step's result for every later request. Returns what is wrong when a limit is passed. */
  remember(id: string, name: string, state: StepState): string | null {
    this.pending.get(id)?.cancel();
    this.pending.delete(id);
    if (state.type === 'data' && state.data === undefined) state.data = null;
    if (state.type === 'data' && byteLength(state.data) > STEP_OUTPUT_BYTES) {
      return `the output of step "${name}" is larger than 4 MB`;
    }
    if (!this.#memory.has(id) && this.#memory.size === STEPS_PER_RUN) {
      return `the run has more than ${STEPS_PER_RUN} steps`;
    }
    this.#memory.set(id, state);
    this.#names.set(id, name);
    return null;
  }

  /** Announces a step. False when it is known already: the SDK repeats what it still waits for. */
  expect(op: StepOp, pending: Omit<Pending, 'name'>): boolean {
    if (this.pending.has(op.id) || this.#memory.has(op.id)) return false;
    this.pending.set(op.id, { name: nameOf(op), ...pending });
    return true;
  }

  end(status: 'completed' | 'failed', atMs: number): void {
    this.status = status;
    this.endedAtMs = atMs;
    for (const pending of this.pending.values()) pending.cancel();
    this.pending.clear();
  }

  /** The body of a request to the SDK, execution protocol 2. */
  requestBody(attempt: number, queueItemId: string): unknown {
    const stack = [...this.#memory.keys()];
    return {
      // Lets the SDK choose the execution version.
      version: -1,
      event: this.event,
      events: [this.event],
      steps: Object.fromEntries(this.#memory),
      ctx: {
        run_id: this.id,
        // Together these two make the SDK checkpoint: it runs on after a step and tells us on the way.
        fn_id: this.fn.id,
        qi_id: queueItemId,
        attempt,
        max_attempts: this.fn.retries + 1,
        // While steps are pending the SDK must not run one on its own: it may be one of those.
        disable_immediate_execution: this.pending.size > 0,
        use_api: false,
        stack: { stack, current: stack.length },
      },
    };
  }

  summary(): RunSummary {
    const { id: eventId, name, ts } = this.event;
    return {
      id: this.id,
      functionId: this.fn.id,
      status: this.status,
      event: { id: eventId, name, ts },
      steps: [
        ...[...this.#memory].map(([id, state]) => ({
          name: this.#names.get(id) ?? id,
          status: state.type === 'data' ? ('done' as const) : ('failed' as const),
        })),
        ...[...this.pending.values()].map((step) => ({
          name: step.name,
          status: 'waiting' as const,
        })),
      ],
      requests: this.requests,
      error: this.error,
      output: this.output,
      queuedAtMs: this.queuedAtMs,
      endedAtMs: this.endedAtMs,
    };
  }
}

/** What a step is called in messages. */
export function nameOf(op: StepOp): string {
  return op.displayName ?? op.name ?? op.id;
}

function byteLength(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
