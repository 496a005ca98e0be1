/** The recurring fees that closing a wallet's months will post, as they are agreed on now. */

import { feeMicros, partOf } from '../../ledger/subscriptions.ts';
import { type Window, windowOf } from '../../ledger/window.ts';
import type { SubscriptionView } from '../../views/subscriptions.ts';

/** What the fees of one month come to. */
export interface DueFees {
  /** When the month ends: closing it takes them. */
  readonly dueAt: Date;
  readonly amountMicros: bigint;
}

/**
 * The fees of each month that has any and ends by an instant, oldest first: those of months that are
 * over and not closed yet too.
 */
export function feesToCome(
  subscriptions: readonly SubscriptionView[],
  { now, until, timezone }: { now: Date; until: Date; timezone: string },
): DueFees[] {
  const running = subscriptions.filter(
    ({ startsAt, endsAt, billedTo }) => endsAt === null || endsAt > (billedTo ?? startsAt),
  );
  const firstMs = running.reduce(
    (first, { startsAt, billedTo }) => Math.min(first, (billedTo ?? startsAt).getTime()),
    now.getTime(),
  );
  const due: DueFees[] = [];
  let month = windowOf('month', firstMs, timezone);
  while (month.endsAtMs <= until.getTime()) {
    const fees = running.map((subscription) => feeOf(subscription, month));
    const amountMicros = fees.reduce((sum, fee) => sum + fee, 0n);
    if (amountMicros > 0n) {
      due.push({ dueAt: new Date(month.endsAtMs), amountMicros });
    }
    month = windowOf('month', month.endsAtMs, timezone);
  }
  return due;
}

function feeOf({ startsAt, endsAt, billedTo, monthlyMicros }: SubscriptionView, month: Window) {
  const ran = { startsAtMs: startsAt.getTime(), endsAtMs: endsAt?.getTime() ?? null };
  const part = partOf(ran, month);
  const isPosted = billedTo !== null && billedTo.getTime() >= month.endsAtMs;
  return part === undefined || isPosted ? 0n : feeMicros(monthlyMicros, part, month);
}
