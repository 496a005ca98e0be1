/** What usage a wallet was billed that can be refunded, and how much of it was. */
import { usageMicrosOf, type WalletEvent } from './events.ts';
import { ledgerKey } from './key.ts';
import type { GrantPart, Hold, OpenWallet } from './state.ts';

export interface Originals {
  /** Charges by their own key: the event, and what it billed. */
  readonly charges: ReadonlyMap<string, Original>;
  /** The hold that each key placed. */
  readonly placed: ReadonlyMap<string, string>;
  /** The event that ended each hold: its original, whatever was corrected later. */
  readonly ends: ReadonlyMap<string, bigint>;
  /** What was refunded of each original. */
  readonly refunded: ReadonlyMap<bigint, bigint>;
}

export interface Original {
  readonly seq: bigint;
  /** Taken, reserved and owed. */
  readonly billedMicros: bigint;
  /** The promotional credit that it burned, in that order. */
  readonly burned: readonly GrantPart[];
  /** The hold that it ended. */
  readonly hold?: Hold;
}

export const noOriginals: Originals = {
  charges: new Map(),
  placed: new Map(),
  ends: new Map(),
  refunded: new Map(),
};

/** The originals after the event that has this number. */
export function originalsAfter(originals: Originals, event: WalletEvent, seq: bigint): Originals {
  switch (event.type) {
    case 'charge':
    case 'accrual': {
      if (event.key === undefined) {
        return originals;
      }
      const charge = { seq, billedMicros: usageMicrosOf(event), burned: event.grants ?? [] };
      return { ...originals, charges: new Map(originals.charges).set(event.key, charge) };
    }
    case 'hold_placed': {
      const placed = new Map(originals.placed).set(event.key, event.hold.holdId);
      return { ...originals, placed };
    }
    case 'hold_captured':
    case 'hold_expired':
      return { ...originals, ends: new Map(originals.ends).set(event.hold.holdId, seq) };
    case 'usage_refund': {
      if (event.originalSeq === undefined) {
        return originals;
      }
      const before = originals.refunded.get(event.originalSeq) ?? 0n;
      const refunded = new Map(originals.refunded);
      return {
        ...originals,
        refunded: refunded.set(event.originalSeq, before + event.amountMicros),
      };
    }
    default:
      return originals;
  }
}

/** The hold that was placed under a key, whatever has become of it. */
export function heldUnder(key: string, wallet: OpenWallet): Hold | undefined {
  return wallet.holds.get(wallet.originals.placed.get(key) ?? '');
}

/** Under which key usage is charged after its hold was voided: the hold has that of the usage for ever. */
export function keyAfterVoid({ holdId }: Hold): string {
  return ledgerKey('usage_after_void', holdId);
}

/**
 * The charge of one key, which may have come after its hold was voided, or else the hold of this or
 * the other key, for this type of usage, once it has ended.
 */
export function findOriginal(
  wallet: OpenWallet,
  { chargeKey, holdKey, usageType }: { chargeKey: string; holdKey: string; usageType: string },
): Original | undefined {
  const { charges, ends } = wallet.originals;
  const ofUsage = heldUnder(chargeKey, wallet);
  const charge = charges.get(chargeKey) ?? (ofUsage && charges.get(keyAfterVoid(ofUsage)));
  if (charge !== undefined) {
    return charge;
  }
  const hold = ofUsage ?? heldUnder(holdKey, wallet);
  const seq = hold && ends.get(hold.holdId);
  return seq !== undefined && hold?.usageType === usageType
    ? { seq, billedMicros: hold.billedMicros, burned: hold.burned, hold }
    : undefined;
}

export function refundedOfHold({ originals }: OpenWallet, { holdId }: Hold): bigint {
  const seq = originals.ends.get(holdId);
  return (seq === undefined ? undefined : originals.refunded.get(seq)) ?? 0n;
}
