/**
 * Coalesces concurrent charges. What arrives while a batch is on its way to the database goes into
 * the next one: one lock and one write of a wallet's row, and one commit, for many charges. There
 * is no timer: a charge that comes when nothing is under way leaves at once.
 *
 * The queue holds no truth. Each charge is answered by the database, after the commit; a process
 * that dies loses only answers, which callers get by repeating their call with the same key.
 */
import { asFault, Fault } from '../faults.ts';
import { chargeMany, type QueuedCharge, type QueuedOutcome } from '../store/charges.ts';
import type { Sql } from '../store/sql.ts';

/** The most charges in one call of the database: more gain little and hold locks longer. */
const MAX_BATCH = 500;
/** Charges that may wait; beyond them callers are told to come back. */
const MAX_WAITING = 10_000;
/** Batches under way at once. Wallets are dealt out by id, so two lanes never share one. */
const LANES = 2;
const MAX_TRIES = 4;
const RETRY_AFTER_SECONDS = 1;
/** A batch takes milliseconds; while one is unanswered for so long, the database is not there. */
const STALLED_AFTER_MS = 5_000;

interface Waiting {
  readonly charge: QueuedCharge;
  readonly resolve: (outcome: QueuedOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  waiting: Waiting[];
  busy: boolean;
  /** When the batch under way was sent. */
  sentAtMs: number;
}

export interface ChargeQueue {
  /**
   * Charges, together with whatever else is waiting. Rejects with `OVERLOADED` when too much is,
   * and with `DATABASE_UNAVAILABLE` while the batch ahead is stuck: callers hear it at once then,
   * instead of waiting in a line that does not move.
   * When the database fails the outcome is unknown; the same charge may be sent again.
   */
  charge(charge: QueuedCharge): Promise<QueuedOutcome>;
  /** How many charges wait for their batch. */
  waiting(): number;
}

export interface ChargeQueueOptions {
  /** Applies charges in one transaction; answers each, in order. No two have one wallet and key. */
  readonly apply: (charges: readonly QueuedCharge[]) => Promise<QueuedOutcome[]>;
  /** Whether an error of `apply` means that its transaction was chosen to give way. */
  readonly isDeadlock: (error: unknown) => boolean;
  /** Whether an error of `apply` would befall each charge alone as well. */
  readonly isOutage: (error: unknown) => boolean;
  readonly maxBatch?: number;
  readonly maxWaiting?: number;
  readonly lanes?: number;
  readonly nowMs?: () => number;
}

/** The queue in front of the ledger's `charge_many`. */
export function createDatabaseChargeQueue(sql: Sql): ChargeQueue {
  return createChargeQueue({
    apply: (charges) => chargeMany(sql, charges),
    isDeadlock: (error) => error instanceof Error && 'code' in error && error.code === '40P01',
    isOutage: (error) => asFault(error).code !== 'INTERNAL',
  });
}

export function createChargeQueue(options: ChargeQueueOptions): ChargeQueue {
  const { apply, isDeadlock, isOutage } = options;
  const {
    maxBatch = MAX_BATCH,
    maxWaiting = MAX_WAITING,
    nowMs = () => performance.now(),
  } = options;
  const lanes = Array.from(
    { length: options.lanes ?? LANES },
    (): Lane => ({ waiting: [], busy: false, sentAtMs: 0 }),
  );

  const waiting = () => lanes.reduce((sum, lane) => sum + lane.waiting.length, 0);

  async function run(lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      const batch = takeBatch(lane, maxBatch);
      lane.sentAtMs = nowMs();
      await settle(batch);
    }
    lane.busy = false;
  }

  async function settle(batch: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await applyPatiently(batch.map(({ charge }) => charge));
      for (const [index, item] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined) {
          item.reject(new Error('the database left a charge of a batch unanswered'));
        } else {
          item.resolve(outcome);
        }
      }
    } catch (error) {
      if (batch.length === 1 || isOutage(error)) {
        for (const item of batch) {
          item.reject(error);
        }
        return;
      }
      // One charge that the database cannot take must not fail the others.
      for (const item of batch) {
        await settle([item]);
      }
    }
  }

  async function applyPatiently(charges: readonly QueuedCharge[]): Promise<QueuedOutcome[]> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await apply(charges);
      } catch (error) {
        if (tries === MAX_TRIES || !isDeadlock(error)) {
          throw error;
        }
      }
    }
  }

  return {
    waiting,
    charge(charge) {
      if (waiting() >= maxWaiting) {
        return Promise.reject(new Fault('OVERLOADED', { retryAfterSeconds: RETRY_AFTER_SECONDS }));
      }
      const lane = lanes[laneOf(charge.walletId, lanes.length)];
      if (lane === undefined) {
        throw new RangeError('a queue has at least one lane');
      }
      if (lane.busy && nowMs() - lane.sentAtMs > STALLED_AFTER_MS) {
        return Promise.reject(
          new Fault('DATABASE_UNAVAILABLE', { retryAfterSeconds: RETRY_AFTER_SECONDS }),
        );
      }
      return new Promise((resolve, reject) => {
        lane.waiting.push({ charge, resolve, reject });
        if (!lane.busy) {
          lane.busy = true;
          lane.sentAtMs = nowMs();
          // What else this turn of the event loop brings goes along.
          setImmediate(() => void run(lane));
        }
      });
    },
  };
}

/** Takes what fits one batch; a second charge of one wallet and key waits for the first's answer. */
function takeBatch(lane: Lane, maxBatch: number): Waiting[] {
  const batch: Waiting[] = [];
  const later: Waiting[] = [];
  const keys = new Set<string>();
  for (const item of lane.waiting) {
    const key = item.charge.walletId + item.charge.key;
    if (batch.length < maxBatch && !keys.has(key)) {
      keys.add(key);
      batch.push(item);
    } else {
      later.push(item);
    }
  }
  lane.waiting = later;
  return batch;
}

/** Wallet ids are random, so their last digits deal them out evenly. */
function laneOf(walletId: string, lanes: number): number {
  return Number.parseInt(walletId.slice(-4), 16) % lanes;
}
