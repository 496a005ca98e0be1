/** One wallet as support staff see it, and what they may do with it. */
import type { AutoTopUpView } from './auto-top-ups.ts';
import type { LimitView } from './spending-limits.ts';
import type { SubscriptionView } from './subscriptions.ts';
import type { TopUpView } from './top-ups.ts';
import type { EventPage, WalletPage, WalletView } from './wallets.ts';

/** A dispute of a payment, or an inquiry, which takes nothing. */
export interface DisputeView {
  disputeId: string;
  walletId: string;
  topUpId: string;
  currency: string;
  state: 'inquiry' | 'inquiry_closed' | 'open' | 'lost' | 'won';
  /** Stripe's own words for the state, and for why the bank disputes. */
  status: string;
  reason: string | null;
  amountMicros: bigint;
  withdrawnMicros: bigint;
  reinstatedMicros: bigint;
  /** It keeps the wallet frozen. */
  freezes: boolean;
  createdAt: Date;
}

/** A card network's word that a payment was likely fraud. */
export interface FraudWarningView {
  warningId: string;
  walletId: string;
  topUpId: string;
  currency: string;
  /** Of the payment. */
  amountMicros: bigint;
  fraudType: string;
  /** A refund would still keep a dispute away. */
  actionable: boolean;
  createdAt: Date;
}

/** A limit as a person typed it; one without an amount is left out. */
export interface TypedLimit {
  period: string;
  type: string;
  prefix: string;
  amount: string;
}

/** What is wrong with limits, by their place and by the field. */
export type LimitProblems = Record<number, Partial<Record<keyof TypedLimit, string>>>;

export interface WalletDeskView {
  wallet: WalletView;
  /** Of the user's account; null when the user has none here. */
  email: string | null;
  page: EventPage;
  /** The newest ones. */
  topUps: TopUpView[];
  disputes: DisputeView[];
  warnings: FraudWarningView[];
  /** Null when it was never turned on. */
  autoTopUp: Pick<
    NonNullable<AutoTopUpView['settings']>,
    'status' | 'reason' | 'thresholdMicros' | 'monthlyCapMicros'
  > | null;
  limits: LimitView[];
  /** Also those that have ended. */
  subscriptions: SubscriptionView[];
  /** Decimals of the wallet's currency. */
  exponent: number;
}

export type DeskAnswer = { ok: true } | { ok: false; message: string };

/** By default the newest fifty. An unknown cursor is that of the first page. */
export interface ListPage {
  cursor?: string | undefined;
  limit?: number | undefined;
}

export interface WalletDesk {
  /** Wallets of the user with this email, or the first of users whose id begins so. */
  find(query: string): Promise<WalletPage>;
  /** Null when there is no such wallet. */
  get(walletId: string, cursor: string | undefined): Promise<WalletDeskView | null>;
  /** Freezes or unfreezes it; the reason and who did it stand in its history. */
  changeStatus(input: {
    walletId: string;
    status: 'open' | 'frozen';
    reason: string;
    actor: string;
  }): Promise<DeskAnswer>;
  /** Lets automatic top-up go on after a pause, whatever the reason was. */
  resumeAutoTopUp(input: { walletId: string; actor: string }): Promise<DeskAnswer>;
  /** Replaces its limits. */
  setLimits(input: {
    walletId: string;
    limits: readonly TypedLimit[];
    actor: string;
  }): Promise<DeskAnswer | { ok: false; problems: LimitProblems }>;
  /** Disputes and inquiries of all wallets, newest first. */
  disputes(page: ListPage): Promise<{ disputes: DisputeView[]; nextCursor: string | null }>;
  /** Warnings of fraud of all wallets, newest first. */
  warnings(page: ListPage): Promise<{ warnings: FraudWarningView[]; nextCursor: string | null }>;
}
