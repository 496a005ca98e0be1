/** What a usage costs by a rate card, why, and how much usage an amount of money pays for. */
import type { Rounding } from './exact.ts';
import {
  amountOf,
  type PriceBreakdown,
  priceBreakdown,
  type RuleWindow,
  type Terms,
  termsOf,
  termsOfBreakdown,
  type Writable,
} from './price.ts';
import { type Circumstances, mustConnect, type PriceList, ruleOf } from './price-list.ts';
import type { CompiledRateCard, RateRule } from './rate-card.ts';
import { type TimeWindow, windowAt } from './time-windows.ts';
import {
  dialledDigits,
  maxUnitsOfType,
  type Usage,
  type UsageType,
  type UsageUnit,
  unitOfType,
  usageDestination,
  usageUnits,
} from './usage.ts';

/** Why a usage costs nothing whatever its price. */
export type FreeReason = 'not_answered' | 'no_usage';

/**
 * How an amount came about, safe to keep as JSON: micros are decimal strings. It holds all that
 * `recompute` needs, so a charge can be checked without the card. Fields that do not apply are left
 * out; it never holds a number dialled, only the prefix of the rule that matched.
 */
export interface Breakdown {
  readonly schema: 1;
  readonly rateCardId: string;
  readonly rateCardVersion: number;
  readonly currency: string;
  readonly type: UsageType;
  readonly unit: UsageUnit;
  /** Units as reported. */
  readonly units: number;
  /** Left out when the usage is free and the card has no rule for its destination. */
  readonly ruleId?: string;
  readonly prefix?: string;
  /** Present when the usage costs nothing by its nature. */
  readonly free?: FreeReason;
  /** Present when the rule's prices depend on the time: which it was, and the window it fell into. */
  readonly timeOfDay?: {
    readonly at: string;
    readonly timezone: string;
    readonly window?: TimeWindow;
  };
  /** Present when the destination must always connect: the price, which the user does not pay. */
  readonly goodwillMicros?: string;
  /** Present when the usage is priced. */
  readonly price?: PriceBreakdown;
  readonly amountMicros: string;
}

export type NoRate = { readonly ok: false; readonly code: 'NO_RATE'; readonly detail: string };

export type RateResult =
  | { readonly ok: true; readonly amountMicros: bigint; readonly breakdown: Breakdown }
  | NoRate;

/**
 * Prices a usage whose destination is in its normal form. A call that was not answered, and any
 * usage of zero units, is free: no fee and no minimum, even where no card has a rule. Otherwise the
 * rule of the usage's type with the longest prefix of the dialled digits applies, of the first card
 * that has one, and without one the answer is `NO_RATE`. Who must always be reached is reached:
 * the price, if there is one, is goodwill, and the amount is 0.
 */
export function rate(prices: PriceList, usage: Usage, circumstances: Circumstances): RateResult {
  const { unit, units } = usageUnits(usage);
  const to = usageDestination(usage);
  const found = ruleOf(prices, usage.type, dialledDigits(to ?? ''));
  const compiled = found?.compiled ?? prices.at(-1);
  const free = freeReason(usage, units);
  const isGoodwill = free === undefined && mustConnect(prices, to);
  if (compiled === undefined || (found === undefined && free === undefined && !isGoodwill)) {
    return noRate(compiled, usage.type);
  }
  const { card } = compiled;
  const breakdown: Writable<Breakdown> = {
    schema: 1,
    rateCardId: card.id,
    rateCardVersion: card.version,
    currency: card.currency,
    type: usage.type,
    unit,
    units,
    amountMicros: '0',
  };
  if (found !== undefined) {
    breakdown.ruleId = found.rule.id;
    breakdown.prefix = found.rule.prefix;
  }
  if (free !== undefined) {
    breakdown.free = free;
    return { ok: true, amountMicros: 0n, breakdown };
  }
  let amountMicros = 0n;
  if (found !== undefined) {
    const bytes = usage.type === 'file_transfer' ? usage.bytes : undefined;
    const { terms, timeOfDay } = termsAt(found.rule, card.rounding, bytes, circumstances);
    const amount = amountOf(terms, units);
    amountMicros = amount.amountMicros;
    breakdown.price = priceBreakdown(terms, amount);
    if (timeOfDay !== undefined) {
      breakdown.timeOfDay = timeOfDay;
    }
  }
  if (isGoodwill) {
    breakdown.goodwillMicros = amountMicros.toString();
    return { ok: true, amountMicros: 0n, breakdown };
  }
  breakdown.amountMicros = amountMicros.toString();
  return { ok: true, amountMicros, breakdown };
}

