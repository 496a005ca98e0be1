/**
 * The price of a usage by a rate card: pure, exact, and rounded once, at the very end.
 *
 * amount = clamp(round(connection fee + billed units × price ÷ units a price is for))
 */
import { type Rounding, reduceFraction, roundFraction } from './exact.ts';
import { type CompiledRateCard, findRule, type RateRule } from './rate-card.ts';
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

export interface PriceBreakdown {
  readonly connectionFeeMicros: string;
  /** What `perUnits` units cost: a call's price is for 60 seconds, every other for one unit. */
  readonly priceMicros: string;
  readonly perUnits: number;
  /** Units after rounding up to whole increments. */
  readonly billedUnits: number;
  /** Calls: the increments and how many of them were billed, the initial one included. */
  readonly increments?: {
    readonly initialSeconds: number;
    readonly nextSeconds: number;
    readonly count: number;
  };
  /** billedUnits × priceMicros ÷ perUnits in lowest terms, before rounding. */
  readonly usageMicros: { readonly numerator: string; readonly denominator: string };
  readonly rounding: Rounding;
  readonly minimumMicros?: string;
  readonly maximumMicros?: string;
  /** Which limit replaced the amount, if one did. */
  readonly applied?: 'minimum' | 'maximum';
}

export type NoRate = { readonly ok: false; readonly code: 'NO_RATE'; readonly detail: string };

export type RateResult =
  | { readonly ok: true; readonly amountMicros: bigint; readonly breakdown: Breakdown }
  | NoRate;

type Increments = Pick<Extract<RateRule, { type: 'call' }>, 'initialSeconds' | 'nextSeconds'>;

/** Objects are filled in place here, because copying them by spread takes most of a rating's time. */
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The part of a rule that decides an amount, for one usage. */
interface Terms {
  readonly connectionFeeMicros: bigint;
  readonly priceMicros: bigint;
  readonly perUnits: number;
  readonly increments: Increments | undefined;
  readonly rounding: Rounding;
  readonly minimumMicros: bigint | undefined;
  readonly maximumMicros: bigint | undefined;
}

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
  const terms: Terms = {
    connectionFeeMicros: BigInt(price.connectionFeeMicros),
    priceMicros: BigInt(price.priceMicros),
    perUnits: price.perUnits,
    increments: price.increments,
    rounding: price.rounding,
    minimumMicros: optionalMicros(price.minimumMicros),
    maximumMicros: optionalMicros(price.maximumMicros),
  };
  return amountOf(terms, breakdown.units).amountMicros;
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

function termsOf(rule: RateRule, cardRounding: Rounding, bytes: number | undefined): Terms {
  return {
    connectionFeeMicros: rule.connectionFeeMicros,
    priceMicros: priceOf(rule, bytes),
    perUnits: rule.type === 'call' ? 60 : 1,
    increments: rule.type === 'call' ? rule : undefined,
    rounding: rule.rounding ?? cardRounding,
    minimumMicros: rule.minimumMicros,
    maximumMicros: rule.maximumMicros,
  };
}

function priceOf(rule: RateRule, bytes: number | undefined): bigint {
  switch (rule.type) {
    case 'call':
      return rule.pricePerMinuteMicros;
    case 'file_transfer':
      return transferPrice(rule, bytes);
    case 'sms':
    case 'email':
    case 'fax':
      return rule.pricePerUnitMicros;
    default: {
      const unknown: never = rule;
      throw new TypeError(`unknown rule ${typeof unknown}`);
    }
  }
}

function transferPrice(
  rule: Extract<RateRule, { type: 'file_transfer' }>,
  bytes: number | undefined,
): bigint {
  const tier =
    bytes === undefined
      ? undefined
      : rule.sizeTiers?.find(({ upToBytes }) => upToBytes === null || bytes <= upToBytes);
  return tier?.pricePerUnitMicros ?? rule.pricePerUnitMicros;
}

interface Amount {
  readonly billedUnits: number;
  readonly amountMicros: bigint;
  readonly applied: 'minimum' | 'maximum' | undefined;
}

function amountOf(terms: Terms, units: number): Amount {
  const { connectionFeeMicros, priceMicros, minimumMicros, maximumMicros } = terms;
  const billedUnits = billedOf(terms.increments, units);
  const perUnits = BigInt(terms.perUnits);
  const exact = {
    numerator: connectionFeeMicros * perUnits + BigInt(billedUnits) * priceMicros,
    denominator: perUnits,
  };
  const amountMicros = roundFraction(exact, terms.rounding);
  if (minimumMicros !== undefined && amountMicros < minimumMicros) {
    return { billedUnits, amountMicros: minimumMicros, applied: 'minimum' };
  }
  if (maximumMicros !== undefined && amountMicros > maximumMicros) {
    return { billedUnits, amountMicros: maximumMicros, applied: 'maximum' };
  }
  return { billedUnits, amountMicros, applied: undefined };
}

/** Units after rounding up to whole increments; the first increment is billed whole. */
function billedOf(increments: Increments | undefined, units: number): number {
  if (increments === undefined) {
    return units;
  }
  const { initialSeconds, nextSeconds } = increments;
  const beyond = Math.max(0, units - initialSeconds);
  const over = beyond % nextSeconds;
  return initialSeconds + beyond + (over === 0 ? 0 : nextSeconds - over);
}

function priceBreakdown(terms: Terms, { billedUnits, applied }: Amount): PriceBreakdown {
  const usageMicros = reduceFraction({
    numerator: BigInt(billedUnits) * terms.priceMicros,
    denominator: BigInt(terms.perUnits),
  });
  const price: Writable<PriceBreakdown> = {
    connectionFeeMicros: terms.connectionFeeMicros.toString(),
    priceMicros: terms.priceMicros.toString(),
    perUnits: terms.perUnits,
    billedUnits,
    usageMicros: {
      numerator: usageMicros.numerator.toString(),
      denominator: usageMicros.denominator.toString(),
    },
    rounding: terms.rounding,
  };
  if (terms.increments !== undefined) {
    const { initialSeconds, nextSeconds } = terms.increments;
    const count = 1 + (billedUnits - initialSeconds) / nextSeconds;
    price.increments = { initialSeconds, nextSeconds, count };
  }
  if (terms.minimumMicros !== undefined) {
    price.minimumMicros = terms.minimumMicros.toString();
  }
  if (terms.maximumMicros !== undefined) {
    price.maximumMicros = terms.maximumMicros.toString();
  }
  if (applied !== undefined) {
    price.applied = applied;
  }
  return price;
}

function optionalMicros(text: string | undefined): bigint | undefined {
  return text === undefined ? undefined : BigInt(text);
}
