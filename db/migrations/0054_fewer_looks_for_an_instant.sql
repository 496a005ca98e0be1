-- Where an instant stands in a long history: by turns where it would stand if events came evenly, and
-- in the middle. Events that come evenly are found in a few looks, each at a place that is mostly not
-- in memory; of any others no more than twice the looks of a search by halves are needed.
create or replace function seq_before(p_wallet_id uuid, p_at timestamptz) returns bigint
language plpgsql stable parallel safe as $$
declare
  -- All events up to `low` were recorded before the instant, none after `high` was.
  low bigint := 0;
  low_at timestamptz;
  high bigint;
  high_at timestamptz;
  looked bigint;
  looked_at timestamptz;
  evenly boolean := false;
begin
  select coalesce(max(w.seq), 0), max(w.opened_at) into high, low_at
  from wallets w where w.id = p_wallet_id;
  -- The last event itself is tried first: mostly nothing has happened since.
  looked := high;
  while low < high loop
    select e.recorded_at into looked_at from wallet_events e
    where e.wallet_id = p_wallet_id and e.seq = looked;
    if looked_at < p_at then
      low := looked;
      low_at := looked_at;
    else
      high := looked - 1;
      high_at := looked_at;
    end if;
    evenly := not evenly and high_at > low_at and p_at > low_at;
    looked := case
      when evenly then greatest(low + 1, least(high, low + round((high - low)
        * extract(epoch from p_at - low_at) / extract(epoch from high_at - low_at))::bigint))
      else (low + high + 1) / 2
    end;
  end loop;
  return low;
end $$;
