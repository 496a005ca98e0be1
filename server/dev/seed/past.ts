/** The past, in which demo data is recorded: stories of customers, told in the order of time. */
import { randomUUID } from 'node:crypto';
import { createCharging } from '../../billing/charging/charging.ts';
import { createGrants } from '../../billing/charging/grants.ts';
import { createRefunds, type RefundRequest } from '../../billing/charging/refunds.ts';
import { createSubscriptions, type NewSubscription } from '../../billing/month/subscriptions.ts';
import { createRateCards } from '../../billing/rate-cards/rate-cards.ts';
import { createRerating } from '../../billing/rate-cards/rerating.ts';
import { createWallets } from '../../billing/wallets/wallets.ts';
import type { WalletMode } from '../../ledger/events.ts';
import type { RateCardJson } from '../../rating/rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { settleDueWallets } from '../../store/holds.ts';
import type { Sql } from '../../store/sql.ts';

const ACTOR = 'system:seed';
export const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** By then a month is over wherever the stories play. */
const CLOSING_MS = 6 * HOUR_MS;

/** The real present, and the calendar (UTC) that stories are told by. */
export interface Past {
  readonly now: Date;
  /** When a calendar month began; 0 is the present one. */
  monthStart(monthsBack: number): Date;
  /** So many days before this month began, at an hour. */
  before(days: number, hour?: number): Date;
  /**
   * A customer, who is called once for each step forward in time. Months that end on the way are
   * closed, but for the last: that is for whoever tries it.
   */
  customer(userId: string): Story;
}

export type Story = ReturnType<typeof tellStory>;

/**
 * Tells stories within one transaction of the schema's owner. Only that owner can replace the
 * ledger's clock, and no other session sees it.
 */
export async function inThePast(
  sql: Sql,
  now: Date,
  tell: (past: Past) => Promise<void>,
): Promise<void> {
  const [clock] = await sql<{ definition: string }[]>`
    select pg_get_functiondef('ledger_now()'::regprocedure) as definition`;
  // Reads a setting, because replacing the function at each step would plan all others anew.
  await sql.unsafe(`create or replace function ledger_now() returns timestamptz
    language sql as $$ select current_setting('seed.clock')::timestamptz $$`);
  const monthStart = (monthsBack: number) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - monthsBack));
  const past: Past = {
    now,
    monthStart,
    before: (days, hour = 11) => new Date(monthStart(0).getTime() - days * DAY_MS + hour * HOUR_MS),
    customer: (userId) => tellStory(sql, past, userId),
  };
  await tell(past);
  await sql.unsafe(clock?.definition ?? '');
}

function tellStory(sql: Sql, past: Past, userId: string) {
  let clock = past.now;
  let steps = 0;
  /** The oldest month that is open; null while there is no wallet. */
  let openMonth: number | null = null;
  const now = () => clock;
  const wallet = { userId };
  const wallets = createWallets(sql);
  const rateCards = createRateCards({ sql, nowMs: () => clock.getTime() });
  const charging = createCharging({ sql, rateCards, now });
  const grants = createGrants({ sql });
  const refunds = createRefunds({ sql });
  const subscriptions = createSubscriptions(sql);
  const rerating = createRerating({ sql, rateCards });

  async function setClock(instant: Date): Promise<void> {
    clock = instant;
    await sql`select set_config('seed.clock', ${instant.toISOString()}, true)`;
  }

  /** Names what is written; the same story gives the same names. */
  function nextKey(): string {
    steps += 1;
    return `${userId}-${steps}`;
  }

  async function closeMonth(monthsBack: number): Promise<void> {
    const { walletId } = await wallets.get(wallet);
    const period = past.monthStart(monthsBack).toISOString().slice(0, 7);
    await sql`select close_wallets(array[${walletId}::uuid], ${period}, ledger_now())`;
    await settle();
  }

  /** What has fallen due is done, as the sweeper does it. */
  async function settle(): Promise<void> {
    await settleDueWallets(sql, 10);
  }

  return {
    async at(instant: Date): Promise<void> {
      while (openMonth !== null && openMonth > 1) {
        const closesAt = new Date(past.monthStart(openMonth - 1).getTime() + CLOSING_MS);
        if (closesAt > instant) break;
        await setClock(closesAt);
        await closeMonth(openMonth);
        openMonth -= 1;
      }
      await setClock(instant);
    },

    async open(terms: { timezone: string; mode: WalletMode }): Promise<void> {
      await wallets.open({ userId, ...terms }, ACTOR);
      const { now: present } = past;
      openMonth =
        (present.getUTCFullYear() - clock.getUTCFullYear()) * 12 +
        present.getUTCMonth() -
        clock.getUTCMonth();
    },

    closeMonth,
    settle,

    /** Charges usage, told now, of now or an earlier instant. Returns its reference. */
    async charge(
      usage: Usage,
      {
        occurredAt,
        overrun = 'refuse',
      }: { occurredAt?: Date; overrun?: 'refuse' | 'arrears' } = {},
    ): Promise<string> {
      const referenceId = nextKey();
      const request = { wallet, usage, referenceId, occurredAt, overrun };
      accepted(await charging.charge(request, ACTOR));
      return referenceId;
    },

    async refund(refund: Omit<RefundRequest, 'wallet' | 'key'>): Promise<void> {
      accepted(await refunds.refund({ wallet, key: nextKey(), ...refund }, ACTOR));
    },

    async grant(amountMicros: bigint, reason: string, expiresAt?: Date): Promise<void> {
      const grant = { wallet, key: nextKey(), amountMicros, reason, expiresAt };
      accepted(await grants.grant(grant, ACTOR));
    },

    async subscribe(subscription: Omit<NewSubscription, 'wallet' | 'key'>): Promise<void> {
      const request = { wallet, key: nextKey(), ...subscription };
      accepted(await subscriptions.add(request, ACTOR));
    },

    async publish(card: RateCardJson): Promise<void> {
      await rateCards.publish(card, ACTOR);
    },

    /** Prices a month again by a card, and gives back what was too dear. */
    async rerate(cardId: string, monthsBack: number, reason: string): Promise<void> {
      const [from, to] = [past.monthStart(monthsBack), past.monthStart(monthsBack - 1)];
      const terms = { id: randomUUID(), cardId, from, to, debits: false, reason };
      accepted(await rerating.run(terms, ACTOR));
    },

    drafts: rateCards.drafts,
  };
}

/** A story in which something is refused is told wrongly. */
function accepted(answer: { ok: true } | { ok: false; code: string }): void {
  if (!answer.ok) {
    throw new Error(`the demo data is refused: ${answer.code}`);
  }
}
