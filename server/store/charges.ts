/** The money operations of services. Each is one call of one SQL function. */
import type { Sql } from './sql.ts';

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

export const outcomeColumns = (sql: Sql) => sql`
  code, replayed, seq, amount_micros as "amountMicros", balance_micros as "balanceMicros",
  held_micros as "heldMicros", arrears_micros as "arrearsMicros",
  available_micros as "availableMicros", recorded_at as "recordedAt", detail`;

/**
 * Charges a wallet. `amountMicros` is null when no rate was found, so that the database can still
 * answer a replay, or name what stands before the rate in the order of refusals.
 */
export async function chargeWallet(
  sql: Sql,
  charge: WriteKey & {
    walletId: string;
    amountMicros: bigint | null;
    overrun: 'refuse' | 'arrears';
    occurredAt: Date | null;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<LedgerOutcome> {
  const [outcome] = await sql<LedgerOutcome[]>`
    select ${outcomeColumns(sql)} from charge_wallet(
      ${charge.walletId}, ${charge.key}, ${charge.requestHash}, ${charge.amountMicros},
      ${charge.overrun}, ${charge.occurredAt}, ${charge.actor}, ${JSON.stringify(charge.detail)}::text::json)`;
  return only(outcome);
}

/** Adds promotional credit to a wallet. */
export async function grantCredit(
  sql: Sql,
  grant: WriteKey & {
    walletId: string;
    amountMicros: bigint;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<LedgerOutcome> {
  const [outcome] = await sql<LedgerOutcome[]>`
    select ${outcomeColumns(sql)} from grant_credit(
      ${grant.walletId}, ${grant.key}, ${grant.requestHash}, ${grant.amountMicros},
      ${grant.actor}, ${JSON.stringify(grant.detail)}::text::json)`;
  return only(outcome);
}

function only(outcome: LedgerOutcome | undefined): LedgerOutcome {
  if (outcome === undefined) {
    throw new Error('a ledger function returned no outcome');
  }
  return outcome;
}
