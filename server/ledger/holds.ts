/** What commands do to holds: placing, capturing and voiding them. */
import {
  accept,
  answer,
  closedTo,
  type Decision,
  maxAmountMicros,
  maxStandingMicros,
  recall,
  refuse,
  refuseByLimit,
  refuseByUnits,
} from './decision.ts';
import { instant } from './event-detail.ts';
import type { Detail, Keyed } from './events.ts';
import { type CommandOnHold, isOfAnotherType, keyOf, linkOf, reachOf } from './hold.ts';
import { correctionDetail, differenceEvent, endHold } from './hold-billing.ts';
import type { ExtendHold } from './hold-heartbeat.ts';
import { cameBackOf, giveOverchargeBack, lowerBill, overchargedMicros } from './hold-lowering.ts';
import { kindOf, tightestLimit } from './limits.ts';
import { least, most } from './money.ts';
import { unitsThisMonth } from './monthly-units.ts';
import {
  answerOf,
  availableMicros,
  type Hold,
  type HoldPricing,
  type OpenWallet,
  type Report,
} from './state.ts';

export interface AuthorizeHold extends CommandOnHold, Keyed {
  readonly type: 'authorize_hold';
  /** Null when no rate was found. */
  readonly amountMicros: bigint | null;
  readonly referenceId: string;
  readonly rateCardId: string;
  /** What its prices depend on beside the card; what is goodwill is never refused. */
  readonly pricing: HoldPricing;
  readonly usageType: string | null;
  readonly destination: string | null;
  readonly ttlSeconds: number;
  readonly detail: Detail;
}

export interface CaptureHold extends CommandOnHold, Keyed {
  readonly type: 'capture_hold';
  /** The final usage and its price; null for what was reported last. */
  readonly report: Report | null;
  readonly amountMicros: bigint | null;
  readonly overrun: 'refuse' | 'arrears';
}

export interface VoidHold extends CommandOnHold, Keyed {
  readonly type: 'void_hold';
}

export type HoldCommand = AuthorizeHold | ExtendHold | CaptureHold | VoidHold;

export function authorizeHold(command: AuthorizeHold, state: OpenWallet, nowMs: number): Decision {
  const { holdId, amountMicros, referenceId, rateCardId, ttlSeconds } = command;
  const isRefusable = command.pricing.goodwill !== true;
  if (isRefusable && state.status !== 'open') {
    return refuse(closedTo(state), state, amountMicros);
  }
  if (amountMicros === null) {
    return refuse('NO_RATE', state, null);
  }
  const isTiered = command.pricing.unitsThisMonth !== undefined;
  const moved = isTiered ? refuseByUnits(state, amountMicros, command.detail) : undefined;
  if (isRefusable && moved !== undefined) {
    return moved;
  }
  const pricing = {
    ...command.pricing,
    // What its usage is priced with, whichever rule that turns out to need.
    ...(isTiered && { unitsThisMonth: unitsThisMonth(state) }),
  };
  if (amountMicros > maxAmountMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }
  const { usageType, destination } = command;
  const tightest = tightestLimit(state, { type: usageType, destination }, null);
  const refused = refuseByLimit(state, tightest, amountMicros);
  if (isRefusable && refused !== undefined) {
    return refused;
  }
  if (isRefusable && amountMicros > most(availableMicros(state), 0n)) {
    return refuse('INSUFFICIENT_FUNDS', state, amountMicros);
  }
  const expiresAtMs = nowMs + ttlSeconds * 1_000;
  const hold: Hold = {
    holdId,
    referenceId,
    status: 'open',
    usageType,
    destination,
    pricing,
    placedMicros: amountMicros,
    aheadMicros: amountMicros,
    heldMicros: amountMicros,
    report: null,
    amountSoFarMicros: 0n,
    billedMicros: 0n,
    burned: [],
    ttlSeconds,
    placedAtMs: nowMs,
    expiresAtMs,
  };
  const detail = {
    ...command.detail,
    holdId,
    referenceId,
    rateCardId,
    pricing,
    expiresAt: instant(expiresAtMs),
    // How far the limits let it come: a replay says the same.
    ...(tightest !== undefined && { headroomMicros: tightest.leftMicros.toString() }),
  };
  return accept(command, state, [
    { type: 'hold_placed', ...keyOf(command), amountMicros, hold, actor: command.actor, detail },
  ]);
}

