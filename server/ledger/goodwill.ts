/** Usage that the user does not pay, because its destination must always connect. */

/** What has a breakdown: the detail of an event, or the report of a hold. */
interface Priced {
  readonly breakdown?: unknown;
}

/** The price that is booked as goodwill, if it is. */
export function goodwillIn(priced: Priced | null): string | undefined {
  const { goodwillMicros } = (priced?.breakdown ?? {}) as { goodwillMicros?: unknown };
  return typeof goodwillMicros === 'string' ? goodwillMicros : undefined;
}

/** Whether usage of this price is goodwill: only what costs the user nothing is. */
export function isGoodwill(priced: Priced | null, amountMicros: bigint | null): boolean {
  return amountMicros === 0n && goodwillIn(priced) !== undefined;
}
