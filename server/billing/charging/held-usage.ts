/** What a charge meets under its key when its usage was authorized before. */
import type { HoldStatus } from '../../ledger/state.ts';
import type { QueuedOutcome } from '../../store/charges.ts';

/** The hold that bills the usage of a charge. */
export interface BilledHold {
  holdId: string;
  /** What it had billed before the charge came. */
  alreadyBilledMicros: bigint;
  /** The units that it bills, now that the charge has come. */
  units: number;
}

/** The hold as the ledger tells of it; null when the charge met none. */
export function heldUsage({ detail }: Pick<QueuedOutcome, 'detail'>):
  | ({ holdId: string; status: HoldStatus } & {
      billedMicros: string;
      units?: number;
    })
  | null {
  return detail !== null && 'billedMicros' in detail
    ? (detail as unknown as ReturnType<typeof heldUsage>)
    : null;
}

/** The part of an answer that names it. */
export function billedHold(outcome: Pick<QueuedOutcome, 'detail'>): { hold?: BilledHold } {
  const held = heldUsage(outcome);
  if (held === null) {
    return {};
  }
  const { holdId, billedMicros, units = 0 } = held;
  return { hold: { holdId, alreadyBilledMicros: BigInt(billedMicros), units } };
}
