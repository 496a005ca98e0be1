/** What Stripe's events say of money that comes back, applied to the ledger. */
import { applyDispute, recordFraudWarning } from '../../store/disputes.ts';
import { applyPaymentRefund, type MoneyBackOutcome } from '../../store/payment-refunds.ts';
import type { Sql } from '../../store/sql.ts';
import type { MoneyBackGateway, StripeDispute, StripeRefund } from '../../stripe/money-back.ts';

/** How an event of the inbox ends. */
export interface Ending {
  readonly status: 'applied' | 'ignored' | 'unhandled';
  readonly outcome: string;
}

export interface ToldEvent {
  readonly type: string;
  readonly objectId: string | null;
  /** The state that the object had when the event was made. */
  readonly objectStatus: string | null;
}

/** Credits a payment, if it is one of ours and nobody has to decide about it. */
export type CreditPayment = (
  paymentIntentId: string,
) => Promise<{ isOurs: boolean; isCredited: boolean }>;

export interface MoneyBack {
  /**
   * Applies what an event points at; null for events of other kinds. The object is read again, so
   * that whichever event of it comes, the ledger follows its present state.
   * @throws Error when what was read is older than the event: it must be applied later
   */
  apply(event: ToldEvent): Promise<Ending | null>;
  /** Applies what was read of a refund, or of a dispute. */
  applyRefund(refund: StripeRefund): Promise<Ending>;
  applyDispute(dispute: StripeDispute): Promise<Ending>;
}

export function createMoneyBack(options: {
  sql: Sql;
  gateway: MoneyBackGateway;
  creditPayment: CreditPayment;
}): MoneyBack {
  const { sql, gateway, creditPayment } = options;

  /** The payment is credited first: money cannot come back that never came in. */
  async function ofPayment(
    paymentIntentId: string | null,
    apply: (paymentIntentId: string) => Promise<Ending>,
  ): Promise<Ending> {
    const payment = paymentIntentId === null ? null : await creditPayment(paymentIntentId);
    if (paymentIntentId === null || !payment?.isOurs) {
      return { status: 'ignored', outcome: 'not a top-up' };
    }
    return payment.isCredited
      ? apply(paymentIntentId)
      : { status: 'unhandled', outcome: 'the payment is in quarantine' };
  }

  const applyRefund = (refund: StripeRefund): Promise<Ending> =>
    ofPayment(refund.paymentIntentId, async (paymentIntentId) => {
      const outcome = await applyStripeRefund(sql, refund, paymentIntentId);
      return endingOf(outcome, `refund ${refund.status}`);
    });

  const applyDisputeOf = (dispute: StripeDispute): Promise<Ending> =>
    ofPayment(dispute.paymentIntentId, async (paymentIntentId) => {
      const outcome = await applyDispute(sql, {
        paymentIntentId,
        disputeId: dispute.id,
        currency: dispute.currency,
        amountMinor: dispute.amountMinor,
        state: disputeStateOf(dispute),
        status: dispute.status,
        reason: dispute.reason,
        withdrawnMinor: dispute.withdrawnMinor,
        reinstatedMinor: dispute.reinstatedMinor,
        actor: `stripe:${dispute.id}`,
        occurredAt: dispute.createdAt,
        detail: { paymentIntentId, disputeReason: dispute.reason },
      });
      return endingOf(outcome, `dispute ${dispute.status}`);
    });

  /** A warning pauses automatic top-up and moves nothing: a refund is support's decision. */
  async function applyWarning(id: string): Promise<Ending> {
    const warning = await gateway.retrieveFraudWarning(id);
    return ofPayment(warning.paymentIntentId, async (paymentIntentId) => {
      const { fraudType, actionable, createdAt } = warning;
      await recordFraudWarning(sql, {
        paymentIntentId,
        warningId: warning.id,
        fraudType,
        actionable,
        createdAt,
      });
      return { status: 'applied', outcome: `warning of ${fraudType}` };
    });
  }

  async function applyAll(refunds: readonly StripeRefund[]): Promise<Ending> {
    const endings: Ending[] = [];
    for (const refund of refunds) {
      endings.push(await applyRefund(refund));
    }
    const unhandled = endings.find(({ status }) => status === 'unhandled');
    const outcome = [...new Set(endings.map((ending) => ending.outcome))].join('; ');
    return (
      unhandled ?? { status: endings[0]?.status ?? 'ignored', outcome: outcome || 'no refund' }
    );
  }

  return {
    applyRefund,
    applyDispute: applyDisputeOf,

    async apply(event) {
      const { type, objectId } = event;
      if (objectId === null) {
        return null;
      }
      if (type === 'charge.refunded') {
        // Its amount is the sum of all refunds so far: it only says where to look.
        return applyAll(await gateway.listRefunds({ chargeId: objectId }));
      }
      if (type.startsWith('refund.') || type === 'charge.refund.updated') {
        const refund = await gateway.retrieveRefund(objectId);
        assertNotOlder(refund, event, isEndOfRefund(event) && !isFailedRefund(refund.status));
        return applyRefund(refund);
      }
      if (type.startsWith('charge.dispute.')) {
        const dispute = await gateway.retrieveDispute(objectId);
        assertNotOlder(dispute, event, isOlderDispute(dispute, event));
        return applyDisputeOf(dispute);
      }
      return type === 'radar.early_fraud_warning.created' ||
        type === 'radar.early_fraud_warning.updated'
        ? applyWarning(objectId)
        : null;
    },
  };
}

