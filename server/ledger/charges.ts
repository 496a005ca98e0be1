/** Charging a wallet for usage. */
import {
  accept,
  closedTo,
  type Decision,
  maxAmountMicros,
  maxStandingMicros,
  refuse,
  refuseByLimit,
  refuseByUnits,
} from './decision.ts';
import type { Detail, Keyed } from './events.ts';
import { isGoodwill } from './goodwill.ts';
import { burn, ofGrants } from './grants.ts';
import { kindOf, tightestLimit } from './limits.ts';
import { least, most } from './money.ts';
import { availableMicros, type OpenWallet } from './state.ts';

export interface ChargeWallet extends Keyed {
  readonly type: 'charge_wallet';
  /** Null when no rate was found. */
  readonly amountMicros: bigint | null;
  /** What happens to the part that the wallet cannot fund: refuse the charge, or let it be owed. */
  readonly overrun: 'refuse' | 'arrears';
  readonly actor: string;
  readonly detail: Detail;
}

export function chargeWallet(command: ChargeWallet, state: OpenWallet, nowMs: number): Decision {
  const { key, requestHash, amountMicros, overrun, actor, detail } = command;
  if (isGoodwill(detail, amountMicros)) {
    return accept(command, state, [{ type: 'goodwill', key, requestHash, actor, detail }]);
  }
  if (state.status !== 'open') {
    return refuse(closedTo(state), state, amountMicros);
  }
  if (amountMicros === null) {
    return refuse('NO_RATE', state, null);
  }
  const moved = refuseByUnits(state, amountMicros, detail);
  if (moved !== undefined) {
    return moved;
  }
  if (amountMicros > maxAmountMicros || state.arrearsMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }

  // What was delivered counts against limits and is not refused by them.
  if (overrun === 'refuse') {
    const tightest = tightestLimit(state, kindOf(detail), null);
    const refused = refuseByLimit(state, tightest, amountMicros);
    if (refused !== undefined) {
      return refused;
    }
  }
  const fundedMicros = least(amountMicros, most(availableMicros(state), 0n));
  const owedMicros = amountMicros - fundedMicros;
  if (owedMicros > 0n && overrun === 'refuse') {
    return refuse('INSUFFICIENT_FUNDS', state, amountMicros);
  }
  const burned = ofGrants(burn(state, fundedMicros, nowMs));
  const common = { key, requestHash, owedMicros, actor, detail, ...burned };
  return accept(command, state, [
    state.mode === 'deferred'
      ? { type: 'accrual', reservedMicros: fundedMicros, ...common }
      : { type: 'charge', takenMicros: fundedMicros, ...common },
  ]);
}
