/** What a wallet still owes when its month is closed, and what comes of it. */
import { accept, type Decision, recall } from './decision.ts';
import type { Keyed, WalletEvent } from './events.ts';
import type { OpenWallet } from './state.ts';

/** Arrears that are to be paid by a time. It ends when nothing is owed any more. */
export interface Demand {
  /** From this instant on the wallet is suspended, whether or not anybody looks. */
  readonly suspendAtMs: number;
  /** It keeps the wallet frozen. */
  readonly suspends: boolean;
}

/** Sets the time until which what is owed is to be paid. */
export interface DemandArrears extends Keyed {
  readonly type: 'demand_arrears';
  /** The month whose closing found them. */
  readonly period: string;
  readonly suspendAtMs: number;
  readonly actor: string;
}

/** @throws RangeError when nothing is owed, or it is demanded already */
export function demandArrears(command: DemandArrears, state: OpenWallet): Decision {
  const known = recall(command, state);
  if (known) {
    return known;
  }
  if (state.arrearsMicros === 0n || state.demand !== null) {
    throw new RangeError('arrears are demanded while there are some, and once');
  }
  const { key, requestHash, period, suspendAtMs, actor } = command;
  return accept(command, state, [
    {
      type: 'arrears_demanded',
      key,
      requestHash,
      period,
      arrearsMicros: state.arrearsMicros,
      suspendAtMs,
      actor,
    },
  ]);
}

/** The suspension of an open wallet whose time to pay is over. */
export function dueSuspension(wallet: OpenWallet, nowMs: number): readonly WalletEvent[] {
  const { status, demand } = wallet;
  if (status !== 'open' || demand === null || demand.suspendAtMs > nowMs) {
    return [];
  }
  const detail = { reason: 'What is owed was not paid in time' };
  return [{ type: 'wallet_frozen', bySuspension: true, actor: 'system:arrears', detail }];
}
