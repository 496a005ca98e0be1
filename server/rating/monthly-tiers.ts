/** Prices that depend on how much a wallet has used this month, graduated like a tax. */
import { z } from 'zod';

const maxTiers = 50;

/** The prices of a rule beyond some units of a month, in the order of those; the price is added. */
export function monthlyTiers<Prices extends z.ZodRawShape>(prices: Prices) {
  return z
    .array(
      z.strictObject({
        /** Units of the calendar month that are billed before this tier begins: seconds of calls. */
        aboveUnits: z.int().min(1).max(1_000_000_000_000),
        ...prices,
      }),
    )
    .min(1)
    .max(maxTiers)
    .refine(
      (tiers) =>
        (tiers as { aboveUnits: number }[]).every(
          ({ aboveUnits }, index, all) => aboveUnits > (all[index - 1]?.aboveUnits ?? 0),
        ),
      { error: 'tiers must grow' },
    );
}

/** From which unit of the month on a unit costs how much. */
export interface Tier {
  readonly aboveUnits: number;
  readonly priceMicros: bigint;
}

/** Units that cost one price. */
export interface TierPart {
  readonly units: number;
  readonly priceMicros: bigint;
}

/**
 * Deals units out to the tiers that they fall into when so many units came before them. The tiers
 * grow, and the first begins at 0.
 */
export function partsOf(tiers: readonly Tier[], unitsBefore: number, units: number): TierPart[] {
  const parts: TierPart[] = [];
  for (const [index, { aboveUnits, priceMicros }] of tiers.entries()) {
    const begins = Math.max(unitsBefore, aboveUnits);
    const ends = Math.min(
      unitsBefore + units,
      tiers[index + 1]?.aboveUnits ?? Number.MAX_SAFE_INTEGER,
    );
    if (ends > begins) {
      parts.push({ units: ends - begins, priceMicros });
    }
  }
  return parts;
}

/** What units of one kind cost, for `perUnits` of which a price is. */
export function costOf(parts: readonly TierPart[]): bigint {
  return parts.reduce((sum, { units, priceMicros }) => sum + BigInt(units) * priceMicros, 0n);
}
