/** Automatic top-ups: the terms, the charges, and what became of them. */
import type { AutoTopUpMode, AutoTopUpReason, AutoTopUpStatus } from '../views/auto-top-ups.ts';
import { only, type Sql } from './sql.ts';

export interface StoredAutoTopUp {
  status: AutoTopUpStatus;
  reason: AutoTopUpReason | null;
  reasonDetail: Record<string, unknown>;
  thresholdMicros: bigint;
  mode: AutoTopUpMode;
  amountMicros: bigint;
  monthlyCapMicros: bigint;
  nextTryAt: Date | null;
  /** Reserved and charged in the wallet's current month. */
  usedMicros: bigint;
  /** When the month of the cap ends. */
  monthEndsAt: Date;
  /** The consent in force. */
  consentedAt: Date;
  consentVersion: string;
}

/** How a wallet's automatic top-up stands; null when it was never turned on. */
export async function findAutoTopUp(sql: Sql, walletId: string): Promise<StoredAutoTopUp | null> {
  const [row] = await sql<StoredAutoTopUp[]>`
    select a.status, a.reason, a.reason_detail as "reasonDetail",
      a.threshold_micros as "thresholdMicros", a.mode, a.amount_micros as "amountMicros",
      a.monthly_cap_micros as "monthlyCapMicros", a.next_try_at as "nextTryAt",
      m.ends_at as "monthEndsAt", m.used_micros as "usedMicros",
      c.at as "consentedAt", c.detail ->> 'consentVersion' as "consentVersion"
    from auto_top_ups a
    cross join lateral auto_top_up_month(a.wallet_id) m
    cross join lateral (
      select l.at, l.detail from auto_top_up_log l
      where l.wallet_id = a.wallet_id and l.event = 'turned_on' order by l.id desc limit 1
    ) c
    where a.wallet_id = ${walletId}`;
  return row ?? null;
}

export type SetAutoTopUpRefusal =
  | 'WALLET_NOT_FOUND'
  | 'WALLET_FROZEN'
  | 'WALLET_CLOSED'
  | 'NO_CARD'
  | 'NEEDS_SUPPORT';

/** Turns it on with these terms, or changes them, and records who agreed to which text. */
export async function setAutoTopUp(
  sql: Sql,
  terms: {
    walletId: string;
    livemode: boolean;
    thresholdMicros: bigint;
    mode: AutoTopUpMode;
    amountMicros: bigint;
    monthlyCapMicros: bigint;
    /** What Stripe takes in one charge of the currency. */
    minChargeMicros: bigint;
    maxChargeMicros: bigint;
    chargeStepMicros: bigint;
    consentVersion: string;
    actor: string;
  },
): Promise<'OK' | SetAutoTopUpRefusal> {
  const [row] = await sql<{ code: 'OK' | SetAutoTopUpRefusal }[]>`
    select set_auto_top_up(${terms.walletId}, ${terms.livemode}, ${terms.thresholdMicros},
      ${terms.mode}, ${terms.amountMicros}, ${terms.monthlyCapMicros}, ${terms.minChargeMicros},
      ${terms.maxChargeMicros}, ${terms.chargeStepMicros}, ${terms.consentVersion},
      ${terms.actor}) as code`;
  return only(row).code;
}

/** Pauses it; `user` and `wallet_closed` turn it off. False when there was nothing to do. */
export async function pauseAutoTopUp(
  sql: Sql,
  pause: {
    walletId: string;
    reason: AutoTopUpReason;
    actor: string;
    detail?: Record<string, string>;
  },
): Promise<boolean> {
  const [row] = await sql<{ done: boolean }[]>`
    select pause_auto_top_up(${pause.walletId}, ${pause.reason}, ${pause.actor},
      ${sql.json(pause.detail ?? {})}) as done`;
  return only(row).done;
}

