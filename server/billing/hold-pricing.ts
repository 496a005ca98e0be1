/** What holds and their usage cost, and how far the money of a hold reaches. */
import type { Report } from '../ledger/state.ts';
import { affordable, rate } from '../rating/rate.ts';
import type { CompiledRateCard } from '../rating/rate-card.ts';
import {
  canonicalUsage,
  type Usage,
  type UsageType,
  usageDestination,
  usageUnits,
} from '../rating/usage.ts';

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
} & (
  | { readonly ok: true; readonly amountMicros: bigint; readonly report: Report | null }
  | { readonly ok: false; readonly noRate: string }
);

export function priceEstimate(estimate: Estimate, card: CompiledRateCard | null): PricedEstimate {
  const noCard = 'no rate card is in effect in this currency';
  if ('usage' in estimate) {
    const usage = canonicalUsage(estimate.usage);
    const about = { asked: { usage }, type: usage.type, to: usageDestination(usage) };
    if (card === null) {
      return { ok: false, ...about, noRate: noCard };
    }
    const { report, amountMicros, noRate } = reportOf(card, usage);
    return amountMicros === null
      ? { ok: false, ...about, noRate }
      : { ok: true, ...about, amountMicros, report };
  }
  const { amountMicros, type, to } = estimate;
  const about = { asked: { amountMicros, type, to }, type, to };
  if (card === null) {
    return { ok: false, ...about, noRate: noCard };
  }
  const priced = type === undefined ? null : affordable(card, type, to, 0n);
  return priced?.ok === false
    ? { ok: false, ...about, noRate: priced.detail }
    : { ok: true, ...about, amountMicros, report: null };
}

/** Usage as the ledger keeps it, and its price; null, and why, when there is none. */
export function reportOf(
  card: CompiledRateCard,
  usage: Usage,
): { report: Report; amountMicros: bigint | null; noRate: string } {
  const rated = rate(card, usage);
  const { units } = usageUnits(usage);
  return rated.ok
    ? {
        report: { usage, units, breakdown: rated.breakdown },
        amountMicros: rated.amountMicros,
        noRate: '',
      }
    : { report: { usage, units }, amountMicros: null, noRate: rated.detail };
}

/** How far the hold and what else is available reach, within the limits, counted from the beginning of the usage. */
export interface Reach {
  maxUnits?: number;
  /** The same, for calls. */
  maxSeconds?: number;
}

/**
 * `headroomMicros` is what spending limits let the hold come to, null without any. Nothing when the
 * type of usage is not known, or the card has no price for it.
 */
export function reachOf(
  card: CompiledRateCard,
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
  const reach = affordable(card, type, to, reachMicros);
  if (!reach.ok) {
    return {};
  }
  const { maxUnits } = reach;
  return reach.unit === 'second' ? { maxSeconds: maxUnits, maxUnits } : { maxUnits };
}
