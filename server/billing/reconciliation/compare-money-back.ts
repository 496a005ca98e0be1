/** What a refund or a dispute is at Stripe, and what it is in the ledger: where they differ. */
import type { Difference, LedgerPayment } from '../../store/reconciliation.ts';
import type { LedgerDispute, LedgerRefund } from '../../store/reconciliation-money-back.ts';
import type { StripeDispute, StripeRefund } from '../../stripe/money-back.ts';
import { disputeStateOf, isFailedRefund } from '../money-back/money-back.ts';
import { amountText, isSettling, microsOfMinor, placeOf, unknownAtStripe } from './difference.ts';

/** Each thing that can be wrong with a refund, and what it means. */
export const REFUND_PROBLEMS = {
  not_debited: 'refunded at Stripe, and not taken from the wallet',
  not_returned: 'failed at Stripe, and not given back to the wallet',
  wrongly_returned: 'given back to the wallet, though it did not fail at Stripe',
  unknown_at_stripe: 'taken from the wallet, and Stripe knows no such refund',
  amount_differs: 'taken from the wallet with another amount than was refunded',
  payment_differs: 'taken for another payment than was refunded',
  state_differs: 'the refund is in a state that Stripe contradicts',
} as const;

/** The same of a dispute. */
export const DISPUTE_PROBLEMS = {
  not_recorded: 'disputed at Stripe, and the ledger knows nothing of it',
  withdrawal_missing: 'the bank took more than was taken from the wallet',
  withdrawal_unknown: 'more was taken from the wallet than the bank took',
  reinstatement_missing: 'the bank gave back more than was given back to the wallet',
  reinstatement_unknown: 'more was given back to the wallet than the bank gave back',
  unknown_at_stripe: 'the ledger has a dispute that Stripe does not know',
  amount_differs: 'disputed with another amount than the ledger has',
  payment_differs: 'the ledger has it as a dispute of another payment',
  state_differs: 'the dispute is in a state that Stripe contradicts',
} as const;

export type RefundProblem = keyof typeof REFUND_PROBLEMS;
export type DisputeProblem = keyof typeof DISPUTE_PROBLEMS;

/** What the ledger knows that concerns a page of refunds, or of disputes. */
export interface MoneyBackPage<Kept> {
  readonly kept: readonly Kept[];
  /** Top-ups of their payments. Money of a payment that is not credited is the payment's difference. */
  readonly payments: readonly LedgerPayment[];
}

/** Compares a refund of Stripe's with the ledger. Empty when they agree, or may yet within minutes. */
export function compareRefund(
  refund: StripeRefund,
  page: MoneyBackPage<LedgerRefund>,
  now: Date,
): Difference[] {
  const kept =
    page.kept.find(({ stripeRefundId }) => stripeRefundId === refund.id) ??
    page.kept.find((each) => each.stripeRefundId === null && each.refundId === refund.ownRefundId);
  const credit = creditOf(refund, page.payments);
  return problemsOfRefund(refund, kept, credit, now).map((problem) => ({
    objectId: refund.id,
    problem,
    happenedAt: refund.createdAt,
    ...placeOf(kept ?? credit),
    atStripe: {
      status: refund.status,
      amount: amountText(microsOfMinor(refund.amountMinor, refund.currency), refund.currency),
      payment: refund.paymentIntentId,
    },
    inLedger: kept === undefined ? null : describeRefund(kept),
  }));
}

/** The difference of a refund in the ledger that Stripe does not know. */
export function refundUnknownAtStripe(refund: LedgerRefund): Difference {
  const { stripeRefundId, refundId } = refund;
  return unknownAtStripe(stripeRefundId ?? refundId, refund, describeRefund(refund));
}

function problemsOfRefund(
  refund: StripeRefund,
  kept: LedgerRefund | undefined,
  credit: LedgerPayment | undefined,
  now: Date,
): RefundProblem[] {
  const isFailed = isFailedRefund(refund.status);
  if (kept === undefined) {
    const isOurs = credit !== undefined && !isSettling(refund.createdAt, now);
    return isOurs && !isFailed ? ['not_debited'] : [];
  }
  const problems: RefundProblem[] = [];
  if (kept.paymentIntentId !== refund.paymentIntentId) {
    problems.push('payment_differs');
  }
  if (
    kept.currency !== refund.currency ||
    kept.amountMicros !== microsOfMinor(refund.amountMinor, refund.currency)
  ) {
    problems.push('amount_differs');
  }
  if (isSettling(kept.updatedAt, now)) {
    return problems;
  }
  if (isFailed && kept.debitedMicros > 0n) {
    problems.push('not_returned');
  } else if (!isFailed && kept.debitedMicros === 0n) {
    problems.push('wrongly_returned');
  } else if (kept.status !== refund.status) {
    problems.push('state_differs');
  }
  return problems;
}

