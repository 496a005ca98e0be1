-- A refund that Stripe has taken and not finished is read there again, now and then: what no webhook
-- told is found within a day, and not only when somebody compares.

drop index payment_refunds_reserved;
create index payment_refunds_unfinished on payment_refunds (next_attempt_at)
  where status in ('reserved', 'pending', 'requires_action');

-- Takes up to so many refunds whose end nobody knows; nobody else takes them for a while. Of those that
-- are reserved it is not known whether Stripe has made them, the others have an id there.
drop function claim_payment_refunds(boolean, int);
create function claim_payment_refunds(p_livemode boolean, p_limit int)
returns table (wallet_id uuid, id uuid, stripe_refund_id text)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update payment_refunds r set
    attempts = r.attempts + 1,
    next_attempt_at = clock_timestamp() + case r.status
      when 'reserved' then least(interval '1 hour', interval '2 minutes' * power(2, least(r.attempts, 6)))
      -- A bank takes days, and mostly a webhook tells.
      else least(interval '1 day', interval '1 hour' * power(2, least(r.attempts, 5))) end
  from (
    select d.wallet_id, d.id from payment_refunds d join top_ups t on t.id = d.top_up_id
    where d.status in ('reserved', 'pending', 'requires_action')
      and d.next_attempt_at <= clock_timestamp() and t.livemode = p_livemode
    order by d.next_attempt_at limit p_limit for update of d skip locked
  ) due
  where r.wallet_id = due.wallet_id and r.id = due.id
  returning r.wallet_id, r.id, r.stripe_refund_id
$$;
grant execute on function claim_payment_refunds(boolean, int) to wallet_app;
