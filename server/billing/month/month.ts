/** The month's use cases: what closes every wallet's calendar month into a statement, once. */
import type { Logger } from 'pino';
import { Fault } from '../../faults.ts';
import {
  closeRange,
  fenceRange,
  type MonthPreview,
  type MonthRun,
  monthStatus,
  monthTally,
  planMonth,
  previewMonth,
  type RangeOutcome,
  requestMonth,
  type WalletRange,
} from '../../store/month.ts';
import type { Sql } from '../../store/sql.ts';
import type { BillingStatus } from '../../views/admin.ts';

/** When the month is run: this hour (UTC) of the 1st. BILLING_MONTH_CRON says the same to Inngest. */
const RUN_HOUR_UTC = 2;
/** Ranges in one page of a plan. */
const RANGES_PER_PAGE = 500;

export type RequestedMonth =
  | ({ ok: true; status: 'running' | 'finished' } & MonthRun)
  | { ok: false; code: 'PERIOD_NOT_OVER'; message: string };

export interface MonthRequest {
  /** A calendar month, YYYY-MM; by default the one that is due now. */
  readonly period?: string | undefined;
  /** Who asks, such as `cron:http`; the first one is kept. */
  readonly actor: string;
}

/** The work of a month, done by whoever calls. */
export interface MonthWork {
  /** Starts, or finds, the run of a period. Nothing is closed yet. */
  request(request: MonthRequest): Promise<RequestedMonth>;
  /**
   * One page of the run's ranges that still have work. The first call plans a page; the same cursor
   * names the same ranges ever after, less those that have been finished.
   */
  planMonth(
    runId: string,
    cursor: string | null,
  ): Promise<{ ranges: WalletRange[]; nextCursor: string | null }>;
  /**
   * Closes what has ended of a planned range, while its wallets are in use. Safe to call again at any
   * time, even while another call is at it.
   */
  closeRange(input: MonthRun & WalletRange): Promise<RangeOutcome>;
  /** How a period (by default the one that is due now) stands. */
  status(period?: string): Promise<BillingStatus>;
  /** How many wallets of a run are closed, or could not be closed: cheap, unlike `status`. */
  tally(runId: string): Promise<{ closed: number; failed: number }>;
  /** What closing the period would write now, by month; null when it is not over. */
  preview(period: string): Promise<MonthPreview[] | null>;
}

/** The work, and a scheduler that is told to do it. */
export interface Month extends MonthWork {
  /** Requests a period and announces its run to the scheduler, without waiting for that. */
  launch(request: MonthRequest): Promise<RequestedMonth>;
  /**
   * Launches the period that is due now.
   * @throws Fault CONFLICT when the database's clock says that it is not over
   */
  start(actor: string): Promise<BillingStatus>;
  /**
   * Requests, for a scheduler that does the rest itself, the period that was due at an instant.
   * @throws Fault CONFLICT as above
   */
  requestMonth(at: Date): Promise<MonthRun>;
}

export interface MonthWorkOptions {
  readonly sql: Sql;
  /** Plans and closes: its statements must be allowed to run for minutes. */
  readonly longSql: Sql;
  /** The time by which a period is due; the ledger's own time decides what has ended. */
  readonly clock: () => Date;
}

export function createMonthWork(options: MonthWorkOptions): MonthWork {
  const { sql, longSql, clock } = options;
  return {
    async request({ period = defaultPeriod(clock()), actor }) {
      const run = await requestMonth(sql, period, actor);
      if (run === null) {
        const message = `The period ${period} is not over yet anywhere on earth.`;
        return { ok: false, code: 'PERIOD_NOT_OVER', message };
      }
      const { runId, finished } = run;
      return { ok: true, runId, period, status: finished ? 'finished' : 'running' };
    },

    planMonth: (runId, cursor) => planMonth(longSql, runId, cursor, RANGES_PER_PAGE),

    async closeRange(input) {
      const { fencedAt, inUse } = await fenceRange(longSql, input, null);
      if (inUse > 0) {
        await fenceRange(longSql, input, fencedAt);
      }
      let { apart, ...outcome } = await closeRange(longSql, input, fencedAt, null);
      for (const walletId of apart) {
        const { closed, failed, pending } = await closeRange(longSql, input, fencedAt, walletId);
        outcome = { closed, failed, pending };
      }
      return outcome;
    },

    async status(period = defaultPeriod(clock())) {
      const status = await monthStatus(sql, period);
      return { ...status, period, nextRunAt: nextRunAt(clock()) };
    },

    tally: (runId) => monthTally(sql, runId),

    preview: (period) => previewMonth(sql, period),
  };
}

export interface MonthOptions extends MonthWorkOptions {
  /** Announces a run to the scheduler. The watchdog repeats what fails. */
  readonly send: (run: MonthRun) => Promise<void>;
  readonly logger: Logger;
}

export function createMonth(options: MonthOptions): Month {
  const { send, logger } = options;
  const work = createMonthWork(options);

  const launch: Month['launch'] = async (request) => {
    const requested = await work.request(request);
    if (requested.ok && requested.status !== 'finished') {
      const { runId, period } = requested;
      send({ runId, period }).catch((err: unknown) => {
        logger.warn({ err, runId, period }, 'month not announced');
      });
    }
    return requested;
  };

  return {
    ...work,
    launch,

    async start(actor) {
      const { period } = accepted(await launch({ actor }));
      return work.status(period);
    },

    async requestMonth(at) {
      const request = { period: defaultPeriod(at), actor: 'system:schedule' };
      const { runId, period } = accepted(await work.request(request));
      return { runId, period };
    },
  };
}

function accepted(requested: RequestedMonth): MonthRun {
  if (!requested.ok) {
    throw new Fault('CONFLICT', { publicMessage: requested.message });
  }
  return requested;
}

/** The last calendar month (YYYY-MM) that had ended in UTC at an instant. */
export function defaultPeriod(at: Date): string {
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - 1)).toISOString().slice(0, 7);
}

/** The first scheduled run after an instant. */
export function nextRunAt(at: Date): Date {
  const thisMonths = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1, RUN_HOUR_UTC));
  return thisMonths > at
    ? thisMonths
    : new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1, RUN_HOUR_UTC));
}

/** The newest period whose scheduled run was at least `graceMs` ago. */
export function overduePeriod(at: Date, graceMs: number): string {
  return defaultPeriod(new Date(at.getTime() - graceMs - RUN_HOUR_UTC * 3_600_000));
}

/** Whether a text is a period: a calendar month written YYYY-MM that has a month after it. */
export function isPeriod(text: string): boolean {
  return /^[1-9]\d{3}-(?:0[1-9]|1[0-2])$/.test(text) && text !== '9999-12';
}
