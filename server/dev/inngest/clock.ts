/** Time as the runner sees it: retries, sleeps, waits, crons and the memory of event ids use it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `task` once, at `atMs` or as soon as possible after it. Returns what takes it back. */
  schedule(atMs: number, task: () => void): () => void;
}

/** The longest delay that Node's timers hold; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  schedule(atMs, task) {
    let timer: NodeJS.Timeout;
    const arm = () => {
      const delayMs = Math.max(0, atMs - Date.now());
      timer =
        delayMs > LONGEST_TIMER_MS ? setTimeout(arm, LONGEST_TIMER_MS) : setTimeout(task, delayMs);
    };
    arm();
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until it is told to move, so that a test may wait a month at once. */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #tasks = new Set<{ atMs: number; run: () => void }>();

  constructor(start: string) {
    this.#nowMs = Date.parse(start);
  }

  now(): number {
    return this.#nowMs;
  }

  schedule(atMs: number, run: () => void): () => void {
    const task = { atMs, run };
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  /**
   * Moves time forward, task by task in their order. `settle` is awaited before each, for it may
   * schedule more: it should resolve once everything that does not wait for time has happened.
   */
  async advance(durationMs: number, settle: () => Promise<void>): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      await settle();
      const [next] = [...this.#tasks].sort((a, b) => a.atMs - b.atMs);
      if (!next || next.atMs > endMs) break;
      this.#tasks.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
  }
}

/** Passes on to another clock until it is closed; what was scheduled through it is then taken back. */
export class ClockScope implements Clock {
  readonly #cancels = new Set<() => void>();
  #closed = false;

  constructor(private readonly clock: Clock) {}

  now(): number {
    return this.clock.now();
  }

  schedule(atMs: number, task: () => void): () => void {
    if (this.#closed) return () => {};
    const cancelInner = this.clock.schedule(atMs, () => {
      this.#cancels.delete(cancel);
      task();
    });
    const cancel = () => {
      this.#cancels.delete(cancel);
      cancelInner();
    };
    this.#cancels.add(cancel);
    return cancel;
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
  }
}
