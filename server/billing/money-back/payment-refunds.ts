/** Unspent money that goes back to the cards which paid it, asked for here. */
import { setTimeout as delay } from 'node:timers/promises';
import { Fault } from '../../faults.ts';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { formatMicros } from '../../ledger/money.ts';
import {
  listPaymentRefunds,
  listRefundableTopUps,
  refundableMicros,
  refundsOfRequest,
  reservePaymentRefund,
} from '../../store/payment-refunds.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { PaymentRefundView, WalletRefunds } from '../../views/payment-refunds.ts';
import { exponentOf } from '../wallets/currencies.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';
import type { RefundAsking } from './refund-asking.ts';

/** How long an answer waits for Stripe's. What takes longer goes on without it. */
const PATIENCE_MS = 8_000;
const LISTED = 100;

export interface PaymentRefundRequest {
  readonly wallet: WalletName;
  /** By default unspent money of all top-ups, those credited last first. */
  readonly topUpId?: string | undefined;
  /** By default all that may go back. */
  readonly amountMicros?: bigint | undefined;
  /** The caller's own name of this refund. */
  readonly key: string;
  /** The wallet's user reads it in the history. */
  readonly reason: string;
}

/** What a request came to: one refund for each top-up, and how each stands now. */
export type RefundPart = Pick<
  PaymentRefundView,
  'refundId' | 'topUpId' | 'amountMicros' | 'status' | 'failureCode'
>;

export type PaymentRefundAnswer =
  | {
      ok: true;
      replayed: boolean;
      /** The request, as refunds name it. */
      requestId: string;
      seq: bigint;
      /** What was taken from the wallet, and the wallet after it. */
      amountMicros: bigint;
      balanceMicros: bigint;
      availableMicros: bigint;
      /** What Stripe has refused is in the wallet again. */
      refunds: RefundPart[];
    }
  | { ok: false; code: 'WALLET_NOT_FOUND' | 'WALLET_CLOSED' | 'WALLET_FROZEN' }
  | { ok: false; code: 'KEY_REUSED'; seq: bigint }
  /** There is no such top-up, or less may go back: this much. */
  | { ok: false; code: 'NOT_REFUNDABLE'; refundableMicros: bigint };

export interface PaymentRefunds {
  /**
   * Takes the money from the wallet, once per key, then asks Stripe to send it back. Never more than
   * the wallet's own free money, nor than what is left of each top-up. Throws a `BAD_REQUEST` for an
   * amount that cards cannot be refunded.
   */
  refund(
    request: PaymentRefundRequest,
    by: { actor: string; whileFrozen: boolean },
  ): Promise<PaymentRefundAnswer>;
  /** What may go back of a wallet now, and what has gone. */
  of(walletId: string): Promise<WalletRefunds>;
}

export function createPaymentRefunds(options: {
  sql: Sql;
  asking: RefundAsking;
  /** The mode of the program's own Stripe key: payments of the other mode cannot be refunded. */
  livemode: boolean;
  patienceMs?: number;
}): PaymentRefunds {
  const { sql, asking, livemode, patienceMs = PATIENCE_MS } = options;

  /** One after the other, for as long as somebody waits for the answer. */
  async function askFor(walletId: string, refunds: readonly RefundPart[]): Promise<void> {
    const patience = new AbortController();
    const asked = (async () => {
      for (const { refundId } of refunds) {
        await asking.ask({ walletId, refundId });
      }
    })();
    const { signal } = patience;
    await Promise.race([asked, delay(patienceMs, undefined, { signal }).catch(() => undefined)]);
    patience.abort();
  }

  return {
    async refund(request, { actor, whileFrozen }) {
      const wallet = await onlyWallet(sql, request.wallet);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const { walletId } = wallet;
      const { topUpId = null, amountMicros = null, reason } = request;
      assertForCards(amountMicros ?? 0n, wallet.currency);
      const requestId = ledgerKey('payment_refund_request', request.key);
      const outcome = await reservePaymentRefund(sql, {
        walletId,
        key: requestId,
        requestHash: requestHash({ topUpId, amountMicros, reason }),
        topUpId,
        amountMicros,
        livemode,
        whileFrozen,
        reason,
        actor,
        detail: { reason },
      });
      const { code, replayed, seq, balanceMicros, availableMicros } = outcome;
      switch (code) {
        case 'OK': {
          const reserved = await refundsOfRequest(sql, walletId, requestId);
          // Those of a replay are somebody else's to ask for, who may be asking just now.
          if (!replayed) {
            await askFor(walletId, reserved);
          }
          const refunds = await refundsOfRequest(sql, walletId, requestId);
          return {
            ok: true,
            replayed,
            requestId,
            seq,
            amountMicros: refunds.reduce((sum, refund) => sum + refund.amountMicros, 0n),
            balanceMicros,
            availableMicros,
            refunds: refunds.map(partOf),
          };
        }
        case 'NOT_REFUNDABLE':
          return { ok: false, code, refundableMicros: outcome.amountMicros };
        case 'KEY_REUSED':
          return { ok: false, code, seq };
        case 'WALLET_NOT_FOUND':
        case 'WALLET_CLOSED':
        case 'WALLET_FROZEN':
          return { ok: false, code };
        default: {
          const unknown: never = code;
          throw new TypeError(`unknown outcome ${String(unknown)}`);
        }
      }
    },

    async of(walletId) {
      const [micros, topUps, refunds] = await Promise.all([
        refundableMicros(sql, walletId, livemode),
        listRefundableTopUps(sql, walletId, livemode, LISTED),
        listPaymentRefunds(sql, walletId, LISTED),
      ]);
      return { refundableMicros: micros, topUps, refunds };
    },
  };
}

function partOf(refund: PaymentRefundView): RefundPart {
  const { refundId, topUpId, amountMicros, status, failureCode } = refund;
  return { refundId, topUpId, amountMicros, status, failureCode };
}

/** The smallest step of money that cards know: currencies of three decimals go in steps of ten. */
export function cardUnitMicros(currency: string): bigint {
  return 10n ** BigInt(6 - Math.min(exponentOf(currency), 2));
}

function assertForCards(amountMicros: bigint, currency: string): void {
  const unitMicros = cardUnitMicros(currency);
  if (amountMicros % unitMicros !== 0n) {
    const step = `${formatMicros(unitMicros, exponentOf(currency))} ${currency}`;
    throw new Fault('BAD_REQUEST', {
      publicMessage: `amountMicros: must be in whole steps of ${step}, as cards are refunded`,
    });
  }
}
