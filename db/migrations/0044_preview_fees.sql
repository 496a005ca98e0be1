-- The preview of a month counts its recurring fees too.

create or replace function preview_month(p_period text, out code text, out months jsonb)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set jit = off as $$
declare
  called_at constant timestamptz := ledger_now();
begin
  if not period_is_over(p_period) then
    code := 'PERIOD_NOT_OVER';
    return;
  end if;
  code := 'OK';
  with unbilled as materialized (
    select w from wallets w where not exists (
      select from statements s where s.wallet_id = w.id and s.period = p_period)
  ), missing as (
    select (w).id as wallet_id, to_char(month, 'YYYY-MM') as period,
      month at time zone (w).timezone as starts_at,
      (month + interval '1 month') at time zone (w).timezone as ends_at
    from unbilled
    cross join lateral generate_series(
      period_wall_clock(next_statement_period(w)), period_wall_clock(p_period), interval '1 month'
    ) as month
    where (month + interval '1 month') at time zone (w).timezone <= called_at
  ), counted as (
    select m.period, count(*) as statements from missing m group by 1
  ), fees as (
    select m.period, count(*) as fees
    from missing m
    join subscriptions s on s.wallet_id = m.wallet_id
      and m.ends_at > greatest(s.starts_at, s.billed_to)
      and (s.ends_at is null or s.ends_at > greatest(s.starts_at, m.starts_at))
    group by 1
  )
  select coalesce(jsonb_agg(
    jsonb_build_object(
      'period', c.period, 'statements', c.statements, 'fees', coalesce(f.fees, 0))
    order by c.period), '[]')
  into months from counted c left join fees f using (period);
end $$;
