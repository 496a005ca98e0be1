-- Mails of low balances name their wallet, so that one click stops them.

-- As before; the wallet's id lets a signed link of the mail stop mails of its kind.
create or replace function enqueue_notice(
  p_wallet_id uuid, p_kind text, p_cause text, p_payload jsonb
) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into mail_outbox (user_id, kind, dedupe_key, payload)
  select w.user_id, p_kind, concat_ws(':', p_kind, w.id, p_cause),
    jsonb_strip_nulls(p_payload) || jsonb_build_object(
      'currency', w.currency, 'exponent', c.exponent, 'timezone', w.timezone, 'walletId', w.id
    )
  from wallets w join currencies c on c.code = w.currency
  where w.id = p_wallet_id and exists (select from users u where u.id = w.user_id)
  on conflict (dedupe_key) do nothing
$$;

-- Stops the mails of low balances of a wallet; its pages still show them. Those that wait in the
-- outbox are not sent any more.
create function stop_alert_mails(p_wallet_id uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  update notice_cursors set alert_by_mail = false where wallet_id = p_wallet_id;
  if not found then
    return false;
  end if;
  delete from mail_outbox
  where kind = 'low_balance' and status = 'waiting' and payload ->> 'walletId' = p_wallet_id::text
    and user_id = (select user_id from wallets where id = p_wallet_id);
  return true;
end $$;

grant execute on function stop_alert_mails(uuid) to wallet_app;
