/** Usage that was billed, priced again by a card: what each customer's change would be. */

import type { PriceList } from '../../rating/price-list.ts';
import { type Breakdown, rate } from '../../rating/rate.ts';
import type { CompiledRateCard } from '../../rating/rate-card.ts';
import { usageSchema } from '../../rating/usage.ts';
import { type BilledUsage, type UsagePlace, usagePage } from '../../store/reratings.ts';
import type { Sql } from '../../store/sql.ts';
import type { CustomerChange, Span, Totals } from '../../views/repricing.ts';
import type { RateCards } from './rate-cards.ts';

const PAGE = 500;

export interface RepricedUsage {
  readonly billed: BilledUsage;
  /** Null where the card has no rate for it that could be said now. */
  readonly price: { readonly micros: bigint; readonly breakdown: Breakdown } | null;
}

/**
 * Pages of the span's usage that the card is for, by wallet and event, each priced as if the card had
 * been in effect: a customer's own card goes before the general one, whichever of them is tried.
 */
export async function* repricedPages(
  { sql, rateCards }: { sql: Sql; rateCards: Pick<RateCards, 'pricesAt'> },
  tried: CompiledRateCard,
  span: Span,
): AsyncGenerator<RepricedUsage[]> {
  const { currency, userId = null } = tried.card;
  let after: UsagePlace | null = null;
  for (;;) {
    const page: BilledUsage[] = await usagePage(sql, { currency, userId, ...span }, after, PAGE);
    const repriced: RepricedUsage[] = [];
    for (const billed of page) {
      const prices = await rateCards.pricesAt({ currency, userId: billed.userId }, billed.pricedAt);
      repriced.push({ billed, price: priceOf(inPlaceOf(prices, tried), billed) });
    }
    if (page.length > 0) {
      yield repriced;
    }
    after = page.at(-1) ?? null;
    if (page.length < PAGE) {
      return;
    }
  }
}

/** The cards that were in effect, with the one that is tried in the place of its kind. */
function inPlaceOf(prices: PriceList, tried: CompiledRateCard): PriceList {
  const isOwn = ({ card }: CompiledRateCard) => card.userId !== undefined;
  return isOwn(tried)
    ? [tried, ...prices.filter((compiled) => !isOwn(compiled))]
    : [...prices.filter(isOwn), tried];
}

/**
 * Null for a price by monthly tiers as well: it depends on the units that the month had then, which
 * later usage was priced by in turn.
 */
function priceOf(
  prices: PriceList,
  { usage, pricedAt, timezone }: BilledUsage,
): RepricedUsage['price'] {
  const rated = rate(prices, usageSchema.parse(usage), { at: pricedAt, timezone });
  return rated.ok && rated.breakdown.price?.monthly === undefined
    ? { micros: rated.amountMicros, breakdown: rated.breakdown }
    : null;
}

/** How many gainers and losers are kept. */
const MOST = 20;

/** Tells of each customer as it comes, until that answers false, and adds them up. */
export async function totalsOf(
  changes: AsyncIterable<CustomerChange>,
  onCustomer: (change: CustomerChange) => boolean | Promise<boolean>,
): Promise<Totals> {
  const totals: Totals = {
    customers: 0,
    changed: 0,
    usages: 0,
    beforeMicros: 0n,
    afterMicros: 0n,
    withoutRate: 0,
    withoutRateMicros: 0n,
    gainers: [],
    losers: [],
  };
  for await (const change of changes) {
    add(totals, change);
    if (!(await onCustomer(change))) {
      break;
    }
  }
  return totals;
}

function add(totals: Totals, change: CustomerChange): void {
  const differenceMicros = change.afterMicros - change.beforeMicros;
  totals.customers += 1;
  totals.changed += differenceMicros === 0n ? 0 : 1;
  totals.usages += change.usages;
  totals.beforeMicros += change.beforeMicros;
  totals.afterMicros += change.afterMicros;
  totals.withoutRate += change.withoutRate;
  totals.withoutRateMicros += change.withoutRateMicros;
  if (differenceMicros < 0n) {
    keep(totals.gainers, change, (kept) => kept.afterMicros - kept.beforeMicros);
  } else if (differenceMicros > 0n) {
    keep(totals.losers, change, (kept) => kept.beforeMicros - kept.afterMicros);
  }
}

/** Keeps the changes that rank lowest, in that order. */
function keep(
  most: CustomerChange[],
  change: CustomerChange,
  rank: (kept: CustomerChange) => bigint,
): void {
  const after = most.findIndex((kept) => rank(kept) > rank(change));
  most.splice(after === -1 ? most.length : after, 0, change);
  most.splice(MOST);
}

/**
 * What each customer's change is, one after the other: `amountsOf` says what a usage costs before
 * and after.
 */
export async function* customerChanges(
  pages: AsyncIterable<RepricedUsage[]>,
  amountsOf: (billed: BilledUsage, priceMicros: bigint) => { before: bigint; after: bigint },
): AsyncGenerator<CustomerChange> {
  let current = null as CustomerChange | null;
  for await (const page of pages) {
    for (const { billed, price } of page) {
      const { walletId, userId } = billed;
      if (current?.walletId !== walletId) {
        if (current !== null) yield current;
        current = {
          walletId,
          userId,
          usages: 0,
          beforeMicros: 0n,
          afterMicros: 0n,
          withoutRate: 0,
          withoutRateMicros: 0n,
        };
      }
      current.usages += 1;
      if (price === null) {
        current.withoutRate += 1;
        current.withoutRateMicros += billed.billedMicros;
      } else {
        const { before, after } = amountsOf(billed, price.micros);
        current.beforeMicros += before;
        current.afterMicros += after;
      }
    }
  }
  if (current !== null) yield current;
}
