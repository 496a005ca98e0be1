/**
 * The readable specification of the ledger's SQL functions: what a command does to a wallet, and
 * what it is answered. decide.db.test.ts holds the functions to it.
 */
import { type DemandArrears, demandArrears } from './arrears.ts';
import { type ChargeWallet, chargeWallet } from './charges.ts';
import {
  accept,
  answer,
  applied,
  assertAllowed,
  type Decision,
  maxAmountMicros,
  maxStandingMicros,
  recall,
  refuse,
  repayArrears,
} from './decision.ts';
import { type ApplyDispute, applyDispute } from './disputes.ts';
import { settleDue } from './due.ts';
import { detailOf } from './event-detail.ts';
import type { Detail, Keyed, WalletEvent, WalletMode } from './events.ts';
import { evolve } from './evolve.ts';
import { chargeKey, holdKey, recallCharge } from './held-usage.ts';
import { extendHold } from './hold-heartbeat.ts';
import { authorizeHold, captureHold, type HoldCommand, voidHold } from './holds.ts';
import { areSameLimits, inOrder, type SpendingLimit } from './limit-list.ts';
import {
  type ApplyPaymentRefund,
  applyPaymentRefund,
  type ReservePaymentRefund,
  reservePaymentRefund,
} from './payment-refunds.ts';
import { type RefundUsage, refundUsage } from './refunds.ts';
import { type RerateUsage, rerateUsage } from './rerating.ts';
import { assertSendable } from './sendable.ts';
import { answerOf, at, type OpenWallet, type WalletState } from './state.ts';
import {
  addSubscription,
  endSubscription,
  postFee,
  type SubscriptionCommand,
} from './subscriptions.ts';
import { type ChangeWalletStatus, changeWalletStatus } from './wallet-status.ts';

export interface OpenWalletCommand {
  readonly type: 'open_wallet';
  readonly userId: string;
  readonly currency: string;
  readonly timezone: string;
  readonly mode: WalletMode;
  readonly actor: string;
}

interface MoneyCommand extends Keyed {
  readonly actor: string;
  readonly detail: Detail;
}

export interface GrantCredit extends MoneyCommand {
  readonly type: 'grant_credit';
  readonly amountMicros: bigint;
  /** From this instant on it cannot be spent; null for never. */
  readonly expiresAtMs?: number | null;
}

/** A payment that the processor has settled, checked against its top-up before it comes here. */
export interface CreditTopUp extends MoneyCommand {
  readonly type: 'credit_top_up';
  readonly amountMicros: bigint;
}

/** Debits what a closed month reserved. */
export interface SettleAccruals extends MoneyCommand {
  readonly type: 'settle_accruals';
  readonly amountMicros: bigint;
}

/** Takes the place of all limits that the wallet has. */
export interface SetLimits {
  readonly type: 'set_limits';
  readonly limits: readonly SpendingLimit[];
  readonly actor: string;
}

export type Command =
  | OpenWalletCommand
  | GrantCredit
  | CreditTopUp
  | ChargeWallet
  | SettleAccruals
  | RefundUsage
  | RerateUsage
  | ReservePaymentRefund
  | ApplyPaymentRefund
  | ApplyDispute
  | ChangeWalletStatus
  | SetLimits
  | SubscriptionCommand
  | DemandArrears
  | HoldCommand;

/**
 * Decides a command on one wallet at an instant. What has fallen due by then is settled first.
 * Refusals are answers.
 * @throws RangeError for a command that no caller may send: an amount of the wrong sign, or more
 * settled than is held
 */
export function decide(command: Command, before: WalletState, nowMs: number): Decision {
  assertSendable(command);
  const state = at(before, nowMs);
  if (command.type === 'open_wallet') {
    return openWallet(command, state);
  }
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
  // The month is closed as its events left it, whatever has fallen due since.
  const due = command.type === 'settle_accruals' ? [] : settleDue(state, nowMs);
  const { outcome, events } = decideSettled(command, due.reduce(evolve, state), nowMs);
  return { outcome, events: [...due, ...events] };
}

