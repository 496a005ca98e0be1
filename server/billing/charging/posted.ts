/** What a charge, a grant and a refund answer alike. */
export interface Posted {
  ok: true;
  replayed: boolean;
  seq: bigint;
  amountMicros: bigint;
  /** The wallet after it. */
  balanceMicros: bigint;
  availableMicros: bigint;
}