/** Brings the ledger to what Stripe says of a refund of a payment that is credited. */
export function applyStripeRefund(
  sql: Sql,
  refund: StripeRefund,
  paymentIntentId: string,
): Promise<MoneyBackOutcome> {
  return applyPaymentRefund(sql, {
    paymentIntentId,
    stripeRefundId: refund.id,
    ownId: refund.ownRefundId,
    currency: refund.currency,
    amountMinor: refund.amountMinor,
    status: refund.status,
    failureCode: refund.failureCode,
    reason: null,
    actor: `stripe:${refund.id}`,
    occurredAt: refund.createdAt,
    detail: { paymentIntentId, refundId: refund.id },
  });
}

/** Every status that is not known is a dispute that goes on. One that was prevented is no loss. */
export function disputeStateOf({
  status,
  withdrawnMinor,
}: Pick<StripeDispute, 'status' | 'withdrawnMinor'>) {
  if (status.startsWith('warning_') && withdrawnMinor === 0n) {
    return status === 'warning_closed' ? 'inquiry_closed' : 'inquiry';
  }
  return status === 'won' || status === 'prevented' ? 'won' : status === 'lost' ? 'lost' : 'open';
}

/** Whether it did not reach the card, and never will. */
export function isFailedRefund(status: string | null): boolean {
  return status === 'failed' || status === 'canceled';
}

function isEndOfRefund({ type, objectStatus }: ToldEvent): boolean {
  return type === 'refund.failed' || isFailedRefund(objectStatus);
}

/** Before the bank has decided. An appeal comes after it, and so may words that are not known. */
const UNDECIDED: readonly string[] = [
  'warning_needs_response',
  'warning_under_review',
  'needs_response',
  'under_review',
];

function isOlderDispute(read: StripeDispute, { type, objectStatus }: ToldEvent): boolean {
  const wasDecided =
    type === 'charge.dispute.closed' ||
    (objectStatus !== null && !UNDECIDED.includes(objectStatus));
  return (
    (type === 'charge.dispute.funds_withdrawn' && read.withdrawnMinor === 0n) ||
    (type === 'charge.dispute.funds_reinstated' && read.reinstatedMinor === 0n) ||
    (wasDecided && UNDECIDED.includes(read.status)) ||
    (read.status.startsWith('warning_') && objectStatus?.startsWith('warning_') === false)
  );
}

function assertNotOlder(read: { status: string }, event: ToldEvent, isOlder: boolean): void {
  if (isOlder) {
    throw new Error(`what was read, ${read.status}, is older than ${event.type}`);
  }
}

function endingOf(outcome: MoneyBackOutcome, applied: string): Ending {
  switch (outcome.code) {
    case 'OK':
      return { status: 'applied', outcome: applied };
    case 'PAYMENT_DIFFERS':
      // A person has to look; applying it again says the same.
      return { status: 'unhandled', outcome: `${applied}, but not of what was paid` };
    case 'WALLET_NOT_FOUND':
    case 'PAYMENT_NOT_CREDITED':
      throw new Error(`a payment that was just credited is ${outcome.code}`);
    default: {
      const unknown: never = outcome.code;
      throw new TypeError(`unknown outcome ${String(unknown)}`);
    }
  }
}
