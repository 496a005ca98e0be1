/** All that is compared with Stripe, in the order in which it is: credits before what takes back. */
import type { Logger } from 'pino';
import type { DifferenceKind } from '../../store/reconciliation.ts';
import type { Sql } from '../../store/sql.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { StripeEvents } from '../stripe-events/stripe-events.ts';
import { DISPUTE_PROBLEMS, REFUND_PROBLEMS } from './compare-money-back.ts';
import { PAYMENT_PROBLEMS } from './compare-payments.ts';
import { disputeComparer, refundComparer } from './reconcile-money-back.ts';
import { paymentComparer } from './reconcile-payments.ts';
import { type Comparison, comparison } from './reconciling.ts';

export function stripeComparisons(options: {
  sql: Sql;
  gateway: StripeGateway;
  events: Pick<StripeEvents, 'applyPayment' | 'applyRefund' | 'applyDispute'>;
  logger: Logger;
}): Comparison[] {
  const { events, ...rest } = options;
  const { sql } = rest;
  return [
    comparison(sql, paymentComparer({ ...rest, settlePayment: events.applyPayment })),
    comparison(sql, refundComparer({ ...rest, apply: events.applyRefund })),
    comparison(sql, disputeComparer({ ...rest, apply: events.applyDispute })),
  ];
}

const PROBLEMS: Readonly<Record<DifferenceKind, Readonly<Record<string, string>>>> = {
  payment: PAYMENT_PROBLEMS,
  refund: REFUND_PROBLEMS,
  dispute: DISPUTE_PROBLEMS,
};

/** A problem in words. */
export function meaningOf(kind: DifferenceKind, problem: string): string {
  return Object.hasOwn(PROBLEMS[kind], problem)
    ? (PROBLEMS[kind][problem] ?? problem)
    : problem.replaceAll('_', ' ');
}
