/** How automatic top-up stands, in words for its user. */
import type { AutoTopUpView } from '../server/views/auto-top-ups.ts';
import { formatDateTime, formatMoney, humanize } from './format.ts';
import type { Wire } from './wire.ts';

type View = Pick<Wire<AutoTopUpView>, 'currency' | 'timezone'>;
type Settings = NonNullable<Wire<AutoTopUpView>['settings']>;
type Attempt = Wire<AutoTopUpView>['attempts'][number];

export interface AutoTopUpState {
  title: string;
  text: string;
  tone: 'info' | 'warning';
  /** What the user can do about it by a press of a button. */
  action: 'resume' | 'recover' | null;
}

/** The state and its reason. */
export function describeAutoTopUp(
  settings: Settings,
  view: View,
  refusal: string | null,
): AutoTopUpState {
  if (settings.status === 'off') {
    return {
      title: 'Automatic top-up is off',
      text:
        supportReason(settings.reason) ??
        'Nothing is charged automatically. Turn it on again with the form below.',
      tone: 'info',
      action: null,
    };
  }
  return settings.status === 'on'
    ? describeOn(settings, view, refusal)
    : describePause(settings, view, refusal);
}

function describeOn(
  { reason, nextTryAt }: Settings,
  { timezone }: View,
  refusal: string | null,
): AutoTopUpState {
  const next = nextTryAt === null ? 'soon' : `on ${formatDateTime(nextTryAt, timezone)}`;
  switch (reason) {
    case 'cap_reached':
      return {
        title: 'The monthly cap is reached',
        text: `Nothing more is charged automatically this month. It goes on ${next}, or when you raise the cap.`,
        tone: 'warning',
        action: null,
      };
    case 'declined':
      return {
        title: 'The last charge was not paid',
        text: `${refusal ?? 'Your cards were declined.'} We try again ${next}.`,
        tone: 'warning',
        action: null,
      };
    default:
      return {
        title: 'Automatic top-up is on',
        text: 'Your cards are charged in their order as soon as less than the threshold is available.',
        tone: 'info',
        action: null,
      };
  }
}

function describePause(
  { reason, burst }: Settings,
  { currency }: View,
  refusal: string | null,
): AutoTopUpState {
  const paused = (text: string, action: AutoTopUpState['action']): AutoTopUpState => ({
    title: 'Automatic top-up is paused',
    text,
    tone: 'warning',
    action,
  });
  switch (reason) {
    case 'authentication_required':
      return paused(
        'Your bank wants you to confirm a payment. Confirm it, and automatic top-up goes on.',
        'recover',
      );
    case 'declined':
      return paused(
        `${refusal ?? 'Your cards were declined.'} We tried several times and stopped. Check your cards, then go on.`,
        'resume',
      );
    case 'cards_refused':
      return paused(
        `${refusal ?? 'Your cards were refused.'} They are not asked again. Save another card, then go on.`,
        'resume',
      );
    case 'no_card':
      return paused('No card is saved any more. Save one, then go on.', 'resume');
    case 'velocity':
      return paused(
        burst === null
          ? 'The usage looked unusual.'
          : `Within ten minutes ${burst.charges} charges of ${formatMoney(burst.amountMicros, currency)} together went to numbers that begin with ${burst.prefix}, far more than usual. If that was not you, change your keys and contact support; if it was, go on.`,
        'resume',
      );
    case 'wallet_frozen':
      return paused('Your wallet was frozen. When it is open again, you can go on.', 'resume');
    default: {
      const why = supportReason(reason);
      return why === null ? paused('It can go on when you want.', 'resume') : paused(why, null);
    }
  }
}

/** The reason where only support can let it go on, whether it is paused or off; else null. */
function supportReason(reason: Settings['reason']): string | null {
  switch (reason) {
    case 'dispute':
      return 'A payment of yours is disputed. Please contact support.';
    case 'fraud_warning':
      return 'A bank reported a payment of yours as fraud. Please contact support.';
    case 'under_review':
      return 'A payment is not what was asked for, and support is looking into it. Nothing is lost.';
    default:
      return null;
  }
}

/** The same in short for support staff, and whether they can let it go on. */
export function describeForSupport({ status, reason }: Pick<Settings, 'status' | 'reason'>): {
  text: string;
  canResume: boolean;
} {
  const why = reason === null ? '' : `: ${humanize(reason).toLowerCase()}`;
  return {
    text: `${humanize(status)}${why}.`,
    canResume: status === 'paused' || (status === 'off' && supportReason(reason) !== null),
  };
}

const states: Record<Attempt['state'], string> = {
  charging: 'Being charged',
  awaiting_user: 'Waits for you',
  canceling: 'Not paid',
  under_review: 'Under review',
  succeeded: 'Paid',
  failed: 'Not paid',
};

/** What became of a charge, and of each card that was asked for it. */
export function describeAttempt({ state, tries }: Attempt): { state: string; cards: string[] } {
  return {
    state: states[state],
    cards: tries.map(({ brand, last4, failureCode }) => {
      const card = `${humanize(brand)} ending ${last4}`;
      return failureCode === null ? card : `${card}: ${describeFailure(failureCode)}`;
    }),
  };
}

/** The newest charge that no card paid, in a sentence. */
export function latestRefusal(attempts: readonly Attempt[]): string | null {
  const failed = attempts.find(({ state }) => state === 'failed' || state === 'canceling');
  const last = failed?.tries.at(-1);
  return last?.failureCode
    ? `${humanize(last.brand)} ending ${last.last4}: ${describeFailure(last.failureCode)}.`
    : null;
}

function describeFailure(code: string): string {
  const known: Record<string, string> = {
    authentication_required: 'the bank wants you to confirm it',
    insufficient_funds: 'not enough funds',
    expired_card: 'the card has expired',
    // A thief need not learn that the card is known to be stolen.
    lost_card: 'declined',
    stolen_card: 'declined',
    fraudulent: 'declined',
    generic_decline: 'declined',
    resource_missing: 'the card was removed',
    payment_method_unexpected_state: 'the card was removed',
    turned_off: 'not asked',
  };
  return known[code] ?? `not accepted (${humanize(code).toLowerCase()})`;
}
