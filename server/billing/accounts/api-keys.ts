/** The API keys by which services say who they are, and what each may do. */
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import {
  type ApiKeyRow,
  findLiveApiKeys,
  insertApiKey,
  type LiveApiKey,
  listApiKeys,
  revokeApiKey,
  touchApiKey,
} from '../../store/api-keys.ts';
import type { Sql } from '../../store/sql.ts';
import { coalescedLookup } from '../charging/coalesced-lookup.ts';
import { randomBase32, randomBase62 } from './random-ids.ts';
import { createRateLimiter, type RateLimit, type RateLimiter } from './rate-limit.ts';

/** What a key may be allowed to do; `all` is every one of them, later ones too. */
export const SCOPES = [
  'wallets:read',
  'wallets:write',
  // Freezing, closing and limiting take a user's money out of use.
  'wallets:manage',
  // Apart from opening wallets: credit is money.
  'credit:grant',
  // Money leaves for good.
  'refund:create',
  // Fees that a wallet pays each month.
  'subscriptions:write',
  'usage:quote',
  'usage:charge',
  'usage:refund',
  'holds:write',
  'rates:read',
  'rates:write',
  'billing:read',
  'all',
] as const;
export type Scope = (typeof SCOPES)[number];

/** A service that has proved who it is. */
export interface ApiCaller {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** Counts what this process is asked for by the key; null for a key without a limit. */
  readonly limiter: RateLimiter | null;
}

/** A key as people see it: everything but its secret. */
export type ApiKeyView = ApiKeyRow;

export interface ApiKeys {
  /** Makes a key. The secret is in this answer and nowhere else. */
  create(input: {
    readonly name: string;
    readonly scopes: readonly Scope[];
    /** Who made it, for the list: `cli:…`, `user:…`. */
    readonly createdBy: string;
    /** By default none. */
    readonly rateLimit?: RateLimit | null;
  }): Promise<{ id: string; secret: string; prefix: string }>;
  /** Every key, revoked ones too, the newest first. */
  list(): Promise<ApiKeyView[]>;
  /** Revokes a key at once, on every server; null when there is none of that id. */
  revoke(id: string): ReturnType<typeof revokeApiKey>;
  /** The caller that a secret belongs to; null for a wrong, malformed or revoked one. */
  authenticate(secret: string): Promise<ApiCaller | null>;
}

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

/** Whether the caller may do what the scope stands for. */
export function hasScope(caller: Pick<ApiCaller, 'scopes'>, scope: Scope): boolean {
  return caller.scopes.includes(scope) || caller.scopes.includes('all');
}

const USE_STALE_AFTER_SECONDS = 60;

/**
 * The keys by which services authenticate. Each call looks its key up in the database, so that a
 * revocation holds from the next call on; the lookup is by the secret's hash, so that its time
 * tells nothing about the secrets that exist.
 */
export function createApiKeys(options: {
  readonly sql: Sql;
  readonly logger: Logger;
  /** The clock of rate limits; by default one that never jumps. */
  readonly nowMs?: () => number;
}): ApiKeys {
  const { sql, logger, nowMs = () => performance.now() } = options;
  /** By key id. In memory, so each server process grants the whole limit: it protects the service
   * from a caller gone wild, and no money depends on it. */
  const limiters = new Map<string, RateLimiter>();
  const findKey = coalescedLookup((secretHashes: readonly Uint8Array[]) =>
    findLiveApiKeys(sql, secretHashes, USE_STALE_AFTER_SECONDS),
  );

  function limiterOf(key: LiveApiKey): RateLimiter | null {
    const { id, rateLimitPerSecond: perSecond, rateLimitBurst: burst } = key;
    if (perSecond === null || burst === null) {
      return null;
    }
    const known = limiters.get(id);
    if (known?.limit.perSecond === perSecond && known.limit.burst === burst) {
      return known;
    }
    const limiter = createRateLimiter({ perSecond, burst }, nowMs);
    limiters.set(id, limiter);
    return limiter;
  }

  return {
    async create({ name, scopes, createdBy, rateLimit = null }) {
      const id = `key_${randomBase32(16)}`;
      const secret = `sk_${randomBase62(43)}`;
      const prefix = secret.slice(0, 7);
      await insertApiKey(sql, {
        id,
        name,
        scopes: [...new Set(scopes)],
        prefix,
        createdBy,
        rateLimitPerSecond: rateLimit?.perSecond ?? null,
        rateLimitBurst: rateLimit?.burst ?? null,
        secretHash: hashSecret(secret),
      });
      return { id, secret, prefix };
    },

    list: () => listApiKeys(sql),
    revoke: (id) => revokeApiKey(sql, id),

    async authenticate(secret) {
      const found = await findKey(hashSecret(secret));
      if (!found) return null;
      const { id, name, scopes } = found;
      if (found.useIsStale) {
        // Nobody waits for a note about the call, nor fails for it.
        touchApiKey(sql, id, USE_STALE_AFTER_SECONDS).catch((error: unknown) =>
          logger.warn({ err: error, apiKeyId: id }, 'use of an API key not noted'),
        );
      }
      return { id, name, scopes, limiter: limiterOf(found) };
    },
  };
}

/** Secrets are 256 random bits, so one plain hash is enough. */
function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
