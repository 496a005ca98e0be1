/** The cards that price one wallet's usage. */
import { isNumber, normalDestination } from './destination.ts';
import { type CompiledRateCard, findRule, type RateRule } from './rate-card.ts';
import { type Usage, type UsageType, usageDestination } from './usage.ts';

/**
 * The customer's own card, if there is one, and then the general one; none when no card is in
 * effect.
 */
export type PriceList = readonly CompiledRateCard[];

/** Billed units of the calendar month, by what counts them. */
export type UnitsThisMonth = Readonly<Record<string, number>>;

/** What a price depends on beside cards and usage. */
export interface Circumstances {
  /** The instant that prices are those of: of a call its beginning. */
  readonly at: Date;
  /** The wallet's time zone. */
  readonly timezone: string;
  /** What the wallet used before, for prices that depend on it; nothing when left out. */
  readonly unitsThisMonth?: UnitsThisMonth;
}

/** The rule that prices these digits: of the first card that has one for them. */
export function ruleOf(
  prices: PriceList,
  type: UsageType,
  digits: string,
): { readonly compiled: CompiledRateCard; readonly rule: RateRule } | undefined {
  for (const compiled of prices) {
    const rule = findRule(compiled, type, digits);
    if (rule !== undefined) {
      return { compiled, rule };
    }
  }
  return undefined;
}

/** Whether any of the prices depends on what was used this month. */
export function dependsOnMonth(prices: PriceList): boolean {
  return prices.some(({ hasMonthlyTiers }) => hasMonthlyTiers);
}

/** Whether a card says that a destination, in its normal form, must be reached whatever happens. */
export function mustConnect(prices: PriceList, to: string | undefined): boolean {
  return to !== undefined && prices.some(({ alwaysConnect }) => alwaysConnect.has(to));
}

/**
 * A destination in the form by which prices and limits find it, or undefined when it is none, or none
 * for this type of usage: calls also go to names. Digits that must be reached stay as they are
 * dialled.
 */
export function destinationBy(
  prices: PriceList,
  to: string,
  type: UsageType | undefined,
): string | undefined {
  const dialled = normalDestination(to);
  const country = prices.find(({ card }) => card.country !== undefined)?.card.country;
  const normal =
    country === undefined || (dialled !== undefined && mustConnect(prices, dialled))
      ? dialled
      : normalDestination(to, country);
  const mayBeName = type === undefined || type === 'call';
  return normal === undefined || mayBeName || isNumber(normal) ? normal : undefined;
}

/** The usage with its destination in that form; undefined when the destination has no such form. */
export function withDestinationBy(prices: PriceList, usage: Usage): Usage | undefined {
  const to = usageDestination(usage);
  const normal = to === undefined ? undefined : destinationBy(prices, to, usage.type);
  if (to === normal) {
    return usage;
  }
  return normal === undefined ? undefined : ({ ...usage, to: normal } as Usage);
}
