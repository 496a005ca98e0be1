-- Prices may depend on what a wallet has used this month. Node prices with the units that it has
-- read, and the charge is taken only if they are still those: under the wallet's lock nothing else can
-- use any.

create table monthly_units (
  wallet_id uuid not null references wallets (id),
  -- The type of usage and the id of the rule.
  counter text not null check (length(counter) between 1 and 100),
  -- Of the calendar month that its units belong to, in the wallet's time zone.
  month_starts_at timestamptz not null,
  units bigint not null check (units >= 0),
  primary key (wallet_id, counter)
);
create trigger monthly_units_never_deleted before delete or truncate on monthly_units
  for each statement execute function refuse_ledger_change();
grant select on monthly_units to wallet_app;

-- The month that what is recorded now belongs to.
create function month_now(w wallets) returns timestamptz language sql stable as $$
  select starts_at from limit_window('month', greatest(ledger_now(), w.updated_at), w.timezone)
$$;

-- Every counter of a wallet that has counted anything this month.
create function units_this_month(w wallets) returns jsonb language sql stable as $$
  select coalesce(jsonb_object_agg(counter, units), '{}') from monthly_units
  where wallet_id = w.id and month_starts_at = month_now(w)
$$;
grant execute on function month_now(wallets), units_this_month(wallets) to wallet_app;

