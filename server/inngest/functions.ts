/** The functions that Inngest runs: Stripe's events, the month, the daily reconciliation. */
import { cron, type Inngest, type InngestFunction } from 'inngest';
import type { DailyRange } from '../billing/reconciliation/reconciling.ts';
import { billingMonthRequested, billingRangeRequested, stripeEventReceived } from './client.ts';

/** 02:00 UTC on the 1st of each month. */
export const BILLING_MONTH_CRON = '0 2 1 * *';

/** 03:30 UTC every day. */
const RECONCILE_CRON = '30 3 * * *';

/** Inngest takes at most 5,000 events a request; smaller requests are cheaper to send again. */
const EVENTS_PER_REQUEST = 1_000;

/** Ranges that may be closed at once, so that a closing month leaves the database to live charges. */
export const RANGES_AT_ONCE = 4;

export interface WalletRange {
  fromWalletId: string;
  toWalletId: string;
}

export interface PlanPage {
  ranges: WalletRange[];
  /** Asks for the next page; null when this one is the last. */
  nextCursor: string | null;
}

/**
 * The use cases behind the functions. Steps are at-least-once and Inngest's own deduplication is
 * neither durable nor complete, so each of these must be safe to call again, at any time, also
 * while an earlier call is still running.
 */
export interface BillingUseCases {
  /** Applies one stored Stripe event to the ledger. */
  applyStripeEvent(eventId: string): Promise<{ outcome: string }>;
  /** Starts, or finds, the run for the period that is due at the instant `at`. */
  requestMonth(at: Date): Promise<{ runId: string; period: string }>;
  /**
   * One page of the run's ranges; `cursor` null asks for the first. The same cursor must give the
   * same page. A page is one step's output, at most 4 MB, and goes with every later request of the
   * run: some hundreds of ranges make a good page.
   */
  planMonth(runId: string, cursor: string | null): Promise<PlanPage>;
  /** Closes the period for each wallet of the range that is not closed yet. */
  closeRange(
    input: { runId: string; period: string } & WalletRange,
  ): Promise<{ closed: number; failed: number; pending: number }>;
  /** The ranges of Stripe's list that the run of the UTC day of `at` goes through. */
  planReconciliation(at: Date): Promise<{
    day: string;
    ranges: DailyRange[];
  }>;
  /** Credits what no webhook brought in the range, and compares it with the ledger. */
  reconcileRange(
    input: DailyRange & { day: string },
  ): Promise<{ checked: number; differences: number }>;
  /** Ends the day's run, and tells of what is new. */
  finishReconciliation(day: string): Promise<{ reported: number }>;
}

/**
 * The functions that Inngest schedules. They hold no rules of their own: one step is one use case,
 * and correctness is the database's. `retries` is set on each because the defaults of the SDK and
 * of the server differ.
 */
export function createFunctions(
  inngest: Inngest,
  useCases: BillingUseCases,
): InngestFunction.Like[] {
  const stripeApply = inngest.createFunction(
    { id: 'stripe-apply', triggers: stripeEventReceived, retries: 5 },
    ({ event, step }) => step.run('apply', () => useCases.applyStripeEvent(event.data.eventId)),
  );

  const billingMonth = inngest.createFunction(
    {
      id: 'billing-month',
      triggers: [billingMonthRequested, cron(BILLING_MONTH_CRON)],
      retries: 10,
    },
    async ({ event, step }) => {
      // A run may start hours late or be repeated in another month: the period comes from the event,
      // never from the time at which this code happens to run.
      const { runId, period } =
        'runId' in event.data
          ? event.data
          : await step.run('request-month', () => useCases.requestMonth(new Date(event.ts)));

      let cursor: string | null = null;
      let ranges = 0;
      for (let page = 0; page === 0 || cursor !== null; page += 1) {
        const pageCursor: string | null = cursor;
        const plan: PlanPage = await step.run(`plan-${page}`, () =>
          useCases.planMonth(runId, pageCursor),
        );
        for (let from = 0; from < plan.ranges.length; from += EVENTS_PER_REQUEST) {
          const slice = plan.ranges.slice(from, from + EVENTS_PER_REQUEST);
          // No event id of our own: it would keep a repeated run from reaching failed ranges for 24 h.
          await step.sendEvent(
            `fan-out-${page}-${from / EVENTS_PER_REQUEST}`,
            slice.map((range) => billingRangeRequested.create({ runId, period, ...range })),
          );
        }
        ranges += plan.ranges.length;
        cursor = plan.nextCursor;
      }
      return { runId, period, ranges };
    },
  );

  const billingRange = inngest.createFunction(
    {
      id: 'billing-range',
      triggers: billingRangeRequested,
      retries: 10,
      concurrency: { limit: RANGES_AT_ONCE },
    },
    ({ event, step }) => step.run('close-range', () => useCases.closeRange(event.data)),
  );

  const stripeReconcile = inngest.createFunction(
    {
      id: 'stripe-reconcile',
      triggers: cron(RECONCILE_CRON),
      retries: 5,
      concurrency: { limit: 1 },
    },
    async ({ event, step }) => {
      const { day, ranges } = await step.run('plan', () =>
        useCases.planReconciliation(new Date(event.ts)),
      );
      const total = { checked: 0, differences: 0 };
      for (const range of ranges) {
        const { checked, differences } = await step.run(`reconcile-${range.from}`, () =>
          useCases.reconcileRange({ day, ...range }),
        );
        total.checked += checked;
        total.differences += differences;
      }
      const { reported } = await step.run('finish', () => useCases.finishReconciliation(day));
      return { day, ...total, reported };
    },
  );

  return [stripeApply, billingMonth, billingRange, stripeReconcile];
}
