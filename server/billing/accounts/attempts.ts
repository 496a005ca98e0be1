/** Limits on attempts to sign in and up, counted by account and by address. */
import { createHmac } from 'node:crypto';
import { isIPv6 } from 'node:net';
import {
  type AttemptKind,
  clearAttempts,
  countAttempt,
  uncountAttempt,
} from '../../store/accounts.ts';
import type { Sql } from '../../store/sql.ts';

export interface AttemptLimit {
  readonly attempts: number;
  readonly windowSeconds: number;
}

const ATTEMPT_LIMITS: Readonly<Record<AttemptKind, AttemptLimit>> = {
  sign_in_email: { attempts: 10, windowSeconds: 15 * 60 },
  // One address may be a whole office's.
  sign_in_ip: { attempts: 50, windowSeconds: 15 * 60 },
  sign_up_ip: { attempts: 20, windowSeconds: 60 * 60 },
};

/** One counted attempt. */
export interface Attempt {
  /** Null when it is within the limit. */
  readonly retryAfterSeconds: number | null;
  /** It turned out right: it does not count as a failure. */
  takeBack(): Promise<void>;
  /** It proved who is there: nor do the failures before it. */
  forgive(): Promise<void>;
}

/**
 * Counts attempts in the database, so that all servers share the count. An attempt is counted
 * before it is decided: many at once cannot slip through together.
 */
export function createAttempts(options: {
  readonly sql: Sql;
  /** Keys the hashes under which emails and addresses are counted; they are stored nowhere else. */
  readonly sessionSecret: string;
  readonly limits?: Readonly<Record<AttemptKind, AttemptLimit>>;
}) {
  const { sql, sessionSecret, limits = ATTEMPT_LIMITS } = options;

  return async function attempt(kind: AttemptKind, who: string): Promise<Attempt> {
    const name = kind === 'sign_in_email' ? who.trim().toLowerCase() : networkOf(who);
    const keyHash = createHmac('sha256', sessionSecret).update(`${kind}:${name}`).digest();
    const limit = limits[kind];
    const counted = await countAttempt(sql, { keyHash, kind }, limit.windowSeconds);
    return {
      retryAfterSeconds: counted.attempts > limit.attempts ? counted.secondsLeft : null,
      takeBack: () => uncountAttempt(sql, keyHash),
      forgive: () => clearAttempts(sql, keyHash),
    };
  };
}

/**
 * What an address is counted as: an IPv6 subscriber has a whole /64 to choose from, so that counts
 * as one; an IPv4 address counts as itself, also when it is written as IPv6.
 */
export function networkOf(ip: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped) return mapped;
  const [address = ''] = ip.split('%');
  if (!isIPv6(address)) return ip;
  const [head = '', tail] = address.toLowerCase().split('::');
  const front = head ? head.split(':') : [];
  const back = tail ? tail.split(':') : [];
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0');
  const groups = tail === undefined ? front : [...front, ...zeros, ...back];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
