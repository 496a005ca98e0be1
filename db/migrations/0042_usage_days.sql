-- What a wallet used by day of its own time zone and by type, for the account page: adding up a month
-- of a million events takes seconds. The days follow the cursor of the wallet's notices, in its
-- transaction, so that they are exact up to its event; readers add the events behind it.

create table usage_days (
  wallet_id uuid not null references notice_cursors (wallet_id),
  day date not null,
  usage_type text not null,
  count bigint not null,
  units numeric not null,
  micros numeric not null,
  primary key (wallet_id, day, usage_type)
) with (fillfactor = 70);

-- The usage that a wallet's events behind one, up to another, were billed. An event that says what
-- had been billed before corrects usage that was counted.
create function usage_by_day(p_wallet_id uuid, p_after_seq bigint, p_to_seq bigint)
returns table (day date, usage_type text, count bigint, units numeric, micros numeric)
language sql stable as $$
  select (e.recorded_at at time zone w.timezone)::date, coalesce(d.usage ->> 'type', 'other'),
    count(*) filter (where d."alreadyBilledMicros" is null),
    sum(case when json_typeof(d.units) = 'number' then d.units::text::numeric else 0 end),
    sum(usage_micros(e))
  from wallets w
  join wallet_events e on e.wallet_id = w.id
  cross join lateral json_to_record(e.detail)
    as d (usage json, units json, "alreadyBilledMicros" json)
  where w.id = p_wallet_id and e.seq > p_after_seq and e.seq <= p_to_seq
    and e.type in ('charge', 'accrual', 'hold_captured', 'hold_expired')
    and (e.type = 'charge' or d.usage is not null)
  group by 1, 2
$$;

-- The same from a day on, up to now.
create function usage_since_day(p_wallet_id uuid, p_from date)
returns table (day date, usage_type text, count bigint, units numeric, micros numeric)
language sql stable as $$
  select u.day, u.usage_type, sum(u.count)::bigint, sum(u.units), sum(u.micros)
  from wallets w
  left join notice_cursors c on c.wallet_id = w.id
  cross join lateral (
    select d.day, d.usage_type, d.count, d.units, d.micros
    from usage_days d where d.wallet_id = w.id and d.day >= p_from
    union all
    select b.* from usage_by_day(
      w.id,
      greatest(c.seq, seq_before(w.id, p_from::timestamp at time zone w.timezone)),
      w.seq
    ) b
  ) u
  where w.id = p_wallet_id
  group by u.day, u.usage_type
$$;

create function follow_usage_days() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into usage_days as d (wallet_id, day, usage_type, count, units, micros)
  select new.wallet_id, u.* from usage_by_day(new.wallet_id, old.seq, new.seq) u
  on conflict (wallet_id, day, usage_type) do update set
    count = d.count + excluded.count, units = d.units + excluded.units,
    micros = d.micros + excluded.micros;
  return null;
end $$;
create trigger notice_cursors_usage after update of seq on notice_cursors
  for each row when (new.seq > old.seq) execute function follow_usage_days();

insert into usage_days (wallet_id, day, usage_type, count, units, micros)
select c.wallet_id, u.* from notice_cursors c
cross join lateral usage_by_day(c.wallet_id, 0, c.seq) u;

-- Compares the days with the events up to their cursor.
create function verify_usage_days(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with told as (
    select c.wallet_id, u.*
    from notice_cursors c cross join lateral usage_by_day(c.wallet_id, 0, c.seq) u
    where c.wallet_id between p_from and p_to
  ), kept as (
    select * from usage_days where wallet_id between p_from and p_to
  ), listed as (
    select wallet_id, day, usage_type,
      row_number() over (order by wallet_id, day, usage_type) as number
    from told t full join kept k using (wallet_id, day, usage_type)
    where (t.count, t.units, t.micros) is distinct from (k.count, k.units, k.micros)
  )
  select count(*), coalesce(jsonb_agg(jsonb_build_object(
    'walletId', wallet_id, 'seq', null, 'problem', 'USAGE_DAY',
    'message', format('%s of %s is not what the events of that day come to', usage_type, day)
  ) order by number) filter (where number <= p_limit), '[]')
  from listed
$$;

grant select on usage_days to wallet_app;
grant execute on function
  usage_by_day(uuid, bigint, bigint), usage_since_day(uuid, date)
  to wallet_app;
