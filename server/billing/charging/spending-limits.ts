/** Spending limits of wallets: setting them, reading them, and being refused by one. */

import type { SpendingLimit } from '../../ledger/limit-list.ts';
import { type LimitRow, limitsOf, setLimits } from '../../store/limits.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { LimitTerms, LimitView } from '../../views/spending-limits.ts';
import type { WalletView } from '../../views/wallets.ts';
import { requireWallet } from '../wallets/wallet-by-name.ts';

/** The limit that left less than was required; `reservedMicros` is what other holds reserve. */
export interface LimitReached {
  limit: LimitTerms;
  currency: string;
  limitMicros: bigint;
  spentMicros: bigint;
  reservedMicros: bigint;
  requiredMicros: bigint;
  leftMicros: bigint;
  /** An ISO 8601 instant. */
  resetsAt: string;
}

/** LIMIT_EXCEEDED without a limit: the amount is above what any wallet can hold or owe. */
export type LimitRefusal = { ok: false; code: 'LIMIT_EXCEEDED' } & (
  | LimitReached
  | { limit?: undefined }
);

export type SetLimitsAnswer =
  | { ok: true; changed: boolean; seq: bigint; limits: LimitView[] }
  | { ok: false; code: 'WALLET_CLOSED' };

export interface SpendingLimits {
  /** Replaces the wallet's limits. Throws `WALLET_NOT_FOUND`. */
  set(
    wallet: WalletName,
    limits: readonly SpendingLimit[],
    actor: string,
  ): Promise<SetLimitsAnswer>;
  /** The wallet's limits as they stand now. Throws `WALLET_NOT_FOUND`. */
  get(
    wallet: WalletName,
  ): Promise<Pick<WalletView, 'walletId' | 'currency' | 'timezone'> & { limits: LimitView[] }>;
}

export function createSpendingLimits(sql: Sql): SpendingLimits {
  const viewsOf = async (walletId: string) => (await limitsOf(sql, walletId)).map(viewOf);
  return {
    async set(name, limits, actor) {
      const { walletId } = await requireWallet(sql, name);
      const { code, replayed, seq } = await setLimits(sql, { walletId, limits, actor });
      if (code === 'WALLET_CLOSED') {
        return { ok: false, code };
      }
      if (code !== 'OK') {
        throw new TypeError(`set_limits answered ${code}`);
      }
      return { ok: true, changed: !replayed, seq, limits: await viewsOf(walletId) };
    },

    async get(name) {
      const { walletId, currency, timezone } = await requireWallet(sql, name);
      return { walletId, currency, timezone, limits: await viewsOf(walletId) };
    },
  };
}

/** What the ledger says of the limit that refused, in the words of the API. */
export function limitRefusal(
  detail: Readonly<Record<string, unknown>> | null,
  currency: string,
): LimitRefusal {
  if (detail === null) {
    return { ok: false, code: 'LIMIT_EXCEEDED' };
  }
  const { limit, resetsAt, ...amounts } = detail as {
    limit: LimitTerms;
    resetsAt: string;
  } & Record<`${'limit' | 'spent' | 'reserved' | 'required' | 'left'}Micros`, string>;
  return {
    ok: false,
    code: 'LIMIT_EXCEEDED',
    limit,
    currency,
    limitMicros: BigInt(amounts.limitMicros),
    spentMicros: BigInt(amounts.spentMicros),
    reservedMicros: BigInt(amounts.reservedMicros),
    requiredMicros: BigInt(amounts.requiredMicros),
    leftMicros: BigInt(amounts.leftMicros),
    resetsAt,
  };
}

function viewOf({ period, type, prefix, ...standing }: LimitRow): LimitView {
  return {
    period,
    ...(type !== null && { type }),
    ...(prefix !== null && { prefix }),
    ...standing,
  };
}
