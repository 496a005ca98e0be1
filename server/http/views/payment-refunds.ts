/** What pages are given to send unspent money back to the cards that paid it. */
import type { WalletView } from './wallets.ts';

/** A refund to a card. `reserved`: its money is taken, and Stripe has not answered yet. */
export interface PaymentRefundView {
  refundId: string;
  /** What was asked for, which may be several refunds; null for one that was made at Stripe. */
  requestId: string | null;
  topUpId: string;
  amountMicros: bigint;
  status: 'reserved' | 'pending' | 'requires_action' | 'succeeded' | 'failed' | 'canceled';
  failureCode: string | null;
  reason: string | null;
  requestedBy: string | null;
  /** How often Stripe was asked again. */
  attempts: number;
  createdAt: Date;
}

export interface RefundableTopUp {
  topUpId: string;
  kind: 'manual' | 'auto';
  /** The event that credited it. */
  creditedSeq: bigint;
  amountMicros: bigint;
  /** How much of it may go back now. */
  refundableMicros: bigint;
  createdAt: Date;
}

export interface WalletRefunds {
  /** How much unspent money may go back now, of all top-ups together. */
  refundableMicros: bigint;
  /** Those credited last first, which is the order in which unspent money goes back. */
  topUps: RefundableTopUp[];
  /** The newest first. */
  refunds: PaymentRefundView[];
}

export type AskRefund =
  | { ok: true; requestId: string }
  | {
      ok: false;
      /** The field that is wrong, or null when it is none of them. */
      field: 'amount' | 'reason' | null;
      message: string;
    };

/**
 * A refund takes its money from the wallet at once, and Stripe is asked then. `amount` is what the
 * person typed, in the currency's own decimals; empty for all that may go back. The same `key` again
 * asks for nothing more.
 */
export interface PaymentRefundDesk {
  /** Null where the operator leaves refunds to support. */
  ofUser(
    userId: string,
  ): Promise<(WalletRefunds & { wallet: WalletView; isAutoTopUpOn: boolean }) | null>;
  askByUser(input: { userId: string; amount: string; key: string }): Promise<AskRefund>;
  /** Null when there is no such wallet. */
  ofWallet(
    walletId: string,
  ): Promise<(WalletRefunds & { wallet: WalletView; isAutoTopUpOn: boolean }) | null>;
  askBySupport(input: {
    walletId: string;
    /** Null for unspent money of all top-ups. */
    topUpId: string | null;
    amount: string;
    reason: string;
    key: string;
    actor: string;
  }): Promise<AskRefund>;
}
