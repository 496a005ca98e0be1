/** Money in human units: how much of a type of usage it pays for. */
import { monthlyTiersOf } from './price.ts';
import { type Circumstances, type PriceList, ruleOf, type UnitsThisMonth } from './price-list.ts';
import { affordable, type Breakdown, rate } from './rate.ts';
import { maxUnitsOfType, type UsageType } from './usage.ts';

/** No telephone number: priced by the rule for every destination. */
const DEFAULT_DESTINATION = 'default';

/**
 * How many units an amount pays for at the default destination: seconds of calls that are as long as
 * they may be, or so many SMS of one segment, mails to one recipient, faxes of a page, transfers of a
 * file. They are used one after the other from now on, by the units of the month too. Null when the
 * type has no price there, or costs nothing, be it from some unit of the month on.
 */
export function moneyInUnits(
  prices: PriceList,
  type: UsageType,
  availableMicros: bigint,
  circumstances: Circumstances,
): number | null {
  const whole = type === 'call' ? maxUnitsOfType.call : 1;
  let left = availableMicros;
  let times = 0n;
  let unitsThisMonth: UnitsThisMonth = circumstances.unitsThisMonth ?? {};
  for (;;) {
    const price = rate(prices, usageOf(type, whole), { ...circumstances, unitsThisMonth });
    if (!price.ok || price.amountMicros === 0n) {
      return null;
    }
    const paidFor = left / price.amountMicros;
    const alike = timesAtOnePrice(prices, price.breakdown);
    const isLast = alike === null || paidFor < alike;
    const sold = isLast ? paidFor : BigInt(alike);
    left -= sold * price.amountMicros;
    times += sold;
    unitsThisMonth = unitsAfter(unitsThisMonth, price.breakdown, Number(sold));
    if (isLast) break;
  }
  if (type !== 'call') {
    return Number(times);
  }
  const rest = { ...circumstances, unitsThisMonth };
  const last = affordable(prices, type, DEFAULT_DESTINATION, left, rest);
  return last.ok ? Number(times) * whole + last.maxUnits : null;
}

/** How often the same usage costs the same, one after the other; null for as often as one likes. */
function timesAtOnePrice(prices: PriceList, { type, price }: Breakdown): number | null {
  const rule = ruleOf(prices, type, '')?.rule;
  if (rule === undefined || price?.monthly === undefined) {
    return null;
  }
  const { unitsBefore } = price.monthly;
  const next = monthlyTiersOf(rule).find(({ aboveUnits }) => aboveUnits > unitsBefore);
  if (next === undefined) {
    return null;
  }
  // One that goes beyond the tier has a price of its own.
  return Math.max(1, Math.floor((next.aboveUnits - unitsBefore) / price.billedUnits));
}

function unitsAfter(before: UnitsThisMonth, { price }: Breakdown, times: number): UnitsThisMonth {
  if (price?.monthly === undefined) {
    return before;
  }
  const { counter, unitsBefore } = price.monthly;
  return { ...before, [counter]: unitsBefore + times * price.billedUnits };
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
