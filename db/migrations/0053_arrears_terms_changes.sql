-- Support staff change how long what is owed may wait, too; every change says who made it.
create table arrears_terms_changes (
  id bigint generated always as identity primary key,
  grace interval not null,
  remind_before interval not null,
  changed_at timestamptz not null default ledger_now(),
  changed_by text not null
);
create trigger arrears_terms_changes_append_only
  before update or delete or truncate on arrears_terms_changes
  for each statement execute function refuse_ledger_change();

-- Changes the terms that are given; demands that were made keep their dates. False, and nothing is
-- changed, when the reminder would come before the month is closed. The same again is no change.
create function change_arrears_terms(p_grace_days int, p_reminder_days int, p_actor text)
returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  terms arrears_terms;
  wanted arrears_terms;
begin
  select * into terms from arrears_terms for update;
  wanted := terms;
  wanted.grace := coalesce(p_grace_days * interval '1 day', terms.grace);
  wanted.remind_before := coalesce(p_reminder_days * interval '1 day', terms.remind_before);
  if wanted.remind_before > wanted.grace then
    return false;
  end if;
  if wanted <> terms then
    update arrears_terms set grace = wanted.grace, remind_before = wanted.remind_before;
    insert into arrears_terms_changes (grace, remind_before, changed_by)
    values (wanted.grace, wanted.remind_before, p_actor);
  end if;
  return true;
end $$;

grant select on arrears_terms_changes to wallet_app;
grant execute on function change_arrears_terms(int, int, text) to wallet_app;
