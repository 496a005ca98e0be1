/** The words of the notices of refunds and disputes. */
import type { Letter } from './letter.ts';
import type { Notice } from './notice.ts';

type MoneyBackNotice = Extract<Notice, { kind: `refund_${string}` | `dispute_${string}` }>;

/** Writes the notice. */
export function moneyBackLetter(
  notice: MoneyBackNotice,
  money: (micros: bigint) => string,
  when: readonly [string, string],
): Letter {
  const amount = money(notice.amountMicros);
  return {
    ...wordsOf(notice, amount),
    facts: [['Amount', amount], when, ['Top-up', notice.topUpId]],
    action: { label: 'See your activity', path: '/account/activity' },
    settingsPath: null,
  };
}

function wordsOf(notice: MoneyBackNotice, amount: string): Pick<Letter, 'subject' | 'paragraphs'> {
  switch (notice.kind) {
    case 'refund_done':
      return {
        subject: `Refund of ${amount} to your card`,
        paragraphs: [
          `${amount} of your top-up was refunded to the card that paid it, and taken from your wallet.`,
          'Your bank may take some days to show it.',
        ],
      };
    case 'refund_failed':
      return {
        subject: `Your refund of ${amount} did not reach your card`,
        paragraphs: [
          `A refund of ${amount} was not accepted by your card or your bank. The amount is in your wallet again.`,
        ],
      };
    case 'dispute_opened':
      return {
        subject: `A payment of ${amount} is disputed`,
        paragraphs: [
          `The bank of the card disputes a payment of ${amount} to your wallet.`,
          notice.freezes
            ? 'Until that is decided, nothing can be spent from the wallet.'
            : 'You can go on spending from the wallet.',
          'If you did not mean to dispute it, tell your bank, and contact support.',
        ],
      };
    case 'dispute_closed':
      return {
        subject: `The dispute of a payment of ${amount} has ended`,
        paragraphs: [
          notice.outcome === 'won'
            ? `The payment of ${amount} stands. What the bank had taken of it for the dispute is in your wallet again, or will be soon.`
            : `The bank decided that the payment of ${amount} goes back to the card. What it took was taken from your wallet, whose balance may now be below zero.`,
        ],
      };
    default: {
      const unknown: never = notice;
      throw new TypeError(`unknown notice ${JSON.stringify(unknown)}`);
    }
  }
}
