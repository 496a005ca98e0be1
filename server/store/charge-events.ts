/** Reading the events that billed usage, with all that explains them. */
import type { EventView } from '../views/wallets.ts';
import { arrayLiteral, type Sql } from './sql.ts';

export interface ChargeEvent extends EventView {
  /** Taken, reserved and owed for usage; negative for what was given back. */
  billedMicros: bigint;
  /** What was refunded of the charge or hold that it belongs to. */
  refundedMicros: bigint;
  /** Its hash is that of its content and the event before it. */
  intact: boolean;
}

/** The events of these numbers, whatever their type, oldest first. */
export async function eventsAt(
  sql: Sql,
  walletId: string,
  seqs: readonly bigint[],
): Promise<ChargeEvent[]> {
  return select(sql, walletId, sql`select unnest(${arrayLiteral(seqs)}::bigint[]) as seq`);
}

/**
 * What was billed under a reference, oldest first: the charge of one key, and the hold that the
 * other placed for this type of usage: its end, what goes with it, and its corrections.
 */
export async function eventsOfReference(
  sql: Sql,
  walletId: string,
  reference: { chargeKey: string; holdKey: string; usageType: string },
): Promise<ChargeEvent[]> {
  return select(
    sql,
    walletId,
    sql`
      select c.seq from wallet_events c
      where c.wallet_id = ${walletId} and c.type in ('charge', 'accrual', 'goodwill')
        and c.key = any (array(
          select ${reference.chargeKey}::uuid
          union all select ledger_key('usage_after_void', h.id::text) from hold h))
      union all
      select c.seq from hold h join wallet_events c
        on c.wallet_id = ${walletId} and c.detail ->> 'holdId' = h.id::text
        and (c.type in ('hold_captured', 'hold_expired')
             or c.key is null and c.type in ('charge', 'accrual', 'goodwill'))
      union all
      select c.seq from hold h join wallet_events c
        on c.wallet_id = ${walletId} and c.type in ('charge', 'accrual', 'goodwill', 'usage_refund')
        and c.key in (ledger_key('hold_capture', h.id::text), ledger_key('hold_void', h.id::text))`,
    sql`
      with hold as materialized (
        select h.id from wallet_events e
        join holds h on h.wallet_id = e.wallet_id and h.id = (e.detail ->> 'holdId')::uuid
        where e.wallet_id = ${walletId} and e.key in (${reference.chargeKey}, ${reference.holdKey})
          and e.type = 'hold_placed' and h.usage_type = ${reference.usageType}
      )`,
  );
}

function select(
  sql: Sql,
  walletId: string,
  seqs: ReturnType<Sql>,
  withClause: ReturnType<Sql> = sql``,
): Promise<ChargeEvent[]> {
  return sql<ChargeEvent[]>`
    ${withClause}
    select e.seq, e.type, e.balance_delta_micros as "balanceDeltaMicros",
      e.held_delta_micros as "heldDeltaMicros", e.arrears_delta_micros as "arrearsDeltaMicros",
      e.balance_micros as "balanceMicros", e.held_micros as "heldMicros",
      e.arrears_micros as "arrearsMicros", usage_micros(e) as "billedMicros",
      coalesce(r.refunded_micros, 0) as "refundedMicros", e.actor, e.occurred_at as "occurredAt",
      e.recorded_at as "recordedAt", encode(e.hash, 'hex') as hash,
      event_hash(previous.hash, e) = e.hash as intact, e.detail
    from (${seqs}) found
    join wallet_events e on e.wallet_id = ${walletId} and e.seq = found.seq
    left join wallet_events previous
      on previous.wallet_id = e.wallet_id and previous.seq = e.seq - 1
    left join wallet_events ended
      on ended.wallet_id = e.wallet_id and ended.detail ->> 'holdId' = e.detail ->> 'holdId'
      and ended.type in ('hold_captured', 'hold_expired')
    left join usage_refunds r
      on r.wallet_id = e.wallet_id and r.original_seq = coalesce(ended.seq, e.seq)
    order by e.seq`;
}
