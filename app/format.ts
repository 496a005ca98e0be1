/**
 * How amounts, times and quantities are written for people.
 *
 * Money arrives as decimal strings of micros (1 unit of currency = 1,000,000 micros) and is never
 * turned into a `number`: `Intl.NumberFormat` takes the exact decimal string. The locale is fixed,
 * so that the server and every browser write the same text.
 */

const LOCALE = 'en-US';
const MICROS_PER_UNIT = 1_000_000n;
const MICROS_DECIMALS = 6;

/** Micros as an exact decimal number without needless zeros: `-375000` becomes `-0.375`. */
export function microsToDecimal(micros: string | bigint): Intl.StringNumericLiteral {
  const value = BigInt(micros);
  const magnitude = value < 0n ? -value : value;
  const fraction = (magnitude % MICROS_PER_UNIT)
    .toString()
    .padStart(MICROS_DECIMALS, '0')
    .replace(/0+$/, '');
  const text = `${value < 0n ? '-' : ''}${magnitude / MICROS_PER_UNIT}${fraction && `.${fraction}`}`;
  return text as Intl.StringNumericLiteral;
}

export interface MoneyFormat {
  /** Writes a plus before what is above zero. */
  signed?: boolean;
  /** Leaves the decimals out when they are all zero: `$25`. */
  short?: boolean;
}

/** An amount in its currency, exact to the micro: `$24.625`, `¥500`, `KWD 3.000`. */
export function formatMoney(
  micros: string | bigint,
  currency: string,
  { signed = false, short = false }: MoneyFormat = {},
): string {
  return new Intl.NumberFormat(LOCALE, {
    style: 'currency',
    currency,
    maximumFractionDigits: MICROS_DECIMALS,
    signDisplay: signed ? 'exceptZero' : 'auto',
    trailingZeroDisplay: short ? 'stripIfInteger' : 'auto',
  }).format(microsToDecimal(micros));
}

/** The amount without its sign, for places that say in words which way it moved. */
export function absoluteMicros(micros: string | bigint): string {
  return String(micros).replace(/^-/, '');
}

/**
 * Reads an amount that a person typed, in the currency's own decimals.
 *
 * @returns micros above zero, or null when it is not a plain amount of that currency: commas are
 * refused, because `1,50` and `1,500` mean different things to different people.
 */
export function parseAmountMicros(text: string, exponent: number): bigint | null {
  const match = /^(\d{1,12})(?:\.(\d+))?$/.exec(text.trim());
  if (!match) return null;
  const fraction = match[2] ?? '';
  if (fraction.length > exponent) return null;
  const micros = BigInt(`${match[1]}${fraction.padEnd(MICROS_DECIMALS, '0')}`);
  return micros > 0n ? micros : null;
}

/** Micros as the currency's own decimals, the one spelling we send to the server: `25.00`. */
export function microsToAmount(micros: bigint, exponent: number): string {
  const [whole = '0', fraction = ''] = microsToDecimal(micros).split('.');
  return exponent === 0 ? whole : `${whole}.${fraction.padEnd(exponent, '0')}`;
}

/** Micros in the currency's smallest coin, as Stripe counts. The amount must be a whole one. */
export function microsToMinorUnits(micros: bigint, exponent: number): number {
  return Number(micros / 10n ** BigInt(MICROS_DECIMALS - exponent));
}

/** `5 min 30 s`, `2 h 5 min`, `0 s`. */
export function formatDuration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'min'],
    [seconds % 60, 's'],
  ] as const;
  const text = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`);
  return text.join(' ') || '0 s';
}

/** A whole number with its thousands set apart. */
export function formatCount(count: number | string | bigint): string {
  return new Intl.NumberFormat(LOCALE).format(typeof count === 'string' ? BigInt(count) : count);
}

/** `1 page`, `3 pages`. */
export function formatQuantity(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** An instant in the wallet's time zone: `12 Nov 2026, 15:05`. */
export function formatDateTime(iso: string, timeZone: string): string {
  return dateFormat(timeZone, {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(new Date(iso));
}

/** A day in the wallet's time zone: `12 Nov 2026`. */
export function formatDate(iso: string, timeZone: string): string {
  return dateFormat(timeZone, { day: 'numeric', month: 'short', year: 'numeric' }).format(
    new Date(iso),
  );
}

/** The last day of a half-open span: the day before the instant at which the next one starts. */
export function formatLastDate(endsAtIso: string, timeZone: string): string {
  return formatDate(new Date(Date.parse(endsAtIso) - 1).toISOString(), timeZone);
}

/** The calendar month that ends at an instant, in the wallet's time zone: `October 2026`. */
export function formatMonthTo(endsAtIso: string, timeZone: string): string {
  const last = new Date(Date.parse(endsAtIso) - 1);
  return dateFormat(timeZone, { month: 'long', year: 'numeric' }).format(last);
}

/** A calendar month: `2026-10` becomes `October 2026`. */
export function formatPeriod(period: string): string {
  return dateFormat('UTC', { month: 'long', year: 'numeric' }).format(new Date(`${period}-01`));
}

/** Words from an identifier: `file_transfer` and `fileTransfer` become `File transfer`. */
export function humanize(identifier: string): string {
  const words = identifier
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_\s.-]+/g, ' ')
    .trim()
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The text with a capital at its beginning: the rest may hold names. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function dateFormat(timeZone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-GB', { ...options, timeZone });
}
