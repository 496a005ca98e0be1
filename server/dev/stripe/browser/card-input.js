/**
 * What a card form knows about cards, without a page around it.
 *
 * @typedef {{ code: string, message: string }} InputError
 */

/** @type {ReadonlyArray<{ brand: string, pattern: RegExp, lengths: number[], cvcLength: number }>} */
const BRANDS = [
  { brand: 'amex', pattern: /^3[47]/, lengths: [15], cvcLength: 4 },
  { brand: 'visa', pattern: /^4/, lengths: [16], cvcLength: 3 },
  { brand: 'mastercard', pattern: /^(5[1-5]|2[2-7])/, lengths: [16], cvcLength: 3 },
  { brand: 'discover', pattern: /^6(011|4[4-9]|5)/, lengths: [16], cvcLength: 3 },
];
const UNKNOWN = { brand: 'unknown', pattern: /^/, lengths: [16], cvcLength: 3 };

/** @param {string} text */
export function digitsOf(text) {
  return text.replace(/\D/g, '');
}

/** @param {string} number */
export function brandOf(number) {
  return BRANDS.find(({ pattern }) => pattern.test(digitsOf(number))) ?? UNKNOWN;
}

/**
 * Groups digits as they stand on the card: 4-4-4-4, or 4-6-5 for American Express.
 *
 * @param {string} text
 */
export function formatNumber(text) {
  const { brand, lengths } = brandOf(text);
  const digits = digitsOf(text).slice(0, Math.max(...lengths));
  const groups = brand === 'amex' ? /^(\d{1,4})(\d{1,6})?(\d{1,5})?$/ : /(\d{1,4})/g;
  if (brand !== 'amex') return (digits.match(groups) ?? []).join(' ');
  return (groups.exec(digits)?.slice(1) ?? []).filter(Boolean).join(' ');
}

/**
 * `1230` → `12 / 30`; a single digit above 1 is a month of its own. `previous` is the text before
 * the edit, so that deleting the slash does not put it back.
 *
 * @param {string} text
 * @param {string} previous
 */
export function formatExpiry(text, previous) {
  let digits = digitsOf(text).slice(0, 4);
  if (/^[2-9]/.test(digits)) digits = `0${digits}`.slice(0, 4);
  const deleting = text.length < previous.length;
  if (digits.length < 2 || (digits.length === 2 && deleting)) return digits;
  return `${digits.slice(0, 2)} / ${digits.slice(2)}`;
}

/**
 * The check digit of ISO/IEC 7812 (Luhn).
 *
 * @param {string} digits
 */
export function passesLuhn(digits) {
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 === 1 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/**
 * @param {string} text
 * @returns {InputError | null}
 */
export function numberError(text) {
  const digits = digitsOf(text);
  if (!brandOf(digits).lengths.includes(digits.length)) {
    return { code: 'incomplete_number', message: 'Your card number is incomplete.' };
  }
  if (!passesLuhn(digits)) {
    return { code: 'invalid_number', message: 'Your card number is invalid.' };
  }
  return null;
}

/**
 * Month 1–12 and full year, or null while the text is not a date.
 *
 * @param {string} text
 */
export function parseExpiry(text) {
  const digits = digitsOf(text);
  const month = Number(digits.slice(0, 2));
  if (digits.length !== 4 || month < 1 || month > 12) return null;
  return { month, year: 2000 + Number(digits.slice(2)) };
}

/**
 * A card is good until the end of its month.
 *
 * @param {string} text
 * @param {Date} now
 * @returns {InputError | null}
 */
export function expiryError(text, now) {
  const expiry = parseExpiry(text);
  if (!expiry) {
    return { code: 'incomplete_expiry', message: "Your card's expiration date is incomplete." };
  }
  const months = (expiry.year - now.getFullYear()) * 12 + expiry.month - 1 - now.getMonth();
  if (months < 0) {
    return {
      code: 'invalid_expiry_year_past',
      message: "Your card's expiration date is in the past.",
    };
  }
  if (months > 50 * 12) {
    return { code: 'invalid_expiry_year', message: "Your card's expiration year is invalid." };
  }
  return null;
}

/**
 * @param {string} cvc
 * @param {string} number
 * @returns {InputError | null}
 */
export function cvcError(cvc, number) {
  return digitsOf(cvc).length === brandOf(number).cvcLength
    ? null
    : { code: 'incomplete_cvc', message: "Your card's security code is incomplete." };
}
