/** A wallet as its events leave it. */
import type { Detail, WalletMode } from './events.ts';

export type WalletStatus = 'open' | 'frozen' | 'closed';

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
