/** Payment intents against top-ups. */
import type { Logger } from 'pino';
import {
  creditedPayments,
  type Difference,
  knownCustomers,
  type LedgerPayment,
  paymentsInLedger,
  quarantineOf,
} from '../../store/reconciliation.ts';
import type { Sql } from '../../store/sql.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { StripeIntent } from '../../stripe/payment-intents.ts';
import { isUuid } from '../../uuid.ts';
import {
  comparePayment,
  type LedgerPage,
  type PaymentProblem,
  paymentUnknownAtStripe,
} from './compare-payments.ts';
import {
  type Comparer,
  FIRST_UUID,
  LEDGER_PAGE,
  ledgerRows,
  type TimeRange,
} from './reconciling.ts';

/** Problems that reading the payment at Stripe again, and applying what it says, may end. */
const SETTLED_BY_APPLYING: ReadonlySet<string> = new Set([
  'not_credited',
  'no_top_up',
  'state_differs',
] satisfies PaymentProblem[]);

export function paymentComparer(options: {
  sql: Sql;
  gateway: Pick<StripeGateway, 'listIntents' | 'findIntent'>;
  /** Brings a payment's top-up to what Stripe says of it now. */
  settlePayment: (paymentIntentId: string) => Promise<unknown>;
  logger: Logger;
}): Comparer<StripeIntent> {
  const { sql, gateway, settlePayment, logger } = options;

  async function ledgerPage(intents: readonly StripeIntent[]): Promise<LedgerPage> {
    const ids = intents.map(({ id }) => id);
    const topUpIds = intents.flatMap(({ topUpId }) =>
      topUpId !== null && isUuid(topUpId) ? [topUpId] : [],
    );
    const customerIds = intents.flatMap(({ customerId }) => customerId ?? []);
    const [payments, quarantine, customers] = await Promise.all([
      paymentsInLedger(sql, { paymentIntentIds: ids, topUpIds }),
      quarantineOf(sql, ids),
      knownCustomers(sql, customerIds),
    ]);
    return { payments, quarantine, customers: new Set(customers) };
  }

  /** A credit that is not on its page of Stripe's list: made a moment earlier or later, or not at all. */
  async function compareCredit(topUp: LedgerPayment, now: Date): Promise<Difference[]> {
    const intent =
      topUp.paymentIntentId === null ? null : await gateway.findIntent(topUp.paymentIntentId);
    return intent === null
      ? [paymentUnknownAtStripe(topUp)]
      : comparePayment(intent, await ledgerPage([intent]), now);
  }

  async function compareCredits(
    span: TimeRange,
    listed: ReadonlySet<string>,
    now: Date,
  ): Promise<Difference[]> {
    const found: Difference[] = [];
    const rows = ledgerRows(
      (afterId) => creditedPayments(sql, { ...span, afterId, limit: LEDGER_PAGE }),
      ({ topUpId }) => topUpId,
      FIRST_UUID,
    );
    for await (const topUp of rows) {
      if (!listed.has(topUp.paymentIntentId ?? '')) {
        found.push(...(await compareCredit(topUp, now)));
      }
    }
    return found;
  }

  return {
    kind: 'payment',
    list: (range) => gateway.listIntents(range),
    createdAt: ({ createdAt }) => createdAt,

    async compare(intents, span, now) {
      const page = await ledgerPage(intents);
      const listed = new Set(intents.map(({ id }) => id));
      return [
        ...intents.flatMap((intent) => comparePayment(intent, page, now)),
        ...(await compareCredits(span, listed, now)),
      ];
    },

    async settle(_intents, found) {
      const ids = found
        .filter(({ problem }) => SETTLED_BY_APPLYING.has(problem))
        .map(({ objectId }) => objectId);
      for (const id of ids) {
        // One that fails stays a difference and keeps no other from being credited.
        await settlePayment(id).catch((err: unknown) =>
          logger.warn({ err, paymentIntentId: id }, 'payment not settled'),
        );
      }
      return ids.length > 0;
    },
  };
}
