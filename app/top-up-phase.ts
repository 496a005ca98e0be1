import type { TopUpView } from '../server/views/top-ups.ts';

/** Where a top-up stands, as far as the person who pays is concerned. */
export type TopUpPhase =
  | 'received'
  | 'processing'
  | 'unfinished'
  | 'action_needed'
  | 'failed'
  | 'canceled'
  | 'under_review';

/**
 * How long a failure on record may be that of an earlier card, while the word about the card that
 * was just accepted is still on its way from Stripe.
 */
const OVERTAKEN_FAILURE_MS = 2 * 60_000;

/**
 * Reads the phase from what the ledger knows. A payment counts as received only when its event
 * stands in the ledger.
 *
 * @param isConfirmed whether Stripe told the page that this payment went through
 */
export function topUpPhase(
  { status, creditedSeq, updatedAt }: Pick<TopUpView, 'status' | 'creditedSeq' | 'updatedAt'>,
  { isConfirmed, nowMs }: { isConfirmed: boolean; nowMs: number },
): TopUpPhase {
  switch (status) {
    case 'succeeded':
      return creditedSeq === null ? 'processing' : 'received';
    case 'processing':
      return 'processing';
    case 'created':
      return isConfirmed ? 'processing' : 'unfinished';
    case 'requires_action':
      return isConfirmed ? 'processing' : 'action_needed';
    case 'failed':
      return isConfirmed && nowMs - updatedAt.getTime() < OVERTAKEN_FAILURE_MS
        ? 'processing'
        : 'failed';
    case 'canceled':
      return 'canceled';
    case 'quarantined':
      return 'under_review';
    default: {
      const unknown: never = status;
      throw new TypeError(`unknown top-up status ${unknown}`);
    }
  }
}

/** Whether the phase may still change by itself, so that it is worth asking again. */
export function isAwaited(phase: TopUpPhase): boolean {
  return phase === 'processing' || phase === 'unfinished' || phase === 'action_needed';
}

/** Whether no more can come of the top-up, so that its attempt is over. */
export function isOver(phase: TopUpPhase): boolean {
  return phase === 'received' || phase === 'canceled' || phase === 'under_review';
}
