import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Whether an `Authorization` header is `Bearer` with one of the tokens. Every token is compared,
 * by digests of equal length, so the time taken says nothing of how much of one matched.
 */
export function bearerMatches(header: string | undefined, tokens: readonly string[]): boolean {
  const given = bearerToken(header);
  if (given === null) {
    return false;
  }
  const digest = sha256(given);
  return tokens.map((token) => timingSafeEqual(sha256(token), digest)).includes(true);
}

/** The secret of an API key that an `Authorization` header brings; null when it brings none. */
export function apiKeySecret(header: string | undefined): string | null {
  const token = bearerToken(header);
  return token?.startsWith('sk_') === true ? token : null;
}

/** The scheme in any case: RFC 9110, section 11.1. */
function bearerToken(header: string | undefined): string | null {
  return /^Bearer (\S+)$/i.exec(header ?? '')?.[1] ?? null;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
