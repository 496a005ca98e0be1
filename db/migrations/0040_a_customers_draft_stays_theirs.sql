-- A draft of a customer's own card stays that customer's: published as the general card, or as
-- another's, it would give its prices away.

create or replace function describe_rate_card_draft(p_id uuid, p_card jsonb, p_actor text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  d rate_card_drafts;
begin
  select * into d from rate_card_drafts where id = p_id for update;
  if not found then
    return 'NOT_FOUND';
  elsif d.currency <> p_card ->> 'currency' then
    return 'CURRENCY_DIFFERS';
  elsif d.card ->> 'userId' <> coalesce(p_card ->> 'userId', '') then
    return 'CUSTOMER_DIFFERS';
  end if;
  if d.card <> p_card then
    update rate_card_drafts set card = p_card, revision = revision + 1, updated_at = ledger_now(),
      updated_by = p_actor
    where id = p_id;
    perform log_rate_card(p_id, p_actor, 'described',
                          jsonb_build_object('before', d.card, 'after', p_card));
  end if;
  return 'OK';
end $$;
