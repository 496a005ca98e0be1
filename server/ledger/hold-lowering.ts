/** A hold that ran out bills less than it did: its late record says less, or it was not used at all. */
import { giveBack } from './decision.ts';
import type { Detail, Keyed, WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { most } from './money.ts';
import { endOf, paidMicros, standingOf } from './originals.ts';
import { giveBackOf } from './refunds.ts';
import type { Hold, OpenWallet } from './state.ts';

/** What refunds and re-ratings gave back of a hold already. A lower bill does not give it back again. */
export function cameBackOf(wallet: OpenWallet, hold: Hold): bigint {
  const ended = endOf(wallet, hold);
  if (ended === undefined) {
    return 0n;
  }
  const { refundedMicros, correctedMicros } = standingOf(wallet, ended);
  return refundedMicros + most(-correctedMicros, 0n);
}

/**
 * What re-ratings charged for a hold too much, now that it bills only `billedMicros`. They keep the
 * share of their charge that the hold keeps of its bill, rounded down.
 */
export function overchargedMicros(wallet: OpenWallet, hold: Hold, billedMicros: bigint): bigint {
  const ended = endOf(wallet, hold);
  if (ended === undefined) {
    return 0n;
  }
  const { refundedMicros, correctedMicros } = standingOf(wallet, ended);
  const keptMicros = hold.billedMicros - refundedMicros;
  const staysMicros =
    keptMicros === 0n ? 0n : (correctedMicros * (billedMicros - refundedMicros)) / keptMicros;
  return most(correctedMicros - staysMicros, 0n);
}

/** Gives back what re-ratings overcharged, first of all: the answer shows the wallet after it. */
export function giveOverchargeBack(
  actor: string,
  wallet: OpenWallet,
  hold: Hold,
  amountMicros: bigint,
  nowMs: number,
): readonly WalletEvent[] {
  const ended = endOf(wallet, hold);
  if (ended === undefined || amountMicros === 0n) {
    return [];
  }
  const { usageType: type, referenceId } = hold;
  const given = { amountMicros, correctionMicros: amountMicros, detail: { type, referenceId } };
  return giveBackOf({ actor }, wallet, ended, given, nowMs);
}

/** Gives back what the hold billed beyond what it bills `after`, and what re-ratings charged for that. */
export function lowerBill(
  command: Keyed & { readonly actor: string },
  wallet: OpenWallet,
  hold: Hold,
  after: Hold,
  detail: Detail,
  nowMs: number,
): readonly WalletEvent[] {
  const overMicros = overchargedMicros(wallet, hold, after.billedMicros);
  const overcharge = giveOverchargeBack(command.actor, wallet, hold, overMicros, nowMs);
  const lowered = overcharge.reduce<OpenWallet>(evolve, wallet);
  const ended = endOf(lowered, { ...hold, billedMicros: after.billedMicros });
  const { burned } = lowered.holds.get(hold.holdId) ?? hold;
  return [
    ...overcharge,
    ...giveBack(
      command,
      lowered,
      { amountMicros: hold.billedMicros - after.billedMicros, hold: after, detail },
      { burned, billedMicros: ended === undefined ? 0n : paidMicros(standingOf(lowered, ended)) },
      nowMs,
    ),
  ];
}
