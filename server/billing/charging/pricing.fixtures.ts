/** A world of wallets and price lists, with a clock, for the tests of prices. */
import { randomUUID } from 'node:crypto';
import { createTestDatabase } from '../../dev/test-database.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { RateCardJson } from '../../rating/rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { EVERY_WALLET, verifyRange } from '../../store/ledger.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createCharging } from './charging.ts';
import { createExplaining } from './explaining.ts';
import { createGrants } from './grants.ts';
import { createHolds } from './holds.ts';
import { createRefunds } from './refunds.ts';
import { createSpendingLimits } from './spending-limits.ts';

export const actor = 'service:pricing';
export const startsAt = '2026-10-05T12:00:00Z';
export const to = '+14155550132';

export type PricingWorld = Awaited<ReturnType<typeof createPricingWorld>>;

export async function createPricingWorld(from = startsAt) {
  const database = await createTestDatabase();
  const sql = database.app;
  let nowMs = Date.parse(from);
  let cardVersion = 1;
  const now = () => new Date(nowMs);
  const rateCards = createRateCards({ sql, nowMs: () => nowMs });
  const wallets = createWallets(sql);
  const charging = createCharging({ sql, rateCards, now });
  const holds = createHolds({ sql, rateCards, now });
  const grants = createGrants({ sql });

  async function setNow(at: string | number): Promise<void> {
    nowMs = new Date(at).getTime();
    await database.setClock(now().toISOString());
  }

  await setNow(from);
  return {
    database,
    rateCards,
    wallets,
    charging,
    holds,
    grants,
    refunds: createRefunds({ sql }),
    explaining: createExplaining({ sql, rateCards }),
    limits: createSpendingLimits(sql),
    now,
    setNow,
    wait: (seconds: number) => setNow(nowMs + seconds * 1_000),

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
        await grants.grant({ wallet, amountMicros, key: 'fund', reason: 'test' }, actor);
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

    async moneyOf({ walletId }: WalletView) {
      const { balanceMicros, heldMicros, availableMicros, arrearsMicros } = await wallets.get({
        walletId,
      });
      return { balanceMicros, heldMicros, availableMicros, arrearsMicros };
    },

    /** The types of the wallet's events, oldest first. */
    async typesOf({ walletId }: WalletView): Promise<string[]> {
      return (await wallets.events(walletId, {})).events.map(({ type }) => type).reverse();
    },

    /** What verification finds wrong in the whole ledger. */
    async differences() {
      return (await verifyRange(database.owner, EVERY_WALLET, 100)).differences;
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
