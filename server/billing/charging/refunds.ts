/** Giving usage back that was billed. */
import { ledgerKey, requestHash, usageKey } from '../../ledger/key.ts';
import type { UsageType } from '../../rating/usage.ts';
import { refundUsage } from '../../store/refunds.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';
import type { Posted } from './posted.ts';

export interface RefundRequest {
  readonly wallet: WalletName;
  /** What was charged: the usage's type, and the reference of its charge or of its hold. */
  readonly type: UsageType;
  readonly referenceId: string;
  /** By default all that is left. */
  readonly amountMicros?: bigint | undefined;
  /** The caller's own name of this refund. */
  readonly key: string;
  readonly reason: string;
}

export type RefundAnswer =
  | (Posted & {
      /** The event that was refunded. */
      originalSeq: bigint;
      arrearsMicros: bigint;
    })
  | { ok: false; code: 'WALLET_NOT_FOUND' | 'WALLET_CLOSED' | 'LIMIT_EXCEEDED' }
  | { ok: false; code: 'KEY_REUSED'; seq: bigint }
  /** No such usage, or less of it is left: this much. */
  | { ok: false; code: 'NOT_REFUNDABLE'; refundableMicros: bigint };

export interface Refunds {
  /**
   * Gives back usage once per key. Refunds of one original are never above it in total; they repay
   * arrears first.
   */
  refund(request: RefundRequest, actor: string): Promise<RefundAnswer>;
}

export function createRefunds(options: { sql: Sql }): Refunds {
  const { sql } = options;
  return {
    async refund(request, actor) {
      const wallet = await onlyWallet(sql, request.wallet);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const { type, referenceId, reason } = request;
      const asked = request.amountMicros ?? null;
      const outcome = await refundUsage(sql, {
        walletId: wallet.walletId,
        key: ledgerKey('usage_refund', request.key),
        requestHash: requestHash({ type, referenceId, amountMicros: asked, reason }),
        chargeKey: usageKey(type, referenceId),
        holdKey: ledgerKey('hold', referenceId),
        usageType: type,
        amountMicros: asked,
        actor,
        detail: { type, referenceId, reason },
      });
      const { code, replayed, seq, amountMicros } = outcome;
      switch (code) {
        case 'OK': {
          const { originalSeq } = outcome.detail as { originalSeq: string };
          const { balanceMicros, availableMicros, arrearsMicros } = outcome;
          const money = { amountMicros, balanceMicros, availableMicros, arrearsMicros };
          return { ok: true, replayed, seq, originalSeq: BigInt(originalSeq), ...money };
        }
        case 'NOT_REFUNDABLE':
          return { ok: false, code, refundableMicros: amountMicros };
        case 'KEY_REUSED':
          return { ok: false, code, seq };
        case 'WALLET_NOT_FOUND':
        case 'WALLET_CLOSED':
        case 'LIMIT_EXCEEDED':
          return { ok: false, code };
        default: {
          const unknown: never = code;
          throw new TypeError(`unknown outcome ${String(unknown)}`);
        }
      }
    },
  };
}
