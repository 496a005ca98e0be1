/** The rules of any card, draft or published, to look at: page by page, by number, or as a file. */
import { z } from 'zod';
import type { RateRuleJson } from '../../rating/rate-card.ts';
import { dialledDigits, usageTypes } from '../../rating/usage.ts';
import {
  pageOfRules,
  type RateCardLogEntry,
  type RuleFilter,
  type RuleTarget,
  rateCardLog,
  rulesForDigits,
  streamRateRules,
} from '../../store/rate-cards.ts';
import type { Sql } from '../../store/sql.ts';
import { rateCardCsvHeader, rateCardCsvLine } from './rate-card-csv.ts';

const DEFAULT_PAGE = 50;
/** No number has more digits. */
const MAX_DIGITS = 18;
const LOG_ENTRIES = 50;

export interface RulesPage {
  rules: RateRuleJson[];
  /** Null on the last page. */
  nextCursor: string | null;
}

export interface RateCardRules {
  /** Rules by type and prefix. An unknown cursor is that of the first page. */
  page(
    cardId: string,
    filter: RuleFilter,
    page: { cursor?: string | undefined; limit?: number | undefined },
  ): Promise<RulesPage>;
  /** The rules that price usage to a number, one of each type that has any. */
  forNumber(cardId: string, number: string): Promise<RateRuleJson[]>;
  /** The rules as CSV, in pieces of whole lines. */
  csv(cardId: string, currency: string): AsyncGenerator<string>;
  /** What was done to the card last, newest first. */
  log(cardId: string): Promise<RateCardLogEntry[]>;
}

export function createRateCardRules(sql: Sql): RateCardRules {
  return {
    async page(cardId, filter, { cursor, limit = DEFAULT_PAGE }) {
      if (!isCardId(cardId)) {
        return { rules: [], nextCursor: null };
      }
      const found = await pageOfRules(sql, cardId, filter, targetOf(cursor), limit + 1);
      const rules = found.slice(0, limit);
      const last = found.length > limit ? rules.at(-1) : undefined;
      return { rules, nextCursor: last === undefined ? null : `${last.type}:${last.prefix}` };
    },

    async forNumber(cardId, number) {
      const digits = dialledDigits(number).slice(0, MAX_DIGITS);
      return isCardId(cardId) ? rulesForDigits(sql, cardId, digits) : [];
    },

    async *csv(cardId, currency) {
      yield `${rateCardCsvHeader(currency)}\n`;
      for await (const rows of streamRateRules(sql, cardId)) {
        yield rows.map(({ rule }) => `${rateCardCsvLine(rule)}\n`).join('');
      }
    },

    log: async (cardId) => (isCardId(cardId) ? rateCardLog(sql, cardId, LOG_ENTRIES) : []),
  };
}

function isCardId(id: string): boolean {
  return z.uuid().safeParse(id).success;
}

function targetOf(cursor = ''): RuleTarget | null {
  const [name, prefix] = cursor.split(':');
  const type = usageTypes.find((known) => known === name);
  return type === undefined || prefix === undefined ? null : { type, prefix };
}
