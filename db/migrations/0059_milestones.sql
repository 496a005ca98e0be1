-- Where an instant stands in a long history, with few pages read that are not in memory: every 256th event
-- of a wallet is a milestone in a small index of its own, which says between which two the instant lies. The
-- events between them stand close together. An index of all events would cost each charge a twentieth.
-- Nobody can charge while an existing ledger is read for it, some seconds for each million events.
create index wallet_events_milestones on wallet_events (wallet_id, recorded_at, seq)
  where seq % 256 = 0;

-- Between the milestones the instant is looked for by turns where it would stand if events came evenly,
-- and in the middle.
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
  select w.seq, w.opened_at into high, low_at from wallets w where w.id = p_wallet_id;
  -- The last event itself is tried first: mostly nothing has happened since.
  select e.recorded_at into high_at from wallet_events e
  where e.wallet_id = p_wallet_id and e.seq = high;
  if high_at < p_at or high is null then
    return coalesce(high, 0);
  end if;
  high := high - 1;

  select e.seq, e.recorded_at into looked, looked_at from wallet_events e
  where e.wallet_id = p_wallet_id and e.seq % 256 = 0 and e.recorded_at < p_at
  order by e.recorded_at desc, e.seq desc limit 1;
  if found then
    low := looked;
    low_at := looked_at;
  end if;
  select e.seq, e.recorded_at into looked, looked_at from wallet_events e
  where e.wallet_id = p_wallet_id and e.seq % 256 = 0 and e.recorded_at >= p_at
  order by e.recorded_at, e.seq limit 1;
  if found and looked <= high then
    high := looked - 1;
    high_at := looked_at;
  end if;

  while low < high loop
    evenly := not evenly and high_at > low_at and p_at > low_at;
    looked := case
      when evenly then greatest(low + 1, least(high, low + round((high - low)
        * extract(epoch from p_at - low_at) / extract(epoch from high_at - low_at))::bigint))
      else (low + high + 1) / 2
    end;
    select e.recorded_at into looked_at from wallet_events e
    where e.wallet_id = p_wallet_id and e.seq = looked;
    if looked_at < p_at then
      low := looked;
      low_at := looked_at;
    else
      high := looked - 1;
      high_at := looked_at;
    end if;
  end loop;
  return low;
end $$;
