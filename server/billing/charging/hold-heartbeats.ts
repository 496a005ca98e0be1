/** Following usage while it runs. */
import { canonicalUsage, type Usage, usageDestination } from '../../rating/usage.ts';
import { extendHolds } from '../../store/holds.ts';
import type { Sql } from '../../store/sql.ts';
import type { HoldLookup, HoldName } from './hold-lookup.ts';
import { type Reach, reachOf, reportOf } from './hold-pricing.ts';
import { holdQueue } from './hold-queue.ts';
import { type HoldRefusal, refusalOfHeartbeat, shortageOf } from './hold-refusals.ts';
import { normalUsage } from './pricing.ts';
import type { Refusal } from './refusals.ts';
import { type LimitRefusal, limitRefusal } from './spending-limits.ts';

export interface ExtendRequest extends HoldName {
  /** All usage since the beginning. */
  readonly usageSoFar?: Usage | undefined;
  /** Reserve this much ahead beyond what was authorized; the most that was asked for counts. */
  readonly addMicros?: bigint | undefined;
  /** By default as before. */
  readonly ttlSeconds?: number | undefined;
}

interface Heartbeat extends Reach {
  holdId: string;
  heldMicros: bigint;
  /** The price of the usage recorded so far. */
  amountSoFarMicros: bigint;
  expiresAt: Date;
  availableMicros: bigint;
  /** Less is reserved ahead than was asked for: the end of the funds is near. */
  lowBalance: boolean;
}

/**
 * With INSUFFICIENT_FUNDS, or a spending limit's LIMIT_EXCEEDED, the usage so far is recorded all the
 * same, and covered if it can be.
 */
export type ExtendAnswer =
  | ({ ok: true } & Heartbeat)
  | (Extract<Refusal, { code: 'INSUFFICIENT_FUNDS' }> & Heartbeat)
  | (LimitRefusal & Heartbeat)
  | Exclude<HoldRefusal, { code: 'INSUFFICIENT_FUNDS' }>;

/**
 * The heartbeat of what is running: records the usage so far, reserves ahead of it, and puts the
 * expiry off. Repeated and belated heartbeats change nothing.
 */
export type ExtendHold = (request: ExtendRequest, actor: string) => Promise<ExtendAnswer>;

export function createHoldHeartbeats(options: { sql: Sql; lookup: HoldLookup }): ExtendHold {
  const { sql, lookup } = options;
  const { find, pricesOf } = lookup;
  const heartbeats = holdQueue(sql, extendHolds);
  return async (request, actor) => {
    const hold = await find(request);
    if ('ok' in hold) {
      return hold;
    }
    const by = await pricesOf(hold);
    const usage =
      request.usageSoFar &&
      normalUsage(by.prices, canonicalUsage(request.usageSoFar), 'usageSoFar');
    const priced = usage && reportOf(by, usage);
    const { ttlSeconds = null } = request;
    const addMicros = hold.pricing?.goodwill === true ? null : (request.addMicros ?? null);
    const outcome = await heartbeats.send({
      walletId: hold.walletId,
      holdId: hold.holdId,
      report: priced?.report ?? null,
      amountMicros: priced?.amountMicros ?? null,
      addMicros,
      ttlSeconds,
      actor,
    });
    const { code, detail, headroomMicros } = outcome;
    const limited = code === 'LIMIT_EXCEEDED' && detail !== null;
    if (code !== 'OK' && code !== 'INSUFFICIENT_FUNDS' && !limited) {
      return refusalOfHeartbeat(code, priced?.noRate ?? '');
    }
    const { heldMicros, amountSoFarMicros, expiresAt, availableMicros, lowBalance } = outcome;
    const type = hold.usageType ?? usage?.type;
    const to = (usage && usageDestination(usage)) ?? hold.destination ?? undefined;
    const heartbeat: Heartbeat = {
      holdId: hold.holdId,
      heldMicros,
      amountSoFarMicros,
      expiresAt,
      availableMicros,
      lowBalance,
      ...reachOf(by, type, to, heldMicros, availableMicros, headroomMicros),
    };
    if (code === 'OK') {
      return { ok: true, ...heartbeat };
    }
    return limited
      ? { ...limitRefusal(detail, hold.currency), ...heartbeat }
      : { ...shortageOf(hold, outcome, addMicros), ...heartbeat };
  };
}
