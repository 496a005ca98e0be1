/** What the ledger says of some wallets, as the check compares it with the journal. */
import { verifyLedger } from '../../cli/ledger-check.ts';
import type { Sql } from '../../store/sql.ts';

export interface LedgerEvent {
  readonly userId: string;
  readonly seq: bigint;
  readonly type: string;
  readonly key: string | null;
  readonly balanceDeltaMicros: bigint;
  readonly heldDeltaMicros: bigint;
  readonly arrearsDeltaMicros: bigint;
  readonly balanceMicros: bigint;
  readonly heldMicros: bigint;
  readonly arrearsMicros: bigint;
  /** The caller's own name of the usage or of the hold. */
  readonly reference: string | null;
  readonly holdId: string | null;
}

export interface LedgerHold {
  readonly userId: string;
  readonly holdId: string;
  readonly reference: string;
  readonly status: string;
}

export interface WalletsLedger {
  /** By wallet and seq. */
  readonly events: readonly LedgerEvent[];
  readonly holds: readonly LedgerHold[];
}

/** Reads the wallets whose user ids start with `prefix`. */
export async function readWallets(sql: Sql, prefix: string): Promise<WalletsLedger> {
  const events = await sql<LedgerEvent[]>`
    select w.user_id as "userId", e.seq, e.type, e.key,
      e.balance_delta_micros as "balanceDeltaMicros", e.held_delta_micros as "heldDeltaMicros",
      e.arrears_delta_micros as "arrearsDeltaMicros", e.balance_micros as "balanceMicros",
      e.held_micros as "heldMicros", e.arrears_micros as "arrearsMicros",
      e.detail ->> 'referenceId' as reference, e.detail ->> 'holdId' as "holdId"
    from wallets w join wallet_events e on e.wallet_id = w.id
    where starts_with(w.user_id, ${prefix})
    order by w.user_id, e.seq`;
  const holds = await sql<LedgerHold[]>`
    select w.user_id as "userId", h.id as "holdId", h.reference_id as reference, h.status
    from wallets w join holds h on h.wallet_id = w.id
    where starts_with(w.user_id, ${prefix})`;
  return { events, holds };
}

/** Whether any wallet has a hold that nobody has ended. */
export async function hasOpenHold(sql: Sql): Promise<boolean> {
  const [row] = await sql`select from holds where status = 'open' limit 1`;
  return row !== undefined;
}

/** `npm run ledger -- verify` over all wallets: what it printed, and whether nothing was found. */
export async function verifyAll(sql: Sql): Promise<{ ok: boolean; text: string }> {
  let text = '';
  const write = (part: string) => {
    text += part;
  };
  const code = await verifyLedger(sql, { walletId: null, json: false }, { out: write, err: write });
  return { ok: code === 0, text: text.trim() };
}
