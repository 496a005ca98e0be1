/** The groups of events that a person can filter by; the keys stand in the address. */
export const eventGroups = {
  usage: {
    label: 'Usage',
    types: [
      'charge',
      'accrual',
      'goodwill',
      'accrual_settled',
      'hold_captured',
      'hold_expired',
      'usage_refund',
    ],
  },
  payments: {
    label: 'Payments and refunds',
    types: [
      'top_up',
      'payment_refund',
      'payment_refund_failed',
      'dispute_opened',
      'dispute_withdrawn',
      'dispute_reinstated',
      'dispute_closed',
    ],
  },
  holds: {
    label: 'Holds',
    types: ['hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired'],
  },
  credits: {
    label: 'Credits and fees',
    types: [
      'grant',
      'grant_expired',
      'fee',
      'subscription_added',
      'subscription_ended',
      'arrears_demanded',
      'arrears_repaid',
    ],
  },
} as const satisfies Record<string, { label: string; types: readonly string[] }>;

export type EventGroup = keyof typeof eventGroups;

export function isEventGroup(value: string | null): value is EventGroup {
  return value !== null && Object.hasOwn(eventGroups, value);
}
