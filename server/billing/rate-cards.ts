import { Fault } from '../faults.ts';
import {
  type CompiledRateCard,
  compileRateCard,
  type RateCard,
  type RateCardJson,
  rateCardSchema,
} from '../rating/rate-card.ts';
import { type PublishRateCard, publishedRateCards, publishRateCard } from '../store/rate-cards.ts';
import type { Sql } from '../store/sql.ts';

/**
 * How long the published cards may be kept in memory. A card takes effect at least a minute after
 * it is published (`publish_rate_card`), so every server has read it by then.
 */
const MAX_AGE_MS = 10_000;

export interface RateCards {
  /** The card that is in effect for a currency at an instant, or null when there is none. */
  inEffect(currency: string, at: Date): Promise<CompiledRateCard | null>;
  /** The card of an id, or null when there is none. */
  byId(id: string): Promise<CompiledRateCard | null>;
  list(): Promise<RateCard[]>;
  /** Publishes the next version of a currency's card. Throws a `BAD_REQUEST` that says what is wrong. */
  publish(card: RateCardJson, actor: string): Promise<RateCard>;
}

/** The published rate cards, read from the database and kept for a few seconds. */
export function createRateCards(options: { sql: Sql; nowMs: () => number }): RateCards {
  const { sql, nowMs } = options;
  let loaded: { cards: CompiledRateCard[]; atMs: number } | null = null;
  let loading: Promise<CompiledRateCard[]> | null = null;

  async function load(): Promise<CompiledRateCard[]> {
    // Counted from before the query: what is published after it is not in its answer.
    const atMs = nowMs();
    const rows = await publishedRateCards(sql);
    const cards = rows.map((row) => compileRateCard(rateCardSchema.parse(row.card)));
    loaded = { cards, atMs };
    return cards;
  }

  async function current(): Promise<CompiledRateCard[]> {
    if (loaded !== null && nowMs() - loaded.atMs < MAX_AGE_MS) {
      return loaded.cards;
    }
    loading ??= load().finally(() => {
      loading = null;
    });
    return loading;
  }

  return {
    async inEffect(currency, at) {
      const cards = await current();
      return (
        cards.findLast(
          ({ card }) => card.currency === currency && card.effectiveFrom.getTime() <= at.getTime(),
        ) ?? null
      );
    },

    async byId(id) {
      return (await current()).find(({ card }) => card.id === id) ?? null;
    },

    async list() {
      return (await current()).map(({ card }) => card);
    },

    async publish(card, actor) {
      const parsed = rateCardSchema.parse(card);
      const published = await publishRateCard(sql, card, actor);
      if (published.code !== 'OK') {
        throw new Fault('BAD_REQUEST', {
          publicMessage: refusal(published.code, published.version),
        });
      }
      loaded = null;
      return parsed;
    },
  };
}

function refusal(code: Exclude<PublishRateCard, 'OK'>, nextVersion: number): string {
  switch (code) {
    case 'EFFECTIVE_TOO_SOON':
      return 'effectiveFrom must be at least 60 seconds from now';
    case 'EFFECTIVE_BEFORE_NEWEST':
      return 'effectiveFrom must be later than that of the newest card of this currency';
    case 'VERSION_TAKEN':
      return `version must be ${nextVersion}, the next of this currency`;
    case 'UNKNOWN_CURRENCY':
      return 'currency is not one that wallets are kept in';
    case 'ID_TAKEN':
      return 'id belongs to another card';
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown refusal ${unknown}`);
    }
  }
}
