/** What a wallet used this month, how it goes on, and what is available in units of usage. */

import { most } from '../../ledger/money.ts';
import { moneyInUnits } from '../../rating/money-in-units.ts';
import { dependsOnMonth } from '../../rating/price-list.ts';
import type { UsageType } from '../../rating/usage.ts';
import { unitsThisMonth } from '../../store/monthly-units.ts';
import type { Sql } from '../../store/sql.ts';
import { subscriptionsOf } from '../../store/subscriptions.ts';
import { usageSinceDay, walletCalendar } from '../../store/usage-days.ts';
import type { UsageOfDay, UsageServices } from '../../views/usage.ts';
import type { UsageLine } from '../../views/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { feesToCome } from './fees-to-come.ts';
import { FARTHEST_DAYS, FORECAST_DAYS, forecast } from './forecast.ts';

const DAY_MS = 86_400_000;

/** What people think of their balance in. */
const REACH_TYPES: readonly UsageType[] = ['call', 'sms'];

export function createUsageOverview(options: {
  sql: Sql;
  rateCards: Pick<RateCards, 'pricesAt'>;
}): UsageServices {
  const { sql, rateCards } = options;
  return {
    async overview(wallet) {
      const { walletId, availableMicros, affordableMicros, timezone } = wallet;
      const calendar = await walletCalendar(sql, walletId, FORECAST_DAYS);
      const { now, today, windowStart } = calendar;
      const period = today.slice(0, 7);
      const monthStart = `${period}-01`;
      const [used, prices, subscriptions] = await Promise.all([
        usageSinceDay(sql, walletId, monthStart < windowStart ? monthStart : windowStart),
        rateCards.pricesAt(wallet, now),
        subscriptionsOf(sql, walletId),
      ]);
      const unitsBefore = dependsOnMonth(prices) ? await unitsThisMonth(sql, walletId) : {};
      const days = used.filter(({ day }) => day >= monthStart);
      const spentMicros = total(days);
      const until = new Date(now.getTime() + FARTHEST_DAYS * DAY_MS);
      const fees = feesToCome(subscriptions, { now, until, timezone });
      const monthEndsMs = calendar.monthEndsAt.getTime();
      return {
        period,
        today,
        lines: byType(days),
        days,
        spentMicros,
        feesMicros: total(fees.filter(({ dueAt }) => dueAt.getTime() === monthEndsMs)),
        windowDays: FORECAST_DAYS,
        forecast: forecast({
          ...calendar,
          windowMicros: total(used.filter(({ day }) => day >= windowStart)),
          spentMicros,
          availableMicros,
          fees,
        }),
        reach: REACH_TYPES.flatMap((type) => {
          const units = moneyInUnits(prices, type, most(affordableMicros, 0n), {
            at: now,
            timezone,
            unitsThisMonth: unitsBefore,
          });
          return units === null ? [] : [{ type, units }];
        }),
      };
    },
  };
}

function total(amounts: readonly { amountMicros: bigint }[]): bigint {
  return amounts.reduce((sum, { amountMicros }) => sum + amountMicros, 0n);
}

/** The dearest type first. */
function byType(days: readonly UsageOfDay[]): UsageLine[] {
  const lines = new Map<string, UsageLine>();
  for (const { type, count, units, amountMicros } of days) {
    const line = lines.get(type);
    lines.set(type, {
      type,
      count: (line?.count ?? 0) + count,
      units: (line?.units ?? 0) + units,
      amountMicros: (line?.amountMicros ?? 0n) + amountMicros,
    });
  }
  return [...lines.values()].sort((a, b) =>
    a.amountMicros === b.amountMicros
      ? a.type < b.type
        ? -1
        : 1
      : a.amountMicros > b.amountMicros
        ? -1
        : 1,
  );
}
