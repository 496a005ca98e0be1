/** The two ways of putting load on something: as fast as it answers, and at a given rate. */

/** One of many who call at the same time; it has one call under way at most. */
export interface Caller {
  /**
   * Makes one call and throws when its answer is wrong: failures must not count as work. `finished`
   * says that there was nothing left to call with.
   */
  call(): Promise<'called' | 'finished'>;
  close(): void | Promise<void>;
}

export interface LoadResult {
  readonly calls: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Lets each caller call again as soon as it is answered, for so many seconds. */
export async function closedLoop(options: {
  callers: number;
  seconds: number;
  open: () => Promise<Caller>;
}): Promise<LoadResult> {
  const callers = await Promise.all(Array.from({ length: options.callers }, options.open));
  const latenciesMs: number[] = [];
  try {
    const startedAtMs = performance.now();
    const untilMs = startedAtMs + options.seconds * 1000;
    await Promise.all(
      callers.map(async (caller) => {
        for (let sentAtMs = performance.now(); sentAtMs < untilMs; ) {
          if ((await caller.call()) === 'finished') {
            return;
          }
          const answeredAtMs = performance.now();
          latenciesMs.push(answeredAtMs - sentAtMs);
          sentAtMs = answeredAtMs;
        }
      }),
    );
    return summary(latenciesMs, (performance.now() - startedAtMs) / 1000);
  } finally {
    await Promise.all(callers.map((caller) => caller.close()));
  }
}

/**
 * Makes `perSecond` calls a second whatever the answers do. A latency counts from the moment at
 * which its call was due, so a stall shows in every call that it kept waiting.
 */
export async function fixedRate(options: {
  callers: number;
  perSecond: number;
  seconds: number;
  open: () => Promise<Caller>;
}): Promise<LoadResult> {
  const callers = await Promise.all(Array.from({ length: options.callers }, options.open));
  const idle = [...callers];
  const intervalMs = 1000 / options.perSecond;
  const total = Math.round(options.perSecond * options.seconds);
  const latenciesMs: number[] = [];
  let failure: unknown = null;
  let sent = 0;
  const startedAtMs = performance.now();

  function sendWhatIsDue(): void {
    while (sent < total && startedAtMs + sent * intervalMs <= performance.now()) {
      const caller = idle.pop();
      if (caller === undefined) {
        return;
      }
      const dueAtMs = startedAtMs + sent * intervalMs;
      sent += 1;
      caller.call().then(
        () => {
          latenciesMs.push(performance.now() - dueAtMs);
          idle.push(caller);
          sendWhatIsDue();
        },
        (error: unknown) => {
          failure ??= error;
        },
      );
    }
  }

  try {
    while (latenciesMs.length < total) {
      if (failure !== null) {
        throw failure;
      }
      sendWhatIsDue();
      await new Promise((done) => setTimeout(done, 1));
    }
    return summary(latenciesMs, (performance.now() - startedAtMs) / 1000);
  } finally {
    await Promise.all(callers.map((caller) => caller.close()));
  }
}

/** Rate and latencies of calls that took so long. */
export function summary(latenciesMs: number[], seconds: number): LoadResult {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (quantile: number) => sorted[Math.floor((sorted.length - 1) * quantile)] ?? 0;
  return { calls: sorted.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}
