/** Why a rate card is refused, in words. */
import type { ChangedRules, DescribedDraft, PublishedDraft } from '../../store/rate-card-drafts.ts';
import type { PublishRateCard } from '../../store/rate-cards.ts';

export type RateCardRefusalCode = Exclude<
  PublishRateCard | PublishedDraft['code'] | ChangedRules['code'] | DescribedDraft,
  'OK'
>;

/** `about` is what the refusal names: the version that is free, or the rule's id that is not. */
export function rateCardRefusal(code: RateCardRefusalCode, about = ''): string {
  switch (code) {
    case 'EFFECTIVE_TOO_SOON':
      return 'effectiveFrom must be at least 60 seconds from now';
    case 'EFFECTIVE_BEFORE_NEWEST':
      return 'effectiveFrom must be later than that of the newest version of this card';
    case 'VERSION_TAKEN':
      return `version must be ${about}, the next of this card`;
    case 'UNKNOWN_CURRENCY':
      return 'currency is not one that wallets are kept in';
    case 'CURRENCY_DIFFERS':
      return 'currency must stay what it is';
    case 'CUSTOMER_DIFFERS':
      return 'userId must stay what it is: the prices of a customer are not for others';
    case 'ID_TAKEN':
      return 'id belongs to another card';
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
