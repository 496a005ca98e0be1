/**
 * Exact arithmetic for prices: a rational number of micros and the one place where it becomes a
 * whole number of micros.
 */

/** How a fraction of a micro becomes a whole micro. Amounts are never negative. */
export const roundings = ['half_up', 'half_even', 'up', 'down'] as const;
export type Rounding = (typeof roundings)[number];

/** A non-negative rational number: `numerator / denominator`. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** The same fraction in lowest terms, so that equal amounts are written alike. */
export function reduceFraction(fraction: Fraction): Fraction {
  assertFraction(fraction);
  let divisor = fraction.denominator;
  let rest = fraction.numerator % divisor;
  while (rest > 0n) {
    [divisor, rest] = [rest, divisor % rest];
  }
  return {
    numerator: fraction.numerator / divisor,
    denominator: fraction.denominator / divisor,
  };
}

/**
 * The whole number that `rounding` makes of a fraction: `half_up` takes a half upwards, `half_even`
 * to the even neighbour, `up` is the ceiling and `down` the floor.
 *
 * @throws RangeError for a negative numerator or a denominator below 1: prices have neither.
 */
export function roundFraction(fraction: Fraction, rounding: Rounding): bigint {
  assertFraction(fraction);
  const { numerator, denominator } = fraction;
  const floor = numerator / denominator;
  const rest = numerator % denominator;
  if (rest === 0n) {
    return floor;
  }
  switch (rounding) {
    case 'down':
      return floor;
    case 'up':
      return floor + 1n;
    case 'half_up':
      return rest * 2n >= denominator ? floor + 1n : floor;
    case 'half_even': {
      if (rest * 2n === denominator) {
        return floor % 2n === 0n ? floor : floor + 1n;
      }
      return rest * 2n > denominator ? floor + 1n : floor;
    }
    default: {
      const unknown: never = rounding;
      throw new TypeError(`unknown rounding ${String(unknown)}`);
    }
  }
}

function assertFraction(fraction: Fraction): void {
  if (fraction.numerator < 0n || fraction.denominator < 1n) {
    throw new RangeError('a price is a non-negative fraction with a positive denominator');
  }
}
