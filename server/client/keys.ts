/** Idempotency keys and references, for callers who have none of their own yet. */
import { createHash, randomUUID } from 'node:crypto';

/** The longest key that the service takes. */
const MAX_LENGTH = 200;

/**
 * A new random key. Make it where the work begins, and store it with the work: a retry that makes
 * a new one charges again. Where the work has a name of its own, `keyOf` needs no storing.
 */
export function makeKey(): string {
  return randomUUID();
}

/**
 * The key of work that is known by its parts, such as `keyOf('transfer', day, file.id)`: the same
 * parts give the same key, other parts another. Leave phone numbers and addresses out: keys stand
 * in logs and statements.
 * @throws TypeError for an empty part, which is one that was forgotten
 */
export function keyOf(...parts: readonly [string | number, ...(string | number)[]]): string {
  for (const part of parts) {
    // A caller without types may pass undefined: all its work would then have one key.
    if (part === '' || (typeof part !== 'string' && !Number.isFinite(part))) {
      throw new TypeError('each part of a key must be a text or a number');
    }
  }
  const key = parts.map((part) => encodeURIComponent(part)).join('/');
  if (key.length <= MAX_LENGTH) {
    return key;
  }
  // Encoded parts never hold a `#`, so no short key looks like a cut one.
  const digest = createHash('sha256').update(key).digest('hex');
  return `${key.slice(0, MAX_LENGTH - digest.length - 1)}#${digest}`;
}
