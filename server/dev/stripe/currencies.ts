import { invalidRequest } from './errors.ts';

/** Decimals and the least charge of each currency, in minor units: docs.stripe.com/currencies. */
const CURRENCIES: Record<string, { decimals: 0 | 2 | 3; minimum: number }> = {
  aed: { decimals: 2, minimum: 200 },
  aud: { decimals: 2, minimum: 50 },
  bgn: { decimals: 2, minimum: 100 },
  bhd: { decimals: 3, minimum: 200 },
  brl: { decimals: 2, minimum: 50 },
  cad: { decimals: 2, minimum: 50 },
  chf: { decimals: 2, minimum: 50 },
  clp: { decimals: 0, minimum: 500 },
  czk: { decimals: 2, minimum: 1500 },
  dkk: { decimals: 2, minimum: 250 },
  eur: { decimals: 2, minimum: 50 },
  gbp: { decimals: 2, minimum: 30 },
  hkd: { decimals: 2, minimum: 400 },
  huf: { decimals: 2, minimum: 17_500 },
  inr: { decimals: 2, minimum: 50 },
  jod: { decimals: 3, minimum: 360 },
  jpy: { decimals: 0, minimum: 50 },
  krw: { decimals: 0, minimum: 700 },
  kwd: { decimals: 3, minimum: 160 },
  mxn: { decimals: 2, minimum: 1000 },
  myr: { decimals: 2, minimum: 200 },
  nok: { decimals: 2, minimum: 300 },
  nzd: { decimals: 2, minimum: 50 },
  omr: { decimals: 3, minimum: 200 },
  pln: { decimals: 2, minimum: 200 },
  ron: { decimals: 2, minimum: 200 },
  sek: { decimals: 2, minimum: 300 },
  sgd: { decimals: 2, minimum: 50 },
  thb: { decimals: 2, minimum: 1000 },
  tnd: { decimals: 3, minimum: 1600 },
  usd: { decimals: 2, minimum: 50 },
  zar: { decimals: 2, minimum: 1000 },
};

/** Stripe takes at most eight digits. */
const MAXIMUM = 99_999_999;

/** `2500, 'usd'` → `25.00 USD`. */
export function formatAmount(amount: number, currency: string): string {
  const decimals = CURRENCIES[currency]?.decimals ?? 2;
  const sign = amount < 0 ? '-' : '';
  const digits = String(Math.abs(amount)).padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = decimals === 0 ? '' : `.${digits.slice(-decimals)}`;
  return `${sign}${whole}${fraction} ${currency.toUpperCase()}`;
}

/** Raises Stripe's 400 unless the currency is known and the amount within its limits. */
export function checkAmount(amount: number, currency: string): void {
  const rule = CURRENCIES[currency];
  if (!rule) {
    const known = Object.keys(CURRENCIES).join(', ');
    throw invalidRequest(
      `Invalid currency: ${currency}. Stripe currently supports these currencies: ${known}`,
      { param: 'currency' },
    );
  }
  if (amount < 1) {
    throw invalidRequest('This value must be greater than or equal to 1.', {
      code: 'parameter_invalid_integer',
      param: 'amount',
    });
  }
  if (amount < rule.minimum) {
    throw invalidRequest(`Amount must be at least ${formatAmount(rule.minimum, currency)}`, {
      code: 'amount_too_small',
      param: 'amount',
    });
  }
  if (amount > MAXIMUM) {
    throw invalidRequest(`Amount must be no more than ${formatAmount(MAXIMUM, currency)}`, {
      code: 'amount_too_large',
      param: 'amount',
    });
  }
  // Stripe takes an amount with three decimals only when the last of them is 0.
  if (rule.decimals === 3 && amount % 10 !== 0) {
    throw invalidRequest(`Invalid amount: the last digit of an amount in ${currency} must be 0`, {
      param: 'amount',
    });
  }
}
