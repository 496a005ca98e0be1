/** What a decision is, and what all decisions have in common. */
import type { Detail, Keyed, UsageRefunded, WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { isFrozenByDispute, isSuspended } from './freezing.ts';
import { burn, expiredOf, ofGrants, restored, stillBurned } from './grants.ts';
import { type LimitStanding, limitRefused } from './limits.ts';
import { least } from './money.ts';
import { movedUnits } from './monthly-units.ts';
import { type Answer, answerOf, type GrantPart, type OpenWallet } from './state.ts';

/** The most that one operation moves. */
export const maxAmountMicros = 10n ** 18n;
/** A balance above this takes no more credit, arrears above it no more charges. */
export const maxStandingMicros = 2n * 10n ** 18n;

/** Refusals; their order of precedence is wallet, hold, key, status, rate, limits, funds. */
export type RefusalCode =
  | 'WALLET_NOT_FOUND'
  | 'KEY_REUSED'
  | 'WALLET_FROZEN'
  | 'WALLET_CLOSED'
  | 'NO_RATE'
  /** It was priced with other units of the month than the wallet has used; its detail says these. */
  | 'UNITS_MOVED'
  | 'LIMIT_EXCEEDED'
  /** A grant that would never be there to spend. */
  | 'EXPIRES_IN_PAST'
  | 'INSUFFICIENT_FUNDS'
  | 'HOLD_NOT_FOUND'
  | 'HOLD_NOT_OPEN'
  /** A capture of a hold whose usage was never reported must say it. */
  | 'USAGE_REQUIRED'
  /** A hold of calls bills calls. */
  | 'USAGE_TYPE_DIFFERS'
  /** There is no such original, or less is left of it: the answer's amount says how much. */
  | 'NOT_REFUNDABLE'
  /** A payment that comes back never came in here. */
  | 'PAYMENT_NOT_CREDITED'
  /** What comes back is not what came in: another amount, or another currency. */
  | 'PAYMENT_DIFFERS'
  | 'SUBSCRIPTION_NOT_FOUND'
  /** What a subscription cost in a month that was closed does not change. */
  | 'MONTH_CLOSED'
  /** Only an empty wallet is closed. */
  | 'WALLET_NOT_EMPTY';

/** KEY_REUSED carries the numbers of the answer that the key got first, other refusals the wallet's. */
export type Outcome =
  | { readonly code: 'WALLET_NOT_FOUND' }
  | ({ readonly code: 'OK'; readonly replayed: boolean } & Answer)
  | ({
      readonly code: Exclude<RefusalCode, 'WALLET_NOT_FOUND'>;
      readonly replayed: false;
    } & Answer);

/** The answer to a hold's heartbeat: the hold as it stands then. */
export interface Heartbeat {
  readonly seq: bigint;
  readonly heldMicros: bigint;
  readonly expiresAtMs: number;
  readonly amountSoFarMicros: bigint;
  readonly unitsSoFar: number;
  /** Less is reserved ahead of the usage so far than was asked for. */
  readonly lowBalance: boolean;
  readonly availableMicros: bigint;
  /** The most that the limits let the hold come to; null when none is for it. */
  readonly headroomMicros: bigint | null;
  /** Of LIMIT_EXCEEDED, which limit. */
  readonly detail: Detail | null;
}

export type HeartbeatOutcome =
  | { readonly code: 'WALLET_NOT_FOUND' | 'HOLD_NOT_FOUND' }
  | ({
      readonly code: 'OK' | Exclude<RefusalCode, 'WALLET_NOT_FOUND' | 'HOLD_NOT_FOUND'>;
    } & Heartbeat);

/** What a re-rating posted for an original: a charge, negative for what it gave back. */
export interface ReratingOutcome {
  readonly code:
    | 'OK'
    /** What the original had billed is no longer what it was priced for. */
    | 'CHANGED'
    | Extract<RefusalCode, 'WALLET_FROZEN' | 'WALLET_CLOSED' | 'LIMIT_EXCEEDED'>;
  readonly postedMicros: bigint;
}

export interface Decision {
  readonly outcome: Outcome | HeartbeatOutcome | ReratingOutcome;
  /**
   * Written together or not at all. A refusal and a replay write nothing of their own: only what
   * had fallen due on the wallet before, and a heartbeat what was delivered.
   */
  readonly events: readonly WalletEvent[];
}

/** The answer to a key that was used before, if it was. */
export function recall({ key, requestHash }: Keyed, wallet: OpenWallet): Decision | undefined {
  const known = wallet.answers.get(key);
  if (!known) {
    return undefined;
  }
  return known.requestHash === requestHash
    ? answer({ code: 'OK', replayed: true, ...known.answer })
    : answer({ code: 'KEY_REUSED', replayed: false, ...known.answer });
}

/** The answer is what a replay will find, so both are read from the same place. */
export function accept(
  { key }: Keyed,
  wallet: OpenWallet,
  events: readonly WalletEvent[],
): Decision {
  const after = events.reduce<OpenWallet>(evolve, wallet);
  const written = after.answers.get(key);
  if (!written) {
    throw new Error('an accepted command leaves its key behind');
  }
  return { outcome: { code: 'OK', replayed: false, ...written.answer }, events };
}

/**
 * The answer of what needs no key: the wallet as it stands then, replayed when nothing happened.
 * `detail` is what the events say.
 */
export function applied(
  wallet: OpenWallet,
  amountMicros: bigint,
  events: readonly WalletEvent[],
  detail: Detail | null = null,
): Decision {
  const after = events.reduce(evolve, wallet);
  const replayed = events.length === 0;
  return { outcome: { code: 'OK', replayed, ...answerOf(after, amountMicros, detail) }, events };
}

/**
 * Repays arrears out of money that is neither held nor borrowed, nor credit that came back past its
 * expiry. With nothing owed any more a suspended wallet is open again.
 */
export function repayArrears(
  wallet: OpenWallet,
  actor: string,
  nowMs: number,
  expiredMicros = 0n,
): readonly WalletEvent[] {
  const freeMicros = wallet.balanceMicros - wallet.heldMicros - expiredMicros;
  const repaidMicros = least(wallet.arrearsMicros, freeMicros);
  if (repaidMicros <= 0n) {
    return [];
  }
  const burned = ofGrants(burn(wallet, repaidMicros, nowMs));
  const repaid: WalletEvent = {
    type: 'arrears_repaid',
    repaidMicros,
    bySeq: wallet.seq,
    actor,
    ...burned,
  };
  if (repaidMicros < wallet.arrearsMicros || !isSuspended(wallet) || isFrozenByDispute(wallet)) {
    return [repaid];
  }
  const detail = { reason: 'What was owed is paid' };
  return [repaid, { type: 'wallet_unfrozen', actor: 'system:arrears', detail }];
}

/** Usage that is given back: the credit that it has burned, and what of it stays billed. */
interface Spent {
  readonly burned: readonly GrantPart[];
  readonly billedMicros: bigint;
}

/**
 * The one way in which billed usage becomes the wallet's money again, and the credit that it burned
 * beyond what stays billed becomes credit again; arrears come first.
 */
export function giveBack(
  { key, requestHash, actor }: Partial<Keyed> & { readonly actor: string },
  wallet: OpenWallet,
  given: Omit<UsageRefunded, 'type' | 'key' | 'requestHash' | 'grants'>,
  spent: Spent,
  nowMs: number,
): readonly WalletEvent[] {
  const { hold, ...money } = given;
  const grants = restored(spent.burned, spent.billedMicros);
  const burned = stillBurned(spent.burned, spent.billedMicros);
  const refunded: WalletEvent = {
    type: 'usage_refund',
    ...(key !== undefined && requestHash !== undefined && { key, requestHash }),
    actor,
    ...money,
    ...ofGrants(grants),
    ...(hold && { hold: { ...hold, burned } }),
  };
  const expiredMicros = expiredOf(wallet, grants, nowMs);
  return [refunded, ...repayArrears(evolve(wallet, refunded), actor, nowMs, expiredMicros)];
}

export function refuse(
  code: Exclude<RefusalCode, 'WALLET_NOT_FOUND'>,
  wallet: OpenWallet,
  amountMicros: bigint | null,
): Decision {
  return answer({ code, replayed: false, ...answerOf(wallet, amountMicros, null) });
}

/** Why a wallet that is not open refuses to be spent from. */
export function closedTo({ status }: OpenWallet): 'WALLET_FROZEN' | 'WALLET_CLOSED' {
  return status === 'frozen' ? 'WALLET_FROZEN' : 'WALLET_CLOSED';
}

/** The refusal of usage that was priced with other units of the month than there are, if it was. */
export function refuseByUnits(
  wallet: OpenWallet,
  amountMicros: bigint,
  detail: Detail,
): Decision | undefined {
  const units = movedUnits(wallet, detail);
  return units === undefined
    ? undefined
    : answer({
        code: 'UNITS_MOVED',
        replayed: false,
        ...answerOf(wallet, amountMicros, { unitsThisMonth: units }),
      });
}

/** The refusal by a limit that leaves less than is asked, if one does. */
export function refuseByLimit(
  wallet: OpenWallet,
  standing: LimitStanding | undefined,
  requiredMicros: bigint,
): Decision | undefined {
  return standing !== undefined && requiredMicros > standing.leftMicros
    ? answer({
        code: 'LIMIT_EXCEEDED',
        replayed: false,
        ...answerOf(wallet, requiredMicros, limitRefused(standing, requiredMicros)),
      })
    : undefined;
}

export function answer(outcome: Decision['outcome']): Decision {
  return { outcome, events: [] };
}

export function assertAllowed(holds: boolean, message: string): asserts holds {
  if (!holds) {
    throw new RangeError(message);
  }
}
