/** Published rate cards, and which of them price a wallet's usage at an instant. */
import { Fault } from '../../faults.ts';
import type { PriceList } from '../../rating/price-list.ts';
import {
  type CompiledRateCard,
  type RateCard,
  type RateCardHead,
  type RateCardJson,
  rateCardHeadSchema,
  rateCardSchema,
} from '../../rating/rate-card.ts';
import { type PublishedCard, publishedRateCards, publishRateCard } from '../../store/rate-cards.ts';
import type { Sql } from '../../store/sql.ts';
import { createKeptCards } from './kept-cards.ts';
import { createRateCardDrafts, type RateCardDrafts } from './rate-card-drafts.ts';
import { rateCardFieldRefusal } from './rate-card-refusals.ts';
import { createRateCardRules, type RateCardRules } from './rate-card-rules.ts';

/**
 * How long the list of published cards may be kept in memory. A card takes effect at least a minute
 * after it is published (`publish_rate_card`), so every server knows it by then.
 */
const MAX_AGE_MS = 10_000;

/** A published card without its rules. */
export interface PublishedRateCard extends Omit<PublishedCard, 'card'> {
  head: RateCardHead;
}

interface PublishedList {
  readonly cards: PublishedRateCard[];
  /** The versions of each card, oldest first. */
  readonly byCustomer: ReadonlyMap<string, PublishedRateCard[]>;
  readonly atMs: number;
}

export interface RateCards {
  /** The cards that price a wallet's usage at an instant; none when none is in effect. */
  pricesAt(wallet: { currency: string; userId: string }, at: Date): Promise<PriceList>;
  /** The card of an id, or null when there is none. */
  byId(id: string): Promise<CompiledRateCard | null>;
  /** The card or draft of an id, or null when there is none. */
  anyById(id: string): Promise<CompiledRateCard | null>;
  /** Every published card, by currency and date. */
  list(): Promise<PublishedRateCard[]>;
  /** Publishes the next version of a currency's card. Throws a `BAD_REQUEST` that says what is wrong. */
  publish(card: RateCardJson, actor: string): Promise<RateCard>;
  readonly drafts: RateCardDrafts;
  readonly rules: RateCardRules;
}

/** The published rate cards: their list is read every few seconds, the rules of each card once. */
export function createRateCards(options: { sql: Sql; nowMs: () => number }): RateCards {
  const { sql, nowMs } = options;
  const kept = createKeptCards(sql);
  let loaded: PublishedList | null = null;
  let loading: Promise<PublishedList> | null = null;
  /** Those of the last list; a card that was not in it is new. */
  let known: ReadonlySet<string> | null = null;

  async function load(): Promise<PublishedList> {
    // Counted from before the query: what is published after it is not in its answer.
    const atMs = nowMs();
    const rows = await publishedRateCards(sql);
    const cards = rows.map(({ card, ...rest }) => ({
      head: rateCardHeadSchema.parse(card),
      ...rest,
    }));
    for (const card of cards) {
      if (known !== null && !known.has(card.head.id)) {
        // Its rules are there before it takes effect. Should that fail, its first use tries again.
        kept.get(card).catch(() => undefined);
      }
    }
    known = new Set(cards.map(({ head }) => head.id));
    loaded = { cards, atMs, byCustomer: byCustomerOf(cards) };
    return loaded;
  }

  async function currentList(): Promise<PublishedList> {
    if (loaded !== null && nowMs() - loaded.atMs < MAX_AGE_MS) {
      return loaded;
    }
    loading ??= load().finally(() => {
      loading = null;
    });
    return loading;
  }

  const current = async () => (await currentList()).cards;

  function forget(): void {
    loaded = null;
  }

  async function byId(id: string): Promise<CompiledRateCard | null> {
    const card = (await current()).find(({ head }) => head.id === id);
    return card === undefined ? null : kept.get(card);
  }

  const drafts = createRateCardDrafts({ sql, published: current, onPublished: forget });

  return {
    async pricesAt({ currency, userId }, at) {
      const { byCustomer } = await currentList();
      const inEffect = [`${currency} ${userId}`, currency].flatMap((customer) => {
        const versions = byCustomer.get(customer);
        const card = versions?.findLast(({ head }) => head.effectiveFrom <= at);
        return card === undefined ? [] : [card];
      });
      return Promise.all(inEffect.map(kept.get));
    },

    byId,
    anyById: async (id) => (await byId(id)) ?? drafts.compiled(id),
    list: current,

    async publish(card, actor) {
      const parsed = rateCardSchema.parse(card);
      const { code, version } = await publishRateCard(sql, card, actor);
      if (code !== 'OK') {
        throw new Fault('BAD_REQUEST', { publicMessage: rateCardFieldRefusal(code, `${version}`) });
      }
      forget();
      return parsed;
    },

    drafts,
    rules: createRateCardRules(sql),
  };
}

function byCustomerOf(cards: readonly PublishedRateCard[]): Map<string, PublishedRateCard[]> {
  const byCustomer = new Map<string, PublishedRateCard[]>();
  for (const card of cards) {
    const customer = customerOf(card);
    const versions = byCustomer.get(customer);
    if (versions === undefined) {
      byCustomer.set(customer, [card]);
    } else {
      versions.push(card);
    }
  }
  return byCustomer;
}

/** A card as one with versions: that of a customer, or the general one, in a currency. */
export function customerOf({ head }: { head: RateCardHead }): string {
  return head.userId === undefined ? head.currency : `${head.currency} ${head.userId}`;
}
