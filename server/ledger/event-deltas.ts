/** What an event moves: its signed changes of the wallet, and the usage that it bills. */
import type { WalletEvent } from './events.ts';

export interface Deltas {
  readonly balanceDeltaMicros: bigint;
  readonly heldDeltaMicros: bigint;
  readonly arrearsDeltaMicros: bigint;
}

/** The signed changes that an event makes to its wallet. */
export function deltasOf(event: WalletEvent): Deltas {
  switch (event.type) {
    case 'wallet_opened':
    case 'goodwill':
    case 'wallet_frozen':
    case 'wallet_unfrozen':
    case 'wallet_closed':
    case 'limits_changed':
    case 'arrears_demanded':
    case 'subscription_added':
    case 'subscription_ended':
    case 'dispute_opened':
    case 'dispute_closed':
      return deltas(0n, 0n, 0n);
    case 'top_up':
    case 'grant':
    case 'usage_refund':
    case 'payment_refund_failed':
    case 'dispute_reinstated':
      return deltas(event.amountMicros, 0n, 0n);
    case 'payment_refund':
    case 'dispute_withdrawn':
      return deltas(-event.amountMicros, 0n, 0n);
    case 'charge':
    case 'fee':
      return deltas(-event.takenMicros, 0n, event.owedMicros);
    case 'accrual':
      return deltas(0n, event.reservedMicros, event.owedMicros);
    case 'accrual_settled':
      return deltas(-event.settledMicros, -event.settledMicros, 0n);
    case 'arrears_repaid':
      return deltas(-event.repaidMicros, 0n, -event.repaidMicros);
    case 'grant_expired':
      return deltas(-event.takenMicros, 0n, 0n);
    case 'hold_placed':
      return deltas(0n, event.amountMicros, 0n);
    case 'hold_extended':
      return deltas(0n, event.raisedMicros, 0n);
    case 'hold_captured':
    case 'hold_expired':
      return deltas(-event.takenMicros, -event.releasedMicros, event.owedMicros);
    case 'hold_voided':
      return deltas(0n, -event.releasedMicros, 0n);
    default: {
      const unknown: never = event;
      throw new TypeError(`unknown event ${String(unknown)}`);
    }
  }
}

/** What an event bills for usage, taken, reserved or owed; negative for what it gives back. */
export function usageMicrosOf(event: WalletEvent): bigint {
  switch (event.type) {
    case 'charge':
    case 'hold_captured':
    case 'hold_expired':
      return event.takenMicros + event.owedMicros;
    case 'accrual':
      return event.reservedMicros + event.owedMicros;
    case 'usage_refund':
      return -event.amountMicros;
    default:
      return 0n;
  }
}

function deltas(
  balanceDeltaMicros: bigint,
  heldDeltaMicros: bigint,
  arrearsDeltaMicros: bigint,
): Deltas {
  return { balanceDeltaMicros, heldDeltaMicros, arrearsDeltaMicros };
}