export function captureHold(command: CaptureHold, state: OpenWallet, nowMs: number): Decision {
  const { overrun, actor } = command;
  const hold = state.holds.get(command.holdId);
  if (hold === undefined) {
    return refuse('HOLD_NOT_FOUND', state, command.amountMicros);
  }
  const known = recall(command, state);
  if (known?.outcome.code === 'OK') {
    return known;
  }
  if (hold.status !== 'open' && hold.status !== 'expired') {
    return refuse('HOLD_NOT_OPEN', state, command.amountMicros);
  }
  const report = command.report ?? hold.report;
  const amountMicros = command.report === null ? hold.amountSoFarMicros : command.amountMicros;
  if (report === null) {
    return refuse('USAGE_REQUIRED', state, null);
  }
  if (isOfAnotherType(hold, report)) {
    return refuse('USAGE_TYPE_DIFFERS', state, amountMicros);
  }
  if (amountMicros === null) {
    return refuse('NO_RATE', state, null);
  }
  // Nothing was billed while the hold is open, nothing is held after it ran out. What came back since
  // is not given back once more.
  const billedMicros = most(amountMicros, cameBackOf(state, hold));
  const dueMicros = billedMicros - hold.billedMicros;
  const standingMicros = dueMicros < 0n ? state.balanceMicros : state.arrearsMicros;
  if (amountMicros > maxAmountMicros || standingMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }
  if (overrun === 'refuse' && dueMicros > hold.heldMicros) {
    const tightest = tightestLimit(state, kindOf(report), hold.holdId);
    const refused = refuseByLimit(state, tightest, dueMicros);
    if (refused !== undefined) {
      return refused;
    }
  }
  const reachMicros = reachOf(hold, state);
  if (dueMicros > reachMicros && overrun === 'refuse') {
    const numbers = { ...answerOf(state, dueMicros, null), availableMicros: reachMicros };
    return answer({ code: 'INSUFFICIENT_FUNDS', replayed: false, ...numbers });
  }

  const after: Hold = {
    ...hold,
    status: 'captured',
    usageType: report.usage.type,
    heldMicros: 0n,
    report,
    amountSoFarMicros: amountMicros,
    billedMicros,
  };
  if (hold.status === 'open') {
    const fundedMicros = least(dueMicros, reachMicros);
    const captured = { type: 'hold_captured', ...keyOf(command) } as const;
    return accept(
      command,
      state,
      endHold(captured, state, hold, after, fundedMicros, dueMicros - fundedMicros, actor),
    );
  }
  const detail = correctionDetail(hold, report);
  return accept(
    command,
    state,
    dueMicros >= 0n
      ? [differenceEvent(state, hold, after, dueMicros, { ...keyOf(command), actor, detail })]
      : lowerBill(command, state, hold, after, detail, nowMs),
  );
}

export function voidHold(command: VoidHold, state: OpenWallet, nowMs: number): Decision {
  const hold = state.holds.get(command.holdId);
  if (hold === undefined) {
    return refuse('HOLD_NOT_FOUND', state, null);
  }
  const known = recall(command, state);
  if (known?.outcome.code === 'OK') {
    return known;
  }
  if (hold.status !== 'open' && hold.status !== 'expired') {
    return refuse('HOLD_NOT_OPEN', state, null);
  }
  const stillBilledMicros = cameBackOf(state, hold);
  const amountMicros = hold.billedMicros - stillBilledMicros;
  const overMicros = overchargedMicros(state, hold, stillBilledMicros);
  if (amountMicros + overMicros > 0n && state.balanceMicros > maxStandingMicros) {
    return refuse('LIMIT_EXCEEDED', state, amountMicros);
  }
  const after: Hold = {
    ...hold,
    status: 'voided',
    heldMicros: 0n,
    billedMicros: stillBilledMicros,
  };
  if (amountMicros > 0n) {
    const detail = correctionDetail(hold, null);
    return accept(command, state, lowerBill(command, state, hold, after, detail, nowMs));
  }
  return accept(command, state, [
    ...giveOverchargeBack(command.actor, state, hold, overMicros, nowMs),
    {
      type: 'hold_voided',
      ...keyOf(command),
      releasedMicros: hold.heldMicros,
      hold: { ...after, burned: [] },
      actor: command.actor,
      detail: linkOf(hold),
    },
  ]);
}
