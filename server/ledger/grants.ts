/**
 * Promotional credit within the balance: what spending burns of it, what of it ends unspent, and
 * what comes back with a refund.
 */
import type { WalletEvent } from './events.ts';
import { least } from './money.ts';
import type { Grant, GrantPart, OpenWallet } from './state.ts';

/** The field of an event that burned credit or gave it back; none when it did not. */
export function ofGrants(grants: readonly GrantPart[]): {
  readonly grants?: readonly GrantPart[];
} {
  return grants.length === 0 ? {} : { grants };
}

/** What is left of all grants. */
export function grantsMicros({ grants }: OpenWallet): bigint {
  return [...grants.values()].reduce((sum, { leftMicros }) => sum + leftMicros, 0n);
}

/**
 * What spending burns: credit before paid money, what expires soonest first. Credit that had
 * expired when the spending began is not for it; what a hold pays for began when it was placed.
 */
export function burn(wallet: OpenWallet, micros: bigint, sinceMs: number): readonly GrantPart[] {
  const usable = inBurnOrder(wallet).filter(
    ({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > sinceMs,
  );
  return firstOf(
    usable.map(({ seq, leftMicros }) => ({ seq, micros: leftMicros })),
    micros,
  );
}

/**
 * The burned credit that comes back when at most `billedMicros` of its usage stays billed. Paid money
 * was spent last and comes back first; then the credit that was burned last.
 */
export function restored(burned: readonly GrantPart[], billedMicros: bigint): readonly GrantPart[] {
  return firstOf(burned.toReversed(), totalOf(burned) - billedMicros);
}

/** What stays burned when no more than this of the usage stays billed. */
export function stillBurned(
  burned: readonly GrantPart[],
  billedMicros: bigint,
): readonly GrantPart[] {
  return firstOf(burned, billedMicros);
}

/** What stays burned after parts of it came back, which were those burned last. */
export function afterRestoring(
  burned: readonly GrantPart[],
  cameBack: readonly GrantPart[],
): readonly GrantPart[] {
  return firstOf(burned, totalOf(burned) - totalOf(cameBack));
}

/** How much of these parts belongs to grants past their expiry. */
export function expiredOf(
  { grants }: OpenWallet,
  parts: readonly GrantPart[],
  nowMs: number,
): bigint {
  const isOver = ({ seq }: GrantPart) => (grants.get(seq)?.expiresAtMs ?? Infinity) <= nowMs;
  return totalOf(parts.filter(isOver));
}

/** Credit that ends unspent: so much of a grant. */
export interface EndedCredit {
  readonly grantSeq: bigint;
  readonly expiresAtMs: number;
  readonly endedMicros: bigint;
}

/**
 * The credit that ends next, if any has by now. Past its expiry, credit is kept for the open holds
 * that were placed before, as far as they reserve it, and for nothing else.
 */
export function endedCredit(wallet: OpenWallet, nowMs: number): EndedCredit | undefined {
  const open = [...wallet.holds.values()].filter(({ status }) => status === 'open');
  let leftSoFarMicros = 0n;
  for (const { seq, leftMicros, expiresAtMs } of inBurnOrder(wallet)) {
    if (expiresAtMs === null || expiresAtMs > nowMs) {
      return undefined;
    }
    leftSoFarMicros += leftMicros;
    const reservedMicros = open
      .filter(({ placedAtMs }) => placedAtMs < expiresAtMs)
      .reduce((sum, { heldMicros }) => sum + heldMicros, 0n);
    if (leftSoFarMicros > reservedMicros) {
      const endedMicros = least(leftMicros, leftSoFarMicros - reservedMicros);
      return { grantSeq: seq, expiresAtMs, endedMicros };
    }
  }
  return undefined;
}

/** The grants after one more event, which has this number. */
export function grantsAfter(
  grants: OpenWallet['grants'],
  event: WalletEvent,
  seq: bigint,
): OpenWallet['grants'] {
  const after = new Map(grants);
  const change = (grantSeq: bigint, leftDelta: bigint, expiredDelta: bigint) => {
    const grant = after.get(grantSeq);
    if (grant === undefined) {
      throw new TypeError(`event ${seq} is about credit that was never granted`);
    }
    after.set(grantSeq, {
      ...grant,
      leftMicros: grant.leftMicros + leftDelta,
      expiredMicros: grant.expiredMicros + expiredDelta,
    });
  };
  if (event.type === 'grant') {
    after.set(seq, {
      seq,
      grantedMicros: event.amountMicros,
      leftMicros: event.amountMicros,
      expiredMicros: 0n,
      expiresAtMs: event.expiresAtMs ?? null,
    });
  } else if (event.type === 'grant_expired') {
    change(event.grantSeq, -event.endedMicros, event.endedMicros);
  } else if ('grants' in event) {
    for (const part of event.grants ?? []) {
      change(part.seq, event.type === 'usage_refund' ? part.micros : -part.micros, 0n);
    }
  }
  return after;
}

/** Grants with something left: what expires soonest first, what never does last. */
function inBurnOrder({ grants }: OpenWallet): readonly Grant[] {
  return [...grants.values()]
    .filter(({ leftMicros }) => leftMicros > 0n)
    .sort((a, b) => {
      const [aMs, bMs] = [a.expiresAtMs ?? Infinity, b.expiresAtMs ?? Infinity];
      return aMs === bMs ? Number(a.seq - b.seq) : aMs - bMs;
    });
}

/** As much as there is of the parts, up to so many micros, in their order. */
function firstOf(parts: readonly GrantPart[], micros: bigint): readonly GrantPart[] {
  let missingMicros = micros;
  return parts.flatMap((part) => {
    const taken = least(part.micros, missingMicros);
    if (taken <= 0n) {
      return [];
    }
    missingMicros -= taken;
    return [{ seq: part.seq, micros: taken }];
  });
}

function totalOf(parts: readonly GrantPart[]): bigint {
  return parts.reduce((sum, { micros }) => sum + micros, 0n);
}
