/** Refunds and disputes of Stripe's against those of the ledger. */
import type { Logger } from 'pino';
import type { Difference, LedgerPayment } from '../../store/reconciliation.ts';
import { paymentsInLedger } from '../../store/reconciliation.ts';
import {
  disputesInLedger,
  disputesOpened,
  type LedgerDispute,
  type LedgerRefund,
  refundsInLedger,
  refundsMade,
} from '../../store/reconciliation-money-back.ts';
import type { Sql } from '../../store/sql.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { StripeDispute, StripeRefund } from '../../stripe/money-back.ts';
import { isUuid } from '../../uuid.ts';
import {
  compareDispute,
  compareRefund,
  type DisputeProblem,
  disputeUnknownAtStripe,
  type MoneyBackPage,
  type RefundProblem,
  refundUnknownAtStripe,
} from './compare-money-back.ts';
import { isSettling } from './difference.ts';
import { type Comparer, FIRST_UUID, LEDGER_PAGE, ledgerRows } from './reconciling.ts';

/** Problems that applying what Stripe says may end. */
const SETTLED_REFUNDS: ReadonlySet<string> = new Set([
  'not_debited',
  'not_returned',
  'state_differs',
] satisfies RefundProblem[]);

const SETTLED_DISPUTES: ReadonlySet<string> = new Set([
  'not_recorded',
  'withdrawal_missing',
  'reinstatement_missing',
  'state_differs',
] satisfies DisputeProblem[]);

interface ComparerOptions<Item> {
  sql: Sql;
  gateway: StripeGateway;
  /** Brings the ledger to what Stripe says of the object. */
  apply: (item: Item) => Promise<unknown>;
  logger: Logger;
}

/** Compares refunds. */
export function refundComparer(options: ComparerOptions<StripeRefund>): Comparer<StripeRefund> {
  const { sql, gateway } = options;

  async function ledgerPage(
    refunds: readonly StripeRefund[],
  ): Promise<MoneyBackPage<LedgerRefund>> {
    const [kept, payments] = await Promise.all([
      refundsInLedger(sql, {
        stripeRefundIds: refunds.map(({ id }) => id),
        refundIds: refunds.flatMap(({ ownRefundId }) =>
          ownRefundId !== null && isUuid(ownRefundId) ? [ownRefundId] : [],
        ),
      }),
      paymentsOf(sql, refunds),
    ]);
    return { kept, payments };
  }

  /** What Stripe has of a refund that is not on its page; null when it has nothing. */
  async function findAtStripe(kept: LedgerRefund): Promise<StripeRefund | null> {
    if (kept.stripeRefundId !== null) {
      return gateway.findRefund(kept.stripeRefundId);
    }
    const { paymentIntentId, refundId } = kept;
    const made = paymentIntentId === null ? [] : await gateway.listRefunds({ paymentIntentId });
    return made.find(({ ownRefundId }) => ownRefundId === refundId) ?? null;
  }

  return {
    kind: 'refund',
    list: (range) => gateway.listRefundsMade(range),
    createdAt: ({ createdAt }) => createdAt,

    async compare(refunds, span, now) {
      const page = await ledgerPage(refunds);
      const found = refunds.flatMap((refund) => compareRefund(refund, page, now));
      const listed = new Set(page.kept.map(({ refundId }) => refundId));
      const rows = ledgerRows(
        (afterId) => refundsMade(sql, { ...span, afterId, limit: LEDGER_PAGE }),
        ({ refundId }) => refundId,
        FIRST_UUID,
      );
      for await (const kept of rows) {
        // One that Stripe refused was given back before Stripe had a name for it.
        const isOver = kept.stripeRefundId === null && kept.status === 'failed';
        if (listed.has(kept.refundId) || isOver) continue;
        const refund = await findAtStripe(kept);
        if (refund !== null) {
          found.push(...compareRefund(refund, await ledgerPage([refund]), now));
        } else if (!isSettling(kept.updatedAt, now)) {
          found.push(refundUnknownAtStripe(kept));
        }
      }
      return found;
    },

    settle: (refunds, found) => settle(options, refunds, found, SETTLED_REFUNDS),
  };
}

/** Compares disputes. */
export function disputeComparer(options: ComparerOptions<StripeDispute>): Comparer<StripeDispute> {
  const { sql, gateway } = options;

  async function ledgerPage(
    disputes: readonly StripeDispute[],
  ): Promise<MoneyBackPage<LedgerDispute>> {
    const [kept, payments] = await Promise.all([
      disputesInLedger(
        sql,
        disputes.map(({ id }) => id),
      ),
      paymentsOf(sql, disputes),
    ]);
    return { kept, payments };
  }

  return {
    kind: 'dispute',
    list: (range) => gateway.listDisputes(range),
    createdAt: ({ createdAt }) => createdAt,

    async compare(disputes, span, now) {
      const page = await ledgerPage(disputes);
      const found = disputes.flatMap((dispute) => compareDispute(dispute, page, now));
      const listed = new Set(disputes.map(({ id }) => id));
      const rows = ledgerRows(
        (afterId) => disputesOpened(sql, { ...span, afterId, limit: LEDGER_PAGE }),
        ({ disputeId }) => disputeId,
        '',
      );
      for await (const kept of rows) {
        if (listed.has(kept.disputeId)) continue;
        const dispute = await gateway.findDispute(kept.disputeId);
        found.push(
          ...(dispute === null
            ? [disputeUnknownAtStripe(kept)]
            : compareDispute(dispute, await ledgerPage([dispute]), now)),
        );
      }
      return found;
    },

    settle: (disputes, found) => settle(options, disputes, found, SETTLED_DISPUTES),
  };
}

function paymentsOf(
  sql: Sql,
  items: readonly { paymentIntentId: string | null }[],
): Promise<LedgerPayment[]> {
  const paymentIntentIds = items.flatMap(({ paymentIntentId }) => paymentIntentId ?? []);
  return paymentsInLedger(sql, { paymentIntentIds, topUpIds: [] });
}

/** Applies the objects of a page that differ in something which that may end. */
async function settle<Item extends { id: string }>(
  { apply, logger }: ComparerOptions<Item>,
  items: readonly Item[],
  found: readonly Difference[],
  problems: ReadonlySet<string>,
): Promise<boolean> {
  const differing = items.filter(({ id }) =>
    found.some(({ objectId, problem }) => objectId === id && problems.has(problem)),
  );
  for (const item of differing) {
    // One that fails stays a difference and keeps no other from being applied.
    await apply(item).catch((err: unknown) =>
      logger.warn({ err, objectId: item.id }, 'money that went back not settled'),
    );
  }
  return differing.length > 0;
}
