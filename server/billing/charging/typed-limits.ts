/** Spending limits as a person typed them in a form. Pure. */
import type { TypedLimit } from '../../http/views/wallet-desk.ts';
import { hasDuplicates, maxLimits, type SpendingLimit } from '../../ledger/limit-list.ts';
import { type Currency, parseAmount } from '../../ledger/money.ts';
import { windowPeriods } from '../../ledger/window.ts';
import { usageTypes, usageTypesWithDestination } from '../../rating/usage.ts';
import { amountProblem } from '../top-ups/amount-problem.ts';

export type ReadLimits =
  | { ok: true; limits: SpendingLimit[] }
  | { ok: false; problems: Record<number, string> };

/**
 * The limits, without the rows that were left empty, or what is wrong with them by their place.
 * Amounts are in the currency's own decimals.
 */
export function readLimits(typed: readonly TypedLimit[], currency: Currency): ReadLimits {
  const problems: Record<number, string> = {};
  const limits: SpendingLimit[] = [];
  for (const [place, row] of typed.entries()) {
    const limit = readLimit(row, currency);
    if (typeof limit === 'string') {
      problems[place] = limit;
    } else if (limit !== null && hasDuplicates([...limits, limit])) {
      problems[place] = 'There is a limit for the same usage above.';
    } else if (limit !== null && limits.length === maxLimits) {
      problems[place] = `A wallet has at most ${maxLimits} limits.`;
    } else if (limit !== null) {
      limits.push(limit);
    }
  }
  return Object.keys(problems).length === 0 ? { ok: true, limits } : { ok: false, problems };
}

/** A limit, what is wrong with it, or null for a row without an amount. */
function readLimit(
  { period, type, prefix, amount }: TypedLimit,
  currency: Currency,
): SpendingLimit | string | null {
  const digits = prefix.trim().replace(/^\+/, '');
  if (amount.trim() === '') {
    return digits === '' ? null : 'Enter an amount.';
  }
  const parsed = parseAmount(amount, currency.exponent);
  if (!parsed.ok) {
    const { code, exponent } = currency;
    return amountProblem(parsed.code, { currency: code, exponent }, '25');
  }
  const knownPeriod = windowPeriods.find((known) => known === period);
  const knownType = usageTypes.find((known) => known === type);
  if (knownPeriod === undefined || (type !== '' && knownType === undefined)) {
    return 'Choose a period and a type of usage.';
  }
  if (digits !== '' && !/^\d{1,15}$/.test(digits)) {
    return 'Numbers begin with 1 to 15 digits.';
  }
  if (digits !== '' && knownType !== undefined && !usageTypesWithDestination.includes(knownType)) {
    return 'This type of usage goes to no number.';
  }
  return {
    period: knownPeriod,
    amountMicros: parsed.amountMicros,
    type: knownType ?? null,
    prefix: digits === '' ? null : digits,
  };
}
