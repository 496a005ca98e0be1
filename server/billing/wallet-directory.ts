/**
 * Which wallet a name means, for charging: kept in memory, because a wallet's id and currency never
 * change. That a user named without a currency has no other wallet can change, so `alone` goes with
 * the charge and the database decides it; see `charge_many`.
 */
import type { Sql } from '../store/sql.ts';
import { type WalletName, walletIdentities } from '../store/wallets.ts';
import { currencyRequired } from './wallets.ts';

export interface KnownWallet {
  readonly walletId: string;
  readonly currency: string;
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

export function createWalletDirectory(sql: Sql): WalletDirectory {
  const known = new Map<string, KnownWallet>();
  return {
    async find(name) {
      const key = keyOf(name);
      const cached = known.get(key);
      if (cached !== undefined) {
        return cached;
      }
      const [wallet, another] = await walletIdentities(sql, name);
      if (wallet === undefined) {
        return null;
      }
      if (another !== undefined) {
        throw currencyRequired();
      }
      const { walletId, currency } = wallet;
      const found = { walletId, currency, alone: 'userId' in name && name.currency === undefined };
      if (known.size >= MAX_KNOWN) {
        const [oldest] = known.keys();
        known.delete(oldest ?? '');
      }
      known.set(key, found);
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
