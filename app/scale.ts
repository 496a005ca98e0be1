/** The amounts that a chart's axis names. */

/**
 * Round amounts from zero to the first that is not below the highest: at most five of them, a step of
 * 1, 2 or 5 times a power of ten apart.
 *
 * @param highestMicros above zero
 */
export function scaleMarks(highestMicros: bigint): bigint[] {
  let power = 1n;
  while (power * 40n < highestMicros) power *= 10n;
  const factor = [1n, 2n, 5n].find((each) => each * power * 4n >= highestMicros) ?? 10n;
  const step = factor * power;
  const steps = (highestMicros + step - 1n) / step;
  return Array.from({ length: Number(steps) + 1 }, (_, index) => BigInt(index) * step);
}
