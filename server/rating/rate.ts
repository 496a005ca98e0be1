/** What a usage costs by a rate card, why, and how much usage an amount of money pays for. */
import {
  amountOf,
  type PriceBreakdown,
  priceBreakdown,
  termsOf,
  termsOfBreakdown,
  type Writable,
} from './price.ts';
import { type CompiledRateCard, findRule } from './rate-card.ts';
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
  /** Present when the usage is priced. */
  readonly price?: PriceBreakdown;
  readonly amountMicros: string;
}

export type NoRate = { readonly ok: false; readonly code: 'NO_RATE'; readonly detail: string };

export type RateResult =
  | { readonly ok: true; readonly amountMicros: bigint; readonly breakdown: Breakdown }
  | NoRate;

/**
 * Prices a usage. A call that was not answered, and any usage of zero units, is free: no fee and no
 * minimum, even where the card has no rule. Otherwise the rule of the usage's type with the longest
 * prefix of the dialled digits applies, and without one the answer is `NO_RATE`.
 */
export function rate(compiled: CompiledRateCard, usage: Usage): RateResult {
  const { unit, units } = usageUnits(usage);
  const rule = findRule(compiled, usage.type, dialledDigits(usageDestination(usage) ?? ''));
  const free = freeReason(usage, units);
  if (rule === undefined && free === undefined) {
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
  if (rule !== undefined) {
    breakdown.ruleId = rule.id;
    breakdown.prefix = rule.prefix;
  }
  if (free !== undefined) {
    breakdown.free = free;
  }
  if (rule === undefined || free !== undefined) {
    return { ok: true, amountMicros: 0n, breakdown };
  }
  const bytes = usage.type === 'file_transfer' ? usage.bytes : undefined;
  const terms = termsOf(rule, card.rounding, bytes);
  const amount = amountOf(terms, units);
  breakdown.price = priceBreakdown(terms, amount);
  breakdown.amountMicros = amount.amountMicros.toString();
  return { ok: true, amountMicros: amount.amountMicros, breakdown };
}

/** The amount of a breakdown, calculated anew from its units and prices. */
export function recompute(breakdown: Breakdown): bigint {
  const { price } = breakdown;
  if (price === undefined) {
    return 0n;
  }
  return amountOf(termsOfBreakdown(price), breakdown.units).amountMicros;
}

/**
 * The most units of `type` to `to` that `availableMicros` pays for: the largest number whose amount
 * by `rate` is not above it, 0 when not even one is, and the type's own limit when money is not the
 * limit (a free or capped rate). Exact: amounts never fall as units grow, so it is a binary search
 * over the very function that will price the usage.
 */
export function affordable(
  compiled: CompiledRateCard,
  type: UsageType,
  to: string | undefined,
  availableMicros: bigint,
): { readonly ok: true; readonly unit: UsageUnit; readonly maxUnits: number } | NoRate {
  const rule = findRule(compiled, type, dialledDigits(to ?? ''));
  if (rule === undefined) {
    return noRate(compiled, type);
  }
  const terms = termsOf(rule, compiled.card.rounding, undefined);
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
  return { ok: true, unit: unitOfType[type], maxUnits: affordableUnits };
}

function noRate(compiled: CompiledRateCard, type: UsageType): NoRate {
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
