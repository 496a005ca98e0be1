/** How a wallet changes with each event. */
import { deltasOf, type Keyed, type WalletEvent } from './events.ts';
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
  };
  switch (event.type) {
    case 'top_up':
    case 'grant':
      return remember(wallet, event, answerOf(wallet, event.amountMicros, event.detail));
    case 'charge':
      return remember(
        wallet,
        event,
        answerOf(wallet, event.takenMicros + event.owedMicros, event.detail),
      );
    case 'accrual':
      return remember(
        wallet,
        event,
        answerOf(wallet, event.reservedMicros + event.owedMicros, event.detail),
      );
    case 'accrual_settled':
      return remember(wallet, event, answerOf(wallet, event.settledMicros, event.detail));
    case 'arrears_repaid':
      return { ...wallet, answers: settleAnswer(wallet, event.bySeq) };
    default: {
      const unknown: never = event;
      throw new TypeError(`unknown event ${String(unknown)}`);
    }
  }
}

function remember(wallet: OpenWallet, { key, requestHash }: Keyed, answer: Answer): OpenWallet {
  return { ...wallet, answers: new Map(wallet.answers).set(key, { requestHash, answer }) };
}

/** The credit that repaid arrears is answered with the wallet as the repayment left it. */
function settleAnswer(wallet: OpenWallet, bySeq: bigint): ReadonlyMap<string, Remembered> {
  const answers = new Map(wallet.answers);
  for (const [key, { requestHash, answer }] of wallet.answers) {
    if (answer.seq === bySeq) {
      const settled = answerOf(wallet, answer.amountMicros, answer.detail);
      answers.set(key, { requestHash, answer: { ...settled, seq: bySeq } });
    }
  }
  return answers;
}
