/** Money in human units: how much of a type of usage it pays for. */
import type { Circumstances, PriceList } from './price-list.ts';
import { affordable, rate } from './rate.ts';
import { maxUnitsOfType, type UsageType } from './usage.ts';

/** No telephone number: priced by the rule for every destination. */
const DEFAULT_DESTINATION = 'default';

/**
 * How many units an amount pays for at the default destination: seconds of calls that are as long as
 * they may be, or so many SMS of one segment, mails to one recipient, faxes of a page, transfers of a
 * file. Null when the type has no price there, or costs nothing.
 */
export function moneyInUnits(
  prices: PriceList,
  type: UsageType,
  availableMicros: bigint,
  circumstances: Circumstances,
): number | null {
  const whole = type === 'call' ? maxUnitsOfType.call : 1;
  const price = rate(prices, usageOf(type, whole), circumstances);
  if (!price.ok || price.amountMicros === 0n) {
    return null;
  }
  const times = availableMicros / price.amountMicros;
  if (type !== 'call') {
    return Number(times);
  }
  const rest = availableMicros - times * price.amountMicros;
  const last = affordable(prices, type, DEFAULT_DESTINATION, rest, circumstances);
  return last.ok ? Number(times) * whole + last.maxUnits : null;
}

function usageOf(type: UsageType, units: number): Parameters<typeof rate>[1] {
  const to = DEFAULT_DESTINATION;
  switch (type) {
    case 'call':
      return { type, durationSeconds: units, to };
    case 'sms':
      return { type, segments: units, to };
    case 'email':
      return { type, recipients: units };
    case 'fax':
      return { type, pages: units, to };
    case 'file_transfer':
      return { type, transfers: units };
    default: {
      const unknown: never = type;
      throw new TypeError(`unknown type ${String(unknown)}`);
    }
  }
}
