-- Rate cards have drafts. The rules of a card, draft or published, are rows of their own, so that one
-- of a hundred thousand can be read and changed alone.
create table rate_card_rules (
  card_id uuid not null,
  type text not null,
  -- "C" compares digits byte by byte, whatever the database's own collation is.
  prefix text collate "C" not null check (prefix ~ '^[0-9]{0,18}$'),
  rule_id text not null,
  rule jsonb not null,
  primary key (card_id, type, prefix),
  unique (card_id, rule_id)
);

create function keep_published_rules() returns trigger language plpgsql as $$
begin
  if exists (select from changed_rules r join rate_cards c on c.id = r.card_id) then
    raise exception 'the rules of a published rate card never change'
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;

insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
select c.id, r ->> 'type', r ->> 'prefix', r ->> 'id', r
from rate_cards c cross join lateral jsonb_array_elements(c.card -> 'rules') r;

create trigger rate_card_rules_kept_from_insert after insert on rate_card_rules
  referencing new table as changed_rules
  for each statement execute function keep_published_rules();
create trigger rate_card_rules_kept_from_delete after delete on rate_card_rules
  referencing old table as changed_rules
  for each statement execute function keep_published_rules();
create trigger rate_card_rules_never_updated before update or truncate on rate_card_rules
  for each statement execute function refuse_ledger_change();

-- What is left in `card` is what the card says beside its rules.
alter table rate_cards disable trigger rate_cards_append_only;
alter table rate_cards add column rule_count integer;
update rate_cards set card = card - 'rules', rule_count = jsonb_array_length(card -> 'rules');
alter table rate_cards alter column rule_count set not null;
alter table rate_cards enable trigger rate_cards_append_only;

-- A card that is not published yet; it keeps its id when it is.
create table rate_card_drafts (
  id uuid primary key,
  currency text not null references currencies (code),
  -- The card without rules, id, version and date.
  card jsonb not null,
  based_on uuid references rate_cards (id),
  -- Grows with each change, so that what is published is what was looked at.
  revision integer not null default 1,
  created_at timestamptz not null default ledger_now(),
  created_by text not null,
  updated_at timestamptz not null default ledger_now(),
  updated_by text not null
);

-- Who did what to a card, and when.
create table rate_card_log (
  seq bigint generated always as identity primary key,
  card_id uuid not null,
  at timestamptz not null default ledger_now(),
  actor text not null,
  action text not null
    check (action in ('drafted', 'described', 'rules_changed', 'published', 'discarded')),
  detail jsonb not null
);
create index rate_card_log_of_card on rate_card_log (card_id, seq);
create trigger rate_card_log_append_only before update or delete or truncate on rate_card_log
  for each statement execute function refuse_ledger_change();

-- One rule of a card before and after; the one that is not there is null.
create type rate_card_change as (type text, prefix text, before jsonb, after jsonb);

create function log_rate_card(p_card_id uuid, p_actor text, p_action text, p_detail jsonb)
returns void language sql as $$
  insert into rate_card_log (card_id, actor, action, detail)
  values (p_card_id, p_actor, p_action, p_detail)
$$;

-- Why a card of this head cannot be published now, or OK; and the version that is free.
create function rate_card_refusal(p_head jsonb, out code text, out version int)
language plpgsql as $$
declare
  lead_time constant interval := '60 seconds';
  card_currency constant text := p_head ->> 'currency';
begin
  perform pg_advisory_xact_lock(hashtextextended('rate_cards ' || card_currency, 0));
  select coalesce(max(c.version), 0) + 1 into version from rate_cards c where currency = card_currency;
  code := case
    when (p_head ->> 'effectiveFrom')::timestamptz < ledger_now() + lead_time
      then 'EFFECTIVE_TOO_SOON'
    when exists (select from rate_cards c where currency = card_currency
                 and c.effective_from >= (p_head ->> 'effectiveFrom')::timestamptz)
      then 'EFFECTIVE_BEFORE_NEWEST'
    when (p_head ->> 'version')::int <> version then 'VERSION_TAKEN'
    when not exists (select from currencies c where c.code = card_currency) then 'UNKNOWN_CURRENCY'
    when exists (select from rate_cards c where c.id = (p_head ->> 'id')::uuid) then 'ID_TAKEN'
    else 'OK'
  end;
