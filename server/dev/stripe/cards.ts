import { ApiError } from './errors.ts';

/** Why an issuer, or Stripe's own fraud check, refuses a card. */
export interface Decline {
  code: string;
  declineCode?: string;
  message: string;
  adviceCode?: 'confirm_card_data' | 'do_not_try_again' | 'try_again_later';
  blocked?: true;
}

export type CardBehaviour =
  | 'succeeds'
  | 'generic_decline'
  | 'insufficient_funds'
  | 'lost_card'
  | 'stolen_card'
  | 'closed_account'
  | 'expired_card'
  | 'incorrect_cvc'
  | 'processing_error'
  | 'blocked'
  | 'charge_fails'
  | 'authenticate_on_setup'
  | 'authenticate_always'
  | 'disputed'
  | 'inquiry'
  | 'refund_fails'
  | 'refund_pending';

export interface TestCard {
  number: string;
  /** The `pm_card_*` name that stands for this card in server-side calls. */
  aliases: readonly string[];
  brand: 'visa' | 'mastercard' | 'amex' | 'discover';
  funding: 'credit' | 'debit';
  behaviour: CardBehaviour;
}

const visa = (number: string, behaviour: CardBehaviour, ...aliases: string[]): TestCard => ({
  number,
  aliases,
  brand: 'visa',
  funding: 'credit',
  behaviour,
});

/** The test cards of docs.stripe.com/testing that a wallet's top-ups meet. */
const TEST_CARDS: readonly TestCard[] = [
  visa('4242424242424242', 'succeeds', 'pm_card_visa'),
  { ...visa('4000056655665556', 'succeeds', 'pm_card_visa_debit'), funding: 'debit' },
  { ...visa('5555555555554444', 'succeeds', 'pm_card_mastercard'), brand: 'mastercard' },
  { ...visa('378282246310005', 'succeeds', 'pm_card_amex'), brand: 'amex' },
  { ...visa('6011111111111117', 'succeeds', 'pm_card_discover'), brand: 'discover' },
  visa(
    '4000000000000002',
    'generic_decline',
    'pm_card_visa_chargeDeclined',
    'pm_card_chargeDeclined',
  ),
  visa(
    '4000000000009995',
    'insufficient_funds',
    'pm_card_visa_chargeDeclinedInsufficientFunds',
    'pm_card_chargeDeclinedInsufficientFunds',
  ),
  visa(
    '4000000000009987',
    'lost_card',
    'pm_card_visa_chargeDeclinedLostCard',
    'pm_card_chargeDeclinedLostCard',
  ),
  visa(
    '4000000000009979',
    'stolen_card',
    'pm_card_visa_chargeDeclinedStolenCard',
    'pm_card_chargeDeclinedStolenCard',
  ),
  visa('4000000000000069', 'expired_card', 'pm_card_chargeDeclinedExpiredCard'),
  visa('4000000000000127', 'incorrect_cvc', 'pm_card_chargeDeclinedIncorrectCvc'),
  visa('4000000000000119', 'processing_error', 'pm_card_chargeDeclinedProcessingError'),
  visa('4100000000000019', 'blocked', 'pm_card_radarBlock'),
  visa('4000000000000341', 'charge_fails', 'pm_card_chargeCustomerFail'),
  visa('4000002500003155', 'authenticate_on_setup', 'pm_card_authenticationRequiredOnSetup'),
  visa('4000002760003184', 'authenticate_always', 'pm_card_authenticationRequired'),
  visa('4000000000000259', 'disputed', 'pm_card_createDispute'),
  visa('4000000000001976', 'inquiry', 'pm_card_createDisputeInquiry'),
  visa('4000000000005126', 'refund_fails', 'pm_card_refundFail'),
  visa('4000000000007726', 'refund_pending', 'pm_card_pendingRefund'),
];

