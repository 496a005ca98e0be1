/** Freezing, unfreezing and closing a wallet. */
import { answer, applied, type Decision, refuse } from './decision.ts';
import type { Detail, WalletEvent } from './events.ts';
import { isFrozenByDispute, isSuspended } from './freezing.ts';
import { answerOf, type OpenWallet, type WalletStatus } from './state.ts';
import { owesFees } from './subscriptions.ts';

export interface ChangeWalletStatus {
  readonly type: 'change_wallet_status';
  /** `open` unfreezes; nothing opens a closed wallet again. */
  readonly status: WalletStatus;
  readonly actor: string;
  readonly detail: Detail;
}

/**
 * Needs no key: a wallet that has the status already stays as it is, but one that a dispute or its
 * arrears froze can be frozen by hand, so that no end of those unfreezes it. Only an empty one is
 * closed. Who unfreezes a suspended one lets it owe until the next month is closed.
 */
export function changeWalletStatus(command: ChangeWalletStatus, state: OpenWallet): Decision {
  const { status, actor, detail } = command;
  const isHeld = isFrozenByDispute(state) || isSuspended(state);
  if (state.status === status && !(status === 'frozen' && isHeld)) {
    return applied(state, 0n, []);
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, 0n);
  }
  const openHolds = [...state.holds.values()].filter((hold) => hold.status === 'open').length;
  const openSubscriptions = [...state.subscriptions.values()].filter(owesFees).length;
  const isUnused = openHolds === 0 && openSubscriptions === 0;
  if (status === 'closed' && !(isEmpty(state) && isUnused)) {
    const numbers = answerOf(state, 0n, { openHolds, openSubscriptions });
    return answer({ code: 'WALLET_NOT_EMPTY', replayed: false, ...numbers });
  }
  return applied(state, 0n, [{ type: eventTypes[status], actor, detail }], detail);
}

const eventTypes = {
  open: 'wallet_unfrozen',
  frozen: 'wallet_frozen',
  closed: 'wallet_closed',
} as const satisfies Record<WalletStatus, WalletEvent['type']>;

function isEmpty({ balanceMicros, heldMicros, arrearsMicros }: OpenWallet): boolean {
  return balanceMicros === 0n && heldMicros === 0n && arrearsMicros === 0n;
}
