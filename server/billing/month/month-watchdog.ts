/** Keeps the month going when its scheduler does not. */
import type { Logger } from 'pino';
import type { MonthRun } from '../../store/month.ts';
import { type Background, everyInterval } from '../background.ts';
import { overduePeriod } from './month.ts';

/** How long after its scheduled time a run is missed. */
const GRACE_MS = 3_600_000;
/** How long a run with due work may stand still. */
const QUIET_MS = 300_000;

export interface MonthWatchdogOptions {
  readonly store: {
    /** Starts missing runs and claims stalled ones, oldest first, each for one process only. */
    claim(claim: { dueThrough: string; quietMs: number; actor: string }): Promise<MonthRun[]>;
  };
  /** Announces a run to the scheduler. */
  readonly send: (run: MonthRun) => Promise<void>;
  readonly clock: () => Date;
  readonly intervalMs: number;
  readonly logger: Logger;
}

/**
 * Schedulers' crons stop silently, drop events and miss outages. This runs in every server process,
 * outside the scheduler: it starts periods that nobody started, and announces runs again whose
 * wallets are due while nothing moves: also when a month ends, hours later, in another time zone.
 * What it announces twice changes nothing. What it fails to announce comes up again.
 */
export function createMonthWatchdog(
  options: MonthWatchdogOptions,
): Background & { tick(): Promise<number> } {
  const { store, send, clock, intervalMs, logger } = options;

  /** Returns how many runs it announced. */
  async function tick(): Promise<number> {
    const runs = await store.claim({
      dueThrough: overduePeriod(clock(), GRACE_MS),
      quietMs: QUIET_MS,
      actor: 'system:watchdog',
    });
    let sent = 0;
    for (const run of runs) {
      try {
        await send(run);
        sent += 1;
        logger.info(run, 'month announced by the watchdog');
      } catch (err) {
        logger.warn({ ...run, err }, 'month not announced');
      }
    }
    return sent;
  }

  return {
    tick,
    ...everyInterval(tick, intervalMs, (err) => logger.warn({ err }, 'month watchdog failed')),
  };
}
