/** The words of each notice: plain, short, and true also when the mail comes late. */
import { formatMoney } from '../ledger/money.ts';
import { arrearsLetter } from './arrears-texts.ts';
import { autoTopUpLetter } from './auto-top-up-texts.ts';
import type { Letter } from './letter.ts';
import { moneyBackLetter } from './money-back-texts.ts';
import type { Notice } from './notice.ts';

const ALERTS_PATH = '/account/settings#alerts';
const STATEMENTS_PATH = '/account/settings#statements';

/** Writes the notice. */
export function letterOf(notice: Notice): Letter {
  const { currency: code, exponent } = notice;
  const money = (micros: bigint) => formatMoney(micros, { code, exponent });
  const when = ['Time', instant(notice.at, notice)] as const;
  switch (notice.kind) {
    case 'receipt':
      return {
        subject: `Receipt: ${money(notice.amountMicros)} added to your wallet`,
        paragraphs: [`Thank you. Your payment of ${money(notice.amountMicros)} was received.`],
        facts: [['Amount', money(notice.amountMicros)], when, ['Top-up', notice.topUpId]],
        action: { label: 'Open the receipt', path: `/account/top-ups/${notice.topUpId}/receipt` },
        settingsPath: null,
      };
    case 'payment_failed':
      return {
        subject: `Your payment of ${money(notice.amountMicros)} failed`,
        paragraphs: [
          `A payment of ${money(notice.amountMicros)} to your wallet did not go through.`,
          notice.reason ?? 'The card was not accepted.',
          'Nothing was charged in this attempt. If you have paid with another card since, you need do nothing.',
        ],
        facts: [['Amount', money(notice.amountMicros)], when, ['Top-up', notice.topUpId]],
        action: { label: 'See the payment', path: `/account/top-up/${notice.topUpId}` },
        settingsPath: null,
      };
    case 'low_balance':
      return lowBalance(notice, money, when);
    case 'statement':
      return statement(notice, money);
    case 'payment_to_confirm':
    case 'auto_top_up_failed':
    case 'auto_top_up_paused':
    case 'auto_top_up_cap_reached':
      return autoTopUpLetter(notice, money, when);
    case 'refund_done':
    case 'refund_failed':
    case 'dispute_opened':
    case 'dispute_closed':
      return moneyBackLetter(notice, money, when);
    case 'arrears_due':
    case 'arrears_reminder':
    case 'wallet_suspended':
    case 'wallet_resumed':
      return arrearsLetter(notice, money, instant(notice.suspendAt, notice), when);
    default: {
      const unknown: never = notice;
      throw new TypeError(`unknown notice ${JSON.stringify(unknown)}`);
    }
  }
}

function statement(
  notice: Extract<Notice, { kind: 'statement' }>,
  money: (micros: bigint) => string,
): Letter {
  const { number, period, usageMicros, closingBalanceMicros, headHash } = notice;
  const month = new Intl.DateTimeFormat('en-GB', {
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  }).format(new Date(`${period}-01`));
  return {
    subject: `Your statement for ${month}`,
    paragraphs: [
      `Your statement for ${month} is attached. It is also in your account, with every entry behind it.`,
      'Keep this mail: with the fingerprint below, the entries of the month and before it can be proven unchanged.',
    ],
    facts: [
      ['Statement', number],
      ['Usage', money(usageMicros < 0n ? -usageMicros : 0n)],
      ['Closing balance', money(closingBalanceMicros)],
      ['Fingerprint', headHash],
    ],
    action: { label: 'Open the statement', path: `/account/statements/${number}` },
    settingsPath: STATEMENTS_PATH,
  };
}

function lowBalance(
  notice: Extract<Notice, { kind: 'low_balance' }>,
  money: (micros: bigint) => string,
  when: readonly [string, string],
): Letter {
  const [lowest = 0n, ...others] = notice.thresholdsMicros;
  const paragraphs = [
    `What you can spend fell below ${money(lowest)}: ${money(notice.availableMicros)} was left.`,
    'It may have changed since. When there is nothing left, usage is refused.',
  ];
  if (others.length > 0) {
    const passed = others.map(money).join(' and ');
    paragraphs.splice(1, 0, `It passed your alert at ${passed} at the same time.`);
  }
  return {
    subject: `Low balance: less than ${money(lowest)} available`,
    paragraphs,
    facts: [['Available then', money(notice.availableMicros)], when],
    action: { label: 'Add funds', path: '/account/top-up' },
    settingsPath: ALERTS_PATH,
    ...(notice.unsubscribeToken !== undefined && {
      unsubscribePath: `/unsubscribe/${notice.unsubscribeToken}`,
    }),
  };
}

function instant(at: Date, { timezone }: Notice): string {
  const text = new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone: timezone,
  }).format(at);
  return `${text} (${timezone})`;
}
