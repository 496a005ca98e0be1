/** The prices that apply to a user, to look at. */
import type { LookedUpPrices, PriceServices, PriceView } from '../../http/views/prices.ts';
import type { WalletView } from '../../http/views/wallets.ts';
import { callingCodeOf, countries } from '../../rating/destination.ts';
import { destinationBy, type PriceList, ruleOf } from '../../rating/price-list.ts';
import { type RateRule, rateRuleSchema } from '../../rating/rate-card.ts';
import { dialledDigits, usageTypes, usageTypesWithDestination } from '../../rating/usage.ts';
import type { Wallets } from '../wallets/wallets.ts';
import { customerOf, type RateCards } from './rate-cards.ts';

/** How many longer prefixes are listed. */
const LONGER = 20;

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

  async function longerThan(
    prices: PriceList,
    digits: string,
  ): Promise<Pick<LookedUpPrices, 'longer' | 'more'>> {
    const longer: PriceView[] = [];
    for (const compiled of prices) {
      const { id, userId } = compiled.card;
      const page = await rateCards.rules.page(id, { prefix: digits }, { limit: LONGER + 1 });
      const rules = page.rules.map((rule) => rateRuleSchema.parse(rule));
      longer.push(
        ...rules
          .filter(({ prefix }) => prefix !== digits)
          .map((rule) => viewOf(rule, userId !== undefined)),
      );
    }
    return { longer: longer.slice(0, LONGER), more: longer.length > LONGER };
  }

  async function lookUp(
    now: PriceList,
    next: PriceList,
    { number = '', country = '' }: { number?: string | undefined; country?: string | undefined },
  ): Promise<LookedUpPrices | null> {
    const name = countryList.find(({ code }) => code === country)?.name;
    const to = name === undefined ? number.trim() : `+${callingCodeOf(country)}`;
    const destination = destinationBy(now, to) ?? to;
    const digits = dialledDigits(destination);
    if (digits === '') {
      return null;
    }
    const prices = usageTypesWithDestination.flatMap((type) => priceOf(now, type, digits));
    const coming = usageTypesWithDestination.flatMap((type) => priceOf(next, type, digits));
    return {
      what: name ?? destination,
      prices,
      ...(await longerThan(now, digits)),
      upcoming: differing(prices, coming),
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
