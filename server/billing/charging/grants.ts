/** Giving wallets promotional credit. */
import { Fault } from '../../faults.ts';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { grantCredit } from '../../store/grants.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';
import type { Posted } from './posted.ts';
import { type Refusal, refusal } from './refusals.ts';

export interface GrantRequest {
  readonly wallet: WalletName;
  readonly amountMicros: bigint;
  /** The caller's own name of this grant. */
  readonly key: string;
  /** The wallet's user reads it in the history. */
  readonly reason: string;
  /** From this instant on it cannot be spent; by default it lasts for ever. */
  readonly expiresAt?: Date | undefined;
}

export type GrantAnswer = Posted | Refusal;

export interface Grants {
  /** Adds promotional credit once per key. Throws `BAD_REQUEST` when `expiresAt` is past. */
  grant(request: GrantRequest, actor: string): Promise<GrantAnswer>;
}

export function createGrants(options: { sql: Sql }): Grants {
  const { sql } = options;
  return {
    async grant(request, actor) {
      const wallet = await onlyWallet(sql, request.wallet);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const { amountMicros, key, reason, expiresAt } = request;
      const outcome = await grantCredit(sql, {
        walletId: wallet.walletId,
        key: ledgerKey('grant', key),
        requestHash: requestHash({ amountMicros, reason, expiresAt }),
        amountMicros,
        expiresAt,
        actor,
        detail: { reason },
      });
      const { code } = outcome;
      if (code === 'EXPIRES_IN_PAST') {
        throw new Fault('BAD_REQUEST', { publicMessage: 'expiresAt: must be in the future' });
      }
      if (code !== 'OK') {
        return refusal({ ...outcome, code }, wallet.currency, '');
      }
      const { replayed, seq, balanceMicros, availableMicros } = outcome;
      return { ok: true, replayed, seq, amountMicros, balanceMicros, availableMicros };
    },
  };
}
