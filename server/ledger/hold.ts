/** What all that happens to a hold has in common. */
import { assertAllowed } from './decision.ts';
import type { Detail, Keyed } from './events.ts';
import { most } from './money.ts';
import { availableMicros, type Hold, type OpenWallet, type Report } from './state.ts';

/** How long a hold may last without a heartbeat. */
export const minTtlSeconds = 10;
export const maxTtlSeconds = 86_400;
export interface CommandOnHold {
  readonly holdId: string;
  readonly actor: string;
}

/** What usage of a hold can be paid with: what it holds, and what else is available. */
export function reachOf(hold: Hold, wallet: OpenWallet): bigint {
  return hold.heldMicros + most(availableMicros(wallet), 0n);
}

export function linkOf({ holdId, referenceId }: Hold): Detail {
  return { holdId, referenceId };
}

export function keyOf({ key, requestHash }: Keyed): Keyed {
  return { key, requestHash };
}

export function isOfAnotherType(hold: Hold, report: Report): boolean {
  return hold.usageType !== null && hold.usageType !== report.usage.type;
}

export function assertTtl(ttlSeconds: number): void {
  const allowed = ttlSeconds >= minTtlSeconds && ttlSeconds <= maxTtlSeconds;
  assertAllowed(allowed, `a hold lasts from ${minTtlSeconds} to ${maxTtlSeconds} seconds`);
}
