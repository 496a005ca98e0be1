/** Published rate cards. */
import type { RateCardJson } from '../rating/rate-card.ts';
import { only, type Sql } from './sql.ts';

/** Every published card of every currency, oldest first. */
export async function publishedRateCards(sql: Sql): Promise<{ card: unknown }[]> {
  return sql<{ card: unknown }[]>`select card from rate_cards order by currency, effective_from`;
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
