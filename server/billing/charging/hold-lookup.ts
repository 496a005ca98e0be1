/** Finding a hold, and what prices its usage. */
import { keepNewest } from '../../keep-newest.ts';
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

/** What the ledger keeps of how a hold was placed, so that a replay can answer the same. */
export interface PlacedDetail {
  holdId: string;
  expiresAt: string;
  rateCardId: string;
  pricing?: HoldRow['pricing'];
  headroomMicros?: string;
}

/** The part of a hold that never changes. */
export type HoldTerms = Pick<
  HoldRow,
  'holdId' | 'walletId' | 'userId' | 'currency' | 'timezone' | 'rateCardId' | 'pricing' | 'placedAt'
>;

export interface HoldLookup {
  readonly findWallet: (name: WalletName) => Promise<WalletIdentity | null>;
  readonly find: (name: HoldName) => Promise<HoldRow | MissingHold>;
  /** The same from memory, when the hold was placed here. */
  readonly findTerms: (name: HoldName) => Promise<HoldTerms | MissingHold>;
  /** Keeps the terms of a hold that was placed here, until it has ended. */
  readonly remember: (terms: HoldTerms) => void;
  readonly forget: (holdId: string) => void;
  /** The prices at which a hold was placed, whatever has been published since. */
  readonly pricesOf: (terms: HoldTerms) => Promise<HoldPrices>;
}

/** Some 20 MB of terms; those of the oldest holds are looked up beyond them. */
const MAX_REMEMBERED = 20_000;

export function createHoldLookup(options: { sql: Sql; rateCards: RateCards }): HoldLookup {
  const { sql, rateCards } = options;
  const findWallet = walletLookup(sql);
  const remembered = new Map<string, HoldTerms>();
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

  async function findTerms(name: HoldName): Promise<HoldTerms | MissingHold> {
    const known = remembered.get(name.holdId);
    const isNamed = known !== undefined && (name.wallet === undefined || isOwn(known, name.wallet));
    return isNamed ? known : find(name);
  }

  async function cardOf(id: string): Promise<CompiledRateCard> {
    const card = await rateCards.byId(id);
    if (card === null) {
      throw new Error(`a hold was placed at the prices of card ${id}, which is gone`);
    }
    return card;
  }

  async function pricesOf(terms: HoldTerms): Promise<HoldPrices> {
    const { rateCardId, pricing, timezone, placedAt } = terms;
    const fallback = pricing?.fallbackRateCardId;
    const cards = [cardOf(rateCardId), ...(fallback === undefined ? [] : [cardOf(fallback)])];
    const at = pricing ? new Date(pricing.at) : placedAt;
    const units = pricing?.unitsThisMonth && { unitsThisMonth: pricing.unitsThisMonth };
    return { prices: await Promise.all(cards), timezone, at, ...units };
  }

  const remember = (terms: HoldTerms) =>
    keepNewest(remembered, terms.holdId, terms, MAX_REMEMBERED);
  const forget = (holdId: string) => remembered.delete(holdId);
  return { findWallet, find, findTerms, remember, forget, pricesOf };
}

function isOwn(hold: HoldTerms, name: WalletName): boolean {
  return 'walletId' in name
    ? hold.walletId === name.walletId.toLowerCase()
    : hold.userId === name.userId && hold.currency === (name.currency ?? hold.currency);
}