end $$;

-- Publishes a card that has its rules already. Nothing can change them from now on.
create function insert_rate_card(p_head jsonb, p_actor text) returns void
language plpgsql as $$
declare
  head_id constant uuid := p_head ->> 'id';
  rules int;
begin
  select count(*) into rules from rate_card_rules r where r.card_id = head_id;
  insert into rate_cards (id, currency, version, effective_from, card, rule_count, created_by)
  values (head_id, p_head ->> 'currency', (p_head ->> 'version')::int,
          (p_head ->> 'effectiveFrom')::timestamptz, p_head, rules, p_actor);
  perform log_rate_card(head_id, p_actor, 'published', jsonb_build_object(
    'version', p_head -> 'version', 'effectiveFrom', p_head -> 'effectiveFrom', 'rules', rules));
end $$;

create or replace function publish_rate_card(p_card jsonb, p_actor text, out code text, out version int)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  select r.code, r.version into code, version from rate_card_refusal(p_card - 'rules') r;
  if code = 'OK' and exists (select from rate_card_drafts d where d.id = (p_card ->> 'id')::uuid) then
    code := 'ID_TAKEN';
  end if;
  if code = 'OK' then
    insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
    select (p_card ->> 'id')::uuid, r ->> 'type', r ->> 'prefix', r ->> 'id', r
    from jsonb_array_elements(p_card -> 'rules') r;
    perform insert_rate_card(p_card - 'rules', p_actor);
  end if;
end $$;

