/** What one payment is at Stripe, and what it is in the ledger: where they differ. */
import type { Difference, LedgerPayment, QuarantineEntry } from '../../store/reconciliation.ts';
import type { StripeIntent } from '../../stripe/payment-intents.ts';
import { topUpStatusOf } from '../top-ups/top-ups.ts';
import { amountText, isSettling, microsOfMinor, placeOf, unknownAtStripe } from './difference.ts';

/** Each thing that can be wrong with a payment, and what it means. */
export const PAYMENT_PROBLEMS = {
  not_credited: 'paid at Stripe and not credited',
  in_quarantine: 'paid at Stripe, and waits in quarantine',
  no_top_up: 'paid at Stripe by a customer of ours, and no top-up asked for it',
  not_paid: 'credited, and not paid at Stripe',
  unknown_at_stripe: 'credited, and Stripe knows no such payment',
  amount_differs: 'credited with another amount than was paid',
  currency_differs: 'credited in another currency than was paid',
  customer_differs: 'credited to another user than the customer who paid',
  livemode_differs: "credited, and paid in Stripe's other mode",
  state_differs: 'the top-up is in a state that Stripe contradicts',
} as const;

export type PaymentProblem = keyof typeof PAYMENT_PROBLEMS;

/** What the ledger knows that concerns a page of payments. */
export interface LedgerPage {
  readonly payments: readonly LedgerPayment[];
  readonly quarantine: readonly QuarantineEntry[];
  /** Customers of Stripe that are users of ours. */
  readonly customers: ReadonlySet<string>;
}

/** The top-up that a payment belongs to: the one that names it, else the one that it names. */
export function topUpOf(intent: StripeIntent, page: LedgerPage): LedgerPayment | null {
  return (
    page.payments.find(({ paymentIntentId }) => paymentIntentId === intent.id) ??
    page.payments.find(({ topUpId }) => topUpId === intent.topUpId) ??
    null
  );
}

/** Compares a payment of Stripe's with the ledger. Empty when they agree, or may yet within minutes. */
export function comparePayment(intent: StripeIntent, page: LedgerPage, now: Date): Difference[] {
  const topUp = topUpOf(intent, page);
  return problemsOf(intent, topUp, page, now).map((problem) =>
    differenceOf(problem, intent, topUp),
  );
}

/** The difference of a credit whose payment Stripe does not know. */
export function paymentUnknownAtStripe(topUp: LedgerPayment): Difference {
  return unknownAtStripe(topUp.paymentIntentId ?? topUp.topUpId, topUp, describeTopUp(topUp));
}

function problemsOf(
  intent: StripeIntent,
  topUp: LedgerPayment | null,
  page: LedgerPage,
  now: Date,
): PaymentProblem[] {
  const decision = page.quarantine.find((entry) => entry.paymentIntentId === intent.id);
  if (topUp?.status === 'succeeded' && topUp.paymentIntentId === intent.id) {
    return problemsOfCredit(intent, topUp, decision?.resolution === 'credited');
  }
  if (intent.status !== 'succeeded') {
    return contradicts(intent, topUp) && topUp !== null && !isSettling(topUp.updatedAt, now)
      ? ['state_differs']
      : [];
  }
  if (decision !== undefined) {
    return decision.resolution === null ? ['in_quarantine'] : [];
  }
  if (isSettling(intent.charge?.paidAt ?? intent.createdAt, now)) {
    return [];
  }
  if (topUp !== null) {
    return ['not_credited'];
  }
  // The Stripe account may serve other products, too.
  const isOurs =
    intent.topUpId !== null ||
    (intent.customerId !== null && page.customers.has(intent.customerId));
  return isOurs ? ['no_top_up'] : [];
}

function problemsOfCredit(
  intent: StripeIntent,
  topUp: LedgerPayment,
  isDecided: boolean,
): PaymentProblem[] {
  if (intent.status !== 'succeeded') {
    return ['not_paid'];
  }
  const problems: PaymentProblem[] = [];
  if (topUp.currency !== intent.currency) {
    problems.push('currency_differs');
  } else if (topUp.creditedMicros !== receivedMicros(intent)) {
    problems.push('amount_differs');
  }
  // To whom a payment out of quarantine is credited, a person has decided.
  if (topUp.customerId !== intent.customerId && !isDecided) {
    problems.push('customer_differs');
  }
  if (topUp.livemode !== intent.livemode) {
    problems.push('livemode_differs');
  }
  return problems;
}

/** Whether the state of a top-up that is not credited is not what Stripe says of its payment. */
function contradicts(intent: StripeIntent, topUp: LedgerPayment | null): boolean {
  if (topUp === null || (topUp.paymentIntentId ?? intent.id) !== intent.id) {
    return false;
  }
  const known = topUp.status === 'failed' ? 'created' : topUp.status;
  return known !== topUpStatusOf(intent.status);
}

function receivedMicros(intent: StripeIntent): bigint | null {
  return microsOfMinor(intent.amountReceivedMinor, intent.currency);
}

function differenceOf(
  problem: PaymentProblem,
  intent: StripeIntent,
  topUp: LedgerPayment | null,
): Difference {
  return {
    objectId: intent.id,
    problem,
    happenedAt: intent.createdAt,
    ...placeOf(topUp),
    atStripe: {
      status: intent.status,
      amount: amountText(receivedMicros(intent), intent.currency),
      customer: intent.customerId,
      mode: modeName(intent.livemode),
    },
    inLedger: topUp === null ? null : describeTopUp(topUp),
  };
}

function describeTopUp(topUp: LedgerPayment): Record<string, string | null> {
  return {
    status: topUp.status,
    amount: amountText(topUp.creditedMicros, topUp.currency),
    customer: topUp.customerId,
    mode: modeName(topUp.livemode),
    payment: topUp.paymentIntentId,
  };
}

function modeName(livemode: boolean): string {
  return livemode ? 'live' : 'test';
}
