/** Spending limits in plain words. */
import type { LimitView } from '../server/views/spending-limits.ts';
import type { Reach } from '../server/views/usage.ts';
import { formatDateTime, formatMoney } from './format.ts';
import { usageTypeName } from './usage-names.ts';
import type { Wire } from './wire.ts';

/** What a limit is for: `Calls to +44 in a day`. */
export function describeLimit({ period, type, prefix }: Wire<LimitView>): string {
  const usage = type === undefined ? 'All usage' : usageTypeName(type);
  const to = prefix === undefined ? '' : ` to +${prefix}`;
  return `${usage}${to} in a ${period}`;
}

/** How much of it is used: `$3.20 spent, $1.00 reserved`. */
export function describeStanding(limit: Wire<LimitView>, currency: string): string {
  const { spentMicros, reservedMicros } = limit;
  const spent = `${formatMoney(spentMicros, currency)} spent`;
  return reservedMicros === '0'
    ? spent
    : `${spent}, ${formatMoney(reservedMicros, currency)} reserved`;
}

/** When it begins anew, in the wallet's time zone. */
export function describeReset({ resetsAt }: Wire<LimitView>, timezone: string): string {
  return `Begins anew ${formatDateTime(resetsAt, timezone)}`;
}

/** Of the limits for all usage the one that leaves least, when that is less than is available. */
export function bindingLimit(
  limits: readonly Wire<LimitView>[],
  availableMicros: string,
): Wire<LimitView> | undefined {
  const left = ({ leftMicros }: Wire<LimitView>) => BigInt(leftMicros);
  const [tightest] = limits
    .filter(({ type, prefix }) => type === undefined && prefix === undefined)
    .filter((limit) => left(limit) < BigInt(availableMicros))
    .sort((a, b) => (left(a) < left(b) ? -1 : 1));
  return tightest;
}

/** Whether a limit leaves nothing, or less than the least usage of what people think in costs. */
export function stopsUsage(
  { leftMicros }: Wire<LimitView>,
  reach: readonly Wire<Reach>[],
): boolean {
  return leftMicros === '0' || (reach.length > 0 && reach.every(({ units }) => units === 0));
}