-- Begins a draft, with the rules of a published card when it is based on one. The same again changes
-- nothing, so that a caller may repeat what it got no answer to.
create function draft_rate_card(p_id uuid, p_card jsonb, p_based_on uuid, p_actor text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not exists (select from currencies c where c.code = p_card ->> 'currency') then
    return 'UNKNOWN_CURRENCY';
  elsif exists (select from rate_cards where id = p_id) then
    return 'ID_TAKEN';
  end if;
  insert into rate_card_drafts (id, currency, card, based_on, created_by, updated_by)
  values (p_id, p_card ->> 'currency', p_card, p_based_on, p_actor, p_actor)
  on conflict do nothing;
  if not found then
    return case when exists (select from rate_card_drafts d
                             where d.id = p_id and d.based_on is not distinct from p_based_on)
                then 'OK' else 'ID_TAKEN' end;
  end if;
  insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
  select p_id, r.type, r.prefix, r.rule_id, r.rule from rate_card_rules r where r.card_id = p_based_on;
  perform log_rate_card(p_id, p_actor, 'drafted', jsonb_build_object('basedOn', p_based_on));
  return 'OK';
end $$;

-- Changes what a draft says beside its rules.
create function describe_rate_card_draft(p_id uuid, p_card jsonb, p_actor text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  d rate_card_drafts;
begin
  select * into d from rate_card_drafts where id = p_id for update;
  if not found then
    return 'NOT_FOUND';
  elsif d.currency <> p_card ->> 'currency' then
    return 'CURRENCY_DIFFERS';
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

-- Puts rules into a draft in the place of those of the same type and prefix, and takes out those that
-- are named, or with p_replace all others. All of it or, when a rule's id belongs to another, nothing.
create function change_rate_card_rules(
  p_draft_id uuid, p_put jsonb, p_removed jsonb, p_replace boolean, p_actor text,
  out code text, out added int, out changed int, out removed int, out taken_id text
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  changes rate_card_change[];
begin
  perform from rate_card_drafts where id = p_draft_id for update;
  if not found then
    code := 'NOT_FOUND';
    return;
  end if;
  changes := array(
    select row(coalesce(n.type, r.type), coalesce(n.prefix, r.prefix), r.rule, n.rule)::rate_card_change
    from (select n ->> 'type' as type, n ->> 'prefix' as prefix, n as rule
          from jsonb_array_elements(p_put) n) n
    full join (select * from rate_card_rules where card_id = p_draft_id) r
      on r.type = n.type and r.prefix = n.prefix
    where r.rule is distinct from n.rule and (
      n.rule is not null or p_replace or (r.type, r.prefix) in (
        select x ->> 'type', x ->> 'prefix' from jsonb_array_elements(p_removed) x))
  );
  select count(*) filter (where c.before is null),
    count(*) filter (where c.before is not null and c.after is not null),
    count(*) filter (where c.after is null)
  into added, changed, removed from unnest(changes) c;

  select r.rule_id into taken_id
  from unnest(changes) c
  join rate_card_rules r on r.card_id = p_draft_id and r.rule_id = c.after ->> 'id'
  where not exists (select from unnest(changes) g
                    where g.before is not null and g.type = r.type and g.prefix = r.prefix)
  limit 1;
  if taken_id is not null then
    code := 'RULE_ID_TAKEN';
    return;
  end if;

  code := 'OK';
  if cardinality(changes) > 0 then
    delete from rate_card_rules r using unnest(changes) c
    where r.card_id = p_draft_id and r.type = c.type and r.prefix = c.prefix;
    insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
    select p_draft_id, c.type, c.prefix, c.after ->> 'id', c.after
    from unnest(changes) c where c.after is not null;
    update rate_card_drafts set revision = revision + 1, updated_at = ledger_now(),
      updated_by = p_actor
    where id = p_draft_id;
    -- A few changes are kept as they are; of an import of thousands the counts say enough.
    perform log_rate_card(p_draft_id, p_actor, 'rules_changed', jsonb_build_object(
      'added', added, 'changed', changed, 'removed', removed,
      'rules', (select jsonb_agg(jsonb_build_object('before', c.before, 'after', c.after))
                from unnest(changes) c where cardinality(changes) <= 20)));
  end if;
end $$;

-- Publishes a draft as it was looked at: another revision is refused. The same again is answered alike.
create function publish_rate_card_draft(
  p_id uuid, p_revision int, p_effective_from text, p_actor text, out code text, out version int
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  d rate_card_drafts;
  head jsonb;
begin
  select * into d from rate_card_drafts where id = p_id for update;
  if not found then
    select case when c.effective_from = p_effective_from::timestamptz then 'OK' else 'ID_TAKEN' end,
      c.version into code, version from rate_cards c where c.id = p_id;
    code := coalesce(code, 'NOT_FOUND');
    return;
  elsif d.revision <> p_revision then
    code := 'DRAFT_CHANGED';
    return;
  elsif not exists (select from rate_card_rules where card_id = p_id) then
    code := 'NO_RULES';
    return;
  end if;
  head := d.card || jsonb_build_object('id', p_id, 'effectiveFrom', p_effective_from);
  select r.code, r.version into code, version from rate_card_refusal(head) r;
  if code = 'OK' then
    delete from rate_card_drafts where id = p_id;
    perform insert_rate_card(head || jsonb_build_object('version', version), p_actor);
  end if;
end $$;

-- Throws a draft and its rules away; what was done to it stays in the log.
create function discard_rate_card_draft(p_id uuid, p_actor text) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  d rate_card_drafts;
  rules bigint;
begin
  delete from rate_card_drafts where id = p_id returning * into d;
  if not found then
    return false;
  end if;
  delete from rate_card_rules where card_id = p_id;
  get diagnostics rules = row_count;
  perform log_rate_card(p_id, p_actor, 'discarded',
    jsonb_build_object('card', d.card, 'basedOn', d.based_on, 'rules', rules));
  return true;
end $$;

grant select on rate_card_rules, rate_card_drafts, rate_card_log to wallet_app;
grant execute on function
  draft_rate_card(uuid, jsonb, uuid, text), describe_rate_card_draft(uuid, jsonb, text),
  change_rate_card_rules(uuid, jsonb, jsonb, boolean, text),
  publish_rate_card_draft(uuid, int, text, text), discard_rate_card_draft(uuid, text)
  to wallet_app;
