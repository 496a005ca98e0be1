/** What ends a hold posts: its usage, the difference to what was billed before, a credit of it. */
import type { Detail, Keyed, WalletEvent } from './events.ts';
import { goodwillIn, isGoodwill } from './goodwill.ts';
import { burn, ofGrants } from './grants.ts';
import { linkOf, reachOf } from './hold.ts';
import { least, most } from './money.ts';
import { alreadyCounted } from './monthly-units.ts';
import type { Hold, OpenWallet, Report } from './state.ts';

/** What runs out bills arrears up to this and no more, so that a wallet can always be settled. */
const mostOwedMicros = 3n * 10n ** 18n;

/** Bills the usage so far: out of the hold, then out of what else is available, the rest owed. */
export function expireHold(hold: Hold, wallet: OpenWallet): readonly WalletEvent[] {
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
  const actor = 'system:expiry';
  return endHold({ type: 'hold_expired' }, wallet, hold, after, fundedMicros, owedMicros, actor);
}

/**
 * Releases all of a hold and posts its usage. In a deferred wallet the usage stays reserved, as an
 * accrual right behind the release, until its month is closed; goodwill stands there too.
 */
export function endHold(
  end: ({ type: 'hold_captured' } & Keyed) | { type: 'hold_expired' },
  wallet: OpenWallet,
  hold: Hold,
  ended: Hold,
  fundedMicros: bigint,
  owedMicros: bigint,
  actor: string,
): readonly WalletEvent[] {
  const link = linkOf(hold);
  const full = { ...link, ...ended.report };
  const burned = burn(wallet, fundedMicros, hold.placedAtMs);
  const after = { ...ended, burned: [...hold.burned, ...burned] };
  const released = { ...end, releasedMicros: hold.heldMicros, hold: after, actor };
  if (isGoodwill(after.report, fundedMicros + owedMicros)) {
    return [
      { ...released, takenMicros: 0n, owedMicros: 0n, detail: link },
      { type: 'goodwill', hold: after, actor, detail: full },
    ];
  }
  if (wallet.mode === 'live' || after.report === null) {
    return [
      { ...released, takenMicros: fundedMicros, owedMicros, ...ofGrants(burned), detail: full },
    ];
  }
  return [
    { ...released, takenMicros: 0n, owedMicros: 0n, detail: link },
    {
      type: 'accrual',
      reservedMicros: fundedMicros,
      owedMicros,
      ...ofGrants(burned),
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
  if (isGoodwill(common.detail, dueMicros)) {
    return { type: 'goodwill', ...common, hold: after };
  }
  const fundedMicros = least(dueMicros, reachOf(hold, wallet));
  const burned = burn(wallet, fundedMicros, hold.placedAtMs);
  const posted = {
    ...common,
    ...ofGrants(burned),
    owedMicros: dueMicros - fundedMicros,
    hold: { ...after, burned: [...hold.burned, ...burned] },
  };
  return wallet.mode === 'deferred'
    ? { type: 'accrual', reservedMicros: fundedMicros, ...posted }
    : { type: 'charge', takenMicros: fundedMicros, ...posted };
}

/** Its units are the difference too, so that units of several events add up. */
export function correctionDetail(hold: Hold, report: Report | null): Detail {
  const alreadyGoodwillMicros = goodwillIn(hold.report);
  return {
    ...linkOf(hold),
    ...report,
    units: (report?.units ?? 0) - (hold.report?.units ?? 0),
    alreadyBilledMicros: hold.billedMicros.toString(),
    ...(alreadyGoodwillMicros !== undefined && { alreadyGoodwillMicros }),
    ...alreadyCounted(hold.report, report),
  };
}
