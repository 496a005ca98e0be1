/** Giving usage back that was billed: all of a charge or a hold, or part of it. */
import type { UsageStanding } from '../rating/rerating.ts';
import { accept, type Decision, giveBack, maxStandingMicros, refuse } from './decision.ts';
import type { Detail, Keyed, UsageRefunded, WalletEvent } from './events.ts';
import { findOriginal, type Original, paidMicros, standingOf } from './originals.ts';
import type { OpenWallet } from './state.ts';

export interface RefundUsage extends Keyed {
  readonly type: 'refund_usage';
  /** The keys that the original may have been asked with: as a charge, or else as a hold. */
  readonly chargeKey: string;
  readonly holdKey: string;
  readonly usageType: string;
  /** Null for all that is left. */
  readonly amountMicros: bigint | null;
  readonly actor: string;
  readonly detail: Detail;
}

/** A frozen wallet may receive. A refusal for the original says how much of it is refundable. */
export function refundUsage(command: RefundUsage, state: OpenWallet, nowMs: number): Decision {
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, command.amountMicros);
  }
  const original = findOriginal(state, command);
  if (original === undefined) {
    return refuse('NOT_REFUNDABLE', state, 0n);
  }
  const standing = standingOf(state, original);
  const refundableMicros = paidMicros(standing);
  const amountMicros = command.amountMicros ?? refundableMicros;
  if (amountMicros === 0n || amountMicros > refundableMicros) {
    return refuse('NOT_REFUNDABLE', state, refundableMicros);
  }
  if (state.balanceMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }
  const correctionMicros = correctionIn(amountMicros, standing);
  const given = {
    amountMicros,
    ...(correctionMicros !== 0n && { correctionMicros }),
    detail: command.detail,
  };
  return accept(command, state, giveBackOf(command, state, original, given, nowMs));
}

/**
 * The part of a refund that gives corrections of re-ratings back: what is left keeps the share of
 * what was billed and of what was corrected, so that a later re-rating asks for no more than that
 * share of its price. The billed part is rounded down.
 */
function correctionIn(amountMicros: bigint, standing: UsageStanding): bigint {
  const keptMicros = standing.billedMicros - standing.refundedMicros;
  return amountMicros - (amountMicros * keptMicros) / paidMicros(standing);
}

/** Gives back so much of an original, and the credit that it burned beyond what stays paid. */
export function giveBackOf(
  by: Partial<Keyed> & { readonly actor: string },
  wallet: OpenWallet,
  original: Original,
  given: Pick<UsageRefunded, 'amountMicros' | 'correctionMicros' | 'reratingId' | 'detail'>,
  nowMs: number,
): readonly WalletEvent[] {
  const { seq: originalSeq, burned, hold } = original;
  const { correctionMicros } = given;
  const detail = {
    ...given.detail,
    originalSeq: `${originalSeq}`,
    ...(correctionMicros !== undefined && { correctionMicros: `${correctionMicros}` }),
  };
  const leftMicros = paidMicros(standingOf(wallet, original)) - given.amountMicros;
  return giveBack(
    by,
    wallet,
    { ...given, originalSeq, detail, ...(hold && { hold }) },
    { burned, billedMicros: leftMicros },
    nowMs,
  );
}