const DECLINES: Partial<Record<CardBehaviour, Decline>> = {
  generic_decline: {
    code: 'card_declined',
    declineCode: 'generic_decline',
    message: 'Your card was declined.',
    adviceCode: 'try_again_later',
  },
  charge_fails: {
    code: 'card_declined',
    declineCode: 'generic_decline',
    message: 'Your card was declined.',
    adviceCode: 'try_again_later',
  },
  insufficient_funds: {
    code: 'card_declined',
    declineCode: 'insufficient_funds',
    message: 'Your card has insufficient funds.',
    adviceCode: 'try_again_later',
  },
  lost_card: {
    code: 'card_declined',
    declineCode: 'lost_card',
    message: 'Your card was declined.',
    adviceCode: 'do_not_try_again',
  },
  stolen_card: {
    code: 'card_declined',
    declineCode: 'stolen_card',
    message: 'Your card was declined.',
    adviceCode: 'do_not_try_again',
  },
  closed_account: {
    code: 'card_declined',
    declineCode: 'invalid_account',
    message: 'Your card was declined.',
    adviceCode: 'do_not_try_again',
  },
  expired_card: {
    code: 'expired_card',
    message: 'Your card has expired.',
    adviceCode: 'do_not_try_again',
  },
  incorrect_cvc: {
    code: 'incorrect_cvc',
    message: "Your card's security code is incorrect.",
    adviceCode: 'confirm_card_data',
  },
  processing_error: {
    code: 'processing_error',
    message: 'An error occurred while processing your card. Try again in a little bit.',
    adviceCode: 'try_again_later',
  },
  blocked: {
    code: 'card_declined',
    declineCode: 'fraudulent',
    message: 'Your card was declined.',
    adviceCode: 'do_not_try_again',
    blocked: true,
  },
};

/** How a charge to such a card is refused, or undefined when the issuer accepts it. */
export function chargeDecline(behaviour: CardBehaviour): Decline | undefined {
  return DECLINES[behaviour];
}

/** As `chargeDecline`, for saving the card; `charge_fails` and `blocked` only refuse later. */
export function setupDecline(behaviour: CardBehaviour): Decline | undefined {
  return behaviour === 'charge_fails' || behaviour === 'blocked' ? undefined : DECLINES[behaviour];
}

export function cardByAlias(alias: string): TestCard | undefined {
  return TEST_CARDS.find((card) => card.aliases.includes(alias));
}

/** The check digit of ISO/IEC 7812 (Luhn). */
function passesLuhn(digits: string): boolean {
  let sum = 0;
  [...digits].reverse().forEach((digit, index) => {
    const value = Number(digit) * (index % 2 === 1 ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  });
  return digits.length > 0 && sum % 10 === 0;
}

export interface TypedCard {
  number: string;
  expMonth: number;
  expYear: number;
  cvc?: string | undefined;
}

function cardError(message: string, code: string, param: string): ApiError {
  return new ApiError(402, 'card_error', message, { code, param });
}

/** Checks a card as typed; raises Stripe's 402 that names the wrong field. */
export function checkTypedCard(typed: TypedCard, now: Date): TestCard {
  const number = typed.number.replaceAll(/[\s-]/g, '');
  if (!/^\d{12,19}$/.test(number) || !passesLuhn(number)) {
    throw cardError('Your card number is incorrect.', 'incorrect_number', 'number');
  }
  if (typed.expMonth < 1 || typed.expMonth > 12) {
    throw cardError(
      "Your card's expiration month is invalid.",
      'invalid_expiry_month',
      'exp_month',
    );
  }
  const year = typed.expYear < 100 ? 2000 + typed.expYear : typed.expYear;
  const monthsLeft = (year - now.getUTCFullYear()) * 12 + (typed.expMonth - 1 - now.getUTCMonth());
  if (monthsLeft < 0 || monthsLeft > 50 * 12) {
    throw cardError("Your card's expiration year is invalid.", 'invalid_expiry_year', 'exp_year');
  }
  const cvcLength = /^3[47]/.test(number) ? 4 : 3;
  if (typed.cvc !== undefined && !new RegExp(`^\\d{${cvcLength}}$`).test(typed.cvc)) {
    throw cardError("Your card's security code is invalid.", 'invalid_cvc', 'cvc');
  }
  const card = TEST_CARDS.find((candidate) => candidate.number === number);
  if (card) return card;
  throw new ApiError(
    402,
    'card_error',
    'Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test cards, visit: https://stripe.com/docs/testing.',
    { code: 'card_declined', decline_code: 'test_mode_live_card', param: 'number' },
  );
}
