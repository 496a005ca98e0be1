/** What usage a wallet was billed that can be refunded, and what became of it since. */
import type { UsageStanding } from '../rating/rerating.ts';
import { usageMicrosOf } from './event-deltas.ts';
import type { Detail, WalletEvent } from './events.ts';
import { afterRestoring } from './grants.ts';
import { ledgerKey } from './key.ts';
import type { GrantPart, Hold, OpenWallet } from './state.ts';

export interface Originals {
  /** Charges by their own key. */
  readonly charges: ReadonlyMap<string, bigint>;
  /** What each charge billed. */
  readonly bills: ReadonlyMap<bigint, Original>;
  /** The hold that each key placed. */
  readonly placed: ReadonlyMap<string, string>;
  /** The event that ended each hold: its original, whatever was corrected later. */
  readonly ends: ReadonlyMap<string, bigint>;
  /** What was refunded of each original, by re-ratings too. */
  readonly refunded: ReadonlyMap<bigint, bigint>;
  /** What re-ratings made of each original. */
  readonly corrections: ReadonlyMap<bigint, Corrections>;
}

export interface Original {
  readonly seq: bigint;
  /** Taken, reserved and owed. */
  readonly billedMicros: bigint;
  /** The promotional credit that it and its re-ratings burned and still burn, in that order. */
  readonly burned: readonly GrantPart[];
  readonly detail: Detail;
  /** It is the difference that a late record of a hold posted, and no usage by itself. */
  readonly isDifference?: true;
  /** The hold that it ended. */
  readonly hold?: Hold;
}

interface Corrections {
  /** What re-ratings charged and nobody gave back; negative for what they gave back. */
  readonly micros: bigint;
  /** The part of what was refunded of the original that gave corrections back, or was one. */
  readonly refundedMicros: bigint;
  /** What each re-rating posted. */
  readonly posted: ReadonlyMap<string, bigint>;
}

export const noOriginals: Originals = {
  charges: new Map(),
  bills: new Map(),
  placed: new Map(),
  ends: new Map(),
  refunded: new Map(),
  corrections: new Map(),
};

const noCorrections: Corrections = { micros: 0n, refundedMicros: 0n, posted: new Map() };

/** The originals after the event that has this number. */
export function originalsAfter(originals: Originals, event: WalletEvent, seq: bigint): Originals {
  switch (event.type) {
    case 'charge':
    case 'accrual':
      if (event.rerating !== undefined) {
        return reratedAfter(originals, event, event.rerating);
      }
      return event.key === undefined ? originals : billedAfter(originals, event, event.key, seq);
    case 'hold_placed': {
      const placed = new Map(originals.placed).set(event.key, event.hold.holdId);
      return { ...originals, placed };
    }
    case 'hold_captured':
    case 'hold_expired':
      return { ...originals, ends: new Map(originals.ends).set(event.hold.holdId, seq) };
    case 'usage_refund':
      return event.originalSeq === undefined
        ? originals
        : refundedAfter(originals, event, event.originalSeq);
    default:
      return originals;
  }
}

type UsageEvent = Extract<WalletEvent, { type: 'charge' | 'accrual' }>;

function billedAfter(originals: Originals, event: UsageEvent, key: string, seq: bigint): Originals {
  const { hold, detail } = event;
  const bill: Original = {
    seq,
    billedMicros: usageMicrosOf(event),
    burned: event.grants ?? [],
    detail,
    ...(hold && { isDifference: true }),
  };
  return {
    ...originals,
    charges: new Map(originals.charges).set(key, seq),
    bills: new Map(originals.bills).set(seq, bill),
  };
}

/** What a re-rating charges burns credit as the original did, behind it. */
function reratedAfter(
  originals: Originals,
  event: UsageEvent,
  { originalSeq, reratingId }: NonNullable<UsageEvent['rerating']>,
): Originals {
  const micros = usageMicrosOf(event);
  const before = originals.corrections.get(originalSeq) ?? noCorrections;
  return {
    ...originals,
    bills: withBurned(originals, originalSeq, (burned) => [...burned, ...(event.grants ?? [])]),
    corrections: new Map(originals.corrections).set(originalSeq, {
      ...before,
      micros: before.micros + micros,
      posted: new Map(before.posted).set(reratingId, micros),
    }),
  };
}

function refundedAfter(
  originals: Originals,
  event: Extract<WalletEvent, { type: 'usage_refund' }>,
  seq: bigint,
): Originals {
  const { amountMicros, reratingId, correctionMicros = 0n } = event;
  const ofCorrectionsMicros = reratingId === undefined ? correctionMicros : amountMicros;
  const before = originals.corrections.get(seq) ?? noCorrections;
  const corrections: Corrections = {
    micros: before.micros - ofCorrectionsMicros,
    refundedMicros: before.refundedMicros + ofCorrectionsMicros,
    posted:
      reratingId === undefined
        ? before.posted
        : new Map(before.posted).set(reratingId, -amountMicros),
  };
  return {
    ...originals,
    refunded: new Map(originals.refunded).set(
      seq,
      (originals.refunded.get(seq) ?? 0n) + amountMicros,
    ),
    bills: withBurned(originals, seq, (burned) => afterRestoring(burned, event.grants ?? [])),
    corrections: new Map(originals.corrections).set(seq, corrections),
  };
}

/** A hold keeps what it burned itself. */
function withBurned(
  { bills }: Originals,
  seq: bigint,
  change: (burned: Original['burned']) => Original['burned'],
): Originals['bills'] {
  const bill = bills.get(seq);
  return bill === undefined
    ? bills
    : new Map(bills).set(seq, { ...bill, burned: change(bill.burned) });
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
  const { charges, bills } = wallet.originals;
  const ofUsage = heldUnder(chargeKey, wallet);
  const seq = charges.get(chargeKey) ?? (ofUsage && charges.get(keyAfterVoid(ofUsage)));
  if (seq !== undefined) {
    return bills.get(seq);
  }
  const hold = ofUsage ?? heldUnder(holdKey, wallet);
  return hold?.usageType === usageType ? endOf(wallet, hold) : undefined;
}

/** The original that is the event of this number, if it is one. */
export function originalAt(wallet: OpenWallet, seq: bigint): Original | undefined {
  const [holdId] = [...wallet.originals.ends].find(([, endSeq]) => endSeq === seq) ?? [];
  const hold = wallet.holds.get(holdId ?? '');
  return hold === undefined ? wallet.originals.bills.get(seq) : endOf(wallet, hold);
}

/** The original that ended a hold, once it has ended. */
export function endOf({ originals }: OpenWallet, hold: Hold): Original | undefined {
  const seq = originals.ends.get(hold.holdId);
  const { billedMicros, burned } = hold;
  return seq === undefined ? undefined : { seq, billedMicros, burned, detail: {}, hold };
}

/** Of what an original billed, what was refunded, and what re-ratings corrected. */
export function standingOf(
  { originals }: OpenWallet,
  { seq, billedMicros }: Original,
): UsageStanding {
  const { micros, refundedMicros } = originals.corrections.get(seq) ?? noCorrections;
  return {
    billedMicros,
    refundedMicros: (originals.refunded.get(seq) ?? 0n) - refundedMicros,
    correctedMicros: micros,
  };
}

/** What is paid or owed for an original by now, re-ratings included: no more of it is refundable. */
export function paidMicros(standing: UsageStanding): bigint {
  return standing.billedMicros - standing.refundedMicros + standing.correctedMicros;
}
