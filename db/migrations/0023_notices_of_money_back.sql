-- What users are told of money that goes back: each end of a refund and of a dispute, once.

create function tell_of_payment_refund() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'INSERT' or old.status <> new.status then
    perform enqueue_notice(
      new.wallet_id, case new.status when 'succeeded' then 'refund_done' else 'refund_failed' end,
      new.id::text, jsonb_build_object(
        'at', clock_timestamp(), 'topUpId', new.top_up_id,
        'amountMicros', new.amount_micros::text
      ));
  end if;
  return null;
end $$;
create trigger payment_refunds_told after insert or update of status on payment_refunds
  for each row when (new.status in ('succeeded', 'failed', 'canceled'))
  execute function tell_of_payment_refund();

create function tell_of_payment_dispute() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'INSERT' or old.state <> new.state then
    perform enqueue_notice(
      new.wallet_id, case new.state when 'open' then 'dispute_opened' else 'dispute_closed' end,
      concat_ws(':', new.dispute_id, new.state), jsonb_build_object(
        'at', clock_timestamp(), 'topUpId', new.top_up_id,
        'amountMicros', new.amount_micros::text, 'outcome', nullif(new.state, 'open'),
        'freezes', new.freezes
      ));
  end if;
  return null;
end $$;
-- An inquiry is a question of the bank to the seller, and takes nothing.
create trigger payment_disputes_told after insert or update of state on payment_disputes
  for each row when (new.state in ('open', 'lost', 'won'))
  execute function tell_of_payment_dispute();
