/** What the ledger says of an event beside its amounts. */
import type { Detail, WalletEvent } from './events.ts';
import { limitTerms } from './limit-list.ts';
import type { Subscription } from './subscriptions.ts';

/** The detail that the ledger stores beside an event. */
export function detailOf(event: WalletEvent): Detail {
  const parts = 'grants' in event ? (event.grants ?? []) : [];
  const grants = parts.map(({ seq, micros }) => ({ seq: `${seq}`, micros: `${micros}` }));
  return { ...ownDetailOf(event), ...(grants.length > 0 && { grants }) };
}

function ownDetailOf(event: WalletEvent): Detail {
  switch (event.type) {
    case 'wallet_opened':
      return {
        currency: event.currency,
        mode: event.mode,
        timezone: event.timezone,
        userId: event.userId,
      };
    case 'limits_changed':
      return { limits: limitTerms(event.limits) };
    case 'arrears_demanded':
      return {
        period: event.period,
        arrearsMicros: `${event.arrearsMicros}`,
        suspendAt: instant(event.suspendAtMs),
      };
    case 'subscription_added': {
      const { monthlyMicros, startsAtMs, endsAtMs } = event.subscription;
      return {
        ...subjectOf(event.subscription),
        monthlyMicros: `${monthlyMicros}`,
        startsAt: instant(startsAtMs),
        ...(endsAtMs !== null && { endsAt: instant(endsAtMs) }),
      };
    }
    case 'subscription_ended':
      return {
        ...subjectOf(event.subscription),
        endsAt: instant(event.subscription.endsAtMs ?? Infinity),
      };
    case 'fee':
      return {
        ...subjectOf(event.subscription),
        period: event.period,
        from: instant(event.part.startsAtMs),
        to: instant(event.part.endsAtMs),
        monthlyMicros: `${event.subscription.monthlyMicros}`,
      };
    case 'arrears_repaid':
      return { bySeq: Number(event.bySeq) };
    case 'grant':
      return {
        ...event.detail,
        ...(event.expiresAtMs !== undefined && { expiresAt: instant(event.expiresAtMs) }),
      };
    case 'grant_expired':
      return {
        grantSeq: `${event.grantSeq}`,
        expiresAt: instant(event.expiresAtMs),
        endedMicros: `${event.endedMicros}`,
      };
    case 'top_up':
    case 'charge':
    case 'accrual':
    case 'accrual_settled':
    case 'goodwill':
    case 'hold_placed':
    case 'hold_extended':
    case 'hold_captured':
    case 'hold_voided':
    case 'hold_expired':
    case 'usage_refund':
    case 'wallet_frozen':
    case 'wallet_unfrozen':
    case 'wallet_closed':
    case 'payment_refund':
    case 'payment_refund_failed':
    case 'dispute_opened':
    case 'dispute_withdrawn':
    case 'dispute_reinstated':
    case 'dispute_closed':
      return event.detail;
    default: {
      const unknown: never = event;
      throw new TypeError(`unknown event ${String(unknown)}`);
    }
  }
}

/** What a fee is for. */
function subjectOf({ subscriptionId, kind, description }: Subscription): Detail {
  return { subscriptionId, kind, description };
}

/** An instant as JSON carries it. */
export function instant(atMs: number): string {
  return new Date(atMs).toISOString();
}
