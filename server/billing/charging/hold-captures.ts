/** Posting the final usage of a hold. */
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import type { Breakdown } from '../../rating/rate.ts';
import { canonicalUsage, type Usage } from '../../rating/usage.ts';
import type { HoldLookup, HoldName } from './hold-lookup.ts';
import { reportOf } from './hold-pricing.ts';
import type { HoldWrites } from './hold-queue.ts';
import { type HoldRefusal, refusalOf } from './hold-refusals.ts';
import { normalUsage } from './pricing.ts';

export interface CaptureRequest extends HoldName {
  /** All usage; by default what the last heartbeat said. */
  readonly usage?: Usage | undefined;
  readonly overrun: 'refuse' | 'arrears';
}

export type CaptureAnswer =
  | {
      ok: true;
      replayed: boolean;
      holdId: string;
      seq: bigint;
      /** The price of all usage of the hold. */
      amountMicros: bigint;
      /** The part of it that had been billed when the hold ran out; else 0. */
      alreadyBilledMicros: bigint;
      balanceMicros: bigint;
      availableMicros: bigint;
      arrearsMicros: bigint;
      breakdown: Breakdown;
    }
  | HoldRefusal;

/**
 * Posts the final usage, at the prices of the beginning, and releases the rest. A hold that ran out
 * has billed its last heartbeat: then only the difference is posted, or given back.
 */
export type CaptureHold = (request: CaptureRequest, actor: string) => Promise<CaptureAnswer>;

/** What the ledger keeps of it. */
interface Posted {
  readonly breakdown: Breakdown;
  readonly alreadyBilledMicros?: string;
}

export function createHoldCaptures(options: {
  writes: HoldWrites;
  lookup: HoldLookup;
}): CaptureHold {
  const { writes, lookup } = options;
  const { findTerms, forget, pricesOf } = lookup;
  return async (request, actor) => {
    const hold = await findTerms(request);
    if ('ok' in hold) {
      return hold;
    }
    const asked = request.usage && canonicalUsage(request.usage);
    const by = await pricesOf(hold);
    const priced = asked && reportOf(by, normalUsage(by.prices, asked, 'usage'));
    const outcome = await writes.send({
      kind: 'capture',
      walletId: hold.walletId,
      holdId: hold.holdId,
      key: ledgerKey('hold_capture', hold.holdId),
      requestHash: requestHash({ usage: asked ?? null }),
      report: priced?.report ?? null,
      amountMicros: priced?.amountMicros ?? null,
      overrun: request.overrun,
      actor,
    });
    if (outcome.code !== 'OK') {
      return refusalOf(outcome, hold.currency, priced?.noRate ?? '');
    }
    forget(hold.holdId);
    const posted = (outcome.detail ?? priced?.report) as Posted;
    const { replayed, seq, balanceMicros, availableMicros, arrearsMicros } = outcome;
    return {
      ok: true,
      replayed,
      holdId: hold.holdId,
      seq,
      amountMicros: BigInt(posted.breakdown.amountMicros),
      alreadyBilledMicros: BigInt(posted.alreadyBilledMicros ?? 0),
      balanceMicros,
      availableMicros,
      arrearsMicros,
      breakdown: posted.breakdown,
    };
  };
}
