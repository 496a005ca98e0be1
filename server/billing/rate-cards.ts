import { Fault } from '../faults.ts';
import type { PriceList } from '../rating/price-list.ts';
import {
  type CompiledRateCard,
  type RateCard,
  type RateCardHead,
  type RateCardJson,
  rateCardHeadSchema,
  rateCardSchema,
} from '../rating/rate-card.ts';
import { type PublishedCard, publishedRateCards, publishRateCard } from '../store/rate-cards.ts';
import type { Sql } from '../store/sql.ts';
import { createKeptCards } from './kept-cards.ts';
import { createRateCardDrafts, type RateCardDrafts } from './rate-card-drafts.ts';
import { rateCardRefusal } from './rate-card-refusals.ts';
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

export interface RateCards {
  /** The cards that are in effect for a currency at an instant; none when there is none. */
  pricesAt(currency: string, at: Date): Promise<PriceList>;
  /** The card of an id, or null when there is none. */
  byId(id: string): Promise<CompiledRateCard | null>;
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
  let loaded: { cards: PublishedRateCard[]; atMs: number } | null = null;
  let loading: Promise<PublishedRateCard[]> | null = null;
  /** Those of the last list; a card that was not in it is new. */
  let known: ReadonlySet<string> | null = null;

  async function load(): Promise<PublishedRateCard[]> {
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
    loaded = { cards, atMs };
    return cards;
  }

  async function current(): Promise<PublishedRateCard[]> {
    if (loaded !== null && nowMs() - loaded.atMs < MAX_AGE_MS) {
      return loaded.cards;
    }
    loading ??= load().finally(() => {
      loading = null;
    });
    return loading;
  }

  function forget(): void {
    loaded = null;
  }

  return {
    async pricesAt(currency, at) {
      const card = (await current()).findLast(
        ({ head }) => head.currency === currency && head.effectiveFrom.getTime() <= at.getTime(),
      );
      return card === undefined ? [] : [await kept.get(card)];
    },

    async byId(id) {
      const card = (await current()).find(({ head }) => head.id === id);
      return card === undefined ? null : kept.get(card);
    },

    list: current,

    async publish(card, actor) {
      const parsed = rateCardSchema.parse(card);
      const { code, version } = await publishRateCard(sql, card, actor);
      if (code !== 'OK') {
        throw new Fault('BAD_REQUEST', { publicMessage: rateCardRefusal(code, `${version}`) });
      }
      forget();
      return parsed;
    },

    drafts: createRateCardDrafts({ sql, published: current, onPublished: forget }),
    rules: createRateCardRules(sql),
  };
}
