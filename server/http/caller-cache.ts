import type { ApiCaller, ApiKeys } from '../billing/accounts/api-keys.ts';
import { keepNewest } from '../keep-newest.ts';

/**
 * Callers by their secrets, kept for a moment. Only for procedures whose database function checks
 * again that the key is live (`charge_many`, `write_holds`): everything else asks the database each time.
 */
export interface CallerCache {
  find(secret: string): Promise<ApiCaller | null>;
}

const MAX_AGE_MS = 30_000;
const MAX_CALLERS = 10_000;

export function createCallerCache(
  apiKeys: Pick<ApiKeys, 'authenticate'>,
  nowMs: () => number,
): CallerCache {
  const callers = new Map<string, { caller: ApiCaller; atMs: number }>();
  return {
    async find(secret) {
      const cached = callers.get(secret);
      if (cached !== undefined && nowMs() - cached.atMs < MAX_AGE_MS) {
        return cached.caller;
      }
      callers.delete(secret);
      const caller = await apiKeys.authenticate(secret);
      if (caller !== null) {
        keepNewest(callers, secret, { caller, atMs: nowMs() }, MAX_CALLERS);
      }
      return caller;
    },
  };
}
