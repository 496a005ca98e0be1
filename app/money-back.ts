/** What came back of a payment, in words for the person who paid it. */
import type { MoneyBackView } from '../server/views/money-back.ts';
import { formatMoney } from './format.ts';
import { toWire, type Wire } from './wire.ts';

export type MoneyBack = Wire<MoneyBackView>;

/** What a page needs to know of a top-up for the words below. */
export function moneyBackOf(topUp: MoneyBackView): MoneyBack {
  const { refundedMicros, refundingMicros, dispute, disputedMicros } = topUp;
  return toWire({ refundedMicros, refundingMicros, dispute, disputedMicros });
}

/** A payment that was credited, and of which something came back or may. */
export interface MoneyBackState {
  label: string;
  text: string;
  tone: 'calm' | 'bad';
}

/** How the payment stands; null when nothing of it came back and nobody disputed it. */
export function describeMoneyBack(
  payment: MoneyBack & { amountMicros: string; currency: string },
): MoneyBackState | null {
  const { currency, refundedMicros, refundingMicros, dispute, disputedMicros } = payment;
  const money = (micros: string) => formatMoney(micros, currency);
  const sentences = [
    ...(dispute === null ? [] : [disputeSentence(dispute, disputedMicros, money)]),
    ...(refundedMicros === '0' ? [] : [`${money(refundedMicros)} was refunded to the card.`]),
    ...(refundingMicros === '0' ? [] : [`${money(refundingMicros)} is on its way to the card.`]),
  ];
  return sentences.length === 0
    ? null
    : {
        label: labelOf(payment),
        text: sentences.join(' '),
        tone: dispute === 'open' || dispute === 'lost' ? 'bad' : 'calm',
      };
}

/** The same as names and amounts, for a receipt. */
export function moneyBackFacts(payment: MoneyBack): { label: string; micros: string }[] {
  const { refundedMicros, refundingMicros, disputedMicros, dispute } = payment;
  const taken = dispute === 'open' ? 'Taken by the bank, undecided' : 'Taken back by the bank';
  return [
    { label: 'Refunded to the card', micros: refundedMicros },
    { label: 'On its way to the card', micros: refundingMicros },
    { label: taken, micros: disputedMicros },
  ].filter(({ micros }) => micros !== '0');
}

function labelOf(payment: MoneyBack & { amountMicros: string }): string {
  const { amountMicros, refundedMicros, refundingMicros, dispute } = payment;
  if (dispute === 'open') return 'Disputed';
  if (dispute === 'lost') return 'Taken back';
  if (refundingMicros !== '0') return 'Being refunded';
  if (refundedMicros === '0') return 'Received';
  return refundedMicros === amountMicros ? 'Refunded' : 'Partly refunded';
}

function disputeSentence(
  dispute: NonNullable<MoneyBack['dispute']>,
  takenMicros: string,
  money: (micros: string) => string,
): string {
  const hasTaken = takenMicros !== '0';
  switch (dispute) {
    case 'open':
      return hasTaken
        ? `The bank of the card disputes it, and has taken ${money(takenMicros)} until it is decided.`
        : 'The bank of the card disputes it. Nothing was taken so far.';
    case 'lost':
      return hasTaken
        ? `The bank of the card disputed it and took ${money(takenMicros)} back.`
        : 'The bank of the card disputed it and decided against it.';
    case 'won':
      return hasTaken
        ? `The bank of the card disputed it, and decided that it stands. The ${money(takenMicros)} that it took comes back soon.`
        : 'The bank of the card disputed it, and decided that it stands.';
  }
}
