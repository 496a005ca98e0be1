/** Keys of services. Only the SHA-256 of a secret comes here. Each function is one statement. */
import { arrayLiteral, type Sql } from './sql.ts';

export interface ApiKeyRow {
  id: string;
  name: string;
  scopes: string[];
  prefix: string;
  /** Calls a second; null is no limit. */
  rateLimitPerSecond: number | null;
  rateLimitBurst: number | null;
  createdBy: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

const apiKeyColumns = (sql: Sql) => sql`
  id, name, to_jsonb(scopes) as scopes, prefix, created_by as "createdBy",
  rate_limit_per_second as "rateLimitPerSecond", rate_limit_burst as "rateLimitBurst",
  created_at as "createdAt", last_used_at as "lastUsedAt", revoked_at as "revokedAt"`;

export async function insertApiKey(
  sql: Sql,
  key: Omit<ApiKeyRow, 'createdAt' | 'lastUsedAt' | 'revokedAt'> & {
    readonly secretHash: Uint8Array;
  },
): Promise<void> {
  await sql`
    insert into api_keys (id, name, scopes, secret_hash, prefix, created_by,
      rate_limit_per_second, rate_limit_burst)
    values (${key.id}, ${key.name}, ${arrayLiteral(key.scopes)}::text[], ${key.secretHash},
      ${key.prefix}, ${key.createdBy}, ${key.rateLimitPerSecond}, ${key.rateLimitBurst})`;
}

/** Every key, revoked ones too, the newest first. */
export async function listApiKeys(sql: Sql): Promise<ApiKeyRow[]> {
  return sql<ApiKeyRow[]>`
    select ${apiKeyColumns(sql)} from api_keys order by created_at desc, id`;
}

/**
 * Revokes a key, or leaves a revoked one as it is; `wasLive` says which. Null when there is none of
 * that id.
 */
export async function revokeApiKey(
  sql: Sql,
  id: string,
): Promise<(ApiKeyRow & { wasLive: boolean }) | null> {
  const [row] = await sql<(ApiKeyRow & { wasLive: boolean })[]>`
    with before as (
      select id as "keyId", revoked_at is null as "wasLive" from api_keys
      where id = ${id} for update
    )
    update api_keys set revoked_at = coalesce(revoked_at, now()) from before
    where id = "keyId"
    returning ${apiKeyColumns(sql)}, "wasLive"`;
  return row ?? null;
}

export interface LiveApiKey
  extends Pick<ApiKeyRow, 'id' | 'name' | 'scopes' | 'rateLimitPerSecond' | 'rateLimitBurst'> {
  /** Whether `last_used_at` is old enough to be written again. */
  useIsStale: boolean;
}

/** The keys of secrets that are not revoked, in the order of the secrets; null where is none. */
export async function findLiveApiKeys(
  sql: Sql,
  secretHashes: readonly Uint8Array[],
  staleAfterSeconds: number,
): Promise<(LiveApiKey | null)[]> {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const rows = await sql<(LiveApiKey & { secretHash: string })[]>`
    select id, name, to_jsonb(scopes) as scopes,
      rate_limit_per_second as "rateLimitPerSecond", rate_limit_burst as "rateLimitBurst",
      last_used_at is null or last_used_at < now() - make_interval(secs => ${staleAfterSeconds})
        as "useIsStale",
      encode(secret_hash, 'hex') as "secretHash"
    from api_keys
    where secret_hash = any (${arrayLiteral(secretHashes)}::bytea[]) and revoked_at is null`;
  const bySecret = new Map(rows.map(({ secretHash, ...key }) => [secretHash, key]));
  return secretHashes.map((hash) => bySecret.get(hex(hash)) ?? null);
}

/** Notes that a key was used, unless another call did so just now. */
export async function touchApiKey(sql: Sql, id: string, staleAfterSeconds: number): Promise<void> {
  await sql`
    update api_keys set last_used_at = now()
    where id = ${id} and (last_used_at is null
      or last_used_at < now() - make_interval(secs => ${staleAfterSeconds}))`;
}
