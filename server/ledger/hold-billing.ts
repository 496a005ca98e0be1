/** What ends a hold posts: its usage, the difference to what was billed before, a credit of it. */
import { least, most } from './decision.ts';
import type { Detail, Keyed, WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { linkOf, reachOf } from './hold.ts';
import type { Hold, OpenWallet, Report } from './state.ts';

/** What runs out bills arrears up to this and no more, so that a wallet can always be settled. */
const mostOwedMicros = 3n * 10n ** 18n;

/** What has become of a wallet's holds by an instant: those whose time is over end, oldest first. */
export function settleDue(wallet: OpenWallet, nowMs: number): readonly WalletEvent[] {
  const due = [...wallet.holds.values()]
    .filter(({ status, expiresAtMs }) => status === 'open' && expiresAtMs <= nowMs)
    .sort((a, b) => a.expiresAtMs - b.expiresAtMs || (a.holdId < b.holdId ? -1 : 1));
  const events: WalletEvent[] = [];
  let current = wallet;
  for (const hold of due) {
    const ended = expire(hold, current);
    events.push(...ended);
    current = ended.reduce(evolve, current);
  }
  return events;
}

/** Bills the usage so far: out of the hold, then out of what else is available, the rest owed. */
function expire(hold: Hold, wallet: OpenWallet): readonly WalletEvent[] {
  const fundedMicros = least(hold.amountSoFarMicros, reachOf(hold, wallet));
  const owedMicros = least(
    hold.amountSoFarMicros - fundedMicros,
    most(mostOwedMicros - wallet.arrearsMicros, 0n),
  );
  const after: Hold = {
    ...hold,
    status: 'expired',
    heldMicros: 0n,
    billedMicros: fundedMicros + owedMicros,
  };
  return endHold({ type: 'hold_expired' }, hold, after, fundedMicros, owedMicros, wallet.mode, {
    actor: 'system:expiry',
  });
}

/**
 * Releases all of a hold and posts its usage. In a deferred wallet the usage stays reserved, as an
 * accrual right behind the release, until its month is closed.
 */
export function endHold(
  end: ({ type: 'hold_captured' } & Keyed) | { type: 'hold_expired' },
  hold: Hold,
  after: Hold,
  fundedMicros: bigint,
  owedMicros: bigint,
  mode: OpenWallet['mode'],
  { actor }: { actor: string },
): readonly WalletEvent[] {
  const link = linkOf(hold);
  const full = { ...link, ...after.report };
  const released = { ...end, releasedMicros: hold.heldMicros, hold: after, actor };
  if (mode === 'live' || after.report === null) {
    return [{ ...released, takenMicros: fundedMicros, owedMicros, detail: full }];
  }
  return [
    { ...released, takenMicros: 0n, owedMicros: 0n, detail: link },
    {
      type: 'accrual',
      reservedMicros: fundedMicros,
      owedMicros,
      hold: after,
      actor,
      detail: full,
    },
  ];
}

/** Posts the difference by which usage is above what was billed before. */
export function differenceEvent(
  wallet: OpenWallet,
  hold: Hold,
  after: Hold,
  dueMicros: bigint,
  common: Partial<Keyed> & { readonly actor: string; readonly detail: Detail },
): WalletEvent {
  const fundedMicros = least(dueMicros, reachOf(hold, wallet));
  const posted = { ...common, owedMicros: dueMicros - fundedMicros, hold: after };
  return wallet.mode === 'deferred'
    ? { type: 'accrual', reservedMicros: fundedMicros, ...posted }
    : { type: 'charge', takenMicros: fundedMicros, ...posted };
}

/** Its units are the difference too, so that units of several events add up. */
export function correctionDetail(hold: Hold, report: Report | null): Detail {
  return {
    ...linkOf(hold),
    ...report,
    units: (report?.units ?? 0) - (hold.report?.units ?? 0),
    alreadyBilledMicros: hold.billedMicros.toString(),
  };
}
