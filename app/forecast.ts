/** A forecast and a balance in plain words. */
import type { LimitView } from '../server/views/spending-limits.ts';
import type { Reach, UsageOverview } from '../server/views/usage.ts';
import {
  formatCount,
  formatDate,
  formatDateTime,
  formatDuration,
  formatMoney,
  formatQuantity,
} from './format.ts';
import { stopsUsage } from './limits.ts';
import { usageTypeName } from './usage-names.ts';
import type { Wire } from './wire.ts';

interface ForecastText {
  /** What the month will have cost; null when nothing can be said. */
  month: string | null;
  /** When the money runs out. */
  end: string;
  /** The day or time that goes with it; null when there is none. */
  endsOn: string | null;
  /** How that is known, or why it is not. */
  basis: string;
}

type Usage = Pick<Wire<UsageOverview>, 'forecast' | 'feesMicros' | 'windowDays' | 'reach'>;

interface Money {
  currency: string;
  timezone: string;
  availableMicros: string;
}

/**
 * Rounded to what means something: a forecast is not exact to the micro.
 *
 * @param limit the one that leaves less than is available, if any does: it is named where it comes
 * before the end of the money
 */
export function describeForecast(
  { forecast, feesMicros, windowDays, reach }: Usage,
  { currency, timezone, availableMicros }: Money,
  limit?: Wire<LimitView>,
): ForecastText {
  const ending = (otherwise: string, endsOn: string | null = null) => {
    if (BigInt(availableMicros) <= 0n) return { end: 'Nothing is left to spend', endsOn: null };
    return limit !== undefined && stopsUsage(limit, reach)
      ? {
          end: 'A limit stops usage',
          endsOn: `until ${formatDateTime(limit.resetsAt, timezone)}`,
        }
      : { end: otherwise, endsOn };
  };
  switch (forecast.kind) {
    case 'no_usage':
      return {
        month: null,
        ...ending('Not at this rate'),
        basis: `Nothing was used in the last ${windowDays} days.`,
      };
    case 'too_early':
      return {
        month: null,
        ...ending('Too early to say'),
        basis: 'A forecast needs a day of use.',
      };
    case 'rate': {
      const { perDayMicros, monthUsageMicros, runsOutAt, daysLeft } = forecast;
      const rate =
        perDayMicros === '0'
          ? `Nothing was used in the last ${windowDays} days; monthly fees go on.`
          : `At ${about(perDayMicros, currency)} a day, as in the last ${windowDays} days${feesMicros === '0' ? '' : ', and with monthly fees as they fall due'}.`;
      const basis = limit === undefined ? rate : `${rate} Your spending limit may keep it lower.`;
      const usageMicros = BigInt(withinMonth(monthUsageMicros, limit));
      const month = about(`${usageMicros + BigInt(feesMicros)}`, currency);
      if (runsOutAt === null || daysLeft === null) {
        return { month, ...ending('In more than a year'), basis };
      }
      const days = daysLeft === 0 ? 'less than a day' : `about ${formatQuantity(daysLeft, 'day')}`;
      return { month, ...ending(`In ${days}`, formatDate(runsOutAt, timezone)), basis };
    }
    default: {
      const unknown: never = forecast;
      throw new TypeError(`unknown forecast ${JSON.stringify(unknown)}`);
    }
  }
}

/** A month's usage does not cost more than its limit, unless it did before the limit was set. */
function withinMonth(monthMicros: string, limit: Wire<LimitView> | undefined): string {
  if (limit?.period !== 'month') return monthMicros;
  const { amountMicros, spentMicros } = limit;
  const most = BigInt(amountMicros) > BigInt(spentMicros) ? amountMicros : spentMicros;
  return BigInt(monthMicros) > BigInt(most) ? most : monthMicros;
}

/** An amount to the currency's own decimals, or to more where it would have fewer than three digits. */
function about(micros: string, currency: string): string {
  const value = BigInt(micros);
  const { maximumFractionDigits = 2 } = new Intl.NumberFormat('en-US', {
    style: 'currency',
    currency,
  }).resolvedOptions();
  const digits = Math.min(value.toString().length - 3, 6 - maximumFractionDigits);
  const step = 10n ** BigInt(Math.max(0, digits));
  return formatMoney(((value + step / 2n) / step) * step, currency);
}

/** `3 h 12 min of calls, or 240 SMS`; null when no price says. */
export function describeReach(reach: readonly Wire<Reach>[]): string | null {
  const parts = reach.map(({ type, units }) => {
    if (type === 'call') {
      const whole = units >= 3_600 ? units - (units % 60) : units;
      return `${formatDuration(whole)} of calls`;
    }
    return `${formatCount(units)} ${usageTypeName(type)}`;
  });
  return parts.length === 0 ? null : parts.join(', or ');
}
