/** Keeps the daily reconciliation going when its scheduler does not. */
import type { Logger } from 'pino';
import { claimReconciliation } from '../../store/reconciliation.ts';
import type { Sql } from '../../store/sql.ts';
import { type Background, everyInterval } from '../background.ts';
import type { Reconciliation } from './reconciling.ts';

/** When the scheduler's run of a UTC day should have begun: its own time, 03:30, and an hour of grace. */
const OVERDUE_MS = 4.5 * 3_600_000;
/** How long a run may stand still before another process takes it over. */
const QUIET_MS = 1_800_000;
const DAY_MS = 86_400_000;

/**
 * Runs in every server process, outside the scheduler, whose crons may stop silently. The day's run
 * that nobody began, or that stands still, is made here, by one process only, without the scheduler.
 */
export function createReconcileWatchdog(options: {
  sql: Sql;
  reconciliation: Reconciliation;
  clock: () => Date;
  intervalMs: number;
  logger: Logger;
}): Background & { tick(): Promise<boolean> } {
  const { sql, reconciliation, clock, intervalMs, logger } = options;

  /** Whether it made the day's run. */
  async function tick(): Promise<boolean> {
    const now = clock();
    const { day, ranges } = reconciliation.plan(now);
    if (now.getTime() % DAY_MS < OVERDUE_MS || !(await claimReconciliation(sql, day, QUIET_MS))) {
      return false;
    }
    for (const range of ranges) {
      await reconciliation.reconcileRange({ day, ...range });
    }
    const { reported } = await reconciliation.finish(day);
    logger.info({ day, reported }, 'reconciled by the watchdog');
    return true;
  }

  return {
    tick,
    ...everyInterval(tick, intervalMs, (err) => logger.warn({ err }, 'reconciliation failed')),
  };
}
