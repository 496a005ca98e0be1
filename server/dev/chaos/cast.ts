/** The wallets of one chapter, and the money that they begin with. */
import { randomUUID } from 'node:crypto';
import { ledgerKey } from '../../ledger/key.ts';
import type { Sql } from '../../store/sql.ts';
import { applyTopUp, saveStripeCustomer } from '../../store/top-ups.ts';
import { openWallet } from '../../store/wallets.ts';
import { type Journal, keyOfWrite } from './journal.ts';

export interface Cast {
  /** What every user id of the chapter starts with. */
  readonly prefix: string;
  /** Nearly everybody charges this one. */
  readonly hot: string;
  /** It has a dollar and gets no more. */
  readonly poor: string;
  /** It has little, and what was delivered beyond that is owed. */
  readonly owing: string;
  /** It lives on promotional credit, which comes while it spends. */
  readonly granted: string;
  /** Asked to see whether the service answers. */
  readonly probe: string;
  readonly others: readonly string[];
}

const OTHERS = 8;
const PLENTY_MICROS = 1_000_000_000_000n;
const DOLLAR_MICROS = 1_000_000n;
const ACTOR = 'system:chaos';

/** Opens and funds the wallets of a chapter, before anything goes wrong. */
export async function openCast(sql: Sql, journal: Journal, chapter: string): Promise<Cast> {
  const prefix = `${chapter}:`;
  const cast: Cast = {
    prefix,
    hot: `${prefix}hot`,
    poor: `${prefix}poor`,
    owing: `${prefix}owing`,
    granted: `${prefix}granted`,
    probe: `${prefix}probe`,
    others: Array.from({ length: OTHERS }, (_, index) => `${prefix}other-${index}`),
  };
  const { hot, poor, owing, granted, probe, others } = cast;
  for (const userId of [hot, poor, owing, granted, probe, ...others]) {
    await openWallet(sql, {
      walletId: randomUUID(),
      userId,
      currency: 'USD',
      timezone: 'UTC',
      mode: 'live',
      actor: ACTOR,
    });
    await saveStripeCustomer(sql, { userId, livemode: false, customerId: customerOf(userId) });
    const amountMicros = userId === poor || userId === owing ? DOLLAR_MICROS : PLENTY_MICROS;
    if (userId !== granted) {
      const write = journal.begin(topUpWrite(userId, 'first', amountMicros));
      journal.answered(write, { ok: true, ...(await topUp(sql, userId, 'first', amountMicros)) });
    }
  }
  return cast;
}

/** What pays a top-up; its id is the key of the credit. */
function paymentOf(userId: string, reference: string): string {
  return `pi_${userId}_${reference}`;
}

export function topUpWrite(userId: string, reference: string, amountMicros: bigint) {
  const key = keyOfWrite('top_up', paymentOf(userId, reference));
  return { kind: 'top_up' as const, userId, reference, key, amountMicros: String(amountMicros) };
}

/**
 * A top-up that was paid, credited as the use case of Stripe's events does it. It is asked for here,
 * past `start_top_up`, which allows a person a few attempts an hour.
 */
export async function topUp(
  sql: Sql,
  userId: string,
  reference: string,
  amountMicros: bigint,
): Promise<{ seq: string }> {
  const topUpId = ledgerKey('chaos', `${userId} ${reference}`);
  const amountMinor = amountMicros / 10_000n;
  await sql`
    insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode)
    select ${topUpId}, id, ${topUpId}, currency, ${amountMicros}, ${amountMinor}, false
    from wallets where user_id = ${userId}
    on conflict do nothing`;
  const { code, reason, seq } = await applyTopUp(sql, {
    paymentIntentId: paymentOf(userId, reference),
    topUpId,
    customerId: customerOf(userId),
    currency: 'USD',
    amountReceivedMinor: amountMinor,
    livemode: false,
    actor: ACTOR,
    occurredAt: new Date(),
  });
  if (code === 'QUARANTINED') {
    throw new Error(`a top-up was not credited: ${reason}`);
  }
  return { seq: String(seq) };
}

function customerOf(userId: string): string {
  return `cus_${userId}`;
}
