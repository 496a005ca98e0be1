/** The spending limits that a wallet has, as a list. */
import type { Detail } from './events.ts';
import type { WindowPeriod } from './window.ts';

/** A wallet has at most so many. */
export const maxLimits = 20;

export interface SpendingLimit {
  readonly period: WindowPeriod;
  readonly amountMicros: bigint;
  /** Null for every type of usage. */
  readonly type: string | null;
  /** The first digits of the destination; null for every destination, and for none. */
  readonly prefix: string | null;
}

/** Limits in the order that they are kept in: a list has no other. */
export function inOrder(limits: readonly SpendingLimit[]): SpendingLimit[] {
  return limits.toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** How limits stand in events. */
export function limitTerms(limits: readonly SpendingLimit[]): Detail[] {
  return limits.map(({ period, amountMicros, type, prefix }) => ({
    period,
    amountMicros: amountMicros.toString(),
    ...(type !== null && { type }),
    ...(prefix !== null && { prefix }),
  }));
}

/** Whether two of the limits are for the same usage in the same period. */
export function hasDuplicates(limits: readonly SpendingLimit[]): boolean {
  return new Set(limits.map(sortKey)).size < limits.length;
}

export function areSameLimits(
  some: readonly SpendingLimit[],
  others: readonly SpendingLimit[],
): boolean {
  return JSON.stringify(limitTerms(some)) === JSON.stringify(limitTerms(others));
}

function sortKey({ period, type, prefix }: SpendingLimit): string {
  return [period, type ?? '', prefix ?? ''].join('\n');
}
