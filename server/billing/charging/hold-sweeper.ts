/** Settles holds that have run out on wallets that nobody uses. */
import type { Logger } from 'pino';
import { settleDueWallets } from '../../store/holds.ts';
import type { Sql } from '../../store/sql.ts';
import { type Background, everyInterval } from '../background.ts';

/** Wallets in one transaction: few, because all of them stay locked until it ends. */
const WALLETS_PER_CALL = 100;

/**
 * Every operation on a wallet settles what is due on it first, so money is right without this; it
 * only brings the events of wallets at rest. Any number of processes may run it.
 */
export function createHoldSweeper(options: {
  sql: Sql;
  intervalMs: number;
  logger: Logger;
}): Background & { tick(): Promise<number> } {
  const { sql, intervalMs, logger } = options;

  /** Returns how many wallets it settled. */
  async function tick(): Promise<number> {
    let settled = 0;
    for (;;) {
      const pass = await settleDueWallets(sql, WALLETS_PER_CALL);
      settled += pass.settled;
      for (const failure of pass.failed) {
        logger.error(failure, 'wallet not settled');
      }
      // Those that failed stand in the way of no others, but come first again.
      if (pass.settled === 0) {
        return settled;
      }
    }
  }

  return {
    tick,
    ...everyInterval(tick, intervalMs, (err) => logger.warn({ err }, 'hold sweep failed')),
  };
}
