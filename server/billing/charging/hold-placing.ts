/** Reserving money for usage that is about to begin. */
import { randomUUID } from 'node:crypto';
import { Fault } from '../../faults.ts';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { dependsOnMonth } from '../../rating/price-list.ts';
import { unitsThisMonth } from '../../store/monthly-units.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import type { HoldLookup, HoldTerms, PlacedDetail } from './hold-lookup.ts';
import {
  type Estimate,
  type HoldPrices,
  priceEstimate,
  pricingOf,
  type Reach,
  reachOf,
} from './hold-pricing.ts';
import type { HoldWrites } from './hold-queue.ts';
import { type HoldRefusal, refusalOf } from './hold-refusals.ts';
import type { KnownWallet, WalletDirectory } from './wallet-directory.ts';

/** How long a hold lasts when its caller does not say. */
export const DEFAULT_TTL_SECONDS = 300;
/** How often a hold is priced anew while other usage of its wallet moves its price. */
const MAX_PRICINGS = 50;

export interface AuthorizeRequest {
  readonly wallet: WalletName;
  /** The caller's own name of the hold: its idempotency key, and its reference in events. */
  readonly key: string;
  readonly estimate: Estimate;
  /** How long it lasts without a heartbeat. */
  readonly ttlSeconds: number;
}

export type AuthorizeAnswer =
  | ({
      ok: true;
      replayed: boolean;
      holdId: string;
      heldMicros: bigint;
      expiresAt: string;
      availableMicros: bigint;
    } & Reach)
  | HoldRefusal;

/** Reserves money once per key, and says how much usage the wallet can afford. */
export type AuthorizeHold = (request: AuthorizeRequest, actor: string) => Promise<AuthorizeAnswer>;

/** `now` chooses the prices that the hold keeps to its end. */
export function createHoldPlacing(options: {
  sql: Sql;
  rateCards: RateCards;
  now: () => Date;
  directory: WalletDirectory;
  writes: HoldWrites;
  lookup: HoldLookup;
}): AuthorizeHold {
  const { sql, rateCards, now, directory, writes, lookup } = options;
  const { pricesOf, remember } = lookup;

  /** Writes the hold at these prices. The answer may be that they hold no longer. */
  async function place(
    request: AuthorizeRequest,
    wallet: KnownWallet,
    by: HoldPrices,
    actor: string,
  ) {
    const estimate = priceEstimate(request.estimate, by);
    const write = {
      kind: 'authorize',
      walletId: wallet.walletId,
      alone: wallet.alone,
      holdId: randomUUID(),
      key: ledgerKey('hold', request.key),
      // Not the price: a replay after a price change is still the same request.
      requestHash: requestHash({ ...estimate.asked, ttlSeconds: request.ttlSeconds }),
      amountMicros: estimate.ok ? estimate.amountMicros : null,
      referenceId: request.key,
      rateCardId: by.prices[0]?.card.id ?? null,
      pricing: pricingOf(by, estimate.isGoodwill),
      usageType: estimate.type ?? null,
      destination: estimate.to ?? null,
      ttlSeconds: request.ttlSeconds,
      actor,
      detail: estimate.ok && estimate.report !== null ? { ...estimate.report } : {},
    } as const;
    const outcome = await writes.send(write);
    const { holdId, rateCardId, pricing } = write;
    const expiresAt = outcome.expiresAt?.toISOString();
    // The outcome brings a detail only where it may differ from this write, as a replay's does.
    const own = { holdId, rateCardId, pricing, expiresAt };
    const placed = (outcome.detail ?? own) as unknown as PlacedDetail;
    return { estimate, outcome, placed };
  }

  /** Places a hold, and prices it again when other usage has moved the month's units meanwhile. */
  async function placePriced(
    request: AuthorizeRequest,
    wallet: KnownWallet,
    by: HoldPrices,
    actor: string,
  ) {
    const isTiered = dependsOnMonth(by.prices);
    for (let tries = 0; tries < MAX_PRICINGS; tries += 1) {
      const units = isTiered && { unitsThisMonth: await unitsThisMonth(sql, wallet.walletId) };
      const placed = await place(request, wallet, { ...by, ...units }, actor);
      if (placed.outcome.code !== 'UNITS_MOVED') {
        return placed;
      }
    }
    throw new Fault('OVERLOADED', { retryAfterSeconds: 1 });
  }

  return async (request, actor) => {
    const wallet = await directory.find(request.wallet);
    if (wallet === null) {
      return { ok: false, code: 'WALLET_NOT_FOUND' };
    }
    const at = now();
    const prices = await rateCards.pricesAt(wallet, at);
    const { timezone } = wallet;
    const { estimate, outcome, placed } = await placePriced(
      request,
      wallet,
      { prices, at, timezone },
      actor,
    );
    if (outcome.code === 'CURRENCY_REQUIRED') {
      directory.forget(request.wallet);
    }
    if (outcome.code !== 'OK') {
      return refusalOf(outcome, wallet.currency, estimate.ok ? '' : estimate.noRate);
    }
    const terms: HoldTerms = {
      holdId: placed.holdId,
      walletId: wallet.walletId,
      userId: wallet.userId,
      currency: wallet.currency,
      timezone,
      rateCardId: placed.rateCardId,
      pricing: placed.pricing ?? null,
      placedAt: outcome.recordedAt,
    };
    if (!outcome.replayed) {
      remember(terms);
    }
    const headroomMicros = placed.headroomMicros ? BigInt(placed.headroomMicros) : null;
    const { replayed, amountMicros: heldMicros, availableMicros } = outcome;
    return {
      ok: true,
      replayed,
      holdId: placed.holdId,
      heldMicros,
      expiresAt: placed.expiresAt,
      availableMicros,
      ...reachOf(
        await pricesOf(terms),
        estimate.type,
        estimate.to,
        heldMicros,
        availableMicros,
        headroomMicros,
      ),
    };
  };
}
