/**
 * Which wallet a name means, for charging: kept in memory, because a wallet's id, user, currency and time
 * zone never change. That a user named without a currency has no other wallet can change, so `alone` goes with
 * the charge and the database decides it; see `charge_many`.
 */
import { keepNewest } from '../../keep-newest.ts';
import type { Sql } from '../../store/sql.ts';
import { type WalletIdentity, type WalletName, walletIdentities } from '../../store/wallets.ts';
import { currencyRequired } from '../wallets/wallet-by-name.ts';
import { coalescedLookup } from './coalesced-lookup.ts';

export interface KnownWallet extends WalletIdentity {
  /** True when the name holds only as long as the user has no second wallet. */
  readonly alone: boolean;
}

export interface WalletDirectory {
  /** The wallet that a name means, or null. Throws `BAD_REQUEST` when the currency must be named. */
  find(name: WalletName): Promise<KnownWallet | null>;
  /** Drops what the database no longer agrees with. */
  forget(name: WalletName): void;
}

/** Some 20 MB of names; beyond them the oldest are looked up again. */
const MAX_KNOWN = 100_000;

/**
 * Asks the database for the one wallet that a name means, together with whatever else is being asked
 * for; null when there is none. Throws `BAD_REQUEST` when the currency must be named.
 */
export function walletLookup(sql: Sql): (name: WalletName) => Promise<WalletIdentity | null> {
  const lookup = coalescedLookup((names: readonly WalletName[]) => walletIdentities(sql, names));
  return async (name) => {
    const [wallet, another] = await lookup(name);
    if (another !== undefined) {
      throw currencyRequired();
    }
    return wallet ?? null;
  };
}

export function createWalletDirectory(sql: Sql): WalletDirectory {
  const known = new Map<string, KnownWallet>();
  const lookup = walletLookup(sql);
  return {
    async find(name) {
      const key = keyOf(name);
      const cached = known.get(key);
      if (cached !== undefined) {
        return cached;
      }
      const wallet = await lookup(name);
      if (wallet === null) {
        return null;
      }
      const found = { ...wallet, alone: 'userId' in name && name.currency === undefined };
      keepNewest(known, key, found, MAX_KNOWN);
      return found;
    },

    forget(name) {
      known.delete(keyOf(name));
    },
  };
}

/** User ids hold no blanks, so the parts cannot run into each other. */
function keyOf(name: WalletName): string {
  return 'walletId' in name ? `id ${name.walletId}` : `user ${name.userId} ${name.currency ?? ''}`;
}
