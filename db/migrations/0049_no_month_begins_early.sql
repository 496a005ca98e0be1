-- A server whose clock runs ahead asks for a month that is not over anywhere. As with a request, the
-- database's own time says whether its run may begin.

create or replace function claim_months(p_due_through text, p_quiet interval, p_actor text)
returns table (run_id uuid, period text)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
  called_at constant timestamptz := ledger_now();
begin
  return query
  with missing as (
    insert into billing_runs (id, period, requested_by, started_at, emitted_at)
    select gen_random_uuid(), to_char(month, 'YYYY-MM'), p_actor, called_at, called_at
    from generate_series(
      period_wall_clock((select period_of(min(w.opened_at), 'UTC') from wallets w)),
      period_wall_clock(p_due_through), interval '1 month'
    ) as month
    where period_is_over(to_char(month, 'YYYY-MM'))
      and not exists (select from billing_runs r where r.period = to_char(month, 'YYYY-MM'))
    on conflict (period) do nothing
    returning id, period
  ), quiet as (
    select r.id from billing_runs r
    where r.emitted_at < called_at - p_quiet
      and (r.planned_to < 'ffffffff-ffff-ffff-ffff-ffffffffffff' or exists (
        select from billing_ranges g where g.run_id = r.id and g.due_at <= called_at))
      and not exists (
        select from billing_ranges g where g.run_id = r.id
          and greatest(g.planned_at, g.attempted_at) > called_at - p_quiet)
    for update skip locked
  ), stalled as (
    update billing_runs r set emitted_at = called_at from quiet where r.id = quiet.id
    returning r.id, r.period
  )
  select id, period::text from missing union all select id, period::text from stalled
  order by 2;
end $$;
