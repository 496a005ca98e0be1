/** Payments that are not what was asked for, and what people decided about them. */
import type { QuarantineView, ResolveConflict } from '../views/stripe-desk.ts';
import type { TopUpStatus } from '../views/top-ups.ts';
import { only, type Sql } from './sql.ts';

interface Row {
  paymentIntentId: string;
  reason: string;
  createdAt: Date;
  cursorAt: string;
  customerId: string | null;
  currency: string | null;
  amountMinor: bigint | null;
  exponent: number | null;
  livemode: boolean | null;
  topUpId: string | null;
  walletId: string;
  userId: string;
  status: TopUpStatus;
  askedCurrency: string;
  askedMicros: bigint;
  askedCustomerId: string | null;
  askedLivemode: boolean;
  askedIntentId: string | null;
  resolution: 'credited' | 'refunded' | 'dismissed' | null;
  resolvedAt: Date;
  resolvedBy: string;
  note: string;
  creditedWalletId: string | null;
  creditedSeq: bigint | null;
}

const columns = (sql: Sql) => sql`
  q.payment_intent_id as "paymentIntentId", q.reason, q.created_at as "createdAt",
  q.created_at::text as "cursorAt", q.customer_id as "customerId", q.currency,
  q.amount_minor as "amountMinor", u.exponent, q.livemode,
  t.id as "topUpId", t.wallet_id as "walletId", w.user_id as "userId", t.status,
  t.currency as "askedCurrency", t.amount_micros as "askedMicros",
  c.stripe_customer_id as "askedCustomerId", t.livemode as "askedLivemode",
  t.payment_intent_id as "askedIntentId", q.resolution, q.resolved_at as "resolvedAt",
  q.resolved_by as "resolvedBy", q.note, q.credited_wallet_id as "creditedWalletId",
  q.credited_seq as "creditedSeq"
  from stripe_quarantine q
  left join top_ups t on t.id = q.top_up_id
  left join wallets w on w.id = t.wallet_id
  left join stripe_customers c on c.user_id = w.user_id and c.livemode = t.livemode
  left join currencies u on u.code = q.currency`;

function viewOf(row: Row): QuarantineView {
  const { currency, amountMinor, livemode, exponent } = row;
  return {
    paymentIntentId: row.paymentIntentId,
    reason: row.reason,
    createdAt: row.createdAt,
    paid:
      currency === null || amountMinor === null || livemode === null
        ? null
        : {
            currency,
            amountMicros:
              exponent === null ? null : amountMinor * 10n ** BigInt(6 - Number(exponent)),
            customerId: row.customerId,
            livemode,
          },
    asked:
      row.topUpId === null
        ? null
        : {
            topUpId: row.topUpId,
            walletId: row.walletId,
            userId: row.userId,
            status: row.status,
            currency: row.askedCurrency,
            amountMicros: row.askedMicros,
            customerId: row.askedCustomerId,
            livemode: row.askedLivemode,
            paymentIntentId: row.askedIntentId,
          },
    resolved:
      row.resolution === null
        ? null
        : {
            as: row.resolution,
            at: row.resolvedAt,
            by: row.resolvedBy,
            note: row.note,
            walletId: row.creditedWalletId,
            seq: row.creditedSeq,
          },
  };
}

/** Payments in quarantine, or resolved ones, newest first; `before` is the last of the page before. */
export async function listQuarantine(
  sql: Sql,
  page: {
    resolved: boolean;
    before: { createdAt: string; paymentIntentId: string } | null;
    limit: number;
  },
): Promise<{ cursorAt: string; payment: QuarantineView }[]> {
  const { resolved, before, limit } = page;
  const rows = await sql<Row[]>`
    select ${columns(sql)}
    where (q.resolution is not null) = ${resolved}
      ${
        before === null
          ? sql``
          : sql`and (q.created_at, q.payment_intent_id)
              < (${before.createdAt}::text::timestamptz, ${before.paymentIntentId})`
      }
    order by q.created_at desc, q.payment_intent_id desc limit ${limit}`;
  return rows.map((row) => ({ cursorAt: row.cursorAt, payment: viewOf(row) }));
}

/** One payment in quarantine, resolved or not, or null. */
export async function findQuarantined(
  sql: Sql,
  paymentIntentId: string,
): Promise<QuarantineView | null> {
  const [row] = await sql<Row[]>`
    select ${columns(sql)} where q.payment_intent_id = ${paymentIntentId}`;
  return row === undefined ? null : viewOf(row);
}

/** Resolves a payment in quarantine with what Stripe was read to say of it; once, whoever asks. */
export async function resolveQuarantine(
  sql: Sql,
  decision: {
    paymentIntentId: string;
    as: 'credited' | 'refunded' | 'dismissed';
    note: string;
    actor: string;
    walletId: string | null;
    /** The id of the top-up to write when none of the wallet's own stands for the payment. */
    topUpId: string;
    currency: string;
    amountReceivedMinor: bigint;
    livemode: boolean;
    occurredAt: Date;
  },
): Promise<{ code: 'OK' | ResolveConflict; replayed: boolean; seq: bigint | null }> {
  const [row] = await sql<
    { code: 'OK' | ResolveConflict; replayed: boolean; seq: bigint | null }[]
  >`
    select code, replayed, seq from resolve_quarantine(
      ${decision.paymentIntentId}, ${decision.as}, ${decision.note}, ${decision.actor},
      ${decision.walletId}, ${decision.topUpId}, ${decision.currency},
      ${decision.amountReceivedMinor}, ${decision.livemode}, ${decision.occurredAt})`;
  return only(row);
}
