/**
 * Coalesces concurrent writes to wallets. What arrives while a batch is on its way to the database
 * goes into the next one: one round trip and one commit for many writes. There is no timer: a write
 * that comes when nothing is under way leaves at once. The next batch follows the one under way
 * early, without waiting for its answer, as soon as it has grown as large: the database then goes on
 * without a pause, and batches do not get smaller.
 *
 * The queue holds no truth. Each write is answered by the database, after the commit; a process
 * that dies loses only answers, which callers get by repeating their call.
 */
import { asFault, Fault } from '../../faults.ts';

/** Writes that may wait; beyond them callers are told to come back. */
const MAX_WAITING = 10_000;
const MAX_TRIES = 4;
const RETRY_AFTER_SECONDS = 1;
/** Fewer writes do not follow early: a batch has a price of its own, which more of them share later. */
const FEWEST_TO_FOLLOW = 16;
/** A batch takes milliseconds; while one is unanswered for so long, the database is not there. */
const STALLED_AFTER_MS = 5_000;

interface Waiting<Write, Outcome> {
  readonly write: Write;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane<Write, Outcome> {
  waiting: Waiting<Write, Outcome>[];
  /** Batches that may hold writes of this lane, the oldest first. */
  underWay: readonly Batch<Write, Outcome>[];
}

interface Batch<Write, Outcome> {
  readonly way: Way<Write, Outcome>;
  readonly writes: number;
  readonly sentAtMs: number;
}

/** The lanes of which a batch takes its writes, and the line over which it goes. */
interface Way<Write, Outcome> {
  readonly lanes: readonly Lane<Write, Outcome>[];
  readonly line: number;
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
  /** Applies writes in one transaction, and answers each, in order. `line` is a number below `lanes`. */
  readonly apply: (writes: readonly Write[], line: number) => Promise<Outcome[]>;
  /**
   * Whether calls of `apply` with the same `line` take effect one after the other, in the order in
   * which they are made: then a batch may follow early. By default it does not.
   */
  readonly inOrder?: boolean;
  /** Two writes for which this gives the same text never share a batch; by default any may. */
  readonly uniqueBy?: (write: Write) => string;
  /** The most writes in one call of `apply`: more gain little and hold locks longer. */
  readonly maxBatch: number;
  /** Batches applied at once. Wallets are dealt out by id, so two lanes never share one. */
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
    inOrder = false,
    maxWaiting = MAX_WAITING,
    isDeadlock = (error) => error instanceof Error && 'code' in error && error.code === '40P01',
    isOutage = (error) => asFault(error).code !== 'INTERNAL',
    nowMs = () => performance.now(),
  } = options;
  const lanes = Array.from(
    { length: options.lanes },
    (): Lane<Write, Outcome> => ({ waiting: [], underWay: [] }),
  );
  const allTogether: Way<Write, Outcome> = { lanes, line: 0 };
  const apart = lanes.map((lane, line): Way<Write, Outcome> => ({ lanes: [lane], line }));
  let sendsSoon = false;

  const waiting = () => waitingIn(lanes);

  function sendWaiting(): void {
    const ways = isClear(allTogether) && waiting() <= together ? [allTogether] : apart;
    for (const way of ways.filter(isClear)) {
      while (maySend(way)) {
        void sendBatch(way);
      }
    }
  }

  /** Whether there is a next batch for a way that is clear. */
  function maySend({ lanes: taken }: Way<Write, Outcome>): boolean {
    const [ahead, another] = taken[0]?.underWay ?? [];
    if (ahead === undefined) {
      return waitingIn(taken) > 0;
    }
    return (
      inOrder &&
      another === undefined &&
      waitingIn(taken) >= Math.max(ahead.writes, FEWEST_TO_FOLLOW)
    );
  }

  async function sendBatch(way: Way<Write, Outcome>): Promise<void> {
    const taken = takeBatch(way.lanes, maxBatch, uniqueBy);
    const batch = { way, writes: taken.length, sentAtMs: nowMs() };
    for (const lane of way.lanes) {
      lane.underWay = [...lane.underWay, batch];
    }
    const answers = await outcomesOf(
      taken.map(({ write }) => write),
      way.line,
    );
    for (const lane of way.lanes) {
      lane.underWay = lane.underWay.filter((other) => other !== batch);
    }
    // First the next batch: the database works on it while this one's callers are answered.
    sendWaiting();
    for (const [index, { resolve, reject }] of taken.entries()) {
      const answer = answers[index];
      if (answer?.status === 'fulfilled') {
        resolve(answer.value);
      } else {
        reject(answer?.reason ?? new Error('the database left a write of a batch unanswered'));
      }
    }
  }

  /** What became of each write, in their order. */
  async function outcomesOf(
    writes: readonly Write[],
    line: number,
  ): Promise<PromiseSettledResult<Outcome>[]> {
    try {
      return (await applyPatiently(writes, line)).map((value) => ({ status: 'fulfilled', value }));
    } catch (reason) {
      if (writes.length === 1 || isOutage(reason)) {
        return writes.map(() => ({ status: 'rejected', reason }));
      }
      // One write that the database cannot take must not fail the others.
      const answers: PromiseSettledResult<Outcome>[] = [];
      for (const write of writes) {
        answers.push(...(await outcomesOf([write], line)));
      }
      return answers;
    }
  }

  async function applyPatiently(writes: readonly Write[], line: number): Promise<Outcome[]> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await apply(writes, line);
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
      const [ahead] = lane.underWay;
      if (ahead !== undefined && nowMs() - ahead.sentAtMs > STALLED_AFTER_MS) {
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

function waitingIn(lanes: readonly { readonly waiting: readonly unknown[] }[]): number {
  return lanes.reduce((sum, lane) => sum + lane.waiting.length, 0);
}

/** Whether nothing of its lanes is under way but what goes over the same line. */
function isClear<Write, Outcome>(way: Way<Write, Outcome>): boolean {
  return way.lanes.every(({ underWay }) => underWay.every((batch) => batch.way === way));
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
