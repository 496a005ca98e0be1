/** What pages are given to send unspent money back to the cards that paid it. */
import type { Refused } from './refused.ts';
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

/** A wallet from which refunds are asked for. */
export interface RefundableWallet extends WalletRefunds {
  wallet: WalletView;
  /** Number of decimals of its currency: JPY 0, USD 2, KWD 3. */
  exponent: number;
  /** It would charge a card again when the money has gone. */
  isAutoTopUpOn: boolean;
}

export type AskRefund = { ok: true } | Refused<'amount' | 'reason' | 'confirmed'>;

/**
 * A refund takes its money from the wallet at once, and Stripe is asked then. `amount` is what the
 * person typed, in the currency's own decimals. What is not `confirmed` is refused. The same `key` again
 * asks for nothing more.
 */
export interface RefundDesk {
  /** Null where the operator leaves refunds to support. */
  ofUser(userId: string): Promise<RefundableWallet | null>;
  askByUser(input: {
    userId: string;
    amount: string;
    key: string;
    confirmed: boolean;
  }): Promise<AskRefund>;
  /** Null when there is no such wallet. */
  ofWallet(walletId: string): Promise<RefundableWallet | null>;
  askBySupport(input: {
    walletId: string;
    /** Null for unspent money of all top-ups. */
    topUpId: string | null;
    /** Empty for all that may go back. */
    amount: string;
    /** The wallet's user reads it in the history. */
    reason: string;
    key: string;
    confirmed: boolean;
    actor: string;
  }): Promise<AskRefund>;
}
