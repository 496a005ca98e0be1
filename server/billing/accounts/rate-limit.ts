/** How much one API key may ask for: a rate a second, and a burst after a rest. */

/** What the database takes. */
export const MAX_RATE_PER_SECOND = 1_000_000;
export const MAX_BURST = 10_000_000;

export interface RateLimit {
  /** Calls a second, in the long run. An item of a batch counts as a call. */
  readonly perSecond: number;
  /** Calls that may come at once after a rest. */
  readonly burst: number;
}

/** Counts the calls of one key in this process. */
export interface RateLimiter {
  readonly limit: RateLimit;
  /**
   * Takes what a request costs, in calls: 0 when it may go on, else the seconds after which it may.
   * What is refused costs nothing.
   */
  take(cost: number): number;
}

/**
 * A token bucket: full it holds `burst`, and it refills at `perSecond`. A cost above the burst is
 * let through by a full bucket and leaves a debt behind, or it could never be.
 */
export function createRateLimiter(limit: RateLimit, nowMs: () => number): RateLimiter {
  const { perSecond, burst } = limit;
  let tokens = burst;
  let filledAtMs = nowMs();
  return {
    limit,
    take(cost) {
      const atMs = nowMs();
      tokens = Math.min(burst, tokens + ((atMs - filledAtMs) / 1000) * perSecond);
      filledAtMs = atMs;
      const needed = Math.min(cost, burst);
      if (tokens < needed) {
        return (needed - tokens) / perSecond;
      }
      tokens -= cost;
      return 0;
    },
  };
}
