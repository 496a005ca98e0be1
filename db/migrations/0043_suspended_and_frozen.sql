-- A suspended wallet that a dispute or a person freezes as well takes no more payments: not even what
-- it owes is then charged to a card whose holder may have disputed it.

create or replace function takes_payments(w wallets) returns boolean
language sql stable as $$
  select w.status = 'open' or is_suspended(w) and not exists (
    select from payment_disputes d where d.wallet_id = w.id and d.freezes)
$$;

-- The wallet's status stays what it was, so that no change of it tells automatic top-up.
create function stop_auto_top_up_of_suspended() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform pause_auto_top_up(new.wallet_id, 'wallet_frozen', 'system:auto-top-up', '{}')
  from wallets w where w.id = new.wallet_id and w.status = 'frozen';
  return null;
end $$;
create trigger payment_disputes_stop_auto_top_up
  after insert or update of freezes on payment_disputes
  for each row when (new.freezes) execute function stop_auto_top_up_of_suspended();
create trigger wallet_arrears_stop_auto_top_up
  after update of suspends on wallet_arrears
  for each row when (old.suspends and not new.suspends)
  execute function stop_auto_top_up_of_suspended();

-- Compares demands with their events and wallets. One is open until nothing is owed any more, or
-- until somebody opens the wallet that it had suspended.
create or replace function verify_arrears(
  p_from uuid, p_to uuid, p_limit integer, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with demanded as (
    select e.wallet_id, max(e.seq) as seq from wallet_events e
    where e.wallet_id between p_from and p_to and e.type = 'arrears_demanded'
    group by e.wallet_id
  ), problems as (
    select a.wallet_id, a.demanded_seq as seq, p.problem, p.message
    from wallet_arrears a
    join wallets w on w.id = a.wallet_id
    left join wallet_events e on e.wallet_id = a.wallet_id and e.seq = a.demanded_seq
    left join lateral (
      select s.type = 'wallet_frozen' and s.actor = 'system:arrears' as by_arrears
      from wallet_events s
      where s.wallet_id = a.wallet_id and s.seq > a.demanded_seq
        and s.type in ('wallet_frozen', 'wallet_unfrozen')
      order by s.seq desc limit 1
    ) stands on true
    cross join lateral (values
      ('ARREARS_DEMAND', case
        when e.type is distinct from 'arrears_demanded'
          or (e.detail ->> 'suspendAt')::timestamptz <> a.suspend_at
        then 'what is owed was not demanded by its event as it is kept' end),
      ('ARREARS_PAID', case when w.arrears_micros = 0
        then 'what is owed is demanded, and nothing is owed' end),
      ('ARREARS_FREEZE', case when a.suspends <> coalesce(stands.by_arrears, false)
        then format('the demand %s the wallet, and its events say otherwise',
          case when a.suspends then 'suspends' else 'does not suspend' end) end)
    ) as p (problem, message)
    where a.wallet_id between p_from and p_to and p.message is not null
    union all
    select d.wallet_id, d.seq, 'ARREARS_DEMAND', 'what is owed was demanded, and no demand is kept'
    from demanded d
    where not exists (select from wallet_arrears a where a.wallet_id = d.wallet_id)
      and not exists (
        select from wallet_events e
        where e.wallet_id = d.wallet_id and e.seq > d.seq
          and (e.arrears_micros = 0
            or e.type = 'wallet_unfrozen' and e.actor <> 'system:arrears'))
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;
