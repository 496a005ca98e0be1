/** Top-ups, and the customers of Stripe that pay them. */
import type { TopUpStatus, TopUpView } from '../views/top-ups.ts';
import { only, type Sql } from './sql.ts';

export type StoredTopUp = TopUpView & {
  walletId: string;
  amountMinor: bigint;
  paymentIntentId: string | null;
};

/** Of several disputes of a payment the one counts that is not decided, else one that was lost. */
const topUpColumns = (sql: Sql) => sql`
  (t).id as "topUpId", (t).kind, (t).wallet_id as "walletId", (t).status, (t).currency,
  (t).amount_micros as "amountMicros", (t).amount_minor as "amountMinor",
  (t).payment_intent_id as "paymentIntentId", (t).failure_code as "failureCode",
  (t).failure_message as "failureMessage", (t).credited_seq as "creditedSeq",
  (t).created_at as "createdAt", (t).updated_at as "updatedAt",
  (select coalesce(sum(debited_micros), 0)::bigint from payment_refunds
   where top_up_id = (t).id and status = 'succeeded') as "refundedMicros",
  (select coalesce(sum(debited_micros), 0)::bigint from payment_refunds
   where top_up_id = (t).id and status <> 'succeeded') as "refundingMicros",
  (select state from payment_disputes
   where top_up_id = (t).id and state in ('open', 'lost', 'won')
   order by array_position('{open,lost,won}', state) limit 1) as dispute,
  (select coalesce(sum(withdrawn_micros - reinstated_micros), 0)::bigint from payment_disputes
   where top_up_id = (t).id) as "disputedMicros"`;

export type StartTopUpRefusal =
  | 'WALLET_NOT_FOUND'
  | 'WALLET_FROZEN'
  | 'WALLET_CLOSED'
  | 'KEY_REUSED'
  /** Too many top-ups were started in the last hour. */
  | 'THROTTLED';

/** Starts a top-up, or returns the one that the attempt key started. */
export async function startTopUp(
  sql: Sql,
  topUp: {
    topUpId: string;
    walletId: string;
    attemptKey: string;
    amountMicros: bigint;
    amountMinor: bigint;
    livemode: boolean;
  },
): Promise<{ code: 'OK'; topUp: StoredTopUp } | { code: StartTopUpRefusal }> {
  type Row = StoredTopUp & { code: 'OK' | StartTopUpRefusal };
  const [row] = await sql<Row[]>`
    select code, ${topUpColumns(sql)}
    from (
      select code, top_up as t from start_top_up(
        ${topUp.topUpId}, ${topUp.walletId}, ${topUp.attemptKey}, ${topUp.amountMicros},
        ${topUp.amountMinor}, ${topUp.livemode})
    ) started`;
  const { code, ...stored } = only(row);
  return code === 'OK' ? { code, topUp: stored } : { code };
}

/** The newest top-ups of a wallet. */
export async function listTopUps(
  sql: Sql,
  walletId: string,
  limit: number,
): Promise<StoredTopUp[]> {
  return sql<StoredTopUp[]>`
    select ${topUpColumns(sql)} from top_ups t
    where t.wallet_id = ${walletId} order by t.created_at desc limit ${limit}`;
}

/** Top-ups of a wallet whose disputes keep it frozen, newest first. */
export async function listFreezingTopUps(sql: Sql, walletId: string): Promise<StoredTopUp[]> {
  return sql<StoredTopUp[]>`
    select ${topUpColumns(sql)} from top_ups t
    where t.wallet_id = ${walletId} and exists (
      select from payment_disputes d where d.top_up_id = t.id and d.freezes)
    order by t.created_at desc`;
}

/**
 * Payment intents of top-ups that may still be paid: started between the two instants and not seen
 * to an end. The longest untouched come first.
 */
export async function unsettledIntents(
  sql: Sql,
  started: { after: Date; before: Date; limit: number },
): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select payment_intent_id as id from top_ups
    where status in ('created', 'requires_action', 'processing', 'failed')
      and payment_intent_id is not null
      and created_at > ${started.after} and created_at < ${started.before}
    order by updated_at limit ${started.limit}`;
  return rows.map(({ id }) => id);
}

/** One top-up of a wallet, or null. */
export async function findTopUp(
  sql: Sql,
  walletId: string,
  topUpId: string,
): Promise<StoredTopUp | null> {
  const [row] = await sql<StoredTopUp[]>`
    select ${topUpColumns(sql)} from top_ups t
    where t.wallet_id = ${walletId} and t.id = ${topUpId}`;
  return row ?? null;
}

/** Records what Stripe says of a payment that moved no money; never downgrades a success. */
export async function recordTopUpAttempt(
  sql: Sql,
  attempt: {
    topUpId: string;
    paymentIntentId: string;
    status: Exclude<TopUpStatus, 'succeeded' | 'quarantined'>;
    failureCode: string | null;
    failureMessage: string | null;
  },
): Promise<void> {
  await sql`select record_top_up_attempt(${attempt.topUpId}, ${attempt.paymentIntentId},
    ${attempt.status}, ${attempt.failureCode}, ${attempt.failureMessage})`;
}

export interface AppliedTopUp {
  code: 'CREDITED' | 'ALREADY_CREDITED' | 'QUARANTINED';
  /** Why it is in quarantine. */
  reason: string | null;
  seq: bigint | null;
}

/** Credits a succeeded payment exactly once, or quarantines it when it is not what was asked for. */
export async function applyTopUp(
  sql: Sql,
  payment: {
    paymentIntentId: string;
    topUpId: string | null;
    customerId: string | null;
    currency: string;
    amountReceivedMinor: bigint;
    livemode: boolean;
    actor: string;
    occurredAt: Date;
  },
): Promise<AppliedTopUp> {
  const [row] = await sql<AppliedTopUp[]>`
    select code, reason, seq from apply_top_up(
      ${payment.paymentIntentId}, ${payment.topUpId}, ${payment.customerId}, ${payment.currency},
      ${payment.amountReceivedMinor}, ${payment.livemode}, ${payment.actor}, ${payment.occurredAt})`;
  return only(row);
}

/** The customer of Stripe that stands for a user, or null when there is none, or none any more. */
export async function findStripeCustomer(
  sql: Sql,
  userId: string,
  livemode: boolean,
): Promise<string | null> {
  const [row] = await sql<{ id: string }[]>`
    select stripe_customer_id as id from stripe_customers
    where user_id = ${userId} and livemode = ${livemode} and deleted_at is null`;
  return row?.id ?? null;
}

/** How many customers of a user were deleted at Stripe. */
export async function countFormerCustomers(
  sql: Sql,
  userId: string,
  livemode: boolean,
): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from stripe_customers
    where user_id = ${userId} and livemode = ${livemode} and deleted_at is not null`;
  return row?.count ?? 0;
}

/** Remembers a user's customer; the first one stays. */
export async function saveStripeCustomer(
  sql: Sql,
  customer: { userId: string; livemode: boolean; customerId: string },
): Promise<void> {
  await sql`
    insert into stripe_customers (user_id, livemode, stripe_customer_id)
    values (${customer.userId}, ${customer.livemode}, ${customer.customerId})
    on conflict do nothing`;
}
