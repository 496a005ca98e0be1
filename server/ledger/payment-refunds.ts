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
import { ledgerKey } from './key.ts';
import { least, most } from './money.ts';
import { type PaymentRefund, returnableMicros, sum } from './payments.ts';
import type { OpenWallet } from './state.ts';

/** Takes the money of a refund that we are about to ask the processor for. Its key is its name. */
export interface ReservePaymentRefund extends Keyed {
  readonly type: 'reserve_payment_refund';
  /** Null for the unspent money of all payments. */
  readonly paymentKey: string | null;
  /** Null for all that may go back. */
  readonly amountMicros: bigint | null;
  /** The smallest step of money that cards know in the wallet's currency. */
  readonly unitMicros: bigint;
  /** Support may refund from a frozen wallet; its user may not. */
  readonly whileFrozen: boolean;
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

/**
 * Takes it from the payment, or from all, those credited last first: what is spent is what was paid
 * first. Each payment's part is a refund of its own; the last one has the key, so that a replay
 * finds the wallet as it was after all of them. The refusal says how much may go back.
 */
export function reservePaymentRefund(command: ReservePaymentRefund, state: OpenWallet): Decision {
  const { key, paymentKey, unitMicros } = command;
  assertAllowed((command.amountMicros ?? 0n) % unitMicros === 0n, 'a card takes whole units');
  const known = recall(command, state);
  if (known !== undefined) {
    return known;
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, command.amountMicros);
  }
  if (state.status === 'frozen' && !command.whileFrozen) {
    return refuse('WALLET_FROZEN', state, command.amountMicros);
  }
  const newestFirst = [...state.payments.credited.keys()].reverse();
  const payments = newestFirst
    .filter((payment) => paymentKey === null || payment === paymentKey)
    .map((payment) => ({
      paymentKey: payment,
      returnableMicros: inUnits(returnableMicros(state.payments, payment), unitMicros),
    }));
  const mostMicros = least(
    inUnits(freeMicros(state), unitMicros),
    sum(payments.map((payment) => payment.returnableMicros)),
  );
  const amountMicros = command.amountMicros ?? mostMicros;
  if (amountMicros === 0n || amountMicros > mostMicros) {
    return refuse('NOT_REFUNDABLE', state, mostMicros);
  }
  const events: WalletEvent[] = [];
  let restMicros = amountMicros;
  for (const payment of payments) {
    const partMicros = least(restMicros, payment.returnableMicros);
    if (partMicros > 0n) {
      restMicros -= partMicros;
      const refundId =
        restMicros === 0n ? key : ledgerKey('payment_refund_part', `${key} ${events.length + 1}`);
      events.push(partOf(command, state, { ...payment, refundId, amountMicros: partMicros }));
    }
  }
  return accept(command, state, events);
}

/** The refund of one payment that a request comes to. */
function partOf(
  { key, requestHash, actor, detail }: ReservePaymentRefund,
  state: OpenWallet,
  { refundId, paymentKey, amountMicros }: Omit<PaymentRefund, 'failed'>,
): WalletEvent {
  const originalSeq = `${state.payments.credited.get(paymentKey)?.seq}`;
  return {
    type: 'payment_refund',
    key: refundId,
    requestHash,
    amountMicros,
    refund: { refundId, paymentKey, amountMicros, failed: false },
    actor,
    detail: { ...detail, paymentRefundId: refundId, refundRequestId: key, originalSeq },
  };
}

/** The wallet's own free money. Promotional credit is no part of it, and what is owed is paid first. */
function freeMicros(wallet: OpenWallet): bigint {
  const { balanceMicros, heldMicros, arrearsMicros } = wallet;
  return most(0n, balanceMicros - heldMicros - grantsMicros(wallet) - arrearsMicros);
}

function inUnits(micros: bigint, unitMicros: bigint): bigint {
  return micros - (micros % unitMicros);
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
  const credited = state.payments.credited.get(paymentKey);
  if (credited === undefined) {
    return refuse('PAYMENT_NOT_CREDITED', state, amountMicros);
  }
  const known = state.payments.refunds.get(refundId);
  const differs =
    known !== undefined && (known.paymentKey !== paymentKey || known.amountMicros !== amountMicros);
  if (differs || amountMicros > credited.amountMicros) {
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
