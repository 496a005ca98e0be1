import { describe, expect, it } from 'vitest';
import { describeMoneyBack, moneyBackFacts } from './money-back.ts';

const nothing = {
  amountMicros: '25000000',
  currency: 'USD',
  refundedMicros: '0',
  refundingMicros: '0',
  dispute: null,
  disputedMicros: '0',
} as const;

describe('a payment of which', () => {
  it('nothing came back needs no words', () => {
    expect(describeMoneyBack(nothing)).toBeNull();
    expect(moneyBackFacts(nothing)).toEqual([]);
  });

  it.each([
    [{ refundedMicros: '25000000' }, 'Refunded', '$25.00 was refunded to the card.'],
    [{ refundedMicros: '3000000' }, 'Partly refunded', '$3.00 was refunded to the card.'],
    [{ refundingMicros: '3000000' }, 'Being refunded', '$3.00 is on its way to the card.'],
    [
      { refundedMicros: '3000000', refundingMicros: '2000000' },
      'Being refunded',
      '$3.00 was refunded to the card. $2.00 is on its way to the card.',
    ],
    [{ dispute: 'open' }, 'Disputed', /Nothing was taken/],
    [{ dispute: 'open', disputedMicros: '25000000' }, 'Disputed', /\$25\.00 until it is decided/],
    [{ dispute: 'lost', disputedMicros: '25000000' }, 'Taken back', /took \$25\.00 back/],
    [{ dispute: 'won' }, 'Received', /it stands\.$/],
    [{ dispute: 'won', disputedMicros: '25000000' }, 'Received', /comes back soon/],
    [
      { dispute: 'won', refundedMicros: '25000000' },
      'Refunded',
      /it stands\. \$25\.00 was refunded/,
    ],
  ] as const)('%j came back is called by it', (back, label, text) => {
    const state = describeMoneyBack({ ...nothing, ...back });
    expect(state?.label).toBe(label);
    expect(state?.text).toMatch(text);
  });

  it('the bank has taken something is bad news until the bank gives it back', () => {
    const tone = (dispute: 'open' | 'lost' | 'won') =>
      describeMoneyBack({ ...nothing, dispute, disputedMicros: '1' })?.tone;
    expect([tone('open'), tone('lost'), tone('won')]).toEqual(['bad', 'bad', 'calm']);
  });

  it('something came back says so on its receipt, each amount by itself', () => {
    const back = {
      ...nothing,
      refundedMicros: '3000000',
      refundingMicros: '2000000',
      dispute: 'lost',
      disputedMicros: '20000000',
    } as const;
    expect(moneyBackFacts(back)).toEqual([
      { label: 'Refunded to the card', micros: '3000000' },
      { label: 'On its way to the card', micros: '2000000' },
      { label: 'Taken back by the bank', micros: '20000000' },
    ]);
  });
});
