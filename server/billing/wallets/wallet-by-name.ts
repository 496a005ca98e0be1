/** Finding the wallet that a caller names. */
import { Fault } from '../../faults.ts';
import type { Sql } from '../../store/sql.ts';
import { findWallets, type WalletName } from '../../store/wallets.ts';
import type { WalletView } from '../../views/wallets.ts';

/**
 * The one wallet that a name fits, or null. Throws `BAD_REQUEST` when the user has wallets in several
 * currencies and the name leaves the currency out.
 */
export async function onlyWallet(sql: Sql, name: WalletName): Promise<WalletView | null> {
  const [wallet, another] = await findWallets(sql, name);
  if (another !== undefined) {
    throw currencyRequired();
  }
  return wallet ?? null;
}

/** The one wallet that a name fits. Throws `WALLET_NOT_FOUND` when there is none. */
export async function requireWallet(sql: Sql, name: WalletName): Promise<WalletView> {
  const wallet = await onlyWallet(sql, name);
  if (wallet === null) {
    throw new Fault('WALLET_NOT_FOUND');
  }
  return wallet;
}

export function currencyRequired(): Fault {
  return new Fault('BAD_REQUEST', {
    publicMessage: 'currency: is required, this user has wallets in several currencies',
  });
}
