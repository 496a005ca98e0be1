/** The words of the notices of automatic top-up. */
import type { Letter } from './letter.ts';
import type { Notice } from './notice.ts';

type AutoTopUpNotice = Extract<Notice, { kind: 'payment_to_confirm' | `auto_top_up_${string}` }>;

const PAGE = '/account/auto-top-up';

/** Writes the notice. */
export function autoTopUpLetter(
  notice: AutoTopUpNotice,
  money: (micros: bigint) => string,
  when: readonly [string, string],
): Letter {
  const settingsPath = null;
  const action = { label: 'See automatic top-up', path: PAGE };
  switch (notice.kind) {
    case 'payment_to_confirm': {
      const query = notice.token && new URLSearchParams({ token: notice.token });
      return {
        subject: `Confirm your automatic top-up of ${money(notice.amountMicros)}`,
        paragraphs: [
          `Your bank wants you to confirm a payment of ${money(notice.amountMicros)} to your wallet. Nothing is charged before you do, and automatic top-up is paused until then.`,
          'The link works once and for three days. After that, you find a new one under automatic top-up.',
        ],
        facts: [['Amount', money(notice.amountMicros)], when],
        action: query
          ? { label: 'Confirm the payment', path: `/confirm-payment?${query}` }
          : action,
        settingsPath,
      };
    }
    case 'auto_top_up_failed':
      return {
        subject: `An automatic top-up of ${money(notice.amountMicros)} was not paid`,
        paragraphs: [
          'None of your saved cards paid it, and nothing was charged.',
          ...(notice.reason === undefined ? [] : [notice.reason]),
          'We try again, ever more rarely, and pause it after a few times. You can add funds yourself meanwhile.',
        ],
        facts: [['Amount', money(notice.amountMicros)], when],
        action,
        settingsPath,
      };
    case 'auto_top_up_paused':
      return {
        subject: 'Automatic top-up is paused',
        paragraphs: [
          pauseOf(notice),
          'Until it goes on, your wallet is not topped up when it runs low.',
        ],
        facts: [when],
        action,
        settingsPath,
      };
    case 'auto_top_up_cap_reached':
      return {
        subject: `Automatic top-up has reached its cap of ${money(notice.monthlyCapMicros)}`,
        paragraphs: [
          'Nothing more is charged automatically this month. You can raise the cap, or add funds yourself.',
        ],
        facts: [['Monthly cap', money(notice.monthlyCapMicros)], when],
        action,
        settingsPath,
      };
    default: {
      const unknown: never = notice;
      throw new TypeError(`unknown notice ${JSON.stringify(unknown)}`);
    }
  }
}

function pauseOf({
  reason,
  prefix,
  charges,
}: Extract<Notice, { kind: 'auto_top_up_paused' }>): string {
  switch (reason) {
    case 'velocity':
      return prefix === undefined || charges === undefined
        ? 'The usage looked unusual.'
        : `Within ten minutes ${charges} charges went to numbers that begin with ${prefix}, far more than usual. If that was not you, change your keys and contact support; if it was, let it go on.`;
    case 'declined':
      return 'Your cards were declined several times in a row.';
    case 'cards_refused':
      return 'Your cards were refused for good and are not asked again. Save another one.';
    case 'no_card':
      return 'No card is saved any more.';
    case 'wallet_frozen':
      return 'Your wallet was frozen.';
    case 'dispute':
      return 'A payment to your wallet is disputed. Please contact support.';
    case 'fraud_warning':
      return 'A bank reported a payment to your wallet as fraud. Please contact support.';
    case 'under_review':
      return 'A payment is not what was asked for, and support is looking into it.';
    default:
      return 'It needs your attention.';
  }
}
