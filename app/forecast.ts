/** A forecast and a balance in plain words. */
import type { Forecast, Reach } from '../server/http/views/usage.ts';
import { formatCount, formatDate, formatDuration, formatMoney, formatQuantity } from './format.ts';
import { usageTypeName } from './usage-names.ts';
import type { Wire } from './wire.ts';

interface ForecastText {
  /** What the month will have cost; null when nothing can be said. */
  month: string | null;
  /** When the money ends. */
  end: string;
  /** How that is known, or why it is not. */
  basis: string;
}

interface Money {
  currency: string;
  timezone: string;
  availableMicros: string;
}

/** Rounded to what means something: a forecast is not exact to the micro. */
export function describeForecast(
  forecast: Wire<Forecast>,
  windowDays: number,
  { currency, timezone, availableMicros }: Money,
): ForecastText {
  const isEmpty = BigInt(availableMicros) <= 0n;
  const nothingLeft = 'Nothing is left to spend';
  switch (forecast.kind) {
    case 'no_usage':
      return {
        month: null,
        end: isEmpty ? nothingLeft : 'Not at this rate',
        basis: `Nothing was used in the last ${windowDays} days.`,
      };
    case 'too_early':
      return {
        month: null,
        end: isEmpty ? nothingLeft : 'Too early to say',
        basis: 'A forecast needs a day of use.',
      };
    case 'rate': {
      const { perDayMicros, monthMicros, runsOutAt, daysLeft } = forecast;
      const basis = `At ${about(perDayMicros, currency)} a day, as in the last ${windowDays} days.`;
      const month = about(monthMicros, currency);
      if (isEmpty) return { month, end: nothingLeft, basis };
      if (runsOutAt === null || daysLeft === null) {
        return { month, end: 'In more than a year', basis };
      }
      const days = daysLeft === 0 ? 'less than a day' : `about ${formatQuantity(daysLeft, 'day')}`;
      return { month, end: `In ${days}, ${formatDate(runsOutAt, timezone)}`, basis };
    }
    default: {
      const unknown: never = forecast;
      throw new TypeError(`unknown forecast ${JSON.stringify(unknown)}`);
    }
  }
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
