/** Finding a hold, and what prices its usage. */
import type { CompiledRateCard } from '../../rating/rate-card.ts';
import { findHolds, type HoldRow } from '../../store/holds.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletIdentity, WalletName } from '../../store/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { coalescedLookup } from './coalesced-lookup.ts';
import type { HoldPrices } from './hold-pricing.ts';
import type { MissingHold } from './hold-refusals.ts';
import { walletLookup } from './wallet-directory.ts';

/** Names a hold; a wallet that is named too must be its own. */
export interface HoldName {
  readonly wallet?: WalletName | undefined;
  readonly holdId: string;
}

/** What the ledger remembers of the placing, for a replay too. */
export interface PlacedDetail {
  holdId: string;
  expiresAt: string;
  rateCardId: string;
  pricing?: HoldRow['pricing'];
  headroomMicros?: string;
}

export interface HoldLookup {
  readonly findWallet: (name: WalletName) => Promise<WalletIdentity | null>;
  readonly find: (name: HoldName) => Promise<HoldRow | MissingHold>;
  /** What a hold was placed by, whatever has been published since. */
  readonly pricesOf: (
    by: Pick<PlacedDetail, 'rateCardId' | 'pricing'>,
    placing: { readonly timezone: string; readonly placedAt: Date },
  ) => Promise<HoldPrices>;
}

export function createHoldLookup(options: { sql: Sql; rateCards: RateCards }): HoldLookup {
  const { sql, rateCards } = options;
  const findWallet = walletLookup(sql);
  const findHold = coalescedLookup((holdIds: readonly string[]) => findHolds(sql, holdIds));

  async function find({ wallet: name, holdId }: HoldName): Promise<HoldRow | MissingHold> {
    const hold = await findHold(holdId);
    if (hold !== null && (name === undefined || isOwn(hold, name))) {
      return hold;
    }
    return name !== undefined && (await findWallet(name)) === null
      ? { ok: false, code: 'WALLET_NOT_FOUND' }
      : { ok: false, code: 'HOLD_NOT_FOUND' };
  }

  async function cardOf(id: string): Promise<CompiledRateCard> {
    const card = await rateCards.byId(id);
    if (card === null) {
      throw new Error(`a hold was placed at the prices of card ${id}, which is gone`);
    }
    return card;
  }

  async function pricesOf(
    { rateCardId, pricing }: Pick<PlacedDetail, 'rateCardId' | 'pricing'>,
    { timezone, placedAt }: { timezone: string; placedAt: Date },
  ): Promise<HoldPrices> {
    const fallback = pricing?.fallbackRateCardId;
    const cards = [cardOf(rateCardId), ...(fallback === undefined ? [] : [cardOf(fallback)])];
    const at = pricing ? new Date(pricing.at) : placedAt;
    const units = pricing?.unitsThisMonth && { unitsThisMonth: pricing.unitsThisMonth };
    return { prices: await Promise.all(cards), timezone, at, ...units };
  }

  return { findWallet, find, pricesOf };
}

function isOwn(hold: HoldRow, name: WalletName): boolean {
  return 'walletId' in name
    ? hold.walletId === name.walletId.toLowerCase()
    : hold.userId === name.userId && hold.currency === (name.currency ?? hold.currency);
}
