/** Finds wallets below their threshold, and charges whose outcome is open. */
import type { Logger } from 'pino';
import { claimAutoTopUps, walletsToTopUp } from '../../store/auto-top-ups.ts';
import type { Sql } from '../../store/sql.ts';
import { type Background, everyInterval } from '../background.ts';
import type { AutoTopUpCharging } from './auto-top-up-charging.ts';

/** Charges made at once: each waits for Stripe, and one that hangs must not hold up the others. */
const CHARGES_AT_ONCE = 16;

/**
 * Asks the projection of wallets, which every charge writes anyway, so that charging knows nothing
 * of automatic top-ups. Any number of processes may run it: a charge is reserved once.
 */
export function createAutoTopUpWorker(options: {
  sql: Sql;
  charging: AutoTopUpCharging;
  livemode: boolean;
  intervalMs: number;
  logger: Logger;
}): Background & {
  /** Begins what is due; how many charges that are. */
  tick(): Promise<number>;
  /** Resolves when the charges that have begun are at rest. */
  settled(): Promise<void>;
} {
  const { sql, charging, livemode, intervalMs, logger } = options;
  const running = new Map<string, Promise<void>>();

  function begin(id: string, run: () => Promise<unknown>): void {
    const done = run().then(
      () => undefined,
      (err: unknown) => logger.warn({ err }, 'automatic top-up failed'),
    );
    running.set(id, done);
    void done.finally(() => running.delete(id));
  }

  async function tick(): Promise<number> {
    let begun = 0;
    const free = () => CHARGES_AT_ONCE - running.size;
    if (free() > 0) {
      for (const topUpId of await claimAutoTopUps(sql, livemode, free())) {
        begin(topUpId, () => charging.resume(topUpId));
        begun += 1;
      }
    }
    if (free() > 0) {
      for (const walletId of await walletsToTopUp(sql, livemode, free())) {
        if (!running.has(walletId)) {
          begin(walletId, () => charging.topUp(walletId));
          begun += 1;
        }
      }
    }
    return begun;
  }

  const polling = everyInterval(tick, intervalMs, (err) =>
    logger.warn({ err }, 'automatic top-ups not looked for'),
  );
  const settled = async () => {
    await Promise.all(running.values());
  };
  return {
    tick,
    settled,
    start: polling.start,
    async stop() {
      await polling.stop();
      await settled();
    },
  };
}
