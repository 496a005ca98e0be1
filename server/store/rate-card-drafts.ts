/** Drafts of rate cards. */
import type { PublishRateCard, RuleTarget } from './rate-cards.ts';
import { only, type Sql } from './sql.ts';

export interface StoredDraft {
  id: string;
  card: unknown;
  basedOn: string | null;
  revision: number;
  ruleCount: number;
  createdAt: Date;
  createdBy: string;
  updatedAt: Date;
  updatedBy: string;
}

/** Every draft, or the one of an id, the last changed first. */
export async function storedDrafts(sql: Sql, id: string | null): Promise<StoredDraft[]> {
  return sql<StoredDraft[]>`
    select d.id, d.card, d.based_on as "basedOn", d.revision, d.created_at as "createdAt",
      d.created_by as "createdBy", d.updated_at as "updatedAt", d.updated_by as "updatedBy",
      (select count(*)::int from rate_card_rules r where r.card_id = d.id) as "ruleCount"
    from rate_card_drafts d
    ${id === null ? sql`` : sql`where d.id = ${id}`}
    order by d.updated_at desc, d.id`;
}

/** Begins a draft, with the rules of a published card when it is based on one. */
export async function draftRateCard(
  sql: Sql,
  draft: { id: string; card: object; basedOn: string | null; actor: string },
): Promise<'OK' | 'UNKNOWN_CURRENCY' | 'ID_TAKEN'> {
  const [row] = await sql<{ code: 'OK' | 'UNKNOWN_CURRENCY' | 'ID_TAKEN' }[]>`
    select draft_rate_card(${draft.id}, ${JSON.stringify(draft.card)}::text::jsonb,
      ${draft.basedOn}, ${draft.actor}) as code`;
  return only(row).code;
}

/** A draft keeps its currency, and that of a customer its customer. */
export type DescribedDraft = 'OK' | 'NOT_FOUND' | 'CURRENCY_DIFFERS' | 'CUSTOMER_DIFFERS';

/** Changes what a draft says beside its rules. */
export async function describeRateCardDraft(
  sql: Sql,
  id: string,
  card: object,
  actor: string,
): Promise<DescribedDraft> {
  const [row] = await sql<{ code: DescribedDraft }[]>`
    select describe_rate_card_draft(${id}, ${JSON.stringify(card)}::text::jsonb, ${actor}) as code`;
  return only(row).code;
}

export interface ChangedRules {
  code: 'OK' | 'NOT_FOUND' | 'RULE_ID_TAKEN';
  added: number;
  changed: number;
  removed: number;
  /** With RULE_ID_TAKEN, the id that a rule of another target has. */
  takenId: string | null;
}

/** Puts rules (as JSON text) into a draft and takes rules out, all of it or nothing. */
export async function changeRateCardRules(
  sql: Sql,
  change: {
    draftId: string;
    putJson: string;
    removed: readonly RuleTarget[];
    /** Takes out all that are not put. */
    replace: boolean;
    actor: string;
  },
): Promise<ChangedRules> {
  const [row] = await sql<ChangedRules[]>`
    select code, added, changed, removed, taken_id as "takenId" from change_rate_card_rules(
      ${change.draftId}, ${change.putJson}::text::jsonb,
      ${JSON.stringify(change.removed)}::text::jsonb, ${change.replace}, ${change.actor})`;
  return only(row);
}

export interface PublishedDraft {
  code: Exclude<PublishRateCard, 'VERSION_TAKEN'> | 'NOT_FOUND' | 'DRAFT_CHANGED' | 'NO_RULES';
  version: number;
}

/** Publishes a draft at the revision that was looked at, as the next version of its currency. */
export async function publishRateCardDraft(
  sql: Sql,
  draft: { id: string; revision: number; effectiveFrom: Date; actor: string },
): Promise<PublishedDraft> {
  const [row] = await sql<PublishedDraft[]>`
    select code, version from publish_rate_card_draft(
      ${draft.id}, ${draft.revision}, ${draft.effectiveFrom.toISOString()}, ${draft.actor})`;
  return only(row);
}

/** Throws a draft away; false when there is none. */
export async function discardRateCardDraft(sql: Sql, id: string, actor: string): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`
    select discard_rate_card_draft(${id}, ${actor}) as found`;
  return only(row).found;
}
