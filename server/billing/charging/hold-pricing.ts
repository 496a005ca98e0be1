/** What holds and their usage cost, and how far the money of a hold reaches. */
import type { Report } from '../../ledger/state.ts';
import { type Circumstances, mustConnect, type PriceList } from '../../rating/price-list.ts';
import { affordable, rate } from '../../rating/rate.ts';
import {
  canonicalUsage,
  type Usage,
  type UsageType,
  usageDestination,
  usageUnits,
} from '../../rating/usage.ts';
import type { StoredPricing } from '../../store/holds.ts';
import { normalTo, normalUsage } from './pricing.ts';

/** What to reserve: the price of an estimate, or an amount for usage of a type, if it is known. */
export type Estimate =
  | { readonly usage: Usage }
  | {
      readonly amountMicros: bigint;
      readonly type?: UsageType | undefined;
      readonly to?: string | undefined;
    };

type PricedEstimate = {
  /** What the caller asked, in one form, for the request's hash. */
  readonly asked: object;
  readonly type: UsageType | undefined;
  readonly to: string | undefined;
  /** The destination must always connect, so nothing is reserved. */
  readonly isGoodwill: boolean;
} & (
  | { readonly ok: true; readonly amountMicros: bigint; readonly report: Report | null }
  | { readonly ok: false; readonly noRate: string }
);

/** What a hold's usage is priced by, from its beginning to its end. */
export interface HoldPrices extends Circumstances {
  readonly prices: PriceList;
}

/** The form in which the ledger keeps these prices, beside the id of the first card. */
export function pricingOf(
  { prices, at, unitsThisMonth }: HoldPrices,
  isGoodwill: boolean,
): StoredPricing {
  const [, fallback] = prices;
  return {
    at: at.toISOString(),
    ...(fallback !== undefined && { fallbackRateCardId: fallback.card.id }),
    ...(isGoodwill && { goodwill: true }),
    ...(unitsThisMonth !== undefined && !isGoodwill && { unitsThisMonth }),
  };
}

/** Goodwill counts no units of the month and depends on none, whether it is a hold or a charge. */
function withoutUnits({ unitsThisMonth: _, ...by }: HoldPrices): HoldPrices {
  return by;
}

/** Prices an estimate. Throws a `BAD_REQUEST` when its destination is none. */
export function priceEstimate(estimate: Estimate, by: HoldPrices): PricedEstimate {
  return 'usage' in estimate ? priceOfUsage(estimate.usage, by) : priceOfAmount(estimate, by);
}

function priceOfUsage(estimated: Usage, by: HoldPrices): PricedEstimate {
  const asked = canonicalUsage(estimated);
  const usage = normalUsage(by.prices, asked, 'usage');
  const to = usageDestination(usage);
  const isGoodwill = mustConnect(by.prices, to);
  const about = { asked: { usage: asked }, type: usage.type, to, isGoodwill };
  const { report, amountMicros, noRate } = reportOf(isGoodwill ? withoutUnits(by) : by, usage);
  return amountMicros === null
    ? { ok: false, ...about, noRate }
    : { ok: true, ...about, amountMicros, report };
}

function priceOfAmount(
  { amountMicros, type, to: dialled }: Exclude<Estimate, { usage: Usage }>,
  by: HoldPrices,
): PricedEstimate {
  const to = dialled === undefined ? undefined : normalTo(by.prices, dialled, type, 'to');
  const isGoodwill = mustConnect(by.prices, to);
  const about = { asked: { amountMicros, type, to: dialled }, type, to, isGoodwill };
  if (by.prices.length === 0) {
    return { ok: false, ...about, noRate: 'no rate card is in effect in this currency' };
  }
  const priced = type === undefined ? null : affordable(by.prices, type, to, 0n, by);
  return priced?.ok === false
    ? { ok: false, ...about, noRate: priced.detail }
    : { ok: true, ...about, amountMicros: isGoodwill ? 0n : amountMicros, report: null };
}

/** Usage as the ledger keeps it, and its price; null, and why, when there is none. */
export function reportOf(
  { prices, ...circumstances }: HoldPrices,
  usage: Usage,
): { report: Report; amountMicros: bigint | null; noRate: string } {
  const rated = rate(prices, usage, circumstances);
  const { units } = usageUnits(usage);
  return rated.ok
    ? {
        report: { usage, units, breakdown: rated.breakdown },
        amountMicros: rated.amountMicros,
        noRate: '',
      }
    : { report: { usage, units }, amountMicros: null, noRate: rated.detail };
}

/** How much usage, counted from its beginning, the hold and what else is available pay for. */
export interface Reach {
  maxUnits?: number;
  /** The same, for calls. */
  maxSeconds?: number;
}

/**
 * How far a hold reaches. `headroomMicros` is the most that spending limits let it come to, null
 * without limits. Empty when the type of usage is not known, or has no price.
 */
export function reachOf(
  { prices, ...circumstances }: HoldPrices,
  type: UsageType | undefined,
  to: string | undefined,
  heldMicros: bigint,
  availableMicros: bigint,
  headroomMicros: bigint | null,
): Reach {
  if (type === undefined) {
    return {};
  }
  const fundsMicros = heldMicros + (availableMicros > 0n ? availableMicros : 0n);
  const allowedMicros =
    headroomMicros !== null && headroomMicros < fundsMicros ? headroomMicros : fundsMicros;
  // A limit that was lowered since does not take back what is held.
  const reachMicros = allowedMicros > heldMicros ? allowedMicros : heldMicros;
  const reach = affordable(prices, type, to, reachMicros, circumstances);
  if (!reach.ok) {
    return {};
  }
  const { maxUnits } = reach;
  return reach.unit === 'second' ? { maxSeconds: maxUnits, maxUnits } : { maxUnits };
}
