import type { SubscriptionView } from '../server/views/subscriptions.ts';
import { formatDate, formatLastDate } from './format.ts';
import type { Wire } from './wire.ts';

const KINDS = { plan: 'Plan', number: 'Rented number' } as const;

/** What it is and when it runs: `Rented number from 1 Sept 2026 to 30 Nov 2026`. */
export function describeRun(
  { kind, startsAt, endsAt }: Pick<Wire<SubscriptionView>, 'kind' | 'startsAt' | 'endsAt'>,
  timezone: string,
): string {
  const end = endsAt === null ? '' : ` to ${formatLastDate(endsAt, timezone)}`;
  return `${KINDS[kind]} from ${formatDate(startsAt, timezone)}${end}`;
}
