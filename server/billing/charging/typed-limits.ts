/** Spending limits as a person typed them in a form. Pure. */

import { hasDuplicates, maxLimits, type SpendingLimit } from '../../ledger/limit-list.ts';
import { type Currency, parseAmount } from '../../ledger/money.ts';
import { windowPeriods } from '../../ledger/window.ts';
import { type UsageType, usageTypes, usageTypesWithDestination } from '../../rating/usage.ts';
import type { LimitProblems, TypedLimit } from '../../views/wallet-desk.ts';
import { amountProblem } from '../top-ups/amount-problem.ts';

export type ReadLimits =
  | { ok: true; limits: SpendingLimit[] }
  | { ok: false; problems: LimitProblems };

/**
 * The limits, without the rows that were left empty, or what is wrong with them by their place.
 * Amounts are in the currency's own decimals.
 */
export function readLimits(typed: readonly TypedLimit[], currency: Currency): ReadLimits {
  const problems: LimitProblems = {};
  const limits: SpendingLimit[] = [];
  for (const [place, row] of typed.entries()) {
    const read = readLimit(row, currency);
    if (!read.ok) {
      problems[place] = read.problems;
    } else if (read.limit !== null && hasDuplicates([...limits, read.limit])) {
      problems[place] = { amount: 'There is a limit for the same usage above.' };
    } else if (read.limit !== null && limits.length === maxLimits) {
      problems[place] = { amount: `A wallet has at most ${maxLimits} limits.` };
    } else if (read.limit !== null) {
      limits.push(read.limit);
    }
  }
  return Object.keys(problems).length === 0 ? { ok: true, limits } : { ok: false, problems };
}

type ReadLimit =
  /** Null for a row without anything. */
  | { ok: true; limit: SpendingLimit | null }
  | { ok: false; problems: Partial<Record<keyof TypedLimit, string>> };

/** A limit, or everything that is wrong with it. */
function readLimit(typed: TypedLimit, currency: Currency): ReadLimit {
  const { period, type } = typed;
  const digits = typed.prefix.trim().replace(/^\+/, '');
  if (typed.amount.trim() === '' && digits === '') {
    return { ok: true, limit: null };
  }
  const { code, exponent } = currency;
  const amount = parseAmount(typed.amount, exponent);
  const knownPeriod = windowPeriods.find((known) => known === period);
  const knownType = usageTypes.find((known) => known === type);
  const prefix = prefixProblem(digits, knownType);
  const problems = {
    ...(knownPeriod === undefined && { period: 'Choose a period.' }),
    ...(type !== '' && knownType === undefined && { type: 'Choose a type of usage.' }),
    ...(prefix !== null && { prefix }),
    ...(!amount.ok && { amount: amountProblem(amount.code, { currency: code, exponent }, '25') }),
  };
  if (!amount.ok || knownPeriod === undefined || Object.keys(problems).length > 0) {
    return { ok: false, problems };
  }
  return {
    ok: true,
    limit: {
      period: knownPeriod,
      amountMicros: amount.amountMicros,
      type: knownType ?? null,
      prefix: digits === '' ? null : digits,
    },
  };
}

function prefixProblem(digits: string, type: UsageType | undefined): string | null {
  if (digits === '') {
    return null;
  }
  if (!/^\d{1,15}$/.test(digits)) {
    return 'Numbers begin with 1 to 15 digits.';
  }
  return type === undefined || usageTypesWithDestination.includes(type)
    ? null
    : 'This type of usage goes to no number.';
}
