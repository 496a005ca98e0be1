/** Published rate cards, and the rules of any card. */
import type { RateCardJson, RateRuleJson } from '../rating/rate-card.ts';
import type { UsageType } from '../rating/usage.ts';
import { arrayLiteral, only, type Sql } from './sql.ts';

/** A published card without its rules. */
export interface PublishedCard {
  card: unknown;
  ruleCount: number;
  publishedAt: Date;
  publishedBy: string;
}

/** Every published card of every currency, oldest first. */
export async function publishedRateCards(sql: Sql): Promise<PublishedCard[]> {
  return sql<PublishedCard[]>`
    select card, rule_count as "ruleCount", created_at as "publishedAt",
      created_by as "publishedBy"
    from rate_cards order by currency, effective_from`;
}

const RULES_PER_FETCH = 1_000;

/** All rules of a card, some at a time, so that reading them stops nothing else for long. */
export function streamRateRules(
  sql: Sql,
  cardId: string,
): AsyncIterable<readonly { rule: RateRuleJson }[]> {
  return sql<{ rule: RateRuleJson }[]>`
    select rule from rate_card_rules where card_id = ${cardId}
    order by type, prefix`.cursor(RULES_PER_FETCH);
}

/** Names a rule within its card. */
export interface RuleTarget {
  readonly type: UsageType;
  readonly prefix: string;
}

export interface RuleFilter {
  readonly type?: UsageType | undefined;
  /** Digits that the rule's prefix begins with. */
  readonly prefix?: string | undefined;
}

/** Rules of a card by type and prefix, those behind `after`. */
export async function pageOfRules(
  sql: Sql,
  cardId: string,
  filter: RuleFilter,
  after: RuleTarget | null,
  limit: number,
): Promise<RateRuleJson[]> {
  const { type, prefix = '' } = filter;
  const rows = await sql<{ rule: RateRuleJson }[]>`
    select rule from rate_card_rules
    where card_id = ${cardId}
      ${type === undefined ? sql`` : sql`and type = ${type}`}
      ${prefix === '' ? sql`` : sql`and prefix >= ${prefix} and prefix < ${`${prefix}:`}`}
      ${after === null ? sql`` : sql`and (type, prefix) > (${after.type}, ${after.prefix})`}
    order by type, prefix limit ${limit}`;
  return rows.map(({ rule }) => rule);
}

/** The rules with the longest prefix of the digits, one of each type that has any. */
export async function rulesForDigits(
  sql: Sql,
  cardId: string,
  digits: string,
): Promise<RateRuleJson[]> {
  const prefixes = Array.from({ length: digits.length + 1 }, (_, end) => digits.slice(0, end));
  const rows = await sql<{ rule: RateRuleJson }[]>`
    select distinct on (type) rule from rate_card_rules
    where card_id = ${cardId} and prefix = any (${arrayLiteral(prefixes)}::text[])
    order by type, prefix desc`;
  return rows.map(({ rule }) => rule);
}

export type PublishRateCard =
  | 'OK'
  | 'EFFECTIVE_TOO_SOON'
  | 'EFFECTIVE_BEFORE_NEWEST'
  | 'VERSION_TAKEN'
  | 'UNKNOWN_CURRENCY'
  | 'ID_TAKEN';

/** Publishes the next version of a currency's card; `version` is the number that is free. */
export async function publishRateCard(
  sql: Sql,
  card: RateCardJson,
  actor: string,
): Promise<{ code: PublishRateCard; version: number }> {
  const [row] = await sql<{ code: PublishRateCard; version: number }[]>`
    select code, version from publish_rate_card(${JSON.stringify(card)}::text::jsonb, ${actor})`;
  return only(row);
}

/** Something that was done to a card. */
export interface RateCardLogEntry {
  seq: bigint;
  at: Date;
  actor: string;
  action: 'drafted' | 'described' | 'rules_changed' | 'published' | 'discarded';
  detail: Record<string, unknown>;
}

/** What was done to a card, newest first. */
export async function rateCardLog(
  sql: Sql,
  cardId: string,
  limit: number,
): Promise<RateCardLogEntry[]> {
  return sql<RateCardLogEntry[]>`
    select seq, at, actor, action, detail from rate_card_log
    where card_id = ${cardId} order by seq desc limit ${limit}`;
}