export type ResumeAutoTopUpRefusal =
  | 'OFF'
  | 'NO_CARD'
  | 'NEEDS_SUPPORT'
  | 'WALLET_FROZEN'
  | 'WALLET_CLOSED';

/** Goes on after a pause with the terms that were agreed to. */
export async function resumeAutoTopUp(
  sql: Sql,
  resume: { walletId: string; actor: string; bySupport: boolean },
): Promise<'OK' | ResumeAutoTopUpRefusal> {
  const [row] = await sql<{ code: 'OK' | ResumeAutoTopUpRefusal }[]>`
    select resume_auto_top_up(${resume.walletId}, ${resume.actor}, ${resume.bySupport}) as code`;
  return only(row).code;
}

/** Wallets below their threshold for which a charge may be reserved. */
export async function walletsToTopUp(
  sql: Sql,
  livemode: boolean,
  limit: number,
): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select wallets_to_top_up(${livemode}, ${limit}) as id`;
  return rows.map(({ id }) => id);
}

export type ReserveCode =
  | 'RESERVED'
  | 'OFF'
  | 'WALLET_FROZEN'
  | 'WALLET_CLOSED'
  | 'IN_FLIGHT'
  | 'NOT_YET'
  | 'NOT_BELOW'
  | 'NO_CARD'
  | 'VELOCITY'
  | 'CAP_REACHED';

/** Reserves the one charge that brings a wallet back over its threshold, under the given id. */
export async function reserveAutoTopUp(
  sql: Sql,
  walletId: string,
  topUpId: string,
): Promise<{ code: ReserveCode; amountMicros: bigint | null }> {
  const [row] = await sql<{ code: ReserveCode; amountMicros: bigint | null }[]>`
    select code, amount_micros as "amountMicros"
    from reserve_auto_top_up(${walletId}, ${topUpId})`;
  return only(row);
}

/** Takes charges whose outcome is open, so that no other process does for a while. */
export async function claimAutoTopUps(
  sql: Sql,
  livemode: boolean,
  limit: number,
): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select claim_auto_top_ups(${livemode}, ${limit}) as id`;
  return rows.map(({ id }) => id);
}

export type AttemptState =
  | 'charging'
  | 'awaiting_user'
  | 'canceling'
  | 'under_review'
  | 'succeeded'
  | 'failed';

/** A charge with all that asking Stripe for it takes. */
export interface AutoTopUpCharge {
  topUpId: string;
  walletId: string;
  userId: string;
  state: AttemptState;
  currency: string;
  amountMicros: bigint;
  amountMinor: bigint;
  paymentIntentId: string | null;
  /** The card that is asked now, and how many were asked with it. */
  paymentMethodId: string;
  brand: string;
  last4: string;
  try: number;
  /** It is on and its wallet takes payments, so another card may be asked. */
  mayCharge: boolean;
  createdAt: Date;
  ageSeconds: number;
  recoveryNo: number;
  recoveryUsed: boolean;
  recoveryExpired: boolean;
}

/** One charge, or null. */
export async function findAutoTopUpCharge(
  sql: Sql,
  topUpId: string,
): Promise<AutoTopUpCharge | null> {
  const [row] = await sql<AutoTopUpCharge[]>`
    select t.top_up_id as "topUpId", t.wallet_id as "walletId", w.user_id as "userId", t.state,
      p.currency, p.amount_micros as "amountMicros", p.amount_minor as "amountMinor",
      p.payment_intent_id as "paymentIntentId", y.payment_method_id as "paymentMethodId",
      y.brand, y.last4, t.try, a.status = 'on' and takes_payments(w) as "mayCharge",
      t.created_at as "createdAt",
      extract(epoch from ledger_now() - t.created_at)::int as "ageSeconds",
      t.recovery_no as "recoveryNo", t.recovery_used_at is not null as "recoveryUsed",
      coalesce(t.recovery_expires_at <= ledger_now(), false) as "recoveryExpired"
    from auto_top_up_attempts t
    join top_ups p on p.id = t.top_up_id
    join wallets w on w.id = t.wallet_id
    join auto_top_ups a on a.wallet_id = t.wallet_id
    join auto_top_up_tries y on y.top_up_id = t.top_up_id and y.try = t.try
    where t.top_up_id = ${topUpId}`;
  return row ?? null;
}

