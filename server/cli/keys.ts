/** `npm run keys`: creates, lists and revokes the API keys of services. */
import { userInfo } from 'node:os';
import {
  type ApiKeys,
  createApiKeys,
  isScope,
  SCOPES,
  type Scope,
} from '../billing/accounts/api-keys.ts';
import { MAX_BURST, MAX_RATE_PER_SECOND, type RateLimit } from '../billing/accounts/rate-limit.ts';
import { type EnvSource, readDatabaseEnv } from '../env.ts';
import { createLogger } from '../log.ts';
import { APP_ROLE } from '../store/sql.ts';
import {
  type Given,
  needed,
  notUnderstood,
  runAsProgram,
  runCommand,
  UsageError,
  withDatabase,
} from './command.ts';
import type { Output } from './output.ts';

const HELP = `Keys by which internal services call the API.

  npm run keys -- create --name NAME --scopes a,b [--rate-limit N [--burst M]]
                                                    make a key; its secret is printed once
  npm run keys -- list                              every key, without secrets
  npm run keys -- revoke ID                         end a key at once

--rate-limit is in calls a second, where each item of a batch is a call, for each server process;
--burst is how many may come at once after a rest, by default those of one second. What is above
is answered 429 with Retry-After. A key made without --rate-limit has no limit.

Scopes: ${SCOPES.join(', ')}

The database is the one of DATABASE_URL (environment, .env.local or .env), else the one that
npm run dev keeps in this folder.
`;

const OPTIONS = {
  name: { type: 'string' },
  scopes: { type: 'string' },
  'rate-limit': { type: 'string' },
  burst: { type: 'string' },
} as const;

/**
 * Runs `npm run keys` with its arguments. Returns the exit code: 0 done, 1 failed, 2 misused.
 */
export function runKeys(
  argv: readonly string[],
  source: EnvSource,
  output: Output,
): Promise<number> {
  return runCommand({ argv, options: OPTIONS, help: HELP, output }, (given) => {
    const run = commandOf(given);
    return withDatabase(
      needed(readDatabaseEnv(source)).databaseUrl,
      { role: APP_ROLE, max: 1, applicationName: 'prepaid-wallet keys' },
      (sql) => run(createApiKeys({ sql, logger: createLogger('silent') }), output),
    );
  });
}

type Command = (keys: ApiKeys, output: Output) => Promise<number>;

function commandOf({ values, positionals }: Given<typeof OPTIONS>): Command {
  const [command, id, ...extra] = positionals;
  const { name, scopes, 'rate-limit': rate, burst } = values;
  if (command !== 'create' && [name, scopes, rate, burst].some((value) => value !== undefined)) {
    throw new UsageError('--name, --scopes, --rate-limit and --burst belong to create.');
  }
  if (command === 'create' && id === undefined) {
    return createKey(parseName(name), parseScopes(scopes), parseRateLimit(rate, burst));
  }
  if (command === 'list' && id === undefined) return listKeys;
  if (command === 'revoke' && id !== undefined && extra.length === 0) return revokeKey(id);
  if (command === 'revoke') throw new UsageError('revoke needs the ID of one key.');
  throw notUnderstood(positionals);
}

function parseName(given: string | undefined): string {
  const name = given?.trim() ?? '';
  if (name.length < 1 || name.length > 100) {
    throw new UsageError('--name needs 1 to 100 characters.');
  }
  return name;
}

function parseScopes(given: string | undefined): Scope[] {
  const named = (given ?? '').split(',').map((scope) => scope.trim());
  const scopes = named.filter((scope) => scope !== '');
  if (scopes.length === 0) throw new UsageError('--scopes needs at least one scope.');
  const unknown = scopes.filter((scope) => !isScope(scope));
  if (unknown.length > 0) throw new UsageError(`Unknown scopes: ${unknown.join(', ')}`);
  return scopes.filter(isScope);
}

function parseRateLimit(rate: string | undefined, burst: string | undefined): RateLimit | null {
  if (rate === undefined) {
    if (burst !== undefined) throw new UsageError('--burst goes with --rate-limit.');
    return null;
  }
  const perSecond = parseCount('--rate-limit', rate, MAX_RATE_PER_SECOND);
  return {
    perSecond,
    burst: burst === undefined ? perSecond : parseCount('--burst', burst, MAX_BURST),
  };
}

function parseCount(option: string, given: string, max: number): number {
  const count = /^[1-9]\d{0,8}$/.test(given) ? Number(given) : Number.NaN;
  if (!(count <= max)) {
    throw new UsageError(`${option} needs a whole number from 1 to ${max}.`);
  }
  return count;
}

function createKey(name: string, scopes: readonly Scope[], rateLimit: RateLimit | null): Command {
  return async (keys, output) => {
    const createdBy = `cli:${userInfo().username}`;
    const { id, secret } = await keys.create({ name, scopes, createdBy, rateLimit });
    output.err(`Created ${id} (${name}). This secret is not shown again:\n`);
    output.out(`${secret}\n`);
    return 0;
  };
}

const listKeys: Command = async (keys, output) => {
  const all = await keys.list();
  if (all.length === 0) output.err('There are no keys yet.\n');
  for (const key of all) {
    const state = key.revokedAt ? `revoked ${key.revokedAt.toISOString()}` : 'live';
    const used = key.lastUsedAt ? `used ${key.lastUsedAt.toISOString()}` : 'never used';
    const { rateLimitPerSecond: rate, rateLimitBurst: burst } = key;
    const limit = rate === null ? 'no limit' : `${rate}/s, burst ${burst}`;
    const columns = [key.id, `${key.prefix}…`, key.name, key.scopes.join(','), limit, used, state];
    output.out(`${columns.join('  ')}\n`);
  }
  return 0;
};

function revokeKey(id: string): Command {
  return async (keys, output) => {
    const key = await keys.revoke(id);
    if (!key) {
      output.err(`There is no key ${id}.\n`);
      return 1;
    }
    output.out(
      key.wasLive
        ? `Revoked ${key.id} (${key.name}).\n`
        : `${key.id} (${key.name}) was revoked before, at ${key.revokedAt?.toISOString()}.\n`,
    );
    return 0;
  };
}

await runAsProgram(import.meta.url, runKeys);
