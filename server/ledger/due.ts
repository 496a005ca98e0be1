/** What time does to a wallet: holds run out, credit expires, and what is owed is not paid. */
import { dueSuspension } from './arrears.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { type EndedCredit, endedCredit } from './grants.ts';
import { expireHold } from './hold-billing.ts';
import { least, most } from './money.ts';
import type { Hold, OpenWallet } from './state.ts';

/**
 * What has become of a wallet by an instant, in the order of time; last of all it is suspended, as
 * neither holds nor credit that end pay what is owed.
 */
export function settleDue(wallet: OpenWallet, nowMs: number): readonly WalletEvent[] {
  const settled: WalletEvent[] = [];
  let current = wallet;
  for (;;) {
    const next = nextDue(current, nowMs);
    if (next.length === 0) {
      return [...settled, ...dueSuspension(current, nowMs)];
    }
    settled.push(...next);
    current = next.reduce(evolve, current);
  }
}

/** Of a hold and a grant that end at one instant, the hold comes first: it may spend the credit. */
function nextDue(wallet: OpenWallet, nowMs: number): readonly WalletEvent[] {
  const hold = dueHold(wallet, nowMs);
  const credit = endedCredit(wallet, nowMs);
  if (hold !== undefined && (credit === undefined || hold.expiresAtMs <= credit.expiresAtMs)) {
    return expireHold(hold, wallet);
  }
  return credit === undefined ? [] : [expireCredit(credit, wallet)];
}

function dueHold({ holds }: OpenWallet, nowMs: number): Hold | undefined {
  return [...holds.values()]
    .filter(({ status, expiresAtMs }) => status === 'open' && expiresAtMs <= nowMs)
    .sort((a, b) => a.expiresAtMs - b.expiresAtMs || (a.holdId < b.holdId ? -1 : 1))[0];
}

/** Takes what is there of it: a balance may have sunk below the credit in it, never by its expiry. */
function expireCredit(credit: EndedCredit, wallet: OpenWallet): WalletEvent {
  const freeMicros = most(wallet.balanceMicros - wallet.heldMicros, 0n);
  return {
    type: 'grant_expired',
    ...credit,
    takenMicros: least(credit.endedMicros, freeMicros),
    actor: 'system:expiry',
  };
}
