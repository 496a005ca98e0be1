/** A world of wallets and price lists, with a clock, for the tests of prices. */
import { randomUUID } from 'node:crypto';
import { createTestDatabase } from '../../dev/test-database.ts';
import type { WalletView } from '../../http/views/wallets.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { RateCardJson } from '../../rating/rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createCharging } from './charging.ts';
import { createExplaining } from './explaining.ts';
import { createHolds } from './holds.ts';
import { createRefunds } from './refunds.ts';
import { createSpendingLimits } from './spending-limits.ts';

export const actor = 'service:pricing';
export const to = '+14155550132';

export type PricingWorld = Awaited<ReturnType<typeof createPricingWorld>>;

export async function createPricingWorld(startsAt = '2026-10-05T12:00:00Z') {
  const database = await createTestDatabase();
  const sql = database.app;
  let nowMs = Date.parse(startsAt);
  let cardVersion = 1;
  const now = () => new Date(nowMs);
  const rateCards = createRateCards({ sql, nowMs: () => nowMs });
  const wallets = createWallets(sql);
  const charging = createCharging({ sql, rateCards, now });
  const holds = createHolds({ sql, rateCards, now });

  async function setNow(at: string | number): Promise<void> {
    nowMs = new Date(at).getTime();
    await database.setClock(now().toISOString());
  }

  await setNow(startsAt);
  return {
    database,
    rateCards,
    wallets,
    charging,
    holds,
    refunds: createRefunds({ sql }),
    explaining: createExplaining({ sql, rateCards }),
    limits: createSpendingLimits(sql),
    now,
    setNow,

    /** Publishes the next card, the default one with these changes, and waits until it counts. */
    async publish(change: Partial<RateCardJson>): Promise<RateCardJson> {
      cardVersion += change.userId === undefined ? 1 : 0;
      const effectiveFrom = new Date(nowMs + 60_000).toISOString();
      const id = randomUUID();
      const card = { ...defaultRateCard, id, version: cardVersion, effectiveFrom, ...change };
      await rateCards.publish(card, actor);
      await setNow(nowMs + 120_000);
      return card;
    },

    async walletWith(
      amountMicros: bigint,
      change: { timezone?: string; mode?: 'live' | 'deferred'; userId?: string } = {},
    ): Promise<WalletView> {
      const wallet = await wallets.open({ userId: `user-${randomUUID()}`, ...change }, actor);
      if (amountMicros > 0n) {
        await charging.grant({ wallet, amountMicros, key: 'fund', reason: 'test' }, actor);
      }
      return wallet;
    },

    charge(
      wallet: WalletView,
      usage: Usage,
      change: { referenceId?: string; occurredAt?: Date; overrun?: 'refuse' | 'arrears' } = {},
    ) {
      const { walletId } = wallet;
      const request = { referenceId: randomUUID(), overrun: 'refuse' as const, ...change };
      return charging.charge({ wallet: { walletId }, usage, ...request }, actor);
    },

    authorize(wallet: WalletView, usage: Usage, key: string = randomUUID()) {
      const { walletId } = wallet;
      const request = { wallet: { walletId }, key, estimate: { usage }, ttlSeconds: 300 };
      return holds.authorize(request, actor);
    },

    /** What every account of the journal stands at. */
    async accounts(): Promise<Record<string, bigint>> {
      const rows = await database.owner<{ account: string; micros: bigint }[]>`
        select account, amount_micros::bigint as micros from trial_balance`;
      return Object.fromEntries(rows.map(({ account, micros }) => [account, micros]));
    },
  };
}

export function callOf(durationSeconds: number, number = to): Usage {
  return { type: 'call', durationSeconds, to: number };
}
