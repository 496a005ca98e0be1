/** The currencies that wallets are kept in. */

export const DEFAULT_CURRENCY = 'USD';

/** Currencies that a wallet can be kept in, with the decimals of their minor unit. */
export const CURRENCY_EXPONENTS: Readonly<Record<string, number>> = {
  USD: 2,
  EUR: 2,
  GBP: 2,
  CHF: 2,
  CAD: 2,
  AUD: 2,
  JPY: 0,
  KWD: 3,
};

/** The decimals of a currency that wallets can be kept in. */
export function exponentOf(currency: string): number {
  const exponent = CURRENCY_EXPONENTS[currency];
  if (exponent === undefined) {
    throw new RangeError(`no exponent of ${currency}`);
  }
  return exponent;
}
