/** Money that goes back to the card which it came from. */
import {
  accept,
  applied,
  assertAllowed,
  type Decision,
  recall,
  refuse,
  repayArrears,
} from './decision.ts';
import type { Detail, Keyed, WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { grantsMicros } from './grants.ts';
import { refundableMicros } from './payments.ts';
import type { OpenWallet } from './state.ts';

/** Takes the money of a refund that we are about to ask the processor for. Its key is its id. */
export interface ReservePaymentRefund extends Keyed {
  readonly type: 'reserve_payment_refund';
  readonly paymentKey: string;
  /** Null for all that may go back. */
  readonly amountMicros: bigint | null;
  /** The smallest step of money that cards know in the wallet's currency. */
  readonly unitMicros: bigint;
  readonly actor: string;
  readonly detail: Detail;
}

/** What the processor says of a refund, ours or one made at the processor. */
export interface ApplyPaymentRefund {
  readonly type: 'apply_payment_refund';
  readonly refundId: string;
  readonly paymentKey: string;
  readonly amountMicros: bigint;
  /** It failed or was canceled: the money did not reach the card. */
  readonly failed: boolean;
  readonly actor: string;
  readonly detail: Detail;
}

/** Support may refund from a frozen wallet. The refusal says how much may go back. */
export function reservePaymentRefund(command: ReservePaymentRefund, state: OpenWallet): Decision {
  const { key, requestHash, paymentKey, unitMicros, actor } = command;
  assertAllowed((command.amountMicros ?? 0n) % unitMicros === 0n, 'a card takes whole units');
  const known = recall(command, state);
  if (known !== undefined) {
    return known;
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, command.amountMicros);
  }
  const freeMicros = state.balanceMicros - state.heldMicros - grantsMicros(state);
  const leftMicros = refundableMicros(state.payments, paymentKey, freeMicros);
  const mostMicros = leftMicros - (leftMicros % unitMicros);
  const amountMicros = command.amountMicros ?? mostMicros;
  if (amountMicros === 0n || amountMicros > mostMicros) {
    return refuse('NOT_REFUNDABLE', state, mostMicros);
  }
  const refund = { refundId: key, paymentKey, amountMicros, failed: false };
  const detail = { ...command.detail, paymentRefundId: key };
  return accept(command, state, [
    { type: 'payment_refund', key, requestHash, amountMicros, refund, actor, detail },
  ]);
}

/**
 * Brings the ledger to what a refund is now: its amount debited, even below zero, or, when it
 * failed, nothing. A failure is final, so what is heard late changes nothing.
 */
export function applyPaymentRefund(
  command: ApplyPaymentRefund,
  state: OpenWallet,
  nowMs: number,
): Decision {
  const { refundId, paymentKey, amountMicros, actor } = command;
  const creditedMicros = state.payments.credited.get(paymentKey);
  if (creditedMicros === undefined) {
    return refuse('PAYMENT_NOT_CREDITED', state, amountMicros);
  }
  const known = state.payments.refunds.get(refundId);
  const differs =
    known !== undefined && (known.paymentKey !== paymentKey || known.amountMicros !== amountMicros);
  if (differs || amountMicros > creditedMicros) {
    return refuse('PAYMENT_DIFFERS', state, amountMicros);
  }
  const refund = { refundId, paymentKey, amountMicros, failed: command.failed };
  const moved = {
    amountMicros,
    refund,
    actor,
    detail: { ...command.detail, paymentRefundId: refundId },
  };
  const events: WalletEvent[] = [];
  if (known === undefined) {
    // One that had failed before it was heard of is told whole, so that it stays known as failed.
    const made = { ...moved, refund: { ...refund, failed: false } };
    events.push({ type: 'payment_refund', ...made });
  }
  if (command.failed && known?.failed !== true) {
    events.push({ type: 'payment_refund_failed', ...moved });
    events.push(...repayArrears(events.reduce(evolve, state), actor, nowMs));
  }
  return applied(state, amountMicros, events);
}
