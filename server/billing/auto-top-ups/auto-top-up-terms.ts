/** The terms of automatic top-up as a person typed them. Pure. */

import { formatMicros, parseAmount } from '../../ledger/money.ts';
import type { AutoTopUpMode, SaveAutoTopUp } from '../../views/auto-top-ups.ts';
import type { TopUpLimits } from '../../views/top-ups.ts';

interface TypedTerms {
  threshold: string;
  mode: AutoTopUpMode;
  amount: string;
  monthlyCap: string;
}

export interface AutoTopUpTerms {
  thresholdMicros: bigint;
  amountMicros: bigint;
  monthlyCapMicros: bigint;
}

type Problems = Extract<SaveAutoTopUp, { ok: false }>['problems'];

/** The terms as amounts, or everything that is wrong with them. */
export function readTerms(
  typed: TypedTerms,
  limits: TopUpLimits,
): { ok: true; terms: AutoTopUpTerms } | { ok: false; problems: Problems } {
  const threshold = readThreshold(typed.threshold, limits);
  const amount = readAmount(typed, threshold, limits);
  const monthlyCap = readMonthlyCap(typed, amount, limits);
  if (
    typeof threshold === 'bigint' &&
    typeof amount === 'bigint' &&
    typeof monthlyCap === 'bigint'
  ) {
    const terms = {
      thresholdMicros: threshold,
      amountMicros: amount,
      monthlyCapMicros: monthlyCap,
    };
    return { ok: true, terms };
  }
  const all = Object.entries({ threshold, amount, monthlyCap });
  const problems = Object.fromEntries(all.filter(([, read]) => typeof read === 'string'));
  return { ok: false, problems };
}

/** The smallest difference between two charges: Stripe takes three decimals in steps of ten. */
export function stepMicros(exponent: number): bigint {
  return 10n ** BigInt(6 - Math.min(exponent, 2));
}

/** An amount, or what is wrong with it. */
type Read = bigint | string;

function readThreshold(typed: string, limits: TopUpLimits): Read {
  const { exponent, maxMicros } = limits;
  const threshold = parseAmount(typed, exponent);
  return threshold.ok && threshold.amountMicros <= maxMicros
    ? threshold.amountMicros
    : `Enter an amount of up to ${inWords(maxMicros, limits)}.`;
}

/** What depends on the threshold is not said while that is wrong. */
function readAmount({ amount, mode }: TypedTerms, threshold: Read, limits: TopUpLimits): Read {
  const { currency, exponent, minMicros, maxMicros } = limits;
  const money = (micros: bigint) => inWords(micros, limits);
  const parsed = parseAmount(amount, exponent);
  if (!parsed.ok) {
    return 'Enter an amount in digits, such as 25.';
  }
  const { amountMicros } = parsed;
  if (amountMicros % stepMicros(exponent) !== 0n) {
    return `${currency} is paid in steps of ${money(stepMicros(exponent))}.`;
  }
  if (mode === 'add' && (amountMicros < minMicros || amountMicros > maxMicros)) {
    return `Enter an amount from ${money(minMicros)} to ${money(maxMicros)}.`;
  }
  if (typeof threshold === 'string') {
    return amountMicros;
  }
  const leastMicros = threshold + minMicros;
  if (mode === 'restore' && amountMicros < leastMicros) {
    return `Restore to ${money(leastMicros)} at least: one charge is ${money(minMicros)} or more.`;
  }
  return amountMicros > threshold + maxMicros
    ? `One charge is at the most ${money(maxMicros)}.`
    : amountMicros;
}

function readMonthlyCap({ monthlyCap, mode }: TypedTerms, amount: Read, limits: TopUpLimits): Read {
  const cap = parseAmount(monthlyCap, limits.exponent);
  const leastMicros = mode === 'add' && typeof amount === 'bigint' ? amount : limits.minMicros;
  return cap.ok && cap.amountMicros >= leastMicros
    ? cap.amountMicros
    : `Enter an amount of at least ${inWords(leastMicros, limits)}.`;
}

function inWords(micros: bigint, { currency, exponent }: TopUpLimits): string {
  return `${formatMicros(micros, exponent)} ${currency}`;
}
