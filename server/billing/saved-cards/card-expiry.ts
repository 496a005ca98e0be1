const SOON_MS = 60 * 86_400_000;

export type CardExpiry = 'valid' | 'soon' | 'expired';

/** Whether a card has expired or will within 60 days. It is good until the end of its month, UTC. */
export function cardExpiry(
  { expMonth, expYear }: { expMonth: number; expYear: number },
  nowMs: number,
): CardExpiry {
  // Months count from 0 there, so this is the first instant of the month after.
  const leftMs = Date.UTC(expYear, expMonth) - nowMs;
  if (leftMs <= 0) return 'expired';
  return leftMs <= SOON_MS ? 'soon' : 'valid';
}
