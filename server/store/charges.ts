/** Charging wallets: each call is one SQL function, and answers as every money operation does. */
import { arrayLiteral, hexOf, oneEach, only, type Sql } from './sql.ts';

/** What names a write and says what it asks; see server/ledger/key.ts. */
export interface WriteKey {
  readonly key: string;
  readonly requestHash: Uint8Array;
}

/** `ledger_outcome` of db/migrations: the written event's numbers, or the wallet's on a refusal. */
export interface LedgerOutcome {
  code:
    | 'OK'
    | 'INSUFFICIENT_FUNDS'
    | 'KEY_REUSED'
    | 'WALLET_NOT_FOUND'
    | 'WALLET_FROZEN'
    | 'WALLET_CLOSED'
    | 'NO_RATE'
    | 'LIMIT_EXCEEDED';
  replayed: boolean;
  seq: bigint;
  amountMicros: bigint;
  balanceMicros: bigint;
  heldMicros: bigint;
  arrearsMicros: bigint;
  availableMicros: bigint;
  recordedAt: Date;
  detail: Record<string, unknown> | null;
}

/** A charge as the ledger takes it. */
export interface ChargeWrite extends WriteKey {
  readonly walletId: string;
  /** Null when no rate was found. */
  readonly amountMicros: bigint | null;
  readonly overrun: 'refuse' | 'arrears';
  /** Null for now. */
  readonly occurredAt: Date | null;
  readonly actor: string;
  readonly detail: Record<string, unknown>;
}

/** A charge whose wallet and caller came from memory; the database checks both. */
export interface QueuedCharge extends ChargeWrite {
  /** The caller named a user and no currency: the wallet must be that user's only one. */
  readonly alone: boolean;
  /** It is not a plain debit: `charge_many` leaves it, and its wallet's others, to `charge_wallet`. */
  readonly apart?: boolean;
}

/** The outcome of usage whose price may depend on the units of the month. */
export type PricedOutcome = Omit<LedgerOutcome, 'code'> & {
  code:
    | LedgerOutcome['code']
    /** The wallet's units of the month are no longer those of the price: price it anew. */
    | 'UNITS_MOVED';
};

export type QueuedOutcome = Omit<LedgerOutcome, 'code'> & {
  code:
    | PricedOutcome['code']
    /** The user has another wallet by now: the currency must be named. */
    | 'CURRENCY_REQUIRED'
    /** The API key was revoked since it was looked up. */
    | 'KEY_REVOKED';
};

export const outcomeColumns = (sql: Sql) => sql`
  code, replayed, seq, amount_micros as "amountMicros", balance_micros as "balanceMicros",
  held_micros as "heldMicros", arrears_micros as "arrearsMicros",
  available_micros as "availableMicros", recorded_at as "recordedAt", detail`;

/**
 * Charges a wallet. `amountMicros` is null when no rate was found, so that the database can still
 * answer a replay, or name what stands before the rate in the order of refusals.
 */
export async function chargeWallet(sql: Sql, charge: ChargeWrite): Promise<PricedOutcome> {
  const [outcome] = await sql<PricedOutcome[]>`
    select ${outcomeColumns(sql)} from charge_wallet(
      ${charge.walletId}, ${charge.key}, ${charge.requestHash}, ${charge.amountMicros},
      ${charge.overrun}, ${charge.occurredAt}, ${charge.actor}, ${JSON.stringify(charge.detail)}::text::json)`;
  return only(outcome);
}

/**
 * Charges many wallets in one transaction and answers each charge, in order. No two of the charges
 * have one wallet and key.
 */
export async function chargeMany(
  sql: Sql,
  charges: readonly QueuedCharge[],
): Promise<QueuedOutcome[]> {
  return oneEach(await chargeManyStatement(sql, charges), charges);
}

/** The statement by which `chargeMany` charges. */
export function chargeManyStatement(sql: Sql, charges: readonly QueuedCharge[]) {
  const array = (field: (charge: QueuedCharge) => string | bigint | boolean | null) =>
    `{${charges.map((charge) => field(charge) ?? 'NULL').join(',')}}`;
  const apart = charges.flatMap((charge, index) => (charge.apart ? [index + 1] : []));
  return sql<QueuedOutcome[]>`
    select ${outcomeColumns(sql)} from charge_many(
      ${array(({ walletId }) => walletId)}::uuid[],
      ${array(({ alone }) => alone)}::boolean[],
      ${array(({ key }) => key)}::uuid[],
      ${array(({ requestHash }) => `\\\\x${hexOf(requestHash)}`)}::bytea[],
      ${array(({ amountMicros }) => amountMicros)}::bigint[],
      ${array(({ overrun }) => overrun)}::text[],
      ${array(({ occurredAt }) => occurredAt && `"${occurredAt.toISOString()}"`)}::timestamptz[],
      ${arrayLiteral(charges.map(({ actor }) => actor))}::text[],
      ${charges.map(({ detail }) => JSON.stringify(detail)).join('\n')}::text,
      ${apart.length === 0 ? null : arrayLiteral(apart)}::bigint[])
    order by ord`;
}
