/**
 * Coalesces concurrent writes to wallets. What arrives while a batch is on its way to the database
 * goes into the next one: one round trip and one commit for many writes. There is no timer: a write
 * that comes when nothing is under way leaves at once.
 *
 * The queue holds no truth. Each write is answered by the database, after the commit; a process
 * that dies loses only answers, which callers get by repeating their call.
 */
import { asFault, Fault } from '../../faults.ts';

/** Writes that may wait; beyond them callers are told to come back. */
const MAX_WAITING = 10_000;
const MAX_TRIES = 4;
const RETRY_AFTER_SECONDS = 1;
/** A batch takes milliseconds; while one is unanswered for so long, the database is not there. */
const STALLED_AFTER_MS = 5_000;

interface Waiting<Write, Outcome> {
  readonly write: Write;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane<Write, Outcome> {
  waiting: Waiting<Write, Outcome>[];
  /** When the batch under way was sent; null when there is none. */
  sentAtMs: number | null;
}

export interface WriteQueue<Write, Outcome> {
  /**
   * Writes, together with whatever else is waiting. Rejects with `OVERLOADED` when too much is, and
   * with `DATABASE_UNAVAILABLE` while the batch ahead is stuck: callers hear it at once then,
   * instead of waiting in a line that does not move.
   * When the database fails the outcome is unknown; the same write may be sent again.
   */
  send(write: Write): Promise<Outcome>;
  /** How many writes wait for their batch. */
  waiting(): number;
}

export interface WriteQueueOptions<Write, Outcome> {
  /** Applies writes in one transaction, and answers each, in order. */
  readonly apply: (writes: readonly Write[]) => Promise<Outcome[]>;
  /** Two writes for which this gives the same text never share a batch; by default any may. */
  readonly uniqueBy?: (write: Write) => string;
  /** The most writes in one call of `apply`: more gain little and hold locks longer. */
  readonly maxBatch: number;
  /** Batches under way at once. Wallets are dealt out by id, so two lanes never share one. */
  readonly lanes: number;
  /**
   * While nothing is under way and no more than this wait, one batch takes them from all lanes: a
   * batch has a price of its own, which few writes do not earn back by going two ways.
   */
  readonly together?: number;
  readonly maxWaiting?: number;
  /** Whether an error of `apply` means that its transaction was chosen to give way. */
  readonly isDeadlock?: (error: unknown) => boolean;
  /** Whether an error of `apply` would befall each write alone as well. */
  readonly isOutage?: (error: unknown) => boolean;
  readonly nowMs?: () => number;
}

export function createWriteQueue<Write extends { readonly walletId: string }, Outcome>(
  options: WriteQueueOptions<Write, Outcome>,
): WriteQueue<Write, Outcome> {
  const {
    apply,
    uniqueBy,
    maxBatch,
    together = 0,
    maxWaiting = MAX_WAITING,
    isDeadlock = (error) => error instanceof Error && 'code' in error && error.code === '40P01',
    isOutage = (error) => asFault(error).code !== 'INTERNAL',
    nowMs = () => performance.now(),
  } = options;
  const lanes = Array.from(
    { length: options.lanes },
    (): Lane<Write, Outcome> => ({ waiting: [], sentAtMs: null }),
  );
  let sendsSoon = false;

  const waiting = () => lanes.reduce((sum, lane) => sum + lane.waiting.length, 0);

  function sendWaiting(): void {
    const idle = lanes.filter(({ sentAtMs }) => sentAtMs === null);
    if (idle.length === lanes.length && waiting() <= together) {
      void sendFrom(lanes);
      return;
    }
    for (const lane of idle) {
      void sendFrom([lane]);
    }
  }

  async function sendFrom(taken: readonly Lane<Write, Outcome>[]): Promise<void> {
    const batch = takeBatch(taken, maxBatch, uniqueBy);
    if (batch.length === 0) {
      return;
    }
    const sentAtMs = nowMs();
    for (const lane of taken) {
      lane.sentAtMs = sentAtMs;
    }
    const answers = await outcomesOf(batch.map(({ write }) => write));
    for (const lane of taken) {
      lane.sentAtMs = null;
    }
    // First the next batch: the database works on it while this one's callers are answered.
    sendWaiting();
    for (const [index, { resolve, reject }] of batch.entries()) {
      const answer = answers[index];
      if (answer?.status === 'fulfilled') {
        resolve(answer.value);
      } else {
        reject(answer?.reason ?? new Error('the database left a write of a batch unanswered'));
      }
    }
  }

  /** What became of each write, in their order. */
  async function outcomesOf(writes: readonly Write[]): Promise<PromiseSettledResult<Outcome>[]> {
    try {
      return (await applyPatiently(writes)).map((value) => ({ status: 'fulfilled', value }));
    } catch (reason) {
      if (writes.length === 1 || isOutage(reason)) {
        return writes.map(() => ({ status: 'rejected', reason }));
      }
      // One write that the database cannot take must not fail the others.
      const answers: PromiseSettledResult<Outcome>[] = [];
      for (const write of writes) {
        answers.push(...(await outcomesOf([write])));
      }
      return answers;
    }
  }

  async function applyPatiently(writes: readonly Write[]): Promise<Outcome[]> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await apply(writes);
      } catch (error) {
        if (tries === MAX_TRIES || !isDeadlock(error)) {
          throw error;
        }
      }
    }
  }

  return {
    waiting,
    send(write) {
      if (waiting() >= maxWaiting) {
        return Promise.reject(new Fault('OVERLOADED', { retryAfterSeconds: RETRY_AFTER_SECONDS }));
      }
      const lane = lanes[laneOf(write.walletId, lanes.length)];
      if (lane === undefined) {
        throw new RangeError('a queue has at least one lane');
      }
      if (lane.sentAtMs !== null && nowMs() - lane.sentAtMs > STALLED_AFTER_MS) {
        return Promise.reject(
          new Fault('DATABASE_UNAVAILABLE', { retryAfterSeconds: RETRY_AFTER_SECONDS }),
        );
      }
      return new Promise((resolve, reject) => {
        lane.waiting.push({ write, resolve, reject });
        if (!sendsSoon) {
          sendsSoon = true;
          // Whatever else arrives in this turn of the event loop goes along.
          setImmediate(() => {
            sendsSoon = false;
            sendWaiting();
          });
        }
      });
    },
  };
}

/** Takes what fits one batch. What may not share it waits for the next one. */
function takeBatch<Write, Outcome>(
  lanes: readonly Lane<Write, Outcome>[],
  maxBatch: number,
  uniqueBy: ((write: Write) => string) | undefined,
): Waiting<Write, Outcome>[] {
  const batch: Waiting<Write, Outcome>[] = [];
  const taken = new Set<string>();
  for (const lane of lanes) {
    if (uniqueBy === undefined) {
      batch.push(...lane.waiting.splice(0, maxBatch - batch.length));
      continue;
    }
    const later: Waiting<Write, Outcome>[] = [];
    for (const item of lane.waiting) {
      const text = uniqueBy(item.write);
      if (batch.length < maxBatch && !taken.has(text)) {
        taken.add(text);
        batch.push(item);
      } else {
        later.push(item);
      }
    }
    lane.waiting = later;
  }
  return batch;
}

/** Wallet ids are random, so their last digits deal them out evenly. */
function laneOf(walletId: string, lanes: number): number {
  return Number.parseInt(walletId.slice(-4), 16) % lanes;
}
