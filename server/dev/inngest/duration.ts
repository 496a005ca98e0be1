const UNIT_MS: Record<string, number> = {
  w: 604_800_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
};

/**
 * The instant (ms since the epoch) that the SDK means by a span such as `1d2h30m`, or by an
 * ISO date; null when it is neither. Both stand in sleeps and timeouts.
 */
export function instantOf(text: string, nowMs: number): number | null {
  if (/^(\d+[wdhms])+$/.test(text)) {
    let spanMs = 0;
    for (const [, amount, unit] of text.matchAll(/(\d+)([wdhms])/g)) {
      spanMs += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
    }
    return nowMs + spanMs;
  }
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : atMs;
}

/** The instant that a `retry-after` header asks for: whole seconds or a date; null when neither. */
export function retryInstant(header: string, nowMs: number): number | null {
  return /^\d+$/.test(header) ? nowMs + Number(header) * 1_000 : instantOf(header, nowMs);
}
