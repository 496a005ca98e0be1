-- What a re-rating charged for a hold that had billed nothing is the first bill of that hold, also for
-- limits. Its refund lowered no counter when it came, and a late record was counted as other usage.

-- The event that first billed what another one corrects or refunds: that of its `originalSeq`, or the
-- first that billed its hold. Null when there is none.
create or replace function first_bill(e wallet_events) returns wallet_events
language plpgsql stable as $$
declare
  is_of_original constant boolean := e.detail ->> 'originalSeq' is not null;
  hold_id text := e.detail ->> 'holdId';
  bill wallet_events;
  rerated wallet_events;
begin
  if is_of_original then
    select * into bill from wallet_events
    where wallet_id = e.wallet_id and seq = (e.detail ->> 'originalSeq')::bigint;
    hold_id := bill.detail ->> 'holdId';
    if hold_id is null then
      return bill;
    end if;
  end if;
  select r.* into rerated
  from holds h
  cross join lateral ended_seq(h) as ended (seq)
  join rerated_usage u on u.wallet_id = h.wallet_id and u.original_seq = ended.seq
  join wallet_events r on r.wallet_id = u.wallet_id and r.seq = any (u.event_seqs)
  where h.id = hold_id::uuid and u.posted_micros > 0
  order by r.seq limit 1;
  -- By wallet_events_of_holds: a limit of one row would tempt to walk through all events.
  with bills as materialized (
    select b.* from wallet_events b
    where b.wallet_id = e.wallet_id and b.detail ->> 'holdId' = hold_id and usage_micros(b) > 0
      and (b.type in ('hold_captured', 'hold_expired')
           or b.key is null and b.type in ('charge', 'accrual'))
  )
  select * into bill from bills order by seq limit 1;
  if not found and is_of_original then
    -- It ran out without usage, and its late capture, which has a key, may have been the first to bill
    -- any. No bill of its own comes after that.
    select * into bill from wallet_events b
    where b.wallet_id = e.wallet_id and b.detail ->> 'holdId' = hold_id and usage_micros(b) > 0
      and b.seq > (select seq_before(h.wallet_id, h.expires_at) from holds h
                   where h.id = hold_id::uuid)
      and b.seq < coalesce(rerated.seq, e.seq)
    order by b.seq limit 1;
  end if;
  return case when bill.seq is null or rerated.seq < bill.seq then rerated else bill end;
end $$;

create or replace function counted_usage(e wallet_events)
returns table (counted_at timestamptz, usage_type text, destination text, micros bigint)
language sql stable as $$
  select case when e.type = 'usage_refund' then coalesce(o.recorded_at, e.recorded_at)
              else e.recorded_at end,
    coalesce(o.detail, e.detail) #>> '{usage,type}',
    coalesce(o.detail, e.detail) #>> '{usage,to}',
    usage_micros(e)
  from (select) one
  left join lateral (
    select b.recorded_at, b.detail from first_bill(e) b
    where e.type = 'usage_refund' or e.detail ->> 'alreadyBilledMicros' is not null
  ) o on true
  where usage_micros(e) <> 0
$$;

-- Counters that were wrong are put right.
do $$
begin
  perform from wallets where limited and id in (select wallet_id from rerated_usage)
  order by id for no key update;
  update wallet_limits l set (starts_at, spent_micros) = (
    select n.starts_at, coalesce((
      select sum(u.micros) from usage_since(w.id, n.starts_at) u
      where u.counted_at >= n.starts_at
        and limit_counts(l.usage_type, l.prefix, u.usage_type, u.destination)), 0)
    from wallets w cross join lateral limit_window(l.period, w.updated_at, w.timezone) n
    where w.id = l.wallet_id)
  where l.wallet_id in (select wallet_id from rerated_usage);
end $$;
