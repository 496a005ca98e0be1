/**
 * The arithmetic of a price, exact and rounded once, at the very end:
 *
 * amount = clamp(round(connection fee + billed units × price ÷ units a price is for))
 */
import { type Rounding, reduceFraction, roundFraction } from './exact.ts';
import { costOf, partsOf, type Tier } from './monthly-tiers.ts';
import type { UnitsThisMonth } from './price-list.ts';
import type { RateRule } from './rate-card.ts';

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
  /**
   * Present when the price depends on the month: what counts it, its units before this usage, and
   * the prices at which the billed units were sold.
   */
  readonly monthly?: {
    readonly counter: string;
    readonly unitsBefore: number;
    readonly parts: readonly { readonly units: number; readonly priceMicros: string }[];
  };
  readonly rounding: Rounding;
  readonly minimumMicros?: string;
  readonly maximumMicros?: string;
  /** Which limit replaced the amount, if one did. */
  readonly applied?: 'minimum' | 'maximum';
}

type Increments = Pick<Extract<RateRule, { type: 'call' }>, 'initialSeconds' | 'nextSeconds'>;

/** The part of a rule that decides an amount, for one usage. */
export interface Terms {
  readonly connectionFeeMicros: bigint;
  readonly priceMicros: bigint;
  readonly perUnits: number;
  readonly increments: Increments | undefined;
  /** In place of `priceMicros`, where the month decides. */
  readonly monthly: MonthlyTerms | undefined;
  readonly rounding: Rounding;
  readonly minimumMicros: bigint | undefined;
  readonly maximumMicros: bigint | undefined;
}

interface MonthlyTerms {
  readonly counter: string;
  readonly unitsBefore: number;
  readonly tiers: readonly Tier[];
}

/** Objects are filled in place here, because copying them by spread takes most of a rating's time. */
export type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The window of a rule that usage falls into. */
export type RuleWindow = NonNullable<RateRule['windows']>[number];

/** The terms of a rule for one usage; `bytes` is the size of a file transfer. */
export function termsOf(
  rule: RateRule,
  cardRounding: Rounding,
  bytes: number | undefined,
  window: RuleWindow | undefined,
  unitsOf: UnitsThisMonth,
): Terms {
  const windowMicros = priceIn(window);
  return {
    connectionFeeMicros: window?.connectionFeeMicros ?? rule.connectionFeeMicros,
    priceMicros: windowMicros ?? priceOf(rule, bytes),
    perUnits: rule.type === 'call' ? 60 : 1,
    increments: rule.type === 'call' ? rule : undefined,
    monthly:
      rule.monthlyTiers === undefined ? undefined : monthlyTerms(rule, windowMicros, unitsOf),
    rounding: rule.rounding ?? cardRounding,
    minimumMicros: rule.minimumMicros,
    maximumMicros: rule.maximumMicros,
  };
}

/** What counts the units of a rule: versions of a card go on counting by the rule's id. */
function counterOf({ type, id }: RateRule): string {
  return `${type}/${id}`;
}

/** The units are counted in windows too, where their own price is for all of them. */
function monthlyTerms(
  rule: RateRule,
  windowMicros: bigint | undefined,
  unitsOf: UnitsThisMonth,
): MonthlyTerms {
  const counter = counterOf(rule);
  const unitsBefore = unitsOf[counter] ?? 0;
  const base = { aboveUnits: 0, priceMicros: windowMicros ?? priceOf(rule, undefined) };
  if (windowMicros !== undefined) {
    return { counter, unitsBefore, tiers: [base] };
  }
  return { counter, unitsBefore, tiers: [base, ...monthlyTiersOf(rule)] };
}

/** The tiers behind a rule's own price. */
export function monthlyTiersOf(rule: RateRule): Tier[] {
  return (rule.monthlyTiers ?? []).map((tier) => ({
    aboveUnits: tier.aboveUnits,
    priceMicros:
      'pricePerMinuteMicros' in tier ? tier.pricePerMinuteMicros : tier.pricePerUnitMicros,
  }));
}

function priceIn(window: RuleWindow | undefined): bigint | undefined {
  const prices: {
    pricePerMinuteMicros?: bigint | undefined;
    pricePerUnitMicros?: bigint | undefined;
  } = window ?? {};
  return prices.pricePerMinuteMicros ?? prices.pricePerUnitMicros;
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

export interface Amount {
  readonly billedUnits: number;
  readonly amountMicros: bigint;
  readonly applied: 'minimum' | 'maximum' | undefined;
}

/** What some units cost: rounded once, then held within minimum and maximum. */
export function amountOf(terms: Terms, units: number): Amount {
  const { connectionFeeMicros, minimumMicros, maximumMicros } = terms;
  const billedUnits = billedOf(terms.increments, units);
  const perUnits = BigInt(terms.perUnits);
  const exact = {
    numerator: connectionFeeMicros * perUnits + costOfUnits(terms, billedUnits),
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

/** For `perUnits`, so that it stays a whole number. */
function costOfUnits({ priceMicros, monthly }: Terms, billedUnits: number): bigint {
  return monthly === undefined
    ? BigInt(billedUnits) * priceMicros
    : costOf(partsOf(monthly.tiers, monthly.unitsBefore, billedUnits));
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

/** The terms and the amount as they are kept with a charge. */
export function priceBreakdown(terms: Terms, { billedUnits, applied }: Amount): PriceBreakdown {
  const usageMicros = reduceFraction({
    numerator: costOfUnits(terms, billedUnits),
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
  if (terms.monthly !== undefined) {
    const { counter, unitsBefore, tiers } = terms.monthly;
    const parts = partsOf(tiers, unitsBefore, billedUnits).map(({ units, priceMicros }) => ({
      units,
      priceMicros: priceMicros.toString(),
    }));
    price.monthly = { counter, unitsBefore, parts };
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

/** The terms that a kept breakdown was calculated by. */
export function termsOfBreakdown(price: PriceBreakdown): Terms {
  return {
    connectionFeeMicros: BigInt(price.connectionFeeMicros),
    priceMicros: BigInt(price.priceMicros),
    perUnits: price.perUnits,
    increments: price.increments,
    monthly: price.monthly && keptTerms(price.monthly),
    rounding: price.rounding,
    minimumMicros: optionalMicros(price.minimumMicros),
    maximumMicros: optionalMicros(price.maximumMicros),
  };
}

/** The parts are tiers of their own, from the first of the units on. */
function keptTerms({ counter, parts }: NonNullable<PriceBreakdown['monthly']>): MonthlyTerms {
  let aboveUnits = 0;
  const tiers = parts.map(({ units, priceMicros }) => {
    const tier = { aboveUnits, priceMicros: BigInt(priceMicros) };
    aboveUnits += units;
    return tier;
  });
  return { counter, unitsBefore: 0, tiers };
}

function optionalMicros(text: string | undefined): bigint | undefined {
  return text === undefined ? undefined : BigInt(text);
}
