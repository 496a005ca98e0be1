import { randomInt } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A random string of digits and letters, as Stripe's ids are made of. */
export function randomToken(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

/** An id such as `pi_…`; the length is that of Stripe's own. */
export function newId(prefix: string): string {
  return `${prefix}_${randomToken(24)}`;
}
