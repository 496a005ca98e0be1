/** What a wallet has used this month, for prices that depend on it. */
import type { Detail, WalletEvent } from './events.ts';
import type { OpenWallet } from './state.ts';
import { windowOf } from './window.ts';

/** Units of the month that begins then. */
export interface MonthlyUnits {
  readonly startsAtMs: number;
  readonly units: number;
}

interface CountedPrice {
  readonly counter: string;
  readonly unitsBefore: number;
  readonly billedUnits: number;
}

/** The price that depends on the month, of an event's detail or a hold's report, if it does. */
function priceIn(priced: { readonly breakdown?: unknown } | null): CountedPrice | undefined {
  const { price } = (priced?.breakdown ?? {}) as {
    price?: { billedUnits: number; monthly?: { counter: string; unitsBefore: number } };
  };
  return price?.monthly && { ...price.monthly, billedUnits: price.billedUnits };
}

/** Every counter of the wallet that has counted anything this month. */
export function unitsThisMonth(wallet: OpenWallet): Readonly<Record<string, number>> {
  const { startsAtMs } = windowOf('month', wallet.atMs, wallet.timezone);
  const counted = [...wallet.monthlyUnits].filter(([, month]) => month.startsAtMs === startsAtMs);
  return Object.fromEntries(counted.map(([counter, { units }]) => [counter, units]));
}

/**
 * The units of its counter that usage was not priced with, when these are no longer so many; undefined
 * when its price does not depend on them, or is right.
 */
export function movedUnits(wallet: OpenWallet, detail: Detail): number | undefined {
  const price = priceIn(detail);
  const units = price && (unitsThisMonth(wallet)[price.counter] ?? 0);
  return price?.unitsBefore === units ? undefined : units;
}

/** What a correction says of the units that a hold had counted with its last report. */
export function alreadyCounted(
  before: { readonly breakdown?: unknown } | null,
  after: { readonly breakdown?: unknown } | null,
): { readonly alreadyCountedUnits?: number } {
  const [counted, counts] = [priceIn(before), priceIn(after)];
  return counted !== undefined && counted.counter === counts?.counter
    ? { alreadyCountedUnits: counted.billedUnits }
    : {};
}

/** The units after an event. What corrects a bill adds what it bills beyond the first. */
export function monthlyUnitsAfter(
  wallet: OpenWallet,
  event: WalletEvent,
): OpenWallet['monthlyUnits'] {
  const price = countsUnits(event) ? priceIn(event.detail) : undefined;
  if (price === undefined || !countsUnits(event)) {
    return wallet.monthlyUnits;
  }
  const { alreadyCountedUnits = 0 } = event.detail as { alreadyCountedUnits?: number };
  const { startsAtMs } = windowOf('month', wallet.atMs, wallet.timezone);
  const before = wallet.monthlyUnits.get(price.counter);
  const units =
    (before?.startsAtMs === startsAtMs ? before.units : 0) +
    Math.max(0, price.billedUnits - alreadyCountedUnits);
  return new Map(wallet.monthlyUnits).set(price.counter, { startsAtMs, units });
}

function countsUnits(
  event: WalletEvent,
): event is Extract<
  WalletEvent,
  { type: 'charge' | 'accrual' | 'hold_captured' | 'hold_expired' }
> {
  return ['charge', 'accrual', 'hold_captured', 'hold_expired'].includes(event.type);
}
