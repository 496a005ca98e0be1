/** The ledger's side of a comparison with Stripe's list, and the differences that were found. */
import type { TopUpStatus } from '../views/top-ups.ts';
import { arrayLiteral, only, type Sql } from './sql.ts';

/** A top-up as the ledger has it. */
export interface LedgerPayment {
  topUpId: string;
  walletId: string;
  userId: string;
  status: TopUpStatus;
  currency: string;
  livemode: boolean;
  paymentIntentId: string | null;
  /** The user's customer of the top-up's mode. */
  customerId: string | null;
  /** What its event credited; null when it is not credited. */
  creditedMicros: bigint | null;
  createdAt: Date;
  updatedAt: Date;
}

export interface QuarantineEntry {
  paymentIntentId: string;
  reason: string;
  resolution: 'credited' | 'refunded' | 'dismissed' | null;
}

export type DifferenceKind = 'payment' | 'refund' | 'dispute';

/** One thing on which Stripe and the ledger disagree. */
export interface Difference {
  readonly objectId: string;
  readonly problem: string;
  readonly happenedAt: Date;
  readonly walletId: string | null;
  readonly topUpId: string | null;
  /** What each side says, as text for people; null when that side knows nothing of it. */
  readonly atStripe: Readonly<Record<string, string | null>> | null;
  readonly inLedger: Readonly<Record<string, string | null>> | null;
}

export interface StoredDifference extends Difference {
  readonly id: bigint;
  readonly kind: DifferenceKind;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  readonly resolvedAt: Date | null;
}

const ledgerPayment = (sql: Sql) => sql`
  t.id as "topUpId", t.wallet_id as "walletId", w.user_id as "userId", t.status, t.currency,
  t.livemode, t.payment_intent_id as "paymentIntentId", c.stripe_customer_id as "customerId",
  e.balance_delta_micros as "creditedMicros", t.created_at as "createdAt",
  t.updated_at as "updatedAt"
  from top_ups t
  join wallets w on w.id = t.wallet_id
  left join wallet_events e on e.wallet_id = t.wallet_id and e.seq = t.credited_seq
  left join stripe_customers c on c.user_id = w.user_id and c.livemode = t.livemode`;

/** Top-ups that are paid by one of the intents, or that one of them claims. */
export async function paymentsInLedger(
  sql: Sql,
  wanted: { paymentIntentIds: readonly string[]; topUpIds: readonly string[] },
): Promise<LedgerPayment[]> {
  return sql<LedgerPayment[]>`
    select ${ledgerPayment(sql)}
    where t.payment_intent_id = any (${arrayLiteral(wanted.paymentIntentIds)}::text[])
    union
    select ${ledgerPayment(sql)}
    where t.id = any (${arrayLiteral(wanted.topUpIds)}::uuid[])`;
}

/** Credited top-ups that were started in `[from, to)`, by id above `afterId`. */
export async function creditedPayments(
  sql: Sql,
  range: { from: Date; to: Date; afterId: string; limit: number },
): Promise<LedgerPayment[]> {
  return sql<LedgerPayment[]>`
    select ${ledgerPayment(sql)}
    where t.status = 'succeeded' and t.created_at >= ${range.from} and t.created_at < ${range.to}
      and t.id > ${range.afterId}
    order by t.id limit ${range.limit}`;
}

/** Which of the payments are, or were, in quarantine. */
export async function quarantineOf(
  sql: Sql,
  paymentIntentIds: readonly string[],
): Promise<QuarantineEntry[]> {
  return sql<QuarantineEntry[]>`
    select payment_intent_id as "paymentIntentId", reason, resolution from stripe_quarantine
    where payment_intent_id = any (${arrayLiteral(paymentIntentIds)}::text[])`;
}

/** Which of the customers are users of ours. */
export async function knownCustomers(sql: Sql, customerIds: readonly string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select stripe_customer_id as id from stripe_customers
    where stripe_customer_id = any (${arrayLiteral(customerIds)}::text[])`;
  return rows.map(({ id }) => id);
}

/** Records what a page differs in; what is open already is seen again. */
export async function recordDifferences(
  sql: Sql,
  kind: DifferenceKind,
  found: readonly Difference[],
): Promise<void> {
  if (found.length > 0) {
    await sql`select record_differences(${kind}, ${JSON.stringify(found)}::text::jsonb)`;
  }
}

/** The database's time: what is seen from now on was seen after it. */
export async function lookBegins(sql: Sql): Promise<string> {
  const [row] = await sql<{ at: string }[]>`select clock_timestamp()::text as at`;
  return only(row).at;
}

/** Closes the open differences of `[from, to)` that were not seen since `lookBegins`. */
export async function closeDifferences(
  sql: Sql,
  kind: DifferenceKind,
  range: { from: Date; to: Date },
  since: string,
): Promise<void> {
  await sql`select close_differences(${kind}, ${range.from}, ${range.to},
    ${since}::text::timestamptz)`;
}

const storedDifference = (sql: Sql) => sql`
  id, kind, object_id as "objectId", problem, happened_at as "happenedAt",
  wallet_id as "walletId", top_up_id as "topUpId", at_stripe as "atStripe",
  in_ledger as "inLedger", first_seen_at as "firstSeenAt", last_seen_at as "lastSeenAt",
  resolved_at as "resolvedAt"`;

/** Takes open differences that nobody was told of yet. */
export async function takeUnreported(sql: Sql, limit: number): Promise<StoredDifference[]> {
  return sql<StoredDifference[]>`
    select ${storedDifference(sql)} from take_unreported_differences(${limit}) order by id`;
}

/** Open differences, newest first; `before` is the id that ended the page before. */
export async function openDifferences(
  sql: Sql,
  page: { before: bigint | null; limit: number },
): Promise<StoredDifference[]> {
  return sql<StoredDifference[]>`
    select ${storedDifference(sql)} from reconciliation_differences
    where resolved_at is null and id < ${page.before ?? 9_223_372_036_854_775_807n}
    order by id desc limit ${page.limit}`;
}

/** The last daily run that came to its end; null when there was none. */
export async function lastReconciliation(
  sql: Sql,
): Promise<{ day: string; finishedAt: Date } | null> {
  const [last] = await sql<{ day: string; finishedAt: Date }[]>`
    select day::text as day, finished_at as "finishedAt" from reconciliation_runs
    where finished_at is not null
    order by day desc limit 1`;
  return last ?? null;
}

/** How many differences are open. */
export async function countOpenDifferences(sql: Sql): Promise<number> {
  const [row] = await sql<{ open: number }[]>`
    select count(*)::int as open from reconciliation_differences where resolved_at is null`;
  return row?.open ?? 0;
}

/** Marks the day's run as under way, or as finished. */
export async function touchReconciliation(sql: Sql, day: string, finished: boolean): Promise<void> {
  await sql`select touch_reconciliation(${day}::text::date, ${finished})`;
}

/** True for the one process that is to make the day's run. */
export async function claimReconciliation(
  sql: Sql,
  day: string,
  quietMs: number,
): Promise<boolean> {
  const [row] = await sql<{ claimed: boolean }[]>`
    select claim_reconciliation(${day}::text::date,
      ${`${quietMs} milliseconds`}::text::interval) as claimed`;
  return row?.claimed ?? false;
}
