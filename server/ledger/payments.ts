/** Payments that credited a wallet, and what has become of them: refunds to the card, disputes. */
import type { WalletEvent } from './events.ts';
import { most } from './money.ts';

/** Money on its way back to the card that it came from. */
export interface PaymentRefund {
  readonly refundId: string;
  /** The key of the top-up that is refunded. */
  readonly paymentKey: string;
  readonly amountMicros: bigint;
  /** It did not reach the card, and was credited back; this is final. */
  readonly failed: boolean;
}

/** Won is every end that leaves the money here; Stripe's words for it differ. */
export type DisputeState = 'open' | 'lost' | 'won';

export interface Dispute {
  readonly disputeId: string;
  readonly paymentKey: string;
  readonly state: DisputeState;
  /** All that was ever taken for it, and given back; neither goes down. */
  readonly withdrawnMicros: bigint;
  readonly reinstatedMicros: bigint;
  /** It keeps the wallet frozen. */
  readonly freezes: boolean;
}

/** What a payment credited, and by which event. */
export interface Credited {
  readonly seq: bigint;
  readonly amountMicros: bigint;
}

export interface Payments {
  /** What each payment credited, by the key of its top-up, the oldest first. */
  readonly credited: ReadonlyMap<string, Credited>;
  readonly refunds: ReadonlyMap<string, PaymentRefund>;
  readonly disputes: ReadonlyMap<string, Dispute>;
}

export const noPayments: Payments = {
  credited: new Map(),
  refunds: new Map(),
  disputes: new Map(),
};

/** The payments after one more event, which is number `seq`. */
export function paymentsAfter(payments: Payments, event: WalletEvent, seq: bigint): Payments {
  switch (event.type) {
    case 'top_up': {
      const { key, amountMicros } = event;
      const credited = new Map(payments.credited).set(key, { seq, amountMicros });
      return { ...payments, credited };
    }
    case 'payment_refund':
    case 'payment_refund_failed': {
      const refunds = new Map(payments.refunds).set(event.refund.refundId, event.refund);
      return { ...payments, refunds };
    }
    case 'dispute_opened':
    case 'dispute_withdrawn':
    case 'dispute_reinstated':
    case 'dispute_closed': {
      const disputes = new Map(payments.disputes).set(event.dispute.disputeId, event.dispute);
      return { ...payments, disputes };
    }
    case 'wallet_frozen':
      return event.byDispute === true ? payments : withoutFreezes(payments);
    case 'wallet_unfrozen':
      return withoutFreezes(payments);
    default:
      return payments;
  }
}

/** Who freezes or unfreezes a wallet by hand decides for every dispute there is. */
function withoutFreezes(payments: Payments): Payments {
  const disputes = [...payments.disputes.values()].map((dispute) => ({
    ...dispute,
    freezes: false,
  }));
  return {
    ...payments,
    disputes: new Map(disputes.map((dispute) => [dispute.disputeId, dispute])),
  };
}

/**
 * How much of a payment can still go back to its card: what it credited and what is not back already
 * or taken by the bank. Nothing while the bank looks at it.
 */
export function returnableMicros(payments: Payments, paymentKey: string): bigint {
  const refunds = [...payments.refunds.values()].filter(
    (refund) => refund.paymentKey === paymentKey,
  );
  const disputes = [...payments.disputes.values()].filter(
    (dispute) => dispute.paymentKey === paymentKey,
  );
  if (disputes.some(({ state }) => state === 'open')) {
    return 0n;
  }
  const leftMicros =
    (payments.credited.get(paymentKey)?.amountMicros ?? 0n) -
    sum(refunds.map(({ failed, amountMicros }) => (failed ? 0n : amountMicros))) -
    sum(
      disputes.map(({ withdrawnMicros, reinstatedMicros }) => withdrawnMicros - reinstatedMicros),
    );
  return most(0n, leftMicros);
}

export function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, amount) => total + amount, 0n);
}
