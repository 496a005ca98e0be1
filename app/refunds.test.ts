import { expect, test } from 'vitest';
import { describeRefund, isAsked } from './refunds.ts';

test('every state of a refund says where the money is', () => {
  const states = [
    'reserved',
    'pending',
    'requires_action',
    'succeeded',
    'failed',
    'canceled',
  ] as const;
  expect(states.map((status) => describeRefund(status).label)).toEqual([
    ...['Being sent', 'On its way', 'On its way', 'Sent', 'Not accepted', 'Not accepted'],
  ]);
  expect(describeRefund('failed').text).toBe('It is in your wallet again.');
});

test('the page asks again only while Stripe is about to answer, not while a bank takes days', () => {
  expect(isAsked({ status: 'reserved' })).toBe(true);
  expect(isAsked({ status: 'pending' })).toBe(false);
});
