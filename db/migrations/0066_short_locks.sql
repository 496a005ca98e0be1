-- Locks are held for as long as the work that needs them takes, and no longer.

-- What of each limit's window is spent by the events after one number and up to another.
create function spent_of_limits(
  p_limits jsonb, w wallets, p_at timestamptz, p_after_seq bigint, p_up_to_seq bigint
) returns table (
  period text, usage_type text, prefix text, amount_micros bigint,
  starts_at timestamptz, spent_micros numeric
)
language sql stable as $$
  with used as materialized (
    select u.* from wallet_events e cross join lateral counted_usage(e) u
    where e.wallet_id = w.id and e.seq > p_after_seq and e.seq <= p_up_to_seq
  )
  select l.period, l.type, l.prefix, l."amountMicros", n.starts_at, t.spent
  from jsonb_to_recordset(p_limits) l (period text, "amountMicros" bigint, type text, prefix text)
  cross join lateral limit_window(l.period, p_at, w.timezone) n
  cross join lateral (
    select coalesce(sum(u.micros), 0) as spent from used u
    where u.counted_at >= n.starts_at
      and limit_counts(l.type, l.prefix, u.usage_type, u.destination)
  ) t
$$;

-- A month of 200,000 events took 2 s to add up, for which charges to the wallet waited. It is added up before the
-- wallet is locked now, and under the lock only what has come since.
create or replace function set_limits(p_wallet_id uuid, p_limits jsonb, p_actor text)
returns ledger_outcome language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  asked jsonb;
  allowed boolean;
  kept jsonb;
  counted_to bigint;
  counted jsonb;
begin
  select coalesce(jsonb_agg(limit_term(l.period, l."amountMicros", l.type, l.prefix)
      order by l.period, l.type collate "C" nulls first, l.prefix collate "C" nulls first), '[]'),
    count(*) <= 20 and count(*) = count(distinct (l.period, l.type, l.prefix))
      and coalesce(bool_and(l."amountMicros" between 0 and 1000000000000000000), true)
  into asked, allowed
  from jsonb_to_recordset(p_limits) l (period text, "amountMicros" bigint, type text, prefix text);
  if allowed is not true then
    raise exception 'a wallet has at most 20 limits, none of them twice and none negative'
      using errcode = 'invalid_parameter_value';
  end if;

  select * into w from wallets where id = p_wallet_id;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  counted_to := w.seq;
  select jsonb_agg(s) into counted
  from greatest(ledger_now(), w.updated_at) at
  cross join lateral limit_window('month', at, w.timezone) n
  cross join lateral spent_of_limits(
    asked, w, at, seq_before(w.id, n.starts_at), counted_to) s;

  select * into w from wallets where id = p_wallet_id for no key update;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  select coalesce(jsonb_agg(limit_term(l.period, l.amount_micros, l.usage_type, l.prefix)
      order by l.period, l.usage_type collate "C" nulls first,
        l.prefix collate "C" nulls first), '[]')
  into kept
  from wallet_limits l where l.wallet_id = w.id;
  if asked = kept then
    return row('OK', true, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
               available_micros(w), w.updated_at, null)::ledger_outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, 0);
  end if;

  w := append_event(w, 'limits_changed', 0, 0, 0, null, null, p_actor, null,
                    json_build_object('limits', asked));
  delete from wallet_limits where wallet_id = w.id;
  insert into wallet_limits (
    wallet_id, period, usage_type, prefix, amount_micros, starts_at, spent_micros
  )
  select w.id, s.period, s.usage_type, s.prefix, s.amount_micros, s.starts_at,
    s.spent_micros + coalesce(c.spent_micros, 0)
  from spent_of_limits(asked, w, w.updated_at, counted_to, w.seq) s
  -- When a window has begun meanwhile, nothing that was counted before is of it.
  left join jsonb_to_recordset(counted) c (
    period text, usage_type text, prefix text, starts_at timestamptz, spent_micros numeric
  ) on c.period = s.period and c.usage_type is not distinct from s.usage_type
    and c.prefix is not distinct from s.prefix and c.starts_at = s.starts_at;
  update wallets set limited = asked <> '[]' where id = w.id;
  return row('OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
             available_micros(w), w.updated_at, json_build_object('limits', asked))::ledger_outcome;
end $$;

-- A hundred wallets with hundreds of calls each, as after an outage, took longer than a statement may: the pass was
-- rolled back, and the next one began with the same wallets.
create or replace function settle_due_wallets(p_limit int, out settled int, out failed jsonb)
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  -- Some 0.4 ms each.
  events_per_call constant int := 2000;
  called_at constant timestamptz := ledger_now();
  w wallets;
  settled_wallet wallets;
  events bigint := 0;
begin
  settled := 0;
  failed := '[]';
  -- Nothing here waits for a wallet's lock, so the order of locks cannot lead to a deadlock.
  for w in
    select * from wallets where next_due_at <= called_at
    order by next_due_at, id limit p_limit for no key update skip locked
  loop
    begin
      settled_wallet := settle_due(w);
      events := events + settled_wallet.seq - w.seq;
      settled := settled + 1;
    exception when others then
      if is_passing_error(sqlstate) then
        raise;
      end if;
      failed := failed || jsonb_build_object('walletId', w.id, 'sqlstate', sqlstate);
    end;
    exit when events >= events_per_call;
  end loop;
end $$;

-- Usage is counted in the month that its event was recorded in: a second look at the clock may say the next one.
create or replace function count_units(w wallets, e wallet_events) returns void
language plpgsql as $$
declare
  counted record;
begin
  counted := counted_units(e);
  if counted.counter is not null then
    insert into monthly_units as m (wallet_id, counter, month_starts_at, units)
    select w.id, counted.counter, n.starts_at, counted.units
    from limit_window('month', e.recorded_at, w.timezone) n
    on conflict (wallet_id, counter) do update set
      units = excluded.units
        + case when m.month_starts_at = excluded.month_starts_at then m.units else 0 end,
      month_starts_at = excluded.month_starts_at;
  end if;
end $$;

-- Wallets are locked in the order of their ids wherever several are, or two callers may wait for each other.
create or replace function stop_auto_top_up_without_card() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  a record;
begin
  if not exists (select from saved_cards
                 where user_id = old.user_id and livemode = old.livemode) then
    for a in
      select t.wallet_id from auto_top_ups t join wallets w on w.id = t.wallet_id
      where w.user_id = old.user_id and t.livemode = old.livemode and t.status = 'on'
      order by t.wallet_id
    loop
      perform pause_auto_top_up(a.wallet_id, 'no_card', 'system:auto-top-up', '{}');
    end loop;
  end if;
  return null;
end $$;

-- A wallet of many charges and few holds read all of its history for a page of its holds: 100 ms at 200,000 events.
create index wallet_events_hold_pages on wallet_events (wallet_id, seq)
where type in ('hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired');

-- Nothing has called it since holds have kept what a free use of them was.
drop function authorize_hold(uuid, uuid, uuid, bytea, bigint, text, uuid, text, text, int, text, jsonb);
