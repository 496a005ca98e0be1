/** The prices that apply to a user, to look at. */

import { callingCodeOf, countries } from '../../rating/destination.ts';
import { monthlyTiersOf } from '../../rating/price.ts';
import { destinationBy, type PriceList, ruleOf } from '../../rating/price-list.ts';
import { type RateRule, rateRuleSchema } from '../../rating/rate-card.ts';
import { dialledDigits, usageTypes, usageTypesWithDestination } from '../../rating/usage.ts';
import type { LookedUpPrices, PriceServices, PriceView } from '../../views/prices.ts';
import type { WalletView } from '../../views/wallets.ts';
import type { Wallets } from '../wallets/wallets.ts';
import { customerOf, type RateCards } from './rate-cards.ts';

/** How many longer prefixes are listed. */
const LONGER = 20;
/** How many longer prefixes of a card are looked at for a change, and how many changes are listed. */
const COMPARED = 500;

interface OwnRule {
  rule: RateRule;
  /** Of the customer's own card. */
  isOwn: boolean;
}

const countryNames = new Intl.DisplayNames('en', { type: 'region' });
const countryList = countries
  .map((code) => ({ code, name: countryNames.of(code) ?? code }))
  .sort((a, b) => a.name.localeCompare(b.name, 'en'));

export function createPrices(options: {
  rateCards: RateCards;
  wallets: Pick<Wallets, 'ofUser'>;
  now: () => Date;
}): PriceServices {
  const { rateCards, wallets, now } = options;

  /** The next instant at which another card prices the wallet's usage, as far as is published. */
  async function nextChange({ currency, userId }: WalletView): Promise<Date | null> {
    const own = [currency, `${currency} ${userId}`];
    const coming = (await rateCards.list())
      .filter((card) => own.includes(customerOf(card)) && card.head.effectiveFrom > now())
      .map(({ head }) => head.effectiveFrom);
    return coming.reduce<Date | null>(
      (first, at) => (first === null || at < first ? at : first),
      null,
    );
  }

  /** The rules of longer prefixes, those of the customer's own card first, so many of each card. */
  async function longerThan(prices: PriceList, digits: string, limit: number): Promise<OwnRule[]> {
    const longer: OwnRule[] = [];
    for (const { card } of prices) {
      const page = await rateCards.rules.page(card.id, { prefix: digits }, { limit });
      const rules = page.rules.map((rule) => rateRuleSchema.parse(rule));
      longer.push(
        ...rules
          .filter(({ prefix }) => prefix !== digits)
          .map((rule) => ({ rule, isOwn: card.userId !== undefined })),
      );
    }
    return longer;
  }

  /** What changes for the digits themselves, and for each longer prefix before or after. */
  async function changesOf(
    now: PriceList,
    next: PriceList,
    digits: string,
  ): Promise<Pick<LookedUpPrices, 'upcoming' | 'moreUpcoming'>> {
    if (now === next) {
      return { upcoming: [], moreUpcoming: false };
    }
    const places = usageTypesWithDestination.map((type) => ({ type, prefix: digits }));
    for (const prices of [now, next]) {
      const longer = await longerThan(prices, digits, COMPARED + 1);
      places.push(...longer.map(({ rule: { type, prefix } }) => ({ type, prefix })));
    }
    const distinct = new Map(places.map((place) => [`${place.type} ${place.prefix}`, place]));
    const changes = [...distinct.values()].flatMap(({ type, prefix }) => {
      const [before, after] = [now, next].map((prices) =>
        priceOf(prices, type, prefix).map((price) => ({ ...price, prefix })),
      );
      const changed = differing(before ?? [], after ?? []);
      // What was looked up is priced by a rule that may be shorter, and is named after it.
      return prefix === digits ? changed.flatMap(() => priceOf(next, type, digits)) : changed;
    });
    const order = (price: PriceView) => `${price.type} ${price.prefix}`;
    return {
      upcoming: changes.sort((a, b) => (order(a) < order(b) ? -1 : 1)).slice(0, COMPARED),
      moreUpcoming: changes.length > COMPARED || places.length > COMPARED,
    };
  }

  async function lookUp(
    now: PriceList,
    next: PriceList,
    { number = '', country = '' }: { number?: string | undefined; country?: string | undefined },
  ): Promise<LookedUpPrices | null> {
    const name = countryList.find(({ code }) => code === country)?.name;
    const to = name === undefined ? number.trim() : `+${callingCodeOf(country)}`;
    const destination = destinationBy(now, to, undefined) ?? to;
    const digits = dialledDigits(destination);
    if (digits === '') {
      return null;
    }
    const longer = await longerThan(now, digits, LONGER + 1);
    return {
      what: name ?? destination,
      prices: usageTypesWithDestination.flatMap((type) => priceOf(now, type, digits)),
      longer: longer.slice(0, LONGER).map(({ rule, isOwn }) => viewOf(rule, isOwn)),
      more: longer.length > LONGER,
      ...(await changesOf(now, next, digits)),
    };
  }

  return {
    async ofUser(userId, asked) {
      const wallet = await wallets.ofUser(userId);
      const { currency, timezone } = wallet;
      const prices = await rateCards.pricesAt(wallet, now());
      const from = await nextChange(wallet);
      const next = from === null ? prices : await rateCards.pricesAt(wallet, from);
      const anywhere = usageTypes.flatMap((type) => priceOf(prices, type, ''));
      const coming = usageTypes.flatMap((type) => priceOf(next, type, ''));
      return {
        currency,
        timezone,
        anywhere,
        upcoming: from && { from, anywhere: differing(anywhere, coming) },
        lookedUp: await lookUp(prices, next, asked),
        countries: countryList,
      };
    },
  };
}

