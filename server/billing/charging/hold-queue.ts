/** Concurrent writes on holds go to the database together. */
import {
  type HoldCapture,
  type HoldPlacing,
  type QueuedHoldOutcome,
  writeHolds,
} from '../../store/holds.ts';
import type { Sql } from '../../store/sql.ts';
import { createWriteQueue, type WriteQueue } from './write-queue.ts';

/** Each heartbeat or void of a batch takes some 0.3 ms, for which the others' wallets stay locked. */
const MAX_ONE_BY_ONE = 100;
/** Placing and capturing is one statement for all plain wallets of a batch. */
const MAX_WRITES = 250;

/** A queue of heartbeats, or of voids. */
export function holdQueue<Write extends { readonly walletId: string }, Outcome>(
  sql: Sql,
  apply: (sql: Sql, writes: readonly Write[]) => Promise<Outcome[]>,
): WriteQueue<Write, Outcome> {
  return createWriteQueue({
    apply: (writes: readonly Write[]) => apply(sql, writes),
    maxBatch: MAX_ONE_BY_ONE,
    lanes: 1,
  });
}

export type HoldWrites = WriteQueue<HoldPlacing | HoldCapture, QueuedHoldOutcome>;

/** The queue of holds to be placed and captured. */
export function createHoldWrites(sql: Sql): HoldWrites {
  return createWriteQueue({
    apply: (writes: readonly (HoldPlacing | HoldCapture)[]) => writeHolds(sql, writes),
    maxBatch: MAX_WRITES,
    lanes: 2,
    together: 200,
  });
}
