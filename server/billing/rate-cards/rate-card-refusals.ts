/** Why a rate card is refused, in words. */
import type { ChangedRules, DescribedDraft, PublishedDraft } from '../../store/rate-card-drafts.ts';
import type { PublishRateCard } from '../../store/rate-cards.ts';

export type RateCardRefusalCode = Exclude<
  PublishRateCard | PublishedDraft['code'] | ChangedRules['code'] | DescribedDraft,
  'OK'
>;

/** The field of a card that a refusal is about, as the API names it. */
const FIELDS: Partial<Record<RateCardRefusalCode, string>> = {
  EFFECTIVE_TOO_SOON: 'effectiveFrom',
  EFFECTIVE_BEFORE_NEWEST: 'effectiveFrom',
  VERSION_TAKEN: 'version',
  UNKNOWN_CURRENCY: 'currency',
  CURRENCY_DIFFERS: 'currency',
  CUSTOMER_DIFFERS: 'userId',
  ID_TAKEN: 'id',
};

/** The same words for a caller of the API, whose field they name. */
export function rateCardFieldRefusal(code: RateCardRefusalCode, about = ''): string {
  const field = FIELDS[code];
  const words = rateCardRefusal(code, about);
  return field === undefined ? words : `${field}: ${words}`;
}

/** `about` is what the refusal names: the version that is free, or the rule's id that is not. */
export function rateCardRefusal(code: RateCardRefusalCode, about = ''): string {
  switch (code) {
    case 'EFFECTIVE_TOO_SOON':
      return 'a card takes effect at least 60 seconds from now';
    case 'EFFECTIVE_BEFORE_NEWEST':
      return 'a card takes effect later than the newest version of it';
    case 'VERSION_TAKEN':
      return `the next version of this card is ${about}`;
    case 'UNKNOWN_CURRENCY':
      return 'wallets are not kept in this currency';
    case 'CURRENCY_DIFFERS':
      return 'the currency must stay what it is';
    case 'CUSTOMER_DIFFERS':
      return 'the customer must stay who it is: the prices of one are not for others';
    case 'ID_TAKEN':
      return 'this id belongs to another card';
    case 'NOT_FOUND':
      return 'there is no such card';
    case 'DRAFT_CHANGED':
      return 'the draft has changed since you looked at it';
    case 'NO_RULES':
      return 'the draft has no rules';
    case 'RULE_ID_TAKEN':
      return `the id ${about} belongs to a rule of another type or prefix`;
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown refusal ${unknown}`);
    }
  }
}
