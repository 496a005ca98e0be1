/** What makes a write happen once: its idempotency key, and the hash of what it asks for. */
import { hash } from 'node:crypto';

/**
 * The idempotency key of what the caller named: the first 16 bytes of SHA-256 over
 * `kind\nreference`, written as a uuid. Twin of the SQL function `ledger_key`.
 * @throws RangeError when `kind` holds a line feed, which would let two names share a key
 */
export function ledgerKey(kind: string, reference: string): string {
  if (kind.includes('\n')) {
    throw new RangeError('the kind of a key is one line');
  }
  const hex = hash('sha256', `${kind}\n${reference}`, 'hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

/** The key of usage: of its charge, and of a hold that names its type. */
export function usageKey(type: string, referenceId: string): string {
  return ledgerKey(`usage:${type}`, referenceId);
}

/**
 * The SHA-256 of a request in canonical JSON: keys in order, no spaces, properties that are
 * undefined left out, bigint as its decimal string and dates as ISO text, as both travel in JSON.
 * Equal requests hash alike however they were put together.
 * @throws TypeError for a value that JSON cannot hold exactly
 */
export function requestHash(value: unknown): Buffer {
  return hash('sha256', canonicalJson(value), 'buffer');
}

function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') {
    return JSON.stringify(value);
  }
  if (typeof value === 'bigint') {
    return `"${value}"`;
  }
  if (typeof value === 'number' && Number.isFinite(value)) {
    return JSON.stringify(value);
  }
  if (value instanceof Date) {
    return JSON.stringify(value.toISOString());
  }
  if (Array.isArray(value)) {
    return `[${Array.from(value, canonicalJson).join(',')}]`;
  }
  if (typeof value === 'object' && isPlain(value)) {
    const members: string[] = [];
    for (const name of Object.keys(value).sort()) {
      const member: unknown = value[name];
      if (member !== undefined) {
        members.push(`${JSON.stringify(name)}:${canonicalJson(member)}`);
      }
    }
    return `{${members.join(',')}}`;
  }
  throw new TypeError(`a request cannot hold ${typeof value} ${String(value)}`);
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
