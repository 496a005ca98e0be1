/** The heartbeat of a hold: usage so far, a later expiry, more money ahead. */
import {
  answer,
  closedTo,
  type Decision,
  type HeartbeatOutcome,
  maxAmountMicros,
  maxStandingMicros,
} from './decision.ts';
import { instant } from './event-detail.ts';
import type { Detail, WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { type CommandOnHold, isOfAnotherType, linkOf } from './hold.ts';
import { correctionDetail, differenceEvent } from './hold-billing.ts';
import { type LimitStanding, limitRefused, tightestLimit } from './limits.ts';
import { least, most } from './money.ts';
import { availableMicros, type Hold, type OpenWallet, type Report } from './state.ts';

export interface ExtendHold extends CommandOnHold {
  readonly type: 'extend_hold';
  /** The usage so far and its price; the price is null when no rate was found. */
  readonly report: Report | null;
  readonly amountMicros: bigint | null;
  /** Reserve this much ahead beyond what was authorized; the most that was asked for counts. */
  readonly addMicros: bigint | null;
  readonly ttlSeconds: number | null;
}

export function extendHold(command: ExtendHold, state: OpenWallet, nowMs: number): Decision {
  const { report, amountMicros, addMicros, ttlSeconds, actor } = command;
  const hold = state.holds.get(command.holdId);
  if (hold === undefined) {
    return answer({ code: 'HOLD_NOT_FOUND' });
  }
  const refusal = refusalOfHeartbeat(command, hold);
  if (refusal !== undefined) {
    return { outcome: heartbeat(refusal, state, hold, false), events: [] };
  }
  const reported = report === null ? hold : withReport(hold, report, amountMicros ?? 0n);
  const grown = reported !== hold;
  if (hold.status === 'expired') {
    return billLateHeartbeat(command, state, hold, reported);
  }

  const aheadMicros = most(hold.aheadMicros, hold.placedMicros + (addMicros ?? 0n));
  // A frozen wallet pays for what was delivered and for nothing more.
  const wantedMicros = reported.amountSoFarMicros + (state.status === 'open' ? aheadMicros : 0n);
  const { usageType, destination } = reported;
  const tightest = tightestLimit(state, { type: usageType, destination }, hold.holdId);
  // What was delivered counts against the limits anyway.
  const targetMicros = most(
    least(wantedMicros, tightest?.leftMicros ?? wantedMicros),
    reported.amountSoFarMicros,
  );
  const raisedMicros = most(least(targetMicros - hold.heldMicros, availableMicros(state)), 0n);
  const heldMicros = hold.heldMicros + raisedMicros;
  const code = codeOfHeartbeat(state, { ...reported, heldMicros }, wantedMicros, tightest);
  const limits = {
    headroomMicros: tightest?.leftMicros ?? null,
    detail:
      code === 'LIMIT_EXCEEDED' && tightest !== undefined
        ? limitRefused(tightest, wantedMicros)
        : null,
  };
  const goesOn = code === 'OK' ? { ttlSeconds: ttlSeconds ?? hold.ttlSeconds } : {};
  const extended: Hold = { ...reported, aheadMicros, heldMicros, ...goesOn };
  const expiresAtMs =
    code === 'OK'
      ? Math.max(hold.expiresAtMs, nowMs + extended.ttlSeconds * 1_000)
      : hold.expiresAtMs;
  const after: Hold = { ...extended, expiresAtMs };
  const lowBalance = heldMicros < after.amountSoFarMicros + aheadMicros;
  if (!grown && raisedMicros === 0n && expiresAtMs === hold.expiresAtMs) {
    return { outcome: heartbeat(code, state, after, lowBalance, limits), events: [] };
  }
  const event: WalletEvent = {
    type: 'hold_extended',
    raisedMicros,
    hold: after,
    actor,
    detail: {
      ...linkOf(hold),
      expiresAt: instant(expiresAtMs),
      aheadMicros: aheadMicros.toString(),
      ttlSeconds: after.ttlSeconds,
      ...(grown && report),
    },
  };
  return {
    outcome: heartbeat(code, evolve(state, event), after, lowBalance, limits),
    events: [event],
  };
}

/** Refused when nothing is reserved ahead of the usage so far and more was wanted. */
function codeOfHeartbeat(
  wallet: OpenWallet,
  hold: Hold,
  wantedMicros: bigint,
  tightest: LimitStanding | undefined,
): 'OK' | 'WALLET_FROZEN' | 'WALLET_CLOSED' | 'LIMIT_EXCEEDED' | 'INSUFFICIENT_FUNDS' {
  if (wallet.status !== 'open' && hold.pricing.goodwill !== true) {
    return closedTo(wallet);
  }
  const { heldMicros, amountSoFarMicros } = hold;
  const allowedMicros = tightest?.leftMicros ?? wantedMicros;
  if (allowedMicros < wantedMicros && most(allowedMicros, heldMicros) <= amountSoFarMicros) {
    return 'LIMIT_EXCEEDED';
  }
  return heldMicros < wantedMicros && heldMicros <= amountSoFarMicros ? 'INSUFFICIENT_FUNDS' : 'OK';
}

function refusalOfHeartbeat(
  { report, amountMicros, addMicros }: ExtendHold,
  hold: Hold,
): 'HOLD_NOT_OPEN' | 'USAGE_TYPE_DIFFERS' | 'NO_RATE' | 'LIMIT_EXCEEDED' | undefined {
  if (hold.status !== 'open' && hold.status !== 'expired') {
    return 'HOLD_NOT_OPEN';
  }
  if (report !== null && isOfAnotherType(hold, report)) {
    return 'USAGE_TYPE_DIFFERS';
  }
  if (report !== null && amountMicros === null) {
    return 'NO_RATE';
  }
  return most(amountMicros ?? 0n, addMicros ?? 0n) > maxAmountMicros ? 'LIMIT_EXCEEDED' : undefined;
}

/** The hold with a newer report; the same hold when the report says nothing new. */
function withReport(hold: Hold, report: Report, amountMicros: bigint): Hold {
  const moreUnits = report.units - (hold.report?.units ?? 0);
  const moreMicros = amountMicros - hold.amountSoFarMicros;
  const grown =
    hold.report === null ||
    (moreUnits >= 0 && moreMicros >= 0n && (moreUnits > 0 || moreMicros > 0n));
  return grown
    ? {
        ...hold,
        usageType: report.usage.type,
        destination: report.usage.to ?? hold.destination,
        report,
        amountSoFarMicros: amountMicros,
      }
    : hold;
}

/** Delivered all the same, so the difference is owed; the caller learns that it must end. */
function billLateHeartbeat(
  { report, actor }: ExtendHold,
  wallet: OpenWallet,
  hold: Hold,
  reported: Hold,
): Decision {
  const dueMicros = reported.amountSoFarMicros - hold.billedMicros;
  if (reported === hold || dueMicros <= 0n || wallet.arrearsMicros > maxStandingMicros) {
    return { outcome: heartbeat('HOLD_NOT_OPEN', wallet, hold, false), events: [] };
  }
  const after: Hold = { ...reported, billedMicros: reported.amountSoFarMicros };
  const event = differenceEvent(wallet, hold, after, dueMicros, {
    actor,
    detail: correctionDetail(hold, report),
  });
  return {
    outcome: heartbeat('HOLD_NOT_OPEN', evolve(wallet, event), after, false),
    events: [event],
  };
}

function heartbeat(
  code: Exclude<HeartbeatOutcome['code'], 'WALLET_NOT_FOUND' | 'HOLD_NOT_FOUND'>,
  wallet: OpenWallet,
  hold: Hold,
  lowBalance: boolean,
  limits: { headroomMicros: bigint | null; detail: Detail | null } = {
    headroomMicros: null,
    detail: null,
  },
): HeartbeatOutcome {
  return {
    code,
    seq: wallet.seq,
    heldMicros: hold.heldMicros,
    expiresAtMs: hold.expiresAtMs,
    amountSoFarMicros: hold.amountSoFarMicros,
    unitsSoFar: hold.report?.units ?? 0,
    lowBalance,
    availableMicros: availableMicros(wallet),
    ...limits,
  };
}