function decideSettled(
  command: Exclude<Command, OpenWalletCommand>,
  state: OpenWallet,
  nowMs: number,
): Decision {
  switch (command.type) {
    case 'grant_credit':
      return recall(command, state) ?? grantCredit(command, state, nowMs);
    case 'credit_top_up':
      return recall(command, state) ?? creditTopUp(command, state, nowMs);
    case 'charge_wallet':
      return (
        recallCharge(command, state) ??
        chargeWallet({ ...command, key: chargeKey(command.key, state) }, state, nowMs)
      );
    case 'settle_accruals':
      return recall(command, state) ?? settleAccruals(command, state);
    case 'refund_usage':
      return recall(command, state) ?? refundUsage(command, state, nowMs);
    case 'rerate_usage':
      return rerateUsage(command, state, nowMs);
    case 'reserve_payment_refund':
      return reservePaymentRefund(command, state);
    case 'apply_payment_refund':
      return applyPaymentRefund(command, state, nowMs);
    case 'apply_dispute':
      return applyDispute(command, state, nowMs);
    case 'change_wallet_status':
      return changeWalletStatus(command, state);
    case 'set_limits':
      return setLimits(command, state);
    case 'add_subscription':
      return addSubscription(command, state, nowMs);
    case 'end_subscription':
      return endSubscription(command, state, nowMs);
    case 'post_fee':
      return postFee(command, state, nowMs);
    case 'demand_arrears':
      return demandArrears(command, state);
    case 'authorize_hold': {
      const keyed = { ...command, key: holdKey(command) };
      return recall(keyed, state) ?? recall(command, state) ?? authorizeHold(keyed, state, nowMs);
    }
    case 'extend_hold':
      return extendHold(command, state, nowMs);
    case 'capture_hold':
      return captureHold(command, state, nowMs);
    case 'void_hold':
      return voidHold(command, state, nowMs);
    default: {
      const unknown: never = command;
      throw new TypeError(`unknown command ${String(unknown)}`);
    }
  }
}

function openWallet(command: OpenWalletCommand, state: WalletState): Decision {
  if (state.opened) {
    return applied(state, 0n, []);
  }
  const { userId, currency, timezone, mode, actor } = command;
  const event: WalletEvent = { type: 'wallet_opened', userId, currency, timezone, mode, actor };
  const opened = evolve(state, event);
  return {
    outcome: { code: 'OK', replayed: false, ...answerOf(opened, 0n, null) },
    events: [event],
  };
}

function grantCredit(command: GrantCredit, state: OpenWallet, nowMs: number): Decision {
  // A frozen wallet may not spend, but it may receive.
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, command.amountMicros);
  }
  const { key, requestHash, amountMicros, expiresAtMs, actor, detail } = command;
  const expiry = typeof expiresAtMs === 'number' ? { expiresAtMs } : {};
  if ((expiry.expiresAtMs ?? Infinity) <= nowMs) {
    return refuse('EXPIRES_IN_PAST', state, amountMicros);
  }
  return credit(
    { type: 'grant', key, requestHash, amountMicros, ...expiry, actor, detail },
    state,
    nowMs,
  );
}

/** Paid money is credited whatever the wallet's status: it is the user's. */
function creditTopUp(command: CreditTopUp, state: OpenWallet, nowMs: number): Decision {
  const { key, requestHash, amountMicros, actor, detail } = command;
  return credit({ type: 'top_up', key, requestHash, amountMicros, actor, detail }, state, nowMs);
}

function credit(
  credited: Extract<WalletEvent, { type: 'top_up' | 'grant' }>,
  wallet: OpenWallet,
  nowMs: number,
): Decision {
  const { amountMicros, actor } = credited;
  if (amountMicros > maxAmountMicros || wallet.balanceMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', wallet, amountMicros);
  }
  const repaid = repayArrears(evolve(wallet, credited), actor, nowMs);
  return accept(credited, wallet, [credited, ...repaid]);
}

function settleAccruals(command: SettleAccruals, state: OpenWallet): Decision {
  const { key, requestHash, amountMicros, actor, detail } = command;
  assertAllowed(amountMicros <= state.heldMicros, 'a settlement debits what was reserved, no more');
  return accept(command, state, [
    { type: 'accrual_settled', key, requestHash, settledMicros: amountMicros, actor, detail },
  ]);
}

/** The same limits again write nothing. A frozen wallet's may change. */
function setLimits({ limits, actor }: SetLimits, state: OpenWallet): Decision {
  const ordered = inOrder(limits);
  if (areSameLimits(ordered, state.limits)) {
    return applied(state, 0n, []);
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, 0n);
  }
  const changed: WalletEvent = { type: 'limits_changed', limits: ordered, actor };
  return applied(state, 0n, [changed], detailOf(changed));
}
