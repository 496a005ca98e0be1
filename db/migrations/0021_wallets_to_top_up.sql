-- Wallets to reserve a charge for. Those whose payments on their way are enough are left out, and no
-- order is kept, so that none that cannot be charged stands in the way of others for ever.
create or replace function wallets_to_top_up(p_livemode boolean, p_limit int) returns setof uuid
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select a.wallet_id from auto_top_ups a join wallets w on w.id = a.wallet_id
  where a.status = 'on' and a.livemode = p_livemode
    and (a.next_try_at is null or a.next_try_at <= ledger_now())
    and w.balance_micros - w.held_micros + w.overdraft_limit_micros < a.threshold_micros
    and not exists (select from auto_top_up_attempts t
                    where t.wallet_id = a.wallet_id
                      and t.state in ('charging', 'awaiting_user', 'canceling'))
    and (auto_top_up_need(w, a)).below_micros > 0
  order by random() limit p_limit
$$;