-- The units of its counter that usage was not priced with, when these are no longer so many. Null when
-- its price does not depend on them, or is right. Internal.
create function moved_units(w wallets, p_detail jsonb) returns bigint language sql stable as $$
  select m.units
  from (select p_detail #> '{breakdown,price,monthly}' as monthly) p
  cross join lateral (
    select coalesce((units_this_month(w) ->> (p.monthly ->> 'counter'))::bigint, 0) as units
  ) m
  where (p.monthly ->> 'unitsBefore')::bigint <> m.units
$$;

-- The refusal of usage that was priced with other units than the wallet has used. Internal.
create function units_moved(w wallets, p_amount_micros bigint, p_units bigint) returns ledger_outcome
language plpgsql immutable as $$
declare
  outcome ledger_outcome := refusal_of('UNITS_MOVED', w, p_amount_micros);
begin
  outcome.detail := json_build_object('unitsThisMonth', p_units);
  return outcome;
end $$;

-- What an event adds to the units of the month, and to which counter; nothing for most. What corrects
-- a bill adds what it bills beyond the first; nothing is ever taken away.
create function counted_units(e wallet_events, out counter text, out units bigint)
language plpgsql immutable parallel safe as $$
begin
  if e.type not in ('charge', 'accrual', 'hold_captured', 'hold_expired')
     -- Reading a detail's text costs a fifth of taking it apart.
     or strpos(e.detail::text, '"monthly"') = 0 then
    return;
  end if;
  counter := e.detail #>> '{breakdown,price,monthly,counter}';
  units := greatest(0, (e.detail #>> '{breakdown,price,billedUnits}')::bigint
                       - coalesce((e.detail ->> 'alreadyCountedUnits')::bigint, 0));
end $$;
grant execute on function counted_units(wallet_events) to wallet_app;

-- Counts an event that may tell of such units. Internal.
create function count_units(w wallets, e wallet_events) returns void language plpgsql as $$
declare
  counted record;
begin
  counted := counted_units(e);
  if counted.counter is not null then
    insert into monthly_units as m (wallet_id, counter, month_starts_at, units)
    values (w.id, counted.counter, month_now(w), counted.units)
    on conflict (wallet_id, counter) do update set
      units = excluded.units
        + case when m.month_starts_at = excluded.month_starts_at then m.units else 0 end,
      month_starts_at = excluded.month_starts_at;
  end if;
end $$;

-- Appends an event as before, and counts what it spends of the limits. Internal.
create or replace function append_event(
  inout w wallets,
  p_type text,
  p_balance_delta_micros bigint,
  p_held_delta_micros bigint,
  p_arrears_delta_micros bigint,
  p_key uuid,
  p_request_hash bytea,
  p_actor text,
  p_occurred_at timestamptz,
  p_detail json,
  p_grants jsonb default null
)
language plpgsql as $$
declare
  e wallet_events;
begin
  -- recorded_at grows with seq even when the machine's clock steps back.
  w.updated_at := greatest(ledger_now(), w.updated_at);
  w.seq := w.seq + 1;
  w.balance_micros := w.balance_micros + p_balance_delta_micros;
  w.held_micros := w.held_micros + p_held_delta_micros;
  w.arrears_micros := w.arrears_micros + p_arrears_delta_micros;
  if p_grants is not null then
    update grants g set
      left_micros = g.left_micros + case when p_type = 'usage_refund' then p.micros else -p.micros end
    from (
      -- A hold may have burned a grant in several parts, which come back together.
      select seq, sum(micros) as micros
      from jsonb_to_recordset(p_grants) as p (seq bigint, micros bigint) group by seq
    ) p
    where g.wallet_id = w.id and g.seq = p.seq;
    w.grants_micros := w.grants_micros
      + case when p_type = 'usage_refund' then 1 else -1 end * parts_total(p_grants);
  end if;

  e.wallet_id := w.id;
  e.seq := w.seq;
  e.type := p_type;
  e.balance_delta_micros := p_balance_delta_micros;
  e.held_delta_micros := p_held_delta_micros;
  e.arrears_delta_micros := p_arrears_delta_micros;
  e.balance_micros := w.balance_micros;
  e.held_micros := w.held_micros;
  e.arrears_micros := w.arrears_micros;
  e.overdraft_limit_micros := w.overdraft_limit_micros;
  e.key := p_key;
  e.request_hash := p_request_hash;
  e.actor := p_actor;
  e.occurred_at := coalesce(p_occurred_at, w.updated_at);
  e.recorded_at := w.updated_at;
  e.detail := p_detail;
  w.head_hash := event_hash(w.head_hash, e);

  insert into wallet_events (
    wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
    balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
    actor, occurred_at, recorded_at, detail, hash
  ) values (
    e.wallet_id, e.seq, e.type, e.balance_delta_micros, e.held_delta_micros,
    e.arrears_delta_micros, e.balance_micros, e.held_micros, e.arrears_micros,
    e.overdraft_limit_micros, e.key, e.request_hash, e.actor, e.occurred_at, e.recorded_at,
    e.detail, w.head_hash
  );

  -- A wallet's first event comes before its row, which is inserted on it.
  update wallets set
    balance_micros = w.balance_micros, held_micros = w.held_micros,
    arrears_micros = w.arrears_micros, seq = w.seq, head_hash = w.head_hash,
    grants_micros = w.grants_micros, updated_at = w.updated_at
  where id = w.id;
  if w.limited then
    perform count_usage(w, e);
  end if;
  if strpos(p_detail::text, '"monthly"') > 0 then
    perform count_units(w, e);
  end if;
end $$;

-- The detail of an event that corrects what a hold billed when it ran out. Its units are the
-- difference too, so that units of several events add up.
create or replace function correction_detail(h holds, p_report jsonb) returns json
language sql immutable parallel safe as $$
  select (hold_link(h) || coalesce(p_report, '{}') || jsonb_build_object(
    'units', coalesce((p_report ->> 'units')::bigint, 0) - h.units_so_far,
    'alreadyBilledMicros', h.billed_micros::text
  ) || jsonb_strip_nulls(jsonb_build_object(
    'alreadyGoodwillMicros', h.report #> '{breakdown,goodwillMicros}',
    'alreadyCountedUnits', case
      when h.report #> '{breakdown,price,monthly,counter}'
         = p_report #> '{breakdown,price,monthly,counter}'
        then h.report #> '{breakdown,price,billedUnits}' end
  )))::json
$$;

-- Places a hold, once per key. `p_amount_micros` is null when no rate was found, so that a replay
-- and the wallet's status still come first.
create or replace function authorize_hold(
  p_wallet_id uuid,
  p_hold_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_reference_id text,
  p_rate_card_id uuid,
  p_usage_type text,
  p_destination text,
  p_ttl_seconds int,
  p_actor text,
  p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  ends_at timestamptz;
  placed_detail json;
begin
  if p_amount_micros < 0 or p_ttl_seconds is null or p_ttl_seconds not between 10 and 86400 then
    raise exception 'a hold is never negative, and lasts from 10 to 86400 seconds'
      using errcode = 'invalid_parameter_value';
  end if;
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status <> 'open' then
    return refusal_of('WALLET_' || upper(w.status), w, p_amount_micros);
  end if;
  if p_amount_micros is null then
    return refusal_of('NO_RATE', w, null);
  end if;
  if p_amount_micros > 1000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
  end if;
  if p_amount_micros > greatest(available_micros(w), 0) then
    return refusal_of('INSUFFICIENT_FUNDS', w, p_amount_micros);
  end if;

  ends_at := date_trunc('milliseconds', ledger_now()) + make_interval(secs => p_ttl_seconds);
  placed_detail := (p_detail || jsonb_build_object(
    'holdId', p_hold_id, 'referenceId', p_reference_id, 'rateCardId', p_rate_card_id,
    'expiresAt', json_instant(ends_at)))::json;
  w := append_event(
    w, 'hold_placed', 0, p_amount_micros, 0, p_key, p_request_hash, p_actor, null, placed_detail
  );
  insert into holds (
    id, wallet_id, reference_id, status, rate_card_id, usage_type, destination, placed_micros,
    ahead_micros, held_micros, ttl_seconds, placed_at, expires_at
  ) values (
    p_hold_id, w.id, p_reference_id, 'open', p_rate_card_id, p_usage_type, p_destination,
    p_amount_micros, p_amount_micros, p_amount_micros, p_ttl_seconds, w.updated_at, ends_at
  );
  if w.next_due_at is null or ends_at < w.next_due_at then
    update wallets set next_due_at = ends_at where id = w.id;
  end if;
  return row(
    'OK', false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, placed_detail
  )::ledger_outcome;
end $$;

-- Charges usage, once per key. `p_amount_micros` is null when no rate was found, so that a replay
-- and the wallet's status still come first. In `arrears` mode the part that the wallet cannot
-- fund is booked as arrears; in `refuse` mode the whole charge is refused.
-- `arrears` is for usage that was delivered already: limits count it and do not refuse it.
-- A deferred wallet's usage is reserved at once and debited when its month is closed.
create or replace function charge_wallet(
  p_wallet_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_overrun text,
  p_occurred_at timestamptz,
  p_actor text,
  p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  called_at timestamptz;
  w wallets;
  outcome ledger_outcome;
  taken bigint;
  tightest limit_standing;
  burned jsonb;
  moved bigint;
  charge_detail json;
begin
  if p_amount_micros < 0 or p_overrun is null or p_overrun not in ('refuse', 'arrears') then
    raise exception 'a charge is never negative, and overrun is refuse or arrears'
      using errcode = 'invalid_parameter_value';
  end if;
  -- Lock first, then look the key up: two calls with one key meet here, not at the unique index.
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  called_at := ledger_now();
  if w.next_due_at <= called_at then
    w := settle_due(w);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if p_amount_micros = 0 and p_detail #> '{breakdown,goodwillMicros}' is not null then
    w := append_event(w, 'goodwill', 0, 0, 0, p_key, p_request_hash, p_actor, p_occurred_at,
                      p_detail);
    return row(
      'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
      available_micros(w), w.updated_at, p_detail
    )::ledger_outcome;
  end if;
  if w.status <> 'open' then
    return refusal_of('WALLET_' || upper(w.status), w, p_amount_micros);
  end if;
  if p_amount_micros is null then
    return refusal_of('NO_RATE', w, null);
  end if;
  if strpos(p_detail::text, '"monthly"') > 0 then
    moved := moved_units(w, p_detail::jsonb);
    if moved is not null then
      return units_moved(w, p_amount_micros, moved);
    end if;
  end if;
  if p_amount_micros > 1000000000000000000 or w.arrears_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
  end if;

  if w.limited and p_overrun = 'refuse' then
    tightest := tightest_limit(w, p_detail #>> '{usage,type}', p_detail #>> '{usage,to}', null);
    if p_amount_micros > tightest.left_micros then
      return limit_refusal(tightest, w, p_amount_micros);
    end if;
  end if;
  taken := least(p_amount_micros, greatest(available_micros(w), 0));
  if taken < p_amount_micros and p_overrun = 'refuse' then
    return refusal_of('INSUFFICIENT_FUNDS', w, p_amount_micros);
  end if;
  burned := burn_of(w, taken, called_at);
  charge_detail := with_field(p_detail, 'grants', burned);
  if w.mode = 'deferred' then
    w := append_event(
      w, 'accrual', 0, taken, p_amount_micros - taken, p_key, p_request_hash, p_actor,
      p_occurred_at, charge_detail, burned
    );
  else
    w := append_event(
      w, 'charge', -taken, 0, p_amount_micros - taken, p_key, p_request_hash, p_actor,
      p_occurred_at, charge_detail, burned
    );
  end if;
  return row(
    'OK', false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, charge_detail
  )::ledger_outcome;
end $$;

-- Places a hold, once per key. `p_amount_micros` is null when no rate was found, so that a replay
-- and the wallet's status still come first.
create or replace function authorize_hold(
  p_wallet_id uuid,
  p_hold_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_reference_id text,
  p_rate_card_id uuid,
  p_usage_type text,
  p_destination text,
  p_ttl_seconds int,
  p_actor text,
  p_detail jsonb,
  p_pricing jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  ends_at timestamptz;
  placed_detail json;
  tightest limit_standing;
  moved bigint;
  pricing jsonb := p_pricing;
  -- It connects whatever the wallet's standing.
  is_goodwill constant boolean := coalesce((p_pricing ->> 'goodwill')::boolean, false);
begin
  if is_goodwill and p_amount_micros is distinct from 0 then
    raise exception 'a hold that is goodwill holds nothing' using errcode = 'invalid_parameter_value';
  end if;
  if p_amount_micros < 0 or p_ttl_seconds is null or p_ttl_seconds not between 10 and 86400 then
    raise exception 'a hold is never negative, and lasts from 10 to 86400 seconds'
      using errcode = 'invalid_parameter_value';
  end if;
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status <> 'open' and not is_goodwill then
    return refusal_of('WALLET_' || upper(w.status), w, p_amount_micros);
  end if;
  if p_amount_micros is null then
    return refusal_of('NO_RATE', w, null);
  end if;
  if p_pricing ? 'unitsThisMonth' then
    moved := moved_units(w, p_detail);
    if moved is not null and not is_goodwill then
      return units_moved(w, p_amount_micros, moved);
    end if;
    -- What its usage is priced with, whichever rule that turns out to need.
    pricing := p_pricing || jsonb_build_object('unitsThisMonth', units_this_month(w));
  end if;
  if p_amount_micros > 1000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
  end if;
  if w.limited then
    tightest := tightest_limit(w, p_usage_type, p_destination, null);
    if p_amount_micros > tightest.left_micros and not is_goodwill then
      return limit_refusal(tightest, w, p_amount_micros);
    end if;
  end if;
  if p_amount_micros > greatest(available_micros(w), 0) and not is_goodwill then
    return refusal_of('INSUFFICIENT_FUNDS', w, p_amount_micros);
  end if;

  ends_at := date_trunc('milliseconds', ledger_now()) + make_interval(secs => p_ttl_seconds);
  placed_detail := (p_detail || jsonb_build_object(
    'holdId', p_hold_id, 'referenceId', p_reference_id, 'rateCardId', p_rate_card_id,
    'pricing', pricing, 'expiresAt', json_instant(ends_at))
    -- How far the limits let it come: a replay says the same.
    || jsonb_strip_nulls(jsonb_build_object('headroomMicros', tightest.left_micros::text)))::json;
  w := append_event(
    w, 'hold_placed', 0, p_amount_micros, 0, p_key, p_request_hash, p_actor, null, placed_detail
  );
  insert into holds (
    id, wallet_id, reference_id, status, rate_card_id, pricing, usage_type, destination, placed_micros,
    ahead_micros, held_micros, ttl_seconds, placed_at, expires_at
  ) values (
    p_hold_id, w.id, p_reference_id, 'open', p_rate_card_id, pricing, p_usage_type, p_destination,
    p_amount_micros, p_amount_micros, p_amount_micros, p_ttl_seconds, w.updated_at, ends_at
  );
  if w.next_due_at is null or ends_at < w.next_due_at then
    update wallets set next_due_at = ends_at where id = w.id;
  end if;
  return row(
    'OK', false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, placed_detail
  )::ledger_outcome;
end $$;

-- Compares what wallets count of the month with the events that were recorded in it.
create function verify_monthly_units(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with counting as materialized (
    -- Of all other wallets no detail is read.
    select m.wallet_id, w.timezone from monthly_units m join wallets w on w.id = m.wallet_id
    where m.wallet_id between p_from and p_to group by 1, 2
  ), told as (
    select c.wallet_id, u.counter, n.starts_at as month_starts_at, sum(u.units) as units,
      max(e.seq) as seq
    from counting c
    join wallet_events e on e.wallet_id = c.wallet_id
    cross join lateral counted_units(e) u
    cross join lateral limit_window('month', e.recorded_at, c.timezone) n
    where u.counter is not null
    group by 1, 2, 3
  ), newest as (
    select distinct on (wallet_id, counter) * from told
    order by wallet_id, counter, month_starts_at desc
  ), problems as (
    select coalesce(m.wallet_id, t.wallet_id) as wallet_id, t.seq, 'MONTHLY_UNITS' as problem,
      format('%s says %s units since %s; its events add up to %s since %s',
        coalesce(m.counter, t.counter), m.units, m.month_starts_at, t.units, t.month_starts_at)
        as message
    from (select * from monthly_units where wallet_id between p_from and p_to) m
    full join newest t on t.wallet_id = m.wallet_id and t.counter = m.counter
    where (m.units, m.month_starts_at) is distinct from (t.units, t.month_starts_at)
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq), '[]')
     from (select * from problems order by wallet_id, seq limit p_limit) l)
$$;
