/** The words of the notices of arrears. */
import type { Letter } from './letter.ts';
import type { Notice } from './notice.ts';

type ArrearsNotice = Extract<Notice, { arrearsMicros: bigint }>;

/** Writes the notice; `suspendAt` is the instant in words. */
export function arrearsLetter(
  notice: ArrearsNotice,
  money: (micros: bigint) => string,
  suspendAt: string,
  when: readonly [string, string],
): Letter {
  const owed = money(notice.arrearsMicros);
  const isOwed = notice.kind !== 'wallet_resumed';
  return {
    ...wordsOf(notice, owed, suspendAt),
    facts: isOwed ? [['Owed then', owed], when] : [when],
    action: isOwed
      ? { label: 'Add funds', path: '/account/top-up' }
      : { label: 'Open your wallet', path: '/account' },
    settingsPath: null,
  };
}

function wordsOf(
  notice: ArrearsNotice,
  owed: string,
  suspendAt: string,
): Pick<Letter, 'subject' | 'paragraphs'> {
  const nothingToDo = 'If you have paid since, you need do nothing.';
  switch (notice.kind) {
    case 'arrears_due':
      return {
        subject: `Please pay ${owed}`,
        paragraphs: [
          `Your month was closed, and your wallet did not hold enough: ${owed} is owed.`,
          `Your next top-up pays it first. Please add funds before ${suspendAt}; after that, usage stops until it is paid.`,
          nothingToDo,
        ],
      };
    case 'arrears_reminder':
      return {
        subject: `Reminder: ${owed} is owed`,
        paragraphs: [
          `${owed} is still owed for a month that is over. Usage stops at ${suspendAt} unless it is paid before.`,
          nothingToDo,
        ],
      };
    case 'wallet_suspended':
      return {
        subject: 'Your wallet is suspended',
        paragraphs: [
          `${owed} was not paid in time, so that nothing more can be used. What is running goes on, and your balance is kept.`,
          'As soon as a top-up pays what is owed, you can use everything again.',
        ],
      };
    case 'wallet_resumed':
      return {
        subject: 'Your wallet is open again',
        paragraphs: ['What was owed is paid. Thank you: you can use everything again.'],
      };
    default: {
      const unknown: never = notice.kind;
      throw new TypeError(`unknown notice ${String(unknown)}`);
    }
  }
}