/** Compares a dispute of Stripe's with the ledger. Empty when they agree, or may yet within minutes. */
export function compareDispute(
  dispute: StripeDispute,
  page: MoneyBackPage<LedgerDispute>,
  now: Date,
): Difference[] {
  const { currency } = dispute;
  const kept = page.kept.find(({ disputeId }) => disputeId === dispute.id);
  const credit = creditOf(dispute, page.payments);
  const amount = (minor: bigint) => amountText(microsOfMinor(minor, currency), currency);
  return problemsOfDispute(dispute, kept, credit, now).map((problem) => ({
    objectId: dispute.id,
    problem,
    happenedAt: dispute.createdAt,
    ...placeOf(kept ?? credit),
    atStripe: {
      status: dispute.status,
      amount: amount(dispute.amountMinor),
      taken: amount(dispute.withdrawnMinor),
      'given back': amount(dispute.reinstatedMinor),
      payment: dispute.paymentIntentId,
    },
    inLedger: kept === undefined ? null : describeDispute(kept),
  }));
}

/** The difference of a dispute in the ledger that Stripe does not know. */
export function disputeUnknownAtStripe(dispute: LedgerDispute): Difference {
  return unknownAtStripe(dispute.disputeId, dispute, describeDispute(dispute));
}

function problemsOfDispute(
  dispute: StripeDispute,
  kept: LedgerDispute | undefined,
  credit: LedgerPayment | undefined,
  now: Date,
): DisputeProblem[] {
  const state = disputeStateOf(dispute);
  if (kept === undefined) {
    // An inquiry takes nothing.
    const matters = state !== 'inquiry' && state !== 'inquiry_closed';
    return matters && credit !== undefined && !isSettling(dispute.createdAt, now)
      ? ['not_recorded']
      : [];
  }
  const micros = (minor: bigint) => microsOfMinor(minor, dispute.currency);
  const problems: DisputeProblem[] = [];
  if (kept.paymentIntentId !== dispute.paymentIntentId) {
    problems.push('payment_differs');
  }
  if (kept.currency !== dispute.currency || kept.amountMicros !== micros(dispute.amountMinor)) {
    problems.push('amount_differs');
    return problems;
  }
  if (isSettling(kept.updatedAt, now)) {
    return problems;
  }
  const withdrawn = micros(dispute.withdrawnMinor) ?? 0n;
  const reinstated = micros(dispute.reinstatedMinor) ?? 0n;
  if (kept.withdrawnMicros !== withdrawn) {
    problems.push(kept.withdrawnMicros < withdrawn ? 'withdrawal_missing' : 'withdrawal_unknown');
  }
  if (kept.reinstatedMicros !== reinstated) {
    problems.push(
      kept.reinstatedMicros < reinstated ? 'reinstatement_missing' : 'reinstatement_unknown',
    );
  }
  // An appeal reopens at Stripe what stays decided here until the bank moves money again.
  if (kept.state !== state && !dispute.status.startsWith('appeal_')) {
    problems.push('state_differs');
  }
  return problems;
}

function creditOf(
  { paymentIntentId }: { paymentIntentId: string | null },
  payments: readonly LedgerPayment[],
): LedgerPayment | undefined {
  return payments.find(
    (payment) => payment.status === 'succeeded' && payment.paymentIntentId === paymentIntentId,
  );
}

function describeRefund(refund: LedgerRefund): Record<string, string | null> {
  return {
    status: refund.status,
    amount: amountText(refund.amountMicros, refund.currency),
    taken: amountText(refund.debitedMicros, refund.currency),
    payment: refund.paymentIntentId,
  };
}

function describeDispute(dispute: LedgerDispute): Record<string, string | null> {
  const { currency } = dispute;
  return {
    status: dispute.state,
    amount: amountText(dispute.amountMicros, currency),
    taken: amountText(dispute.withdrawnMicros, currency),
    'given back': amountText(dispute.reinstatedMicros, currency),
    payment: dispute.paymentIntentId,
  };
}
