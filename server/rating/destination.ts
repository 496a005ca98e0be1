/**
 * One form for all the ways in which a destination is written, so that prices and limits by prefix
 * find it. Nothing is guessed: which numbers there are is libphonenumber's knowledge.
 */
import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  parsePhoneNumberFromString,
} from 'libphonenumber-js/min';

/** ISO 3166 codes of the countries whose national numbers can be read. */
export const countries: readonly string[] = getCountries();

/** The digits that international numbers of one of these countries begin with. */
export function callingCodeOf(country: string): string {
  return getCountryCallingCode(country as CountryCode);
}

/** Digits as a switch dials them; nearly all destinations are written so already. */
const plainNumber = /^(?:\+[1-9]|[1-9])\d{0,14}$/;
const plainInternational = /^\+[1-9]\d{0,14}$/;

/** An extension behind a number, as people write it. */
const extension = /(?:extn?|x)\d{1,7}$/i;
/** A number with pauses in it, or with letters, and then too long for the name of an extension. */
const brokenNumber = /^\d+(?:,|[pw]\d)|^(?=[^a-z\d]*(?:[a-z\d][^a-z\d]*){7})\d{4,}[a-z]/i;

/** Service and emergency numbers, which belong to no country's numbering of subscribers. */
const longestShortCode = 6;

/** Digits of other scripts that telephones write, as libphonenumber takes them. */
const foreignDigit = /[\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]/g;

/** What stands between digits and says nothing: spaces, dashes, brackets, invisible characters. */
const separators = /[\s\p{Zs}\p{Cf}\p{Pd}\u2212./()]/gu;

/**
 * The normal form of a destination: `+` and the digits of an international number, digits alone for
 * what is not international, and the text as it is when it is no number (a name, `*98`).
 *
 * The user part of a `sip:`, `sips:` or `tel:` address counts. `+` and `00` begin international
 * numbers, and `011` where such a number follows. Other numbers stay as they were dialled, unless
 * `country` says whose they are; short codes always do. Undefined when the text begins like a
 * number and is none, or has digits that nobody can read.
 */
export function normalDestination(to: string, country?: string): string | undefined {
  if (plainNumber.test(to) && (country === undefined || to.startsWith('+'))) {
    return to;
  }
  const number = withoutWriting(to);
  if (number.startsWith('+')) {
    return internationalOf(number);
  }
  const subscriber = number.replace(extension, '');
  if (/^\d+$/.test(subscriber)) {
    return subscriber.length <= longestShortCode ? subscriber : dialledOf(subscriber, country);
  }
  // A name in an address says itself that it is one.
  if (brokenNumber.test(number) && !/^sips?:|@/i.test(to)) {
    return undefined;
  }
  return number === '' || /\p{Nd}/u.test(number.replace(/\d/g, '')) ? undefined : to;
}

/** Whether a destination in its normal form is a number, and no name or code of a switch. */
export function isNumber(normal: string): boolean {
  return /^\+?\d+$/.test(normal);
}

/** What remains of a number when all that is not dialled is left out. */
function withoutWriting(to: string): string {
  return (
    to
      .trim()
      .replace(/^(?:sips?|tel):/i, '')
      .replace(/[@;].*$/s, '')
      .replace(separators, '')
      .replace('\uff0b', '+')
      // Each of these scripts begins its digits at a multiple of 16.
      .replace(foreignDigit, (digit) => String(digit.charCodeAt(0) & 0xf))
  );
}

/** A number that is assigned loses the `(0)` that people write, and its extension. */
function internationalOf(number: string): string | undefined {
  const parsed = parsePhoneNumberFromString(number, { extract: false });
  if (parsed?.isValid() === true) {
    return parsed.number;
  }
  return plainInternational.test(number) ? number : undefined;
}

function dialledOf(number: string, country: string | undefined): string {
  if (number.startsWith('00')) {
    return internationalOf(`+${number.slice(2)}`) ?? number;
  }
  const abroad = number.startsWith('011') ? assigned(`+${number.slice(3)}`) : undefined;
  return abroad ?? (country && assigned(number, country)) ?? number;
}

function assigned(number: string, country?: string): string | undefined {
  const parsed = parsePhoneNumberFromString(number, country as CountryCode | undefined);
  return parsed?.isValid() === true ? parsed.number : undefined;
}
