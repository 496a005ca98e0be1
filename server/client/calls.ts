/** A call and its tries: which failures are tried again, when, and how long at most. */
import { BillingError, type Failure, failureOf } from './errors.ts';
import { isRepeatable } from './procedures.ts';
import type { Transport, Try } from './transport.ts';

export interface CallOptions {
  /** Ends the call: it throws `ABORTED` at once. Calls in the same HTTP request are not touched. */
  readonly signal?: AbortSignal | undefined;
  /** The longest that the call takes, all tries and pauses together; default 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Most tries, the first included; default 5. */
  readonly maxTries?: number | undefined;
}

export interface CallDefaults {
  readonly timeoutMs: number;
  /** The longest wait for the answer to one try. */
  readonly tryTimeoutMs: number;
  readonly maxTries: number;
}

export type Call = (
  type: 'query' | 'mutation',
  path: string,
  input: unknown,
  options?: CallOptions,
) => Promise<unknown>;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

class TryTimedOut extends Error {}
class Aborted extends Error {}

/**
 * Calls with retries. Only a failure that passes is tried again (no answer, 429, 502, 503, 504), and
 * only a call that the service does once however often it comes: the key is in the input, so each
 * try carries the same one.
 */
export function createCall(transport: Transport, origin: string, defaults: CallDefaults): Call {
  return async (type, path, input, options = {}) => {
    const { signal, timeoutMs = defaults.timeoutMs, maxTries = defaults.maxTries } = options;
    const endsAtMs = performance.now() + timeoutMs;
    // Of any try: a later one that was refused says nothing of an earlier one that was not answered.
    let outcomeUnknown = false;

    for (let tries = 1; ; tries += 1) {
      const attempt: Try = { requestId: null };
      if (signal?.aborted) {
        throw new BillingError({ ...aborted(attempt), outcomeUnknown });
      }
      let failure: Failure;
      try {
        const waitMs = Math.min(defaults.tryTimeoutMs, endsAtMs - performance.now());
        return await answerWithin(waitMs, signal, (ended) =>
          transport.send(type, path, input, { signal: ended, attempt }),
        );
      } catch (error) {
        failure = describe(error, attempt);
      }
      outcomeUnknown ||= failure.outcomeUnknown && type === 'mutation';
      const repeatable = type === 'query' || isRepeatable(path) || !outcomeUnknown;
      const final = { ...failure, outcomeUnknown, retryable: failure.retryable && repeatable };
      const pauseMs = pauseBefore(tries, failure.retryAfterMs);
      if (
        !final.retryable ||
        failure.code === 'ABORTED' ||
        tries >= maxTries ||
        performance.now() + pauseMs >= endsAtMs
      ) {
        throw new BillingError(final);
      }
      await pause(pauseMs, signal).catch(() => {
        throw new BillingError({ ...aborted(attempt), outcomeUnknown });
      });
    }
  };

  function describe(error: unknown, attempt: Try): Failure {
    if (error instanceof Aborted) {
      return aborted(attempt);
    }
    if (error instanceof TryTimedOut) {
      return {
        code: 'TIMEOUT',
        message: `The billing service at ${origin} did not answer in time.`,
        requestId: attempt.requestId,
        retryable: true,
        outcomeUnknown: true,
        retryAfterMs: null,
      };
    }
    return failureOf(error, origin, attempt.requestId);
  }

  function aborted({ requestId }: Try): Failure {
    return {
      code: 'ABORTED',
      message: 'The call was ended by its signal.',
      requestId,
      retryable: true,
      // Batched with others, it is sent although it was ended before.
      outcomeUnknown: true,
      retryAfterMs: null,
    };
  }
}

/** Full jitter keeps many clients from coming back at one moment, also at the one they were told. */
function pauseBefore(tries: number, retryAfterMs: number | null): number {
  const longestMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries);
  return (retryAfterMs ?? 0) + Math.random() * longestMs;
}

/** The answer, unless time or the signal end first. `start` is told of that end, and not waited for. */
function answerWithin(
  waitMs: number,
  signal: AbortSignal | undefined,
  start: (ended: AbortSignal) => Promise<unknown>,
): Promise<unknown> {
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const end = (reason: Error) => {
      finish();
      reject(reason);
      controller.abort();
    };
    const onAbort = () => end(new Aborted());
    const timer = setTimeout(() => end(new TryTimedOut()), Math.max(0, waitMs));
    signal?.addEventListener('abort', onAbort, { once: true });
    start(controller.signal).then(
      (answer) => {
        finish();
        resolve(answer);
      },
      (error: unknown) => {
        finish();
        reject(error);
      },
    );
  });
}

/** Rejects when the signal ends it. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(new Aborted());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
