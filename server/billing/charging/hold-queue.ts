/** Writes on holds that come at the same time go to the database together. */
import type { Sql } from '../../store/sql.ts';
import { createWriteQueue } from './write-queue.ts';

/** Each hold of a batch takes some 0.3 ms, for which the others' wallets stay locked. */
const MAX_BATCH = 100;

export function holdQueue<Write extends { readonly walletId: string }, Outcome>(
  sql: Sql,
  apply: (sql: Sql, writes: readonly Write[]) => Promise<Outcome[]>,
) {
  return createWriteQueue({
    apply: (writes: readonly Write[]) => apply(sql, writes),
    maxBatch: MAX_BATCH,
    lanes: 1,
  });
}
