/** What runs beside the requests, and how often. */
import type { Logger } from 'pino';
import { createAutoTopUpCharging } from './billing/auto-top-ups/auto-top-up-charging.ts';
import { createAutoTopUpWorker } from './billing/auto-top-ups/auto-top-up-worker.ts';
import { type Background, everyInterval } from './billing/background.ts';
import { createHoldSweeper } from './billing/charging/hold-sweeper.ts';
import { createRefundSweeper } from './billing/money-back/refund-sweeper.ts';
import { createMonthWatchdog } from './billing/month/month-watchdog.ts';
import { createMailSender } from './billing/notices/mail-sender.ts';
import { withLinks } from './billing/notices/notice-links.ts';
import { createNoticeFollower } from './billing/notices/notices.ts';
import { createReconcileWatchdog } from './billing/reconciliation/reconcile-watchdog.ts';
import { createPayloadTrimmer } from './billing/stripe-events/payload-trimmer.ts';
import { createStripeDispatcher } from './billing/stripe-events/stripe-events.ts';
import type { Mailer } from './mail/mailer.ts';
import { claimMonths, type MonthRun } from './store/month.ts';
import type { Sql } from './store/sql.ts';
import type { StripeGateway } from './stripe/gateway.ts';
import type { UseCases } from './use-cases.ts';

const DISPATCH_INTERVAL_MS = 2_000;
const HOLD_SWEEP_INTERVAL_MS = 2_000;
const AUTO_TOP_UP_INTERVAL_MS = 1_000;
const REFUND_SWEEP_INTERVAL_MS = 5_000;
const NOTICE_INTERVAL_MS = 2_000;
const WATCHDOG_INTERVAL_MS = 60_000;
const SWEEP_INTERVAL_MS = 600_000;
const RECONCILE_CHECK_INTERVAL_MS = 900_000;
const PRUNE_INTERVAL_MS = 3_600_000;

/** Makes what runs beside the requests, out of the parts that answer them too. */
export function createBackgrounds(parts: {
  readonly sql: Sql;
  readonly clock: () => Date;
  readonly logger: Logger;
  readonly livemode: boolean;
  readonly gateway: StripeGateway;
  readonly useCases: UseCases;
  /** Null: notices wait in the outbox; once there is a mail server, it sends the newer ones. */
  readonly mailer: Mailer | null;
  readonly announceEvent: (eventId: string, dispatchId: string) => Promise<void>;
  readonly announceMonth: (run: MonthRun) => Promise<void>;
}): Background[] {
  const { sql, clock, logger, livemode, gateway, mailer, announceEvent, announceMonth } = parts;
  const { accounts, statements, stripeEvents, refundAsking, reconciliation } = parts.useCases;
  const { recoveryLinks, unsubscribeLinks } = parts.useCases;
  return [
    createStripeDispatcher({
      sql,
      send: ({ eventId, dispatchId }) => announceEvent(eventId, dispatchId),
      intervalMs: DISPATCH_INTERVAL_MS,
      logger,
    }),
    createHoldSweeper({ sql, intervalMs: HOLD_SWEEP_INTERVAL_MS, logger }),
    createAutoTopUpWorker({
      sql,
      charging: createAutoTopUpCharging({
        sql,
        gateway,
        livemode,
        settlePayment: (paymentIntentId) => stripeEvents.applyPayment(paymentIntentId),
        clock,
        logger,
      }),
      livemode,
      intervalMs: AUTO_TOP_UP_INTERVAL_MS,
      logger,
    }),
    createRefundSweeper({
      sql,
      asking: refundAsking,
      livemode,
      intervalMs: REFUND_SWEEP_INTERVAL_MS,
      logger,
    }),
    createNoticeFollower({ sql, intervalMs: NOTICE_INTERVAL_MS, logger }),
    ...(mailer === null
      ? []
      : [
          createMailSender({
            sql,
            mailer,
            intervalMs: NOTICE_INTERVAL_MS,
            logger,
            complete: (notice) => withLinks(notice, recoveryLinks, unsubscribeLinks),
            attach: async (notice, to) =>
              notice.kind === 'statement' ? [await statements.document(notice.number, to)] : [],
          }),
        ]),
    createMonthWatchdog({
      store: { claim: (claim) => claimMonths(sql, claim) },
      send: announceMonth,
      clock,
      intervalMs: WATCHDOG_INTERVAL_MS,
      logger,
    }),
    everyInterval(
      () => stripeEvents.sweep(clock()),
      SWEEP_INTERVAL_MS,
      (err) => logger.warn({ err }, 'top-ups not swept'),
    ),
    createReconcileWatchdog({
      sql,
      reconciliation,
      clock,
      intervalMs: RECONCILE_CHECK_INTERVAL_MS,
      logger,
    }),
    createPayloadTrimmer({ sql, clock, intervalMs: PRUNE_INTERVAL_MS, logger }),
    everyInterval(
      () => accounts.prune(),
      PRUNE_INTERVAL_MS,
      (err) => logger.warn({ err }, 'ended sessions not pruned'),
    ),
  ];
}