/** The amount of a breakdown, calculated anew from its units and prices; 0 where it is goodwill. */
export function recompute({ goodwillMicros, price, units }: Breakdown): bigint {
  return goodwillMicros !== undefined || price === undefined
    ? 0n
    : amountOf(termsOfBreakdown(price), units).amountMicros;
}

/**
 * The most units of `type` to `to` that `availableMicros` pays for: the largest number whose amount
 * by `rate` is not above it, 0 when not even one is, and the type's own limit when money is not the
 * limit (a free or capped rate, a destination that must always connect). Exact: amounts never fall
 * as units grow, so it is a binary search over the very function that will price the usage.
 */
export function affordable(
  prices: PriceList,
  type: UsageType,
  to: string | undefined,
  availableMicros: bigint,
  circumstances: Circumstances,
): { readonly ok: true; readonly unit: UsageUnit; readonly maxUnits: number } | NoRate {
  const unit = unitOfType[type];
  if (mustConnect(prices, to)) {
    return { ok: true, unit, maxUnits: maxUnitsOfType[type] };
  }
  const found = ruleOf(prices, type, dialledDigits(to ?? ''));
  if (found === undefined) {
    return noRate(prices.at(-1), type);
  }
  const { rounding } = found.compiled.card;
  const { terms } = termsAt(found.rule, rounding, undefined, circumstances);
  let affordableUnits = 0;
  let tooMany = maxUnitsOfType[type] + 1;
  while (tooMany - affordableUnits > 1) {
    const middle = Math.floor((affordableUnits + tooMany) / 2);
    if (amountOf(terms, middle).amountMicros <= availableMicros) {
      affordableUnits = middle;
    } else {
      tooMany = middle;
    }
  }
  return { ok: true, unit, maxUnits: affordableUnits };
}

/** The terms of a rule at an instant, and what of the time they depend on. */
function termsAt(
  rule: RateRule,
  rounding: Rounding,
  bytes: number | undefined,
  { at, timezone, unitsThisMonth = {} }: Circumstances,
): { terms: Terms; timeOfDay: Breakdown['timeOfDay'] } {
  if (rule.windows === undefined) {
    const terms = termsOf(rule, rounding, bytes, undefined, unitsThisMonth);
    return { terms, timeOfDay: undefined };
  }
  const window = windowAt<RuleWindow>(rule.windows, at, timezone);
  const timeOfDay = { at: at.toISOString(), timezone, ...(window && { window: timesOf(window) }) };
  return { terms: termsOf(rule, rounding, bytes, window, unitsThisMonth), timeOfDay };
}

function timesOf({ days, from, to }: TimeWindow): TimeWindow {
  return { ...(days && { days }), from, to };
}

function noRate(compiled: CompiledRateCard | undefined, type: UsageType): NoRate {
  if (compiled === undefined) {
    return { ok: false, code: 'NO_RATE', detail: 'no rate card is in effect in this currency' };
  }
  const { name, version } = compiled.card;
  return {
    ok: false,
    code: 'NO_RATE',
    detail: `rate card "${name}" version ${version} has no ${type} price for this destination`,
  };
}

function freeReason(usage: Usage, units: number): FreeReason | undefined {
  if (usage.type === 'call' && usage.answered === false) {
    return 'not_answered';
  }
  return units === 0 ? 'no_usage' : undefined;
}
