/** The heartbeat of a hold: usage so far, a later expiry, more money ahead. */
import {
  answer,
  assertAllowed,
  type Decision,
  type HeartbeatOutcome,
  maxAmountMicros,
  maxStandingMicros,
} from './decision.ts';
import { instant, type WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { assertTtl, type CommandOnHold, closedTo, isOfAnotherType, linkOf } from './hold.ts';
import { correctionDetail, differenceEvent } from './hold-billing.ts';
import { least, most } from './money.ts';
import {
  availableMicros,
  type Hold,
  type OpenWallet,
  type Report,
  type WalletState,
} from './state.ts';

export interface ExtendHold extends CommandOnHold {
  readonly type: 'extend_hold';
  /** The usage so far and its price; the price is null when no rate was found. */
  readonly report: Report | null;
  readonly amountMicros: bigint | null;
  /** Reserve this much ahead beyond what was authorized; the most that was asked for counts. */
  readonly addMicros: bigint | null;
  readonly ttlSeconds: number | null;
}

export function extendHold(command: ExtendHold, state: WalletState, nowMs: number): Decision {
  const { report, amountMicros, addMicros, ttlSeconds, actor } = command;
  assertAllowed(amountMicros === null || amountMicros >= 0n, 'usage is never negative');
  assertAllowed(addMicros === null || addMicros > 0n, 'an addition is positive');
  if (ttlSeconds !== null) {
    assertTtl(ttlSeconds);
  }
  if (!state.opened) {
    return answer({ code: 'WALLET_NOT_FOUND' });
  }
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
  const targetMicros = reported.amountSoFarMicros + (state.status === 'open' ? aheadMicros : 0n);
  const raisedMicros = most(least(targetMicros - hold.heldMicros, availableMicros(state)), 0n);
  const heldMicros = hold.heldMicros + raisedMicros;
  const code =
    state.status !== 'open'
      ? closedTo(state)
      : heldMicros < targetMicros && heldMicros <= reported.amountSoFarMicros
        ? 'INSUFFICIENT_FUNDS'
        : 'OK';
  const goesOn = code === 'OK' ? { ttlSeconds: ttlSeconds ?? hold.ttlSeconds } : {};
  const extended: Hold = { ...reported, aheadMicros, heldMicros, ...goesOn };
  const expiresAtMs =
    code === 'OK'
      ? Math.max(hold.expiresAtMs, nowMs + extended.ttlSeconds * 1_000)
      : hold.expiresAtMs;
  const after: Hold = { ...extended, expiresAtMs };
  const lowBalance = heldMicros < after.amountSoFarMicros + aheadMicros;
  if (!grown && raisedMicros === 0n && expiresAtMs === hold.expiresAtMs) {
    return { outcome: heartbeat(code, state, after, lowBalance), events: [] };
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
    outcome: heartbeat(code, evolve(state, event), after, lowBalance),
    events: [event],
  };
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
    ? { ...hold, usageType: report.usage.type, report, amountSoFarMicros: amountMicros }
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
  };
}
