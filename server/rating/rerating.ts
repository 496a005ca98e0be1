/** What corrects the price of usage that was billed. */

/** What was billed for a usage by now. */
export interface UsageStanding {
  readonly billedMicros: bigint;
  /** Refunded otherwise than by re-ratings. */
  readonly refundedMicros: bigint;
  /** Posted by re-ratings; negative for what they gave back. */
  readonly correctedMicros: bigint;
}

/**
 * What is to be posted so that usage has cost what it should; negative to give back. The share of the
 * bill that was refunded is not asked for at the new price either: price × (billed − refunded) ÷
 * billed, rounded half up, once. Twin of the SQL function `rerating_due`.
 */
export function reratingDue(priceMicros: bigint, standing: UsageStanding): bigint {
  const { billedMicros, refundedMicros, correctedMicros } = standing;
  const keptMicros = billedMicros - refundedMicros;
  const owedMicros =
    billedMicros === 0n
      ? priceMicros
      : (2n * priceMicros * keptMicros + billedMicros) / (2n * billedMicros);
  return owedMicros - (keptMicros + correctedMicros);
}