/** Stripe's answer did not come, or is not final: the charge stays reserved and comes up again. */
export async function postponeAutoTopUp(sql: Sql, topUpId: string): Promise<void> {
  await sql`select postpone_auto_top_up(${topUpId})`;
}

export type RefusalClass =
  /** The card may pay another time. */
  | 'later'
  /** The card must not be asked again. */
  | 'never'
  /** The bank wants the holder to answer. */
  | 'authentication'
  /** Stripe refused the call, so another card would be refused, too. */
  | 'api';

/** Records that a card was refused; how the charge stands after it. */
export async function refuseAutoTopUp(
  sql: Sql,
  refusal: {
    topUpId: string;
    try: number;
    class: RefusalClass;
    code: string;
    message: string | null;
    /** Stripe made a payment of it, which must be canceled when no card is left. */
    hasPayment: boolean;
  },
): Promise<AttemptState> {
  const [row] = await sql<{ state: AttemptState }[]>`
    select refuse_auto_top_up(${refusal.topUpId}, ${refusal.try}, ${refusal.class},
      ${refusal.code}, ${refusal.message}, ${refusal.hasPayment}) as state`;
  return only(row).state;
}

/** Ends a charge of which Stripe has no payment. */
export async function dropAutoTopUp(sql: Sql, topUpId: string): Promise<void> {
  await sql`select drop_auto_top_up(${topUpId})`;
}

/** A charge as its user sees it. */
export interface AutoTopUpAttempt {
  topUpId: string;
  state: AttemptState;
  amountMicros: bigint;
  createdAt: Date;
  tries: { brand: string; last4: string; failureCode: string | null }[];
}

/** The newest charges of a wallet. */
export async function listAutoTopUpAttempts(
  sql: Sql,
  walletId: string,
  limit: number,
): Promise<AutoTopUpAttempt[]> {
  return sql<AutoTopUpAttempt[]>`
    select t.top_up_id as "topUpId", t.state, t.amount_micros as "amountMicros",
      t.created_at as "createdAt",
      (select json_agg(json_build_object(
         'brand', y.brand, 'last4', y.last4, 'failureCode', y.failure_code) order by y.try)
       from auto_top_up_tries y where y.top_up_id = t.top_up_id) as tries
    from auto_top_up_attempts t where t.wallet_id = ${walletId}
    order by t.created_at desc limit ${limit}`;
}

/** Lets the holder of a link finish the payment, once. */
export async function spendRecoveryLink(
  sql: Sql,
  topUpId: string,
  no: number,
): Promise<
  | { code: 'OK'; paymentIntentId: string; paymentMethodId: string }
  | { code: 'OVER' | 'USED' | 'EXPIRED' }
> {
  type Row = { code: 'OK'; paymentIntentId: string; paymentMethodId: string };
  const [row] = await sql<Row[]>`
    select code, payment_intent_id as "paymentIntentId", payment_method_id as "paymentMethodId"
    from use_recovery_link(${topUpId}, ${no})`;
  return only(row);
}

/** A new link for the payment that waits for its user; null when none waits. */
export async function renewRecoveryLink(
  sql: Sql,
  walletId: string,
): Promise<{ topUpId: string; no: number; expiresAt: Date } | null> {
  const [row] = await sql<{ topUpId: string | null; no: number; expiresAt: Date }[]>`
    select top_up_id as "topUpId", no, expires_at as "expiresAt"
    from renew_recovery_link(${walletId})`;
  const { topUpId, no, expiresAt } = only(row);
  return topUpId === null ? null : { topUpId, no, expiresAt };
}
