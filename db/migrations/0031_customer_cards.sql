-- A rate card may be one customer's own. Its versions count apart from those of the general card, and
-- of a rule that both have, its own counts.

alter table rate_cards add column user_id text check (user_id ~ '^[[:graph:]]{1,128}$');
alter table rate_cards drop constraint rate_cards_currency_effective_from_key;
alter table rate_cards drop constraint rate_cards_currency_version_key;
alter table rate_cards add constraint rate_cards_once_at_a_time
  unique nulls not distinct (currency, user_id, effective_from);
alter table rate_cards add constraint rate_cards_version_once
  unique nulls not distinct (currency, user_id, version);

-- Why a card of this head cannot be published now, or OK; and the version that is free.
create or replace function rate_card_refusal(p_head jsonb, out code text, out version int)
language plpgsql as $$
declare
  lead_time constant interval := '60 seconds';
  card_currency constant text := p_head ->> 'currency';
  card_user constant text := p_head ->> 'userId';
begin
  perform pg_advisory_xact_lock(hashtextextended('rate_cards ' || card_currency, 0));
  select coalesce(max(c.version), 0) + 1 into version from rate_cards c
  where currency = card_currency and user_id is not distinct from card_user;
  code := case
    when (p_head ->> 'effectiveFrom')::timestamptz < ledger_now() + lead_time
      then 'EFFECTIVE_TOO_SOON'
    when exists (select from rate_cards c
                 where currency = card_currency and user_id is not distinct from card_user
                 and c.effective_from >= (p_head ->> 'effectiveFrom')::timestamptz)
      then 'EFFECTIVE_BEFORE_NEWEST'
    when (p_head ->> 'version')::int <> version then 'VERSION_TAKEN'
    when not exists (select from currencies c where c.code = card_currency) then 'UNKNOWN_CURRENCY'
    when exists (select from rate_cards c where c.id = (p_head ->> 'id')::uuid) then 'ID_TAKEN'
    else 'OK'
  end;
end $$;

-- Publishes a card that has its rules already. Nothing can change them from now on.
create or replace function insert_rate_card(p_head jsonb, p_actor text) returns void
language plpgsql as $$
declare
  head_id constant uuid := p_head ->> 'id';
  rules int;
begin
  select count(*) into rules from rate_card_rules r where r.card_id = head_id;
  insert into rate_cards (
    id, currency, user_id, version, effective_from, card, rule_count, created_by
  ) values (
    head_id, p_head ->> 'currency', p_head ->> 'userId', (p_head ->> 'version')::int,
    (p_head ->> 'effectiveFrom')::timestamptz, p_head, rules, p_actor
  );
  perform log_rate_card(head_id, p_actor, 'published', jsonb_build_object(
    'version', p_head -> 'version', 'effectiveFrom', p_head -> 'effectiveFrom', 'rules', rules));
end $$;
