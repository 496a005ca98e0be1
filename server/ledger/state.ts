/** A wallet as its events leave it. */
import type { Demand } from './arrears.ts';
import type { Detail, WalletMode } from './events.ts';
import type { SpendingLimit } from './limit-list.ts';
import type { CountedUsage } from './limits.ts';
import type { MonthlyUnits } from './monthly-units.ts';
import type { Originals } from './originals.ts';
import type { Payments } from './payments.ts';
import type { Subscription } from './subscriptions.ts';

export type WalletStatus = 'open' | 'frozen' | 'closed';

/** Usage as it was reported: what, how many units, and how its price came about. */
export interface Report {
  readonly usage: { readonly type: string; readonly to?: string };
  readonly units: number;
  readonly breakdown?: unknown;
}

export type HoldStatus = 'open' | 'captured' | 'voided' | 'expired';

/** What the prices of a hold depend on; the ledger keeps it and reads only what it names. */
export type HoldPricing = Detail & {
  /** Its destination must always connect. */
  readonly goodwill?: boolean;
  /** Some of its prices depend on these; the ledger says what they are when it is placed. */
  readonly unitsThisMonth?: Readonly<Record<string, number>>;
};

/** Money that is reserved while usage goes on. */
export interface Hold {
  readonly holdId: string;
  /** The caller's own key of it. */
  readonly referenceId: string;
  readonly status: HoldStatus;
  /** Null until the caller says what is used. */
  readonly usageType: string | null;
  /** Where it goes, once that is known; the newest report counts. */
  readonly destination: string | null;
  /** What prices its usage beside its rate card. */
  readonly pricing: HoldPricing;
  readonly placedMicros: bigint;
  /** What is to be reserved beyond the usage so far. */
  readonly aheadMicros: bigint;
  readonly heldMicros: bigint;
  /** The usage so far, and its price; neither goes back. */
  readonly report: Report | null;
  readonly amountSoFarMicros: bigint;
  /** What was charged for it, taken or owed. */
  readonly billedMicros: bigint;
  /** The promotional credit that this burned, in that order. */
  readonly burned: readonly GrantPart[];
  readonly ttlSeconds: number;
  readonly placedAtMs: number;
  /** From this instant on it is expired, whether or not anybody looks. */
  readonly expiresAtMs: number;
}

/** Promotional credit, named by the number of the event that granted it. */
export interface Grant {
  readonly seq: bigint;
  readonly grantedMicros: bigint;
  readonly leftMicros: bigint;
  /** What of it ended unspent. */
  readonly expiredMicros: bigint;
  /** From this instant on only holds that were placed before can spend it; null for never. */
  readonly expiresAtMs: number | null;
}

/** Part of a grant. */
export interface GrantPart {
  readonly seq: bigint;
  readonly micros: bigint;
}

export interface OpenWallet {
  readonly opened: true;
  readonly currency: string;
  readonly timezone: string;
  readonly mode: WalletMode;
  readonly status: WalletStatus;
  /** Number of the newest event. */
  readonly seq: bigint;
  readonly balanceMicros: bigint;
  readonly heldMicros: bigint;
  readonly arrearsMicros: bigint;
  readonly overdraftLimitMicros: bigint;
  /** By when what is owed is to be paid; null when nobody has asked. */
  readonly demand: Demand | null;
  /** Every hold there ever was, by its id. */
  readonly holds: ReadonlyMap<string, Hold>;
  readonly originals: Originals;
  readonly payments: Payments;
  /** Every subscription there ever was, by its id. */
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  /** Every grant there ever was, by its number. */
  readonly grants: ReadonlyMap<bigint, Grant>;
  readonly limits: readonly SpendingLimit[];
  /** All usage that limits, also later ones, count. */
  readonly usage: readonly CountedUsage[];
  /** By what counts them. */
  readonly monthlyUnits: ReadonlyMap<string, MonthlyUnits>;
  /** What is recorded next is recorded now. */
  readonly atMs: number;
  /** What every accepted key asked, and the answer it got. */
  readonly answers: ReadonlyMap<string, Remembered>;
}

export type WalletState = { readonly opened: false } | OpenWallet;

/** The numbers of an answer: of the event that was written, or of the wallet that refused. */
export interface Answer {
  readonly seq: bigint;
  /** What was asked for; null for usage without a rate. */
  readonly amountMicros: bigint | null;
  readonly balanceMicros: bigint;
  readonly heldMicros: bigint;
  readonly arrearsMicros: bigint;
  readonly availableMicros: bigint;
  readonly detail: Detail | null;
}

export interface Remembered {
  readonly requestHash: string;
  readonly answer: Answer;
}

export const initialState: WalletState = { opened: false };

/** The wallet at an instant. */
export function at(state: WalletState, nowMs: number): WalletState {
  return state.opened ? { ...state, atMs: nowMs } : state;
}

/** What the wallet's user can spend now; below zero after a dispute, for example. */
export function availableMicros(wallet: OpenWallet): bigint {
  return wallet.balanceMicros - wallet.heldMicros + wallet.overdraftLimitMicros;
}

/** An answer with the wallet's numbers as they stand. */
export function answerOf(
  wallet: OpenWallet,
  amountMicros: bigint | null,
  detail: Detail | null,
): Answer {
  return {
    seq: wallet.seq,
    amountMicros,
    balanceMicros: wallet.balanceMicros,
    heldMicros: wallet.heldMicros,
    arrearsMicros: wallet.arrearsMicros,
    availableMicros: availableMicros(wallet),
    detail,
  };
}
