/** Refunds to cards in words. */
import type { PaymentRefundView } from '../server/views/payment-refunds.ts';
import type { Wire } from './wire.ts';

export type Refund = Wire<PaymentRefundView>;

/** How a refund stands, for the person who gets it. */
export function describeRefund(status: Refund['status']): { label: string; text: string } {
  switch (status) {
    case 'reserved':
      return { label: 'Being sent', text: 'It is taken from your wallet, and sent now.' };
    case 'pending':
    case 'requires_action':
      return { label: 'On its way', text: 'Your bank has not confirmed it yet.' };
    case 'succeeded':
      return { label: 'Sent', text: 'Your bank may take some days to show it.' };
    case 'failed':
    case 'canceled':
      return { label: 'Not accepted', text: 'It is in your wallet again.' };
  }
}

/** Whether an answer of Stripe's is to be expected within seconds. */
export function isAsked({ status }: Pick<Refund, 'status'>): boolean {
  return status === 'reserved';
}
