import type { AmountProblem } from '../../ledger/money.ts';

/** What is wrong with an amount that somebody typed, in words; `example` is one that is right. */
export function amountProblem(
  code: AmountProblem,
  { currency, exponent }: { currency: string; exponent: number },
  example: string,
): string {
  switch (code) {
    case 'EMPTY':
      return 'Enter an amount.';
    case 'NOT_A_NUMBER':
      return `Enter the amount in digits, such as ${example}.`;
    case 'TOO_MANY_DECIMALS':
      return exponent === 0
        ? `${currency} has no decimals: enter a whole amount.`
        : `${currency} has ${exponent} decimals at the most.`;
    case 'TOO_LARGE':
      return 'This amount is too large.';
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown problem ${unknown}`);
    }
  }
}
