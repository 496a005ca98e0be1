-- What users of automatic top-up are told by mail: each thing once, by the row of its log.

-- An automatic charge that a card refused may still be paid by the next one.
drop trigger top_ups_failed on top_ups;
create trigger top_ups_failed after update of status on top_ups
  for each row when (new.kind = 'manual' and new.status = 'failed' and old.status <> 'failed')
  execute function tell_of_failed_top_up();

create function tell_of_auto_top_up() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  a auto_top_ups;
  t auto_top_up_attempts;
  reason constant text := new.detail ->> 'reason';
begin
  select * into a from auto_top_ups where wallet_id = new.wallet_id;
  select * into t from auto_top_up_attempts where top_up_id = (new.detail ->> 'topUpId')::uuid;
  if new.event = 'paused' and reason = 'authentication_required' then
    perform enqueue_notice(new.wallet_id, 'payment_to_confirm', new.id::text, jsonb_build_object(
      'at', new.at, 'topUpId', t.top_up_id, 'no', t.recovery_no,
      'amountMicros', t.amount_micros::text, 'expiresAt', t.recovery_expires_at));
  elsif new.event = 'paused' then
    perform enqueue_notice(new.wallet_id, 'auto_top_up_paused', new.id::text, jsonb_build_object(
      'at', new.at, 'reason', reason, 'prefix', new.detail -> 'prefix',
      'charges', new.detail -> 'charges'));
  elsif new.event = 'charge_failed' and a.status = 'on' and a.failures = 0 then
    -- The first of a row: the others are tried in silence, and the pause at their end is told.
    perform enqueue_notice(new.wallet_id, 'auto_top_up_failed', new.id::text, jsonb_build_object(
      'at', new.at, 'amountMicros', t.amount_micros::text,
      'reason', (select failure_message from top_ups where id = t.top_up_id)));
  elsif new.event = 'waiting' then
    perform enqueue_notice(new.wallet_id, 'auto_top_up_cap_reached', new.id::text,
      jsonb_build_object('at', new.at, 'monthlyCapMicros', a.monthly_cap_micros::text));
  end if;
  return null;
end $$;
create trigger auto_top_up_log_told after insert on auto_top_up_log
  for each row execute function tell_of_auto_top_up();
