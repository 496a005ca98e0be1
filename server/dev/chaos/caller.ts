/**
 * A service that charges, as one should be written: it writes down what it is about to ask, asks,
 * and asks again under the same key until it is answered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BillingClient, BillingError, createBillingClient } from '../../client/client.ts';
import type { Answer, Journal, Write } from './journal.ts';

/** What a write may come back with, as far as the journal is concerned. */
interface Reply {
  readonly ok: boolean;
  readonly code?: string;
  readonly seq?: unknown;
  readonly amountMicros?: unknown;
}

/** How the journal marks an error after which callers do not ask again. */
export const FINAL = '(final)';

export interface Caller {
  /**
   * Sends until there is an answer; null when the deadline came first. `ask` returns the reply to
   * each of the writes, in order.
   */
  perform<T extends Reply>(
    writes: readonly Omit<Write, 'id'>[],
    ask: (client: BillingClient) => Promise<readonly T[]>,
  ): Promise<readonly T[] | null>;
  /** Sends again what was begun before. */
  repeat<T extends Reply>(
    writes: readonly Write[],
    ask: (client: BillingClient) => Promise<readonly T[]>,
  ): Promise<readonly T[] | null>;
}

export interface CallerOptions {
  /** Where the service is; every try goes to the next one. */
  readonly urls: readonly string[];
  readonly apiKey: string;
  readonly journal: Journal;
  /** When to give up, by `performance.now()`. */
  readonly deadlineMs: () => number;
  readonly timeoutMs?: number;
  /** Longest pause before the next try. */
  readonly pauseMs?: number;
}

export function createCaller(options: CallerOptions): Caller {
  const { journal, timeoutMs = 2_000, pauseMs = 200 } = options;
  const clients = options.urls.map((url) =>
    // One try at a time, so that the journal knows of each.
    createBillingClient({ url, apiKey: options.apiKey, timeoutMs, maxTries: 1 }),
  );
  let tries = 0;

  async function repeat<T extends Reply>(
    writes: readonly Write[],
    ask: (client: BillingClient) => Promise<readonly T[]>,
  ): Promise<readonly T[] | null> {
    while (performance.now() < options.deadlineMs()) {
      const client = clients[tries % clients.length];
      tries += 1;
      if (client === undefined) {
        throw new RangeError('a caller needs an address');
      }
      try {
        const replies = await ask(client);
        for (const [index, write] of writes.entries()) {
          journal.answered(write, toAnswer(write, replies[index]));
        }
        return replies;
      } catch (error) {
        const code = errorCode(error);
        for (const write of writes) {
          journal.unanswered(write, code);
        }
      }
      await sleep(Math.random() * pauseMs);
    }
    return null;
  }

  return {
    repeat,
    perform: (writes, ask) =>
      repeat(
        writes.map((write) => journal.begin(write)),
        ask,
      ),
  };
}

/** A heartbeat that lacks funds records its usage all the same. */
function toAnswer(write: Write, reply: Reply | undefined): Answer {
  if (reply === undefined) {
    throw new Error(`no answer to ${write.kind} ${write.reference} among those of its batch`);
  }
  const { ok, code, seq, amountMicros } = reply;
  if (ok || (write.kind === 'extend' && code === 'INSUFFICIENT_FUNDS')) {
    return {
      ok: true,
      ...(seq !== undefined && { seq: String(seq) }),
      ...(amountMicros !== undefined && { amountMicros: String(amountMicros) }),
    };
  }
  return { ok: false, code: code ?? 'NO_CODE' };
}

/** The error's code; marked when it tells the caller that asking again is of no use. */
function errorCode(error: unknown): string {
  if (error instanceof BillingError) {
    return error.retryable ? error.code : `${error.code} ${FINAL}`;
  }
  // A top-up does not come by the API, and its use case tries again whatever happened.
  return 'NOT_CREDITED';
}
