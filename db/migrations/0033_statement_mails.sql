-- Statements by mail: each is put into the outbox in the transaction that writes it, once, and so
-- are those of months that are caught up.

alter table users add column statements_by_mail boolean not null default true;
grant update (statements_by_mail) on users to wallet_app;

create function tell_of_statements() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform enqueue_notice(s.wallet_id, 'statement', s.period, jsonb_build_object(
    'at', s.closed_at, 'number', s.number, 'period', s.period,
    'usageMicros', s.usage_micros::text, 'closingBalanceMicros', s.closing_balance_micros::text,
    'headHash', encode(s.head_hash, 'hex')
  ))
  from written s
  join wallets w on w.id = s.wallet_id
  join users u on u.id = w.user_id
  where u.statements_by_mail;
  return null;
end $$;
create trigger statements_told after insert on statements
  referencing new table as written
  for each statement execute function tell_of_statements();
