/** How a wallet changes with each event. */
import { deltasOf, usageMicrosOf } from './event-deltas.ts';
import { detailOf } from './event-detail.ts';
import type { Keyed, WalletEvent } from './events.ts';
import { grantsAfter } from './grants.ts';
import { usageAfter } from './limits.ts';
import { monthlyUnitsAfter } from './monthly-units.ts';
import { noOriginals, originalsAfter } from './originals.ts';
import { noPayments, paymentsAfter } from './payments.ts';
import {
  type Answer,
  answerOf,
  type OpenWallet,
  type Remembered,
  type WalletState,
} from './state.ts';

/**
 * The wallet after one more of its events.
 * @throws TypeError when the first event does not open the wallet, or a later one does
 */
export function evolve(state: WalletState, event: WalletEvent): OpenWallet {
  if (event.type === 'wallet_opened') {
    if (state.opened) {
      throw new TypeError('a wallet is opened once');
    }
    return {
      opened: true,
      currency: event.currency,
      timezone: event.timezone,
      mode: event.mode,
      status: 'open',
      seq: 1n,
      balanceMicros: 0n,
      heldMicros: 0n,
      arrearsMicros: 0n,
      overdraftLimitMicros: 0n,
      demand: null,
      holds: new Map(),
      originals: noOriginals,
      payments: noPayments,
      subscriptions: new Map(),
      grants: new Map(),
      limits: [],
      usage: [],
      monthlyUnits: new Map(),
      atMs: 0,
      answers: new Map(),
    };
  }
  if (!state.opened) {
    throw new TypeError(`a wallet begins with wallet_opened, not ${event.type}`);
  }

  const { balanceDeltaMicros, heldDeltaMicros, arrearsDeltaMicros } = deltasOf(event);
  const wallet: OpenWallet = {
    ...state,
    seq: state.seq + 1n,
    balanceMicros: state.balanceMicros + balanceDeltaMicros,
    heldMicros: state.heldMicros + heldDeltaMicros,
    arrearsMicros: state.arrearsMicros + arrearsDeltaMicros,
    demand: demandAfter(state, event),
    holds: holdsAfter(state, event),
    originals: originalsAfter(state.originals, event, state.seq + 1n),
    payments: paymentsAfter(state.payments, event, state.seq + 1n),
    subscriptions: subscriptionsAfter(state, event),
    grants: grantsAfter(state.grants, event, state.seq + 1n),
    usage: usageAfter(state, event),
    monthlyUnits: monthlyUnitsAfter(state, event),
  };
  const detail = detailOf(event);
  switch (event.type) {
    case 'top_up':
    case 'grant':
    case 'usage_refund':
    case 'payment_refund':
    case 'hold_placed':
      return remember(wallet, event, answerOf(wallet, event.amountMicros, detail));
    case 'arrears_demanded':
    case 'subscription_added':
      return remember(wallet, event, answerOf(wallet, 0n, detail));
    case 'subscription_ended':
      return wallet;
    case 'charge':
    case 'fee':
      return remember(
        wallet,
        event,
        answerOf(wallet, event.takenMicros + event.owedMicros, detail),
      );
    case 'accrual':
    case 'goodwill': {
      const answer = answerOf(wallet, usageMicrosOf(event), detail);
      return event.key === undefined && event.hold?.status === 'captured'
        ? { ...wallet, answers: completeAnswer(wallet, state.seq, answer) }
        : remember(wallet, event, answer);
    }
    case 'hold_captured':
      return remember(
        wallet,
        event,
        answerOf(wallet, event.takenMicros + event.owedMicros, detail),
      );
    case 'hold_voided':
      return remember(wallet, event, answerOf(wallet, event.releasedMicros, detail));
    case 'hold_extended':
    case 'hold_expired':
    case 'grant_expired':
    case 'payment_refund_failed':
    case 'dispute_opened':
    case 'dispute_withdrawn':
    case 'dispute_reinstated':
    case 'dispute_closed':
      return wallet;
    case 'accrual_settled':
      return remember(wallet, event, answerOf(wallet, event.settledMicros, detail));
    case 'wallet_frozen':
      return { ...wallet, status: 'frozen' };
    case 'wallet_unfrozen':
      return { ...wallet, status: 'open' };
    case 'wallet_closed':
      return { ...wallet, status: 'closed' };
    case 'limits_changed':
      return { ...wallet, limits: event.limits };
    case 'arrears_repaid':
      return { ...wallet, answers: settleAnswer(wallet, event.bySeq) };
    default: {
      const unknown: never = event;
      throw new TypeError(`unknown event ${String(unknown)}`);
    }
  }
}

/** Whoever freezes or unfreezes by hand decides for the suspension too. */
function demandAfter(wallet: OpenWallet, event: WalletEvent): OpenWallet['demand'] {
  const { demand, arrearsMicros } = wallet;
  if (event.type === 'arrears_demanded') {
    return { suspendAtMs: event.suspendAtMs, suspends: false };
  }
  if (demand === null || arrearsMicros + deltasOf(event).arrearsDeltaMicros === 0n) {
    return null;
  }
  if (event.type === 'wallet_frozen') {
    return { ...demand, suspends: event.bySuspension === true };
  }
  return event.type === 'wallet_unfrozen' && demand.suspends ? null : demand;
}

function holdsAfter(wallet: OpenWallet, event: WalletEvent): OpenWallet['holds'] {
  const hold =
    'hold' in event ? event.hold : 'rerating' in event ? event.rerating?.hold : undefined;
  return hold === undefined ? wallet.holds : new Map(wallet.holds).set(hold.holdId, hold);
}

function subscriptionsAfter(
  { subscriptions }: OpenWallet,
  event: WalletEvent,
): OpenWallet['subscriptions'] {
  return 'subscription' in event
    ? new Map(subscriptions).set(event.subscription.subscriptionId, event.subscription)
    : subscriptions;
}

/** Follow-up events of an operation have no key and are answered with its first. */
function remember(
  wallet: OpenWallet,
  { key, requestHash }: Partial<Keyed>,
  answer: Answer,
): OpenWallet {
  return key === undefined || requestHash === undefined
    ? wallet
    : { ...wallet, answers: new Map(wallet.answers).set(key, { requestHash, answer }) };
}

/** The credit that repaid arrears is answered with the wallet as the repayment left it. */
function settleAnswer(wallet: OpenWallet, bySeq: bigint): ReadonlyMap<string, Remembered> {
  const [settled] = [...wallet.answers.values()].filter(({ answer }) => answer.seq === bySeq);
  return settled === undefined
    ? wallet.answers
    : completeAnswer(
        wallet,
        bySeq,
        answerOf(wallet, settled.answer.amountMicros, settled.answer.detail),
      );
}

/** The answer that began at `seq`, replaced by the one that its operation ended with. */
function completeAnswer(
  wallet: OpenWallet,
  seq: bigint,
  completed: Answer,
): ReadonlyMap<string, Remembered> {
  const answers = new Map(wallet.answers);
  for (const [key, { requestHash, answer }] of wallet.answers) {
    if (answer.seq === seq) {
      answers.set(key, { requestHash, answer: { ...completed, seq } });
    }
  }
  return answers;
}