/** The price to digits, if there is one, as usage to them would be priced. */
function priceOf(prices: PriceList, type: RateRule['type'], digits: string): PriceView[] {
  const found = ruleOf(prices, type, digits);
  return found === undefined ? [] : [viewOf(found.rule, found.compiled.card.userId !== undefined)];
}

/** The prices of `after` that `before` has not. */
function differing(before: readonly PriceView[], after: readonly PriceView[]): PriceView[] {
  const textOf = (price: PriceView) =>
    JSON.stringify(price, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
  const known = new Set(before.map(textOf));
  return after.filter((price) => !known.has(textOf(price)));
}

function viewOf(rule: RateRule, isOwn: boolean): PriceView {
  const isCall = rule.type === 'call';
  return {
    type: rule.type,
    prefix: rule.prefix,
    priceMicros: isCall ? rule.pricePerMinuteMicros : rule.pricePerUnitMicros,
    connectionFeeMicros: rule.connectionFeeMicros,
    initialSeconds: isCall ? rule.initialSeconds : null,
    nextSeconds: isCall ? rule.nextSeconds : null,
    minimumMicros: rule.minimumMicros ?? null,
    maximumMicros: rule.maximumMicros ?? null,
    sizeTiers:
      rule.type === 'file_transfer'
        ? (rule.sizeTiers ?? []).map(({ upToBytes, pricePerUnitMicros }) => ({
            upToBytes,
            priceMicros: pricePerUnitMicros,
          }))
        : [],
    monthlyTiers: monthlyTiersOf(rule),
    windows: (rule.windows ?? []).map((window) => ({
      days: window.days ? [...window.days] : null,
      from: window.from,
      to: window.to,
      priceMicros:
        ('pricePerMinuteMicros' in window
          ? window.pricePerMinuteMicros
          : 'pricePerUnitMicros' in window
            ? window.pricePerUnitMicros
            : undefined) ?? null,
      connectionFeeMicros: window.connectionFeeMicros ?? null,
    })),
    isOwn,
  };
}
