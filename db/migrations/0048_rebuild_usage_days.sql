-- The days of usage can be written anew from the events.

-- The days that are not what the events up to the cursor come to, with what these come to: nothing
-- where they know no such day.
create function differing_usage_days(p_from uuid, p_to uuid)
returns table (
  wallet_id uuid, day date, usage_type text, count bigint, units numeric, micros numeric
)
language sql stable as $$
  select wallet_id, day, usage_type, t.count, t.units, t.micros
  from (
    select c.wallet_id, u.*
    from notice_cursors c cross join lateral usage_by_day(c.wallet_id, 0, c.seq) u
    where c.wallet_id between p_from and p_to
  ) t
  full join (
    select * from usage_days where usage_days.wallet_id between p_from and p_to
  ) k using (wallet_id, day, usage_type)
  where (t.count, t.units, t.micros) is distinct from (k.count, k.units, k.micros)
$$;

create or replace function verify_usage_days(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with listed as (
    select wallet_id, day, usage_type,
      row_number() over (order by wallet_id, day, usage_type) as number
    from differing_usage_days(p_from, p_to)
  )
  select count(*), coalesce(jsonb_agg(jsonb_build_object(
    'walletId', wallet_id, 'seq', null, 'problem', 'USAGE_DAY',
    'message', format('%s of %s is not what the events of that day come to', usage_type, day)
  ) order by number) filter (where number <= p_limit), '[]')
  from listed
$$;

-- Compares the days of the range's wallets with their events, and writes those that differ, if asked
-- to.
create function rebuild_usage_days(
  p_from uuid, p_to uuid, p_repair boolean, out differences jsonb
)
language plpgsql set jit = off as $$
declare
  d record;
begin
  differences := '[]';
  for d in
    select f.wallet_id, count(*) as days
    from differing_usage_days(p_from, p_to) f group by 1 order by 1
  loop
    if p_repair then
      -- Locked first, then computed again: nobody moves the cursor, or the days with it, meanwhile.
      perform from notice_cursors where wallet_id = d.wallet_id for update;
      with differing as materialized (
        select * from differing_usage_days(d.wallet_id, d.wallet_id)
      ), removed as (
        delete from usage_days k using differing f
        where f.count is null
          and (k.wallet_id, k.day, k.usage_type) = (f.wallet_id, f.day, f.usage_type)
      )
      insert into usage_days select * from differing f where f.count is not null
      on conflict (wallet_id, day, usage_type) do update set
        count = excluded.count, units = excluded.units, micros = excluded.micros;
    end if;
    differences := differences || jsonb_build_object(
      'walletId', d.wallet_id, 'problem', 'USAGE_DAYS_DIFFER',
      'message', format('days of usage that are not what their events come to: %s', d.days),
      'repaired', p_repair);
  end loop;
end $$;
