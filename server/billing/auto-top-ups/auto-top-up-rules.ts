/** What is agreed to, and how the refusal of a card is read. Pure. */
import type { RefusalClass } from '../../store/auto-top-ups.ts';

/**
 * The text that a user agrees to. A change of its words is a change of its version: the version is
 * recorded with each consent, and a form that shows an older one is refused.
 */
export const CONSENT = {
  version: '2026-11-23',
  text:
    'I allow automatic charges to my saved cards, in their order and without asking me each time, ' +
    'whenever the amount available in my wallet falls below the threshold: up to the amount that I ' +
    'chose to restore, or by the amount that I chose to add, as many times as it takes to reach the ' +
    'threshold, in one charge. In a calendar month they never add up to more than the monthly cap. ' +
    'I can turn this off at any time.',
} as const;

/** What Stripe says of a card that did not pay. */
export interface CardRefusal {
  /** Stripe's decline code, else its error code. */
  readonly code: string;
  readonly adviceCode: string | null;
  readonly networkAdviceCode: string | null;
  /** The parameter that a refused call names. */
  readonly param: string | null;
}

/**
 * Declines after which the card must not be asked again: lost, stolen, closed, expired, or an order
 * of its holder.
 * @see https://docs.stripe.com/declines/codes
 */
const FINAL_DECLINES: ReadonlySet<string> = new Set([
  'card_not_supported',
  'currency_not_supported',
  'expired_card',
  'fraudulent',
  'incorrect_number',
  'invalid_account',
  'invalid_number',
  'lost_card',
  'merchant_blacklist',
  'new_account_information_available',
  'pickup_card',
  'restricted_card',
  'revocation_of_all_authorizations',
  'revocation_of_authorization',
  'security_violation',
  'stolen_card',
  'stop_payment_order',
  'transaction_not_allowed',
]);

/** Advice of Mastercard and Visa: do not try again, and the holder has canceled. */
const FINAL_NETWORK_ADVICE: ReadonlySet<string> = new Set(['03', '21']);

const AUTHENTICATION: ReadonlySet<string> = new Set([
  'authentication_required',
  'authentication_not_handled',
  'payment_intent_authentication_failure',
]);

/** Codes by which Stripe says that a card has been removed or belongs to nobody. */
const GONE: ReadonlySet<string> = new Set(['resource_missing', 'payment_method_unexpected_state']);

/** What a bank's refusal means for the card. */
export function classOfDecline(refusal: CardRefusal): RefusalClass {
  if (AUTHENTICATION.has(refusal.code)) {
    return 'authentication';
  }
  const isFinal =
    refusal.adviceCode === 'do_not_try_again' ||
    FINAL_DECLINES.has(refusal.code) ||
    (refusal.networkAdviceCode !== null && FINAL_NETWORK_ADVICE.has(refusal.networkAdviceCode));
  return isFinal ? 'never' : 'later';
}

/** What it means that Stripe refused the call itself, before any bank was asked. */
export function classOfRefusedCall(refusal: CardRefusal): RefusalClass {
  return refusal.param === 'payment_method' && GONE.has(refusal.code) ? 'never' : 'api';
}
