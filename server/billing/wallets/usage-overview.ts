/** What a wallet used this month, how it goes on, and what is available in units of usage. */
import type { UsageOfDay, UsageServices } from '../../http/views/usage.ts';
import type { UsageLine } from '../../http/views/wallets.ts';
import { most } from '../../ledger/money.ts';
import { moneyInUnits } from '../../rating/money-in-units.ts';
import type { UsageType } from '../../rating/usage.ts';
import type { Sql } from '../../store/sql.ts';
import { usageSinceDay, walletCalendar } from '../../store/usage-days.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { FORECAST_DAYS, forecast } from './forecast.ts';

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
      const [used, prices] = await Promise.all([
        usageSinceDay(sql, walletId, monthStart < windowStart ? monthStart : windowStart),
        rateCards.pricesAt(wallet, now),
      ]);
      const days = used.filter(({ day }) => day >= monthStart);
      const spentMicros = total(days);
      return {
        period,
        today,
        lines: byType(days),
        days,
        spentMicros,
        windowDays: FORECAST_DAYS,
        forecast: forecast({
          ...calendar,
          windowMicros: total(used.filter(({ day }) => day >= windowStart)),
          spentMicros,
          availableMicros,
        }),
        reach: REACH_TYPES.flatMap((type) => {
          const units = moneyInUnits(prices, type, most(affordableMicros, 0n), {
            at: now,
            timezone,
          });
          return units === null ? [] : [{ type, units }];
        }),
      };
    },
  };
}

function total(used: readonly UsageOfDay[]): bigint {
  return used.reduce((sum, { amountMicros }) => sum + amountMicros, 0n);
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
