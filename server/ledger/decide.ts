/**
 * The readable specification of the ledger's SQL functions: what a command does to a wallet, and
 * what it is answered. decide.db.test.ts holds the functions to it.
 */
import {
  accept,
  answer,
  assertAllowed,
  type Decision,
  maxAmountMicros,
  maxStandingMicros,
  recall,
  refuse,
  refuseByLimit,
  repayArrears,
} from './decision.ts';
import { type ApplyDispute, applyDispute } from './disputes.ts';
import { settleDue } from './due.ts';
import { type Detail, detailOf, type Keyed, type WalletEvent, type WalletMode } from './events.ts';
import { evolve } from './evolve.ts';
import { burn, ofGrants } from './grants.ts';
import { extendHold } from './hold-heartbeat.ts';
import { authorizeHold, captureHold, type HoldCommand, voidHold } from './holds.ts';
import {
  areSameLimits,
  hasDuplicates,
  inOrder,
  maxLimits,
  type SpendingLimit,
} from './limit-list.ts';
import { kindOf, tightestLimit } from './limits.ts';
import { least, most } from './money.ts';
import {
  type ApplyPaymentRefund,
  applyPaymentRefund,
  type ReservePaymentRefund,
  reservePaymentRefund,
} from './payment-refunds.ts';
import { type RefundUsage, refundUsage } from './refunds.ts';
import { answerOf, at, availableMicros, type OpenWallet, type WalletState } from './state.ts';
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

export interface ChargeWallet extends MoneyCommand {
  readonly type: 'charge_wallet';
  /** Null when no rate was found. */
  readonly amountMicros: bigint | null;
  /** What happens to the part that the wallet cannot fund: refuse the charge, or let it be owed. */
  readonly overrun: 'refuse' | 'arrears';
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
  | ReservePaymentRefund
  | ApplyPaymentRefund
  | ApplyDispute
  | ChangeWalletStatus
  | SetLimits
  | HoldCommand;

/**
 * Decides a command on one wallet at an instant. What has fallen due by then is settled first.
 * Refusals are answers.
 * @throws RangeError for a command that no caller may send: an amount of the wrong sign, or more
 * settled than is held
 */
export function decide(command: Command, before: WalletState, nowMs: number): Decision {
  const state = at(before, nowMs);
  if (command.type === 'open_wallet') {
    return openWallet(command, state);
  }
  // The month is closed as its events left it, whatever has fallen due since.
  const settles = state.opened && command.type !== 'settle_accruals';
  const due = settles ? settleDue(state, nowMs) : [];
  const { outcome, events } = decideSettled(command, due.reduce(evolve, state), nowMs);
  return { outcome, events: [...due, ...events] };
}

function decideSettled(
  command: Exclude<Command, OpenWalletCommand>,
  state: WalletState,
  nowMs: number,
): Decision {
  switch (command.type) {
    case 'grant_credit':
      return grantCredit(command, state, nowMs);
    case 'credit_top_up':
      return creditTopUp(command, state, nowMs);
    case 'charge_wallet':
      return chargeWallet(command, state, nowMs);
    case 'settle_accruals':
      return settleAccruals(command, state);
    case 'refund_usage':
      return refundUsage(command, state, nowMs);
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
    case 'authorize_hold':
      return authorizeHold(command, state, nowMs);
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
    return answer({ code: 'OK', replayed: true, ...answerOf(state, 0n, null) });
  }
  const { userId, currency, timezone, mode, actor } = command;
  const event: WalletEvent = { type: 'wallet_opened', userId, currency, timezone, mode, actor };
  const opened = evolve(state, event);
  return {
    outcome: { code: 'OK', replayed: false, ...answerOf(opened, 0n, null) },
    events: [event],
  };
}

function grantCredit(command: GrantCredit, state: WalletState, nowMs: number): Decision {
  assertAllowed(command.amountMicros > 0n, 'a grant must be positive');
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
  const known = recall(command, state);
  if (known) {
    return answer(known);
  }
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
function creditTopUp(command: CreditTopUp, state: WalletState, nowMs: number): Decision {
  assertAllowed(command.amountMicros > 0n, 'a top-up must be positive');
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
  const known = recall(command, state);
  if (known) {
    return answer(known);
  }
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

function chargeWallet(command: ChargeWallet, state: WalletState, nowMs: number): Decision {
  const { key, requestHash, amountMicros, overrun, actor, detail } = command;
  assertAllowed(amountMicros === null || amountMicros >= 0n, 'a charge is never negative');
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
  const known = recall(command, state);
  if (known) {
    return answer(known);
  }
  if (state.status !== 'open') {
    const code = state.status === 'frozen' ? 'WALLET_FROZEN' : 'WALLET_CLOSED';
    return refuse(code, state, amountMicros);
  }
  if (amountMicros === null) {
    return refuse('NO_RATE', state, null);
  }
  if (amountMicros > maxAmountMicros || state.arrearsMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }

  // What was delivered counts against limits and is not refused by them.
  if (overrun === 'refuse') {
    const tightest = tightestLimit(state, kindOf(detail), null);
    const refused = refuseByLimit(state, tightest, amountMicros);
    if (refused !== undefined) {
      return refused;
    }
  }
  const fundedMicros = least(amountMicros, most(availableMicros(state), 0n));
  const owedMicros = amountMicros - fundedMicros;
  if (owedMicros > 0n && overrun === 'refuse') {
    return refuse('INSUFFICIENT_FUNDS', state, amountMicros);
  }
  const burned = ofGrants(burn(state, fundedMicros, nowMs));
  const common = { key, requestHash, owedMicros, actor, detail, ...burned };
  return accept(command, state, [
    state.mode === 'deferred'
      ? { type: 'accrual', reservedMicros: fundedMicros, ...common }
      : { type: 'charge', takenMicros: fundedMicros, ...common },
  ]);
}

function settleAccruals(command: SettleAccruals, state: WalletState): Decision {
  const { key, requestHash, amountMicros, actor, detail } = command;
  assertAllowed(amountMicros > 0n, 'a settlement must be positive');
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
  const known = recall(command, state);
  if (known) {
    return answer(known);
  }
  assertAllowed(amountMicros <= state.heldMicros, 'a settlement debits what was reserved, no more');
  return accept(command, state, [
    { type: 'accrual_settled', key, requestHash, settledMicros: amountMicros, actor, detail },
  ]);
}

/** The same limits again write nothing. A frozen wallet's may change. */
function setLimits({ limits, actor }: SetLimits, state: WalletState): Decision {
  assertAllowed(limits.length <= maxLimits, `a wallet has at most ${maxLimits} limits`);
  for (const { amountMicros } of limits) {
    assertAllowed(
      amountMicros >= 0n && amountMicros <= maxAmountMicros,
      'a limit is no such amount',
    );
  }
  assertAllowed(!hasDuplicates(limits), 'a wallet has no limit twice');
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
  const ordered = inOrder(limits);
  if (areSameLimits(ordered, state.limits)) {
    return answer({ code: 'OK', replayed: true, ...answerOf(state, 0n, null) });
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, 0n);
  }
  const changed: WalletEvent = { type: 'limits_changed', limits: ordered, actor };
  const after = evolve(state, changed);
  return {
    outcome: { code: 'OK', replayed: false, ...answerOf(after, 0n, detailOf(changed)) },
    events: [changed],
  };
}
