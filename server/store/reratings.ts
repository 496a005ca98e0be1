/** Usage that was billed, to price it again, and the differences that re-ratings post. */
import { arrayLiteral, only, type Sql } from './sql.ts';

/** A charge, or a hold that ended, as it stands; named by the event that billed it. */
export interface BilledUsage {
  walletId: string;
  userId: string;
  timezone: string;
  seq: bigint;
  /** The instant that its prices are those of. */
  pricedAt: Date;
  usage: unknown;
  billedMicros: bigint;
  /** Refunded otherwise than by re-ratings. */
  refundedMicros: bigint;
  /** Posted by re-ratings. */
  correctedMicros: bigint;
}

/** Usage from an instant on and before another, priced in a currency: of one user, or of all. */
export interface UsageSpan {
  readonly currency: string;
  readonly userId: string | null;
  readonly from: Date;
  readonly to: Date;
}

/** The last usage of a page; the next one begins behind it. */
export interface UsagePlace {
  readonly walletId: string;
  readonly seq: bigint;
}

const LOWEST_ID = '00000000-0000-0000-0000-000000000000';

/** Usage by wallet and event. */
export async function usagePage(
  sql: Sql,
  { currency, userId, from, to }: UsageSpan,
  after: UsagePlace | null,
  limit: number,
): Promise<BilledUsage[]> {
  return sql<BilledUsage[]>`
    select wallet_id as "walletId", user_id as "userId", timezone, seq,
      priced_at as "pricedAt", usage, billed_micros as "billedMicros",
      refunded_micros as "refundedMicros", corrected_micros as "correctedMicros"
    from usage_page(${currency}, ${userId}, ${from}, ${to}, ${after?.walletId ?? LOWEST_ID},
      ${after?.seq ?? 0n}, ${limit})`;
}

export interface ReratingTerms {
  readonly id: string;
  readonly cardId: string;
  readonly from: Date;
  readonly to: Date;
  /** Whether what should have cost more is charged. */
  readonly debits: boolean;
  readonly reason: string;
}

/** Begins a re-rating; the same again goes on with it. */
export async function beginRerating(
  sql: Sql,
  { id, cardId, from, to, debits, reason }: ReratingTerms,
  actor: string,
): Promise<'OK' | 'NOT_FOUND' | 'KEY_REUSED'> {
  const [row] = await sql<{ code: 'OK' | 'NOT_FOUND' | 'KEY_REUSED' }[]>`
    select begin_rerating(${id}, ${cardId}, ${from}, ${to}, ${debits}, ${reason}, ${actor}) as code`;
  return only(row).code;
}

export interface Repriced extends UsagePlace {
  readonly billedMicros: bigint;
  readonly priceMicros: bigint;
  readonly breakdown: object;
}

export interface PostedDifference {
  /** CHANGED: a late record changed the usage since it was read. Other codes are the ledger's. */
  code:
    | 'OK'
    | 'CHANGED'
    | 'WALLET_NOT_FOUND'
    | 'WALLET_FROZEN'
    | 'WALLET_CLOSED'
    | 'LIMIT_EXCEEDED';
  /** What it charged; negative for what it gave back. */
  postedMicros: bigint;
}

/** Posts the difference for each usage, once a re-rating. Wallets come in the order of their ids. */
export async function postDifferences(
  sql: Sql,
  reratingId: string,
  usages: readonly Repriced[],
  actor: string,
): Promise<PostedDifference[]> {
  const column = <T extends string | bigint>(of: (usage: Repriced) => T) =>
    arrayLiteral(usages.map(of));
  return sql<PostedDifference[]>`
    select r.code, r.posted_micros as "postedMicros"
    from unnest(
      ${column(({ walletId }) => walletId)}::uuid[], ${column(({ seq }) => seq)}::bigint[],
      ${column(({ billedMicros }) => billedMicros)}::bigint[],
      ${column(({ priceMicros }) => priceMicros)}::bigint[],
      ${column(({ breakdown }) => JSON.stringify(breakdown))}::jsonb[]
    ) with ordinality as u (wallet_id, seq, billed_micros, price_micros, breakdown, ord)
    cross join lateral rerate_usage(${reratingId}, u.wallet_id, u.seq, u.billed_micros,
      u.price_micros, u.breakdown, ${actor}) r
    order by u.ord`;
}

/** A correction of one usage. */
export interface Correction {
  seq: bigint;
  reratingId: string;
  cardId: string;
  cardVersion: number;
  priceMicros: bigint;
  postedMicros: bigint;
  reason: string;
  actor: string;
  at: Date;
}

/** What re-ratings posted for some usage of a wallet, oldest first; `seq` is that of the usage. */
export async function correctionsOf(
  sql: Sql,
  walletId: string,
  seqs: readonly bigint[],
): Promise<Correction[]> {
  return sql<Correction[]>`
    select u.original_seq as seq, r.id as "reratingId", r.card_id as "cardId",
      c.version as "cardVersion", u.price_micros as "priceMicros",
      u.posted_micros as "postedMicros", r.reason, r.created_by as actor, r.created_at as at
    from rerated_usage u join reratings r on r.id = u.rerating_id
    join rate_cards c on c.id = r.card_id
    where u.wallet_id = ${walletId} and u.original_seq = any (${arrayLiteral(seqs)}::bigint[])
    order by r.created_at, r.id`;
}
