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

/** The hold as an outcome's detail tells of it, micros as text. */
interface HeldUsage {
  readonly holdId: string;
  readonly status: HoldStatus;
  readonly billedMicros: string;
  readonly units?: number;
}

/** The hold that a charge met under its key; null when it met none. */
export function heldUsage({ detail }: Pick<QueuedOutcome, 'detail'>): HeldUsage | null {
  return detail !== null && 'billedMicros' in detail ? (detail as unknown as HeldUsage) : null;
}

/** The field `hold` of a charge's answer, where a hold bills the usage. */
export function billedHold(outcome: Pick<QueuedOutcome, 'detail'>): { hold?: BilledHold } {
  const held = heldUsage(outcome);
  if (held === null) {
    return {};
  }
  const { holdId, billedMicros, units = 0 } = held;
  return { hold: { holdId, alreadyBilledMicros: BigInt(billedMicros), units } };
}

/**
 * The items of a batch, by their place, that wanted more than there was and stand behind one that
 * settled a hold of their wallet: it did so after they were decided, and may have freed what they want.
 */
export function refusedTooEarly(
  answers: readonly (
    | { readonly ok: true; readonly replayed: boolean; readonly hold?: BilledHold }
    | { readonly ok: false; readonly code: string }
  )[],
  walletIdOf: (place: number) => string | undefined,
): number[] {
  const settled = new Set<string | undefined>();
  const places: number[] = [];
  for (const [place, answer] of answers.entries()) {
    if (answer.ok) {
      if (answer.hold !== undefined && !answer.replayed) {
        settled.add(walletIdOf(place));
      }
    } else if (
      settled.has(walletIdOf(place)) &&
      (answer.code === 'INSUFFICIENT_FUNDS' || answer.code === 'LIMIT_EXCEEDED')
    ) {
      places.push(place);
    }
  }
  return places;
}
