/** Giving usage back that was billed: all of a charge or a hold, or part of it. */
import { accept, type Decision, giveBack, maxStandingMicros, refuse } from './decision.ts';
import type { Detail, Keyed } from './events.ts';
import { stillBurned } from './grants.ts';
import { findOriginal } from './originals.ts';
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
  const refundedMicros = state.originals.refunded.get(original.seq) ?? 0n;
  const refundableMicros = original.billedMicros - refundedMicros;
  const amountMicros = command.amountMicros ?? refundableMicros;
  if (amountMicros === 0n || amountMicros > refundableMicros) {
    return refuse('NOT_REFUNDABLE', state, refundableMicros);
  }
  if (state.balanceMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }
  const { seq: originalSeq, hold } = original;
  const detail = { ...command.detail, originalSeq: originalSeq.toString() };
  const given = { amountMicros, originalSeq, detail, ...(hold && { hold }) };
  // What came back before is no longer burned.
  const spent = {
    burned: stillBurned(original.burned, refundableMicros),
    billedMicros: refundableMicros - amountMicros,
  };
  return accept(command, state, giveBack(command, state, given, spent, nowMs));
}
