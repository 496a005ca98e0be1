/** Why an operation on a hold was refused, in the words of the API. */
import { Fault } from '../../faults.ts';
import type { HeartbeatOutcome, HoldRow, QueuedHoldOutcome } from '../../store/holds.ts';
import { type Refusal, refusal } from './refusals.ts';
import { limitRefusal } from './spending-limits.ts';

export type MissingHold = { ok: false; code: 'WALLET_NOT_FOUND' | 'HOLD_NOT_FOUND' };
export type HoldRefusal =
  | Refusal
  | { ok: false; code: 'HOLD_NOT_FOUND' }
  | { ok: false; code: 'HOLD_NOT_OPEN' };
type Shortage = Extract<Refusal, { code: 'INSUFFICIENT_FUNDS' }>;

/** The refusal of what places or ends a hold. */
export function refusalOf(
  outcome: Omit<QueuedHoldOutcome, 'expiresAt'>,
  currency: string,
  noRate: string,
): HoldRefusal {
  const { code } = outcome;
  switch (code) {
    case 'HOLD_NOT_FOUND':
    case 'HOLD_NOT_OPEN':
      return { ok: false, code };
    case 'USAGE_REQUIRED':
      throw new Fault('BAD_REQUEST', {
        publicMessage: 'usage: is required, no heartbeat has reported any',
      });
    case 'USAGE_TYPE_DIFFERS':
      throw usageTypeDiffers('usage');
    default:
      return refusal({ ...outcome, code }, currency, noRate);
  }
}

/** The refusals of a heartbeat that say no more than their code. */
export function refusalOfHeartbeat(
  code: Exclude<HeartbeatOutcome['code'], 'OK' | 'INSUFFICIENT_FUNDS'>,
  noRate: string,
): Exclude<HoldRefusal, { code: 'INSUFFICIENT_FUNDS' }> {
  switch (code) {
    case 'NO_RATE':
      return { ok: false, code, message: noRate };
    case 'USAGE_TYPE_DIFFERS':
      throw usageTypeDiffers('usageSoFar');
    case 'LIMIT_EXCEEDED':
      return limitRefusal(null, '');
    default:
      return { ok: false, code };
  }
}

/** What a heartbeat lacked to reserve as much ahead as was asked for. */
export function shortageOf(
  hold: HoldRow,
  { heldMicros, amountSoFarMicros, availableMicros }: HeartbeatOutcome,
  addMicros: bigint | null,
): Shortage {
  const added = hold.placedMicros + (addMicros ?? 0n);
  const aheadMicros = added > hold.aheadMicros ? added : hold.aheadMicros;
  const requiredMicros = amountSoFarMicros + aheadMicros - heldMicros;
  const fundsMicros = availableMicros > 0n ? availableMicros : 0n;
  return {
    ok: false,
    code: 'INSUFFICIENT_FUNDS',
    currency: hold.currency,
    requiredMicros,
    availableMicros,
    shortfallMicros: requiredMicros - fundsMicros,
  };
}

function usageTypeDiffers(field: string): Fault {
  return new Fault('BAD_REQUEST', {
    publicMessage: `${field}.type: must be the type that the hold is for`,
  });
}
