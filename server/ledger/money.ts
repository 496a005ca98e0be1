/**
 * Money in its three forms: micros inside, the currency's minor unit at the card processor, and
 * decimal text for people. Every conversion is exact or refused.
 */
import { z } from 'zod';

/** Decimal places of micros: 1 unit of a currency = 1,000,000 micros. */
const microsExponent = 6;

/** What a 64-bit column holds. */
export const minMicros = -(2n ** 63n);
export const maxMicros = 2n ** 63n - 1n;

export function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** ISO 4217: `exponent` is the number of decimals of its minor unit (JPY 0, USD 2, KWD 3). */
export interface Currency {
  readonly code: string;
  readonly exponent: number;
}

/** Micros of an amount in minor units, such as cents. */
export function microsFromMinor(minor: bigint, exponent: number): bigint {
  return minor * microsOfMinorUnit(exponent);
}

export type MinorResult =
  | { readonly ok: true; readonly minor: bigint }
  | { readonly ok: false; readonly code: 'NOT_EXACT' };

/** The amount in minor units, refused when it is not a whole number of them. */
export function minorFromMicros(amountMicros: bigint, exponent: number): MinorResult {
  const unitMicros = microsOfMinorUnit(exponent);
  return amountMicros % unitMicros === 0n
    ? { ok: true, minor: amountMicros / unitMicros }
    : { ok: false, code: 'NOT_EXACT' };
}

export type ParseAmountResult =
  | { readonly ok: true; readonly amountMicros: bigint }
  | {
      readonly ok: false;
      readonly code: 'EMPTY' | 'NOT_A_NUMBER' | 'TOO_MANY_DECIMALS' | 'TOO_LARGE';
    };

/** Why a text is no amount. */
export type AmountProblem = Exclude<ParseAmountResult, { ok: true }>['code'];

/**
 * Reads what a person typed as an amount: digits with at most one dot between digits and at most
 * the currency's decimals, spaces around it ignored. Signs, exponents, currency signs and
 * thousands separators are refused: `1,000` is a thousand here and one elsewhere.
 */
export function parseAmount(text: string, exponent: number): ParseAmountResult {
  assertExponent(exponent);
  const trimmed = text.trim();
  if (trimmed === '') {
    return { ok: false, code: 'EMPTY' };
  }
  const match = /^([0-9]+)(?:\.([0-9]+))?$/.exec(trimmed);
  if (match === null) {
    return { ok: false, code: 'NOT_A_NUMBER' };
  }
  const [, whole = '', decimals = ''] = match;
  if (decimals.length > exponent) {
    return { ok: false, code: 'TOO_MANY_DECIMALS' };
  }
  const wholeDigits = whole.replace(/^0+(?=\d)/, '');
  if (wholeDigits.length > maxMicros.toString().length - microsExponent) {
    return { ok: false, code: 'TOO_LARGE' };
  }
  const amountMicros = BigInt(wholeDigits + decimals.padEnd(microsExponent, '0'));
  return amountMicros > maxMicros ? { ok: false, code: 'TOO_LARGE' } : { ok: true, amountMicros };
}

/**
 * The exact decimal text of an amount, without currency sign or separators: at least the currency's
 * decimals and as many more as the amount needs, up to six.
 */
export function formatMicros(amountMicros: bigint, exponent: number): string {
  assertExponent(exponent);
  const sign = amountMicros < 0n ? '-' : '';
  const digits = (amountMicros < 0n ? -amountMicros : amountMicros)
    .toString()
    .padStart(microsExponent + 1, '0');
  const whole = digits.slice(0, -microsExponent);
  const decimals = digits.slice(-microsExponent);
  const shown = decimals.slice(0, exponent) + decimals.slice(exponent).replace(/0+$/, '');
  return shown === '' ? sign + whole : `${sign}${whole}.${shown}`;
}

/**
 * The exact amount for people, with at least the currency's decimals and as many more as it needs:
 * `$4.625`, `¥500`, `KWD 3.000`.
 */
export function formatMoney(amountMicros: bigint, { code, exponent }: Currency): string {
  return new Intl.NumberFormat('en-US', {
    style: 'currency',
    currency: code,
    minimumFractionDigits: exponent,
    maximumFractionDigits: microsExponent,
  }).format(formatMicros(amountMicros, exponent) as Intl.StringNumericLiteral);
}

const microsText = 'must be whole micros as a decimal string';
const rangeText = 'must fit a signed 64-bit integer';

/**
 * An amount of micros on the wire: the one canonical decimal string of a 64-bit integer, so not
 * `1e3`, `1.5`, `+1`, `-0` or `007`, and never a JSON number, which loses digits above 2^53.
 */
export const microsSchema = z
  .string({ error: microsText })
  .max(20, { abort: true, error: rangeText })
  .regex(/^(?:0|-?[1-9]\d*)$/, { abort: true, error: microsText })
  .transform((text) => BigInt(text))
  .refine((micros) => micros >= minMicros && micros <= maxMicros, {
    error: rangeText,
  });

/** The same for amounts that must move money: above zero. */
export const positiveMicrosSchema = microsSchema.refine((micros) => micros > 0n, {
  error: 'must be above zero',
});

function microsOfMinorUnit(exponent: number): bigint {
  assertExponent(exponent);
  return 10n ** BigInt(microsExponent - exponent);
}

function assertExponent(exponent: number): void {
  if (!Number.isInteger(exponent) || exponent < 0 || exponent > microsExponent) {
    throw new RangeError('a currency exponent is a whole number from 0 to 6');
  }
}
