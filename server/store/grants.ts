/** Promotional credit: granting it, and what has become of each grant. */
import { type LedgerOutcome, outcomeColumns, type WriteKey } from './charges.ts';
import { only, type Sql } from './sql.ts';

export type GrantOutcome = Omit<LedgerOutcome, 'code'> & {
  code:
    | LedgerOutcome['code']
    /** It would never be there to spend. */
    | 'EXPIRES_IN_PAST';
};

/** Adds promotional credit to a wallet, until `expiresAt` or for ever. */
export async function grantCredit(
  sql: Sql,
  grant: WriteKey & {
    walletId: string;
    amountMicros: bigint;
    expiresAt?: Date | null | undefined;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<GrantOutcome> {
  const [outcome] = await sql<GrantOutcome[]>`
    select ${outcomeColumns(sql)} from grant_credit(
      ${grant.walletId}, ${grant.key}, ${grant.requestHash}, ${grant.amountMicros},
      ${grant.actor}, ${JSON.stringify(grant.detail)}::text::json, ${grant.expiresAt ?? null})`;
  return only(outcome);
}

export interface GrantView {
  /** Number of the event that granted it; usage that spent of it names it by this. */
  seq: bigint;
  /**
   * `open`: can be spent. `held`: is past its expiry and kept for usage that a hold reserved it for.
   * `spent`, `expired`: nothing is left; of an expired one `expiredMicros` ended unspent.
   */
  status: 'open' | 'held' | 'spent' | 'expired';
  grantedMicros: bigint;
  leftMicros: bigint;
  expiredMicros: bigint;
  /** Null for ever. */
  expiresAt: Date | null;
  grantedAt: Date;
  reason: string | null;
}

/** A page of the wallet's grants as they stand now, newest first, with one more than `limit`. */
export async function grantsPage(
  sql: Sql,
  walletId: string,
  { beforeSeq, limit }: { beforeSeq: bigint | null; limit: number },
): Promise<GrantView[]> {
  return sql<GrantView[]>`
    select g.seq, g.granted_micros as "grantedMicros", g.left_micros as "leftMicros",
      g.expired_micros as "expiredMicros", g.expires_at as "expiresAt",
      case
        when g.left_micros > 0 and g.expires_at <= ledger_now() then 'held'
        when g.left_micros > 0 then 'open'
        when g.expired_micros > 0 then 'expired'
        else 'spent'
      end as status,
      e.recorded_at as "grantedAt", e.detail ->> 'reason' as reason
    from grants_now(${walletId}) g
    join wallet_events e on e.wallet_id = g.wallet_id and e.seq = g.seq
    where ${beforeSeq}::bigint is null or g.seq < ${beforeSeq}
    order by g.seq desc limit ${limit + 1}`;
}
