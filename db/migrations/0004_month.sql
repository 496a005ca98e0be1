-- The month: runs and the key ranges they are made of, statements, and the functions that close
-- wallets into them. A month is each wallet's own calendar month; by `recorded_at`, which is
-- assigned under the wallet's lock and never decreases, every event falls into exactly one.

create domain billing_period as text collate "C"
  check (value ~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])$');

create function next_period(p_period billing_period) returns billing_period
language sql immutable strict parallel safe as $$
  select case when right(p_period, 2) = '12'
    then (left(p_period, 4)::int + 1)::text || '-01'
    else left(p_period, 5) || lpad((right(p_period, 2)::int + 1)::text, 2, '0')
  end
$$;

create function previous_period(p_period billing_period) returns billing_period
language sql immutable strict parallel safe as $$
  select case when right(p_period, 2) = '01'
    then (left(p_period, 4)::int - 1)::text || '-12'
    else left(p_period, 5) || lpad((right(p_period, 2)::int - 1)::text, 2, '0')
  end
$$;

-- When the month begins on a wall clock, wherever the wall.
create function period_wall_clock(p_period billing_period) returns timestamp
language sql immutable strict parallel safe as $$
  select make_timestamp(left(p_period, 4)::int, right(p_period, 2)::int, 1, 0, 0, 0)
$$;

-- When the month ends in a time zone; the instant at which the next one begins there.
create function period_ends_at(p_period billing_period, p_timezone text) returns timestamptz
language sql immutable strict parallel safe as $$
  select period_wall_clock(next_period(p_period)) at time zone p_timezone
$$;

-- The month that an instant belongs to in a time zone. Where clocks are set back across midnight
-- of the 1st (Havana in 2026), the wall says the new month twice and the month begins the second
-- time, so what the wall says is checked against the month's own beginning.
create function period_of(p_at timestamptz, p_timezone text) returns billing_period
language plpgsql stable strict parallel safe as $$
declare
  on_the_wall constant billing_period := to_char(p_at at time zone p_timezone, 'YYYY-MM');
begin
  return case when p_at < period_wall_clock(on_the_wall) at time zone p_timezone
    then previous_period(on_the_wall) else on_the_wall end;
end $$;

-- Whether the month has ended anywhere on earth: its end comes first at UTC+14.
create function period_is_over(p_period billing_period) returns boolean
language sql volatile strict as $$
  select period_wall_clock(next_period(p_period)) at time zone interval '14 hours' <= ledger_now()
$$;

-- Closing a month computes with every wallet's time zone, so an unknown one must not get in.
create function refuse_unknown_timezone() returns trigger
language plpgsql as $$
begin
  perform now() at time zone new.timezone;
  return new;
end $$;
create trigger wallets_timezone_known
  before insert or update of timezone on wallets
  for each row execute function refuse_unknown_timezone();

create index wallets_opening on wallets (opened_at);

-- One run a period. Whether it is finished is a fact about its ranges, told by month_status: a
-- status column here would be one row that all ranges wait for, or one that two last ranges forget.
create table billing_runs (
  id uuid primary key,
  period billing_period not null unique,
  requested_by text not null check (requested_by ~ '^[a-z_]+:[[:print:]]{1,200}$'),
  started_at timestamptz not null,
  -- When the scheduler was last told of this run.
  emitted_at timestamptz not null,
  -- Wallets up to this id are in ranges; the highest id of all once the plan is complete.
  planned_to uuid not null default '00000000-0000-0000-0000-000000000000'
);

-- Wallets whose id is above `from` and not above `to`. The ranges of a run cover all ids, so a
-- wallet that is opened while its month still goes on in its time zone has a range too.
create table billing_ranges (
  run_id uuid not null references billing_runs,
  from_wallet_id uuid not null,
  to_wallet_id uuid not null check (to_wallet_id > from_wallet_id),
  planned_at timestamptz not null,
  attempts int not null default 0,
  attempted_at timestamptz,
  -- Wallets of this range as its last attempt left them.
  closed int not null default 0,
  failed int not null default 0,
  pending int not null default 0,
  -- The newest failure's SQLSTATE; billing_failures has each wallet's.
  last_error text,
  -- When there will be something to do: a time zone's month ends, or failures are tried again.
  -- Null when nothing is left.
  due_at timestamptz,
  finished_at timestamptz,
  primary key (run_id, from_wallet_id)
);
create index billing_ranges_due on billing_ranges (run_id, due_at) where due_at is not null;

-- Wallets that could not be closed in a run; those that have the period's statement by now were
-- closed by a later attempt.
create table billing_failures (
  run_id uuid not null references billing_runs,
  wallet_id uuid not null,
  sqlstate text not null,
  message text not null,
  attempts int not null default 1,
  failed_at timestamptz not null,
  primary key (run_id, wallet_id)
);

-- One sequence for all: a number is never used twice, and a closing that was rolled back leaves a
-- gap. A counter without gaps would make all ranges of a month wait for each other, and a
-- statement is no tax invoice: nobody is owed gapless numbers.
create sequence statement_numbers;
create function next_statement_number(p_period billing_period) returns text
language sql volatile as $$
  select p_period || '-' || lpad(n::text, greatest(6, length(n::text)), '0')
  from nextval('statement_numbers') n
$$;

create table statements (
  wallet_id uuid not null,
  period billing_period not null,
  number text not null unique,
  -- The wallet's calendar month, half-open.
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  currency text not null references currencies (code),
  opening_balance_micros bigint not null,
  closing_balance_micros bigint not null,
  -- What moved the balance, signed as it moved it.
  top_ups_micros bigint not null,
  grants_micros bigint not null,
  usage_micros bigint not null,
  fees_micros bigint not null,
  refunds_micros bigint not null,
  other_micros bigint not null,
  -- The closing state beside the balance.
  held_micros bigint not null,
  arrears_micros bigint not null,
  -- Usage that was charged, by type: [{type, count, units, amountMicros}].
  lines jsonb not null check (jsonb_typeof(lines) = 'array'),
  -- Usage that was reserved in a deferred wallet, in the same form, and what its settlement
  -- deducts in the next period.
  accrued_lines jsonb not null check (jsonb_typeof(accrued_lines) = 'array'),
  accrued_micros bigint not null check (accrued_micros >= 0),
  -- First and last event, both inclusive; a month without events has from_seq = to_seq + 1.
  from_seq bigint not null check (from_seq >= 1),
  to_seq bigint not null check (to_seq >= from_seq - 1),
  -- The wallet's chain at to_seq.
  head_hash bytea not null check (octet_length(head_hash) = 32),
  closed_at timestamptz not null check (closed_at >= ends_at),
  -- Where this statement says that it goes on; the foreign key below makes the claim true.
  previous_period billing_period generated always as (previous_period(period)) stored,
  previous_to_seq bigint generated always as (nullif(from_seq - 1, 0)) stored,
  primary key (wallet_id, period),
  constraint statements_add_up check (
    opening_balance_micros + top_ups_micros + grants_micros + usage_micros + fees_micros
      + refunds_micros + other_micros = closing_balance_micros
  ),
  constraint statements_start_from_zero check (
    from_seq > 1 or (opening_balance_micros = 0 and to_seq >= 1)
  ),
  constraint statements_state_key
    unique (wallet_id, period, to_seq, closing_balance_micros, ends_at),
  constraint statements_follow_previous
    foreign key (wallet_id, previous_period, previous_to_seq, opening_balance_micros, starts_at)
    references statements (wallet_id, period, to_seq, closing_balance_micros, ends_at),
  constraint statements_close_on_event
    foreign key (wallet_id, to_seq, closing_balance_micros, held_micros, arrears_micros)
    references wallet_events (wallet_id, seq, balance_micros, held_micros, arrears_micros)
);
-- The first statement has no previous one to point at, so there can be only one.
create unique index statements_begin_once on statements (wallet_id) where from_seq = 1;

create trigger statements_append_only
  before update or delete or truncate on statements
  for each statement execute function refuse_ledger_change();

-- The owner's original name for what a wallet was billed.
create view monthly_billings as
select s.number as id, w.user_id, s.wallet_id, s.period as billing_period, s.currency,
       s.opening_balance_micros, s.usage_micros, s.accrued_micros, s.closing_balance_micros,
       s.closed_at
from statements s
join wallets w on w.id = s.wallet_id;

-- The column of the statement that an event's change of the balance is summed in.
create function statement_movement(p_type text) returns text
language sql immutable strict parallel safe as $$
  select case p_type
    when 'top_up' then 'top_ups'
    when 'grant' then 'grants'
    when 'charge' then 'usage'
    when 'accrual_settled' then 'usage'
    else 'other'
  end
$$;

-- The oldest month that has no statement, ended or not. Internal.
create function next_statement_period(w wallets) returns billing_period
language sql stable as $$
  select coalesce(
    (select next_period(max(s.period)) from statements s where s.wallet_id = w.id),
    period_of(w.opened_at, w.timezone)
  )
$$;

-- What the events after one and up to another make of a statement: the movements of the balance, and
-- lines of usage, charged or reserved. `ledger -- verify` computes statements anew with it.
create function statement_sums(p_wallet_id uuid, p_after_seq bigint, p_to_seq bigint)
returns table (
  top_ups numeric, grants numeric, usage numeric, fees numeric, refunds numeric, other numeric,
  accrued numeric, lines jsonb, accrued_lines jsonb
)
language sql stable as $$
  select
    coalesce(sum(g.balance) filter (where g.movement = 'top_ups'), 0),
    coalesce(sum(g.balance) filter (where g.movement = 'grants'), 0),
    coalesce(sum(g.balance) filter (where g.movement = 'usage'), 0),
    coalesce(sum(g.balance) filter (where g.movement = 'fees'), 0),
    coalesce(sum(g.balance) filter (where g.movement = 'refunds'), 0),
    coalesce(sum(g.balance) filter (where g.movement = 'other'), 0),
    coalesce(sum(g.held) filter (where g.lines = 'accrued'), 0),
    coalesce(jsonb_agg(g.line order by g.usage_type) filter (where g.lines = 'charged'), '[]'),
    coalesce(jsonb_agg(g.line order by g.usage_type) filter (where g.lines = 'accrued'), '[]')
  from (
    select m.movement, l.lines, t.usage_type, sum(t.balance) as balance, sum(t.held) as held,
           jsonb_build_object(
             'type', t.usage_type, 'count', sum(t.count), 'units', sum(t.units),
             -- What was taken, or reserved, and what is owed.
             'amountMicros',
             sum(t.arrears + case when l.lines = 'accrued' then t.held else -t.balance end)::text
           ) as line
    from (
      -- Most of the work is reading each event's JSON, so it is read once.
      select e.type, d.usage is not null as tells_usage,
             coalesce(d.usage ->> 'type', 'other') as usage_type,
             -- An event that says what had been billed before corrects usage that was counted.
             count(*) filter (where d."alreadyBilledMicros" is null) as count,
             sum(case when json_typeof(d.units) = 'number' then d.units::text::numeric else 0 end)
               as units,
             sum(e.balance_delta_micros) as balance, sum(e.held_delta_micros) as held,
             sum(e.arrears_delta_micros) as arrears
      from wallet_events e
      cross join lateral json_to_record(e.detail)
        as d (usage json, units json, "alreadyBilledMicros" json)
      where e.wallet_id = p_wallet_id and e.seq > p_after_seq and e.seq <= p_to_seq
      group by 1, 2, 3
    ) t
    cross join lateral (select statement_movement(t.type) as movement) m
    cross join lateral (
      select case
        when t.type = 'accrual' then 'accrued'
        -- Other events that take money for usage, such as a settlement, tell of none themselves.
        when t.type = 'charge' or m.movement = 'usage' and t.tells_usage then 'charged'
      end as lines
    ) l
    group by m.movement, l.lines, t.usage_type
  ) g
$$;

-- The months are closed without keeping anybody from using the wallets. First a fence is put up,
-- in a transaction of its own: each wallet's `updated_at`, which no event is recorded before, is
-- moved under the wallet's lock past the end of the month; an event that is under way has the lock
-- and is waited for. What the month holds then can change no more, so it is read without locks.
-- Only a deferred wallet is locked again, when the month is written, to settle what it reserved.

-- Wallets of a range that lack the statement of a month, the period or one before it, that had
-- ended by then. Internal.
create function due_wallets(
  p_from_wallet_id uuid, p_to_wallet_id uuid, p_period billing_period, p_at timestamptz
) returns uuid[]
language sql stable as $$
  with unbilled as materialized (
    -- Statements have no gaps, so whoever has this period's lacks none before it.
    select w from wallets w
    where w.id > p_from_wallet_id and w.id <= p_to_wallet_id and not exists (
      select from statements s where s.wallet_id = w.id and s.period = p_period)
  ), missing as materialized (
    select (w).id, (w).timezone, next_statement_period(w) as period from unbilled
  )
  select coalesce(array_agg(id order by id), '{}')
  from missing
  where period <= p_period and period_ends_at(period, timezone) <= p_at
$$;

-- Puts up the fence at an instant before those of the wallets that are not in use, or, when told to
-- wait, before all. Internal.
create function fence_wallets(p_wallet_ids uuid[], p_at timestamptz, p_wait boolean)
returns void
language plpgsql as $$
declare
  locked uuid[];
begin
  if p_wait then
    select array_agg(id) into locked from (
      select id from wallets where id = any (p_wallet_ids) and updated_at < p_at
      order by id for no key update
    ) w;
  else
    select array_agg(id) into locked from (
      select id from wallets where id = any (p_wallet_ids) and updated_at < p_at
      order by id for no key update skip locked
    ) w;
  end if;
  update wallets set updated_at = p_at where id = any (locked);
end $$;

-- Writes one month's statements of those of the wallets that come next to it, have ended it by
-- `p_now` and stand behind the fence; returns whom it closed. Locks no wallet. Internal.
create function write_statements(p_wallet_ids uuid[], p_period billing_period, p_now timestamptz)
returns uuid[]
language sql as $$
  with due as (
    select w.id, w.currency, ends.at as ends_at,
           coalesce(p.ends_at, period_wall_clock(p_period) at time zone w.timezone) as starts_at,
           coalesce(p.to_seq, 0) as after_seq,
           coalesce(p.closing_balance_micros, 0) as opening_balance_micros
    from wallets w
    cross join lateral (select period_ends_at(p_period, w.timezone) as at) ends
    left join statements p on p.wallet_id = w.id and p.period = previous_period(p_period)
    where w.id = any (p_wallet_ids) and ends.at <= least(p_now, w.updated_at)
      and next_statement_period(w) = p_period
  ), bounded as (
    select due.*, seq_before(id, ends_at) as to_seq from due
  ), written as (
    insert into statements (
      wallet_id, period, number, starts_at, ends_at, currency,
      opening_balance_micros, closing_balance_micros, top_ups_micros, grants_micros, usage_micros,
      fees_micros, refunds_micros, other_micros, held_micros, arrears_micros,
      lines, accrued_lines, accrued_micros, from_seq, to_seq, head_hash, closed_at
    )
    select b.id, p_period, next_statement_number(p_period),
           b.starts_at, b.ends_at, b.currency, b.opening_balance_micros, head.balance_micros,
           t.top_ups, t.grants, t.usage, t.fees, t.refunds, t.other,
           head.held_micros, head.arrears_micros,
           t.lines, t.accrued_lines, t.accrued, b.after_seq + 1, b.to_seq, head.hash, p_now
    from bounded b
    join wallet_events head on head.wallet_id = b.id and head.seq = b.to_seq
    cross join lateral statement_sums(b.id, b.after_seq, b.to_seq) t
    order by b.id
    -- A later period's run, which catches this month up, may have been as fast.
    on conflict (wallet_id, period) do nothing
    returning wallet_id
  )
  select coalesce(array_agg(wallet_id), '{}') from written
$$;

-- Statements of the wallets whose reserved usage has not been debited, by the month's key. Internal.
create function unsettled_statements(
  p_wallet_ids uuid[], p_from billing_period, p_to billing_period
) returns setof statements
language sql stable as $$
  select s.* from statements s
  where s.wallet_id = any (p_wallet_ids) and s.period between p_from and p_to
    and s.accrued_micros > 0 and not exists (
      select from wallet_events e
      where e.wallet_id = s.wallet_id and e.key = ledger_key('settlement', s.period))
$$;

-- Closes every missing month of wallets behind the fence that had ended by the fence's instant,
-- oldest first, up to the period. Internal.
create function close_fenced_wallets(
  p_wallet_ids uuid[], p_period billing_period, p_fenced_at timestamptz
) returns void
language plpgsql as $$
declare
  first_month billing_period;
  month billing_period;
begin
  select min(next_statement_period(w)) into first_month
  from wallets w where w.id = any (p_wallet_ids);
  month := first_month;
  while month <= p_period loop
    perform write_statements(p_wallet_ids, month, p_fenced_at);
    month := next_period(month);
  end loop;

  -- What deferred wallets reserved is debited, last of all, so that no lock outlives it for long.
  perform from wallets
  where id in (select wallet_id from unsettled_statements(p_wallet_ids, first_month, p_period))
  order by id for no key update;
  if found then
    month := first_month;
    while month <= p_period loop
      perform append_event(
        w, 'accrual_settled', -s.accrued_micros, -s.accrued_micros, 0,
        ledger_key('settlement', month),
        sha256(convert_to(w.id || E'\n' || month || E'\n' || s.accrued_micros, 'UTF8')),
        'system:month', null, json_build_object('period', month, 'statement', s.number)
      )
      from unsettled_statements(p_wallet_ids, month, month) s
      join wallets w on w.id = s.wallet_id;
      month := next_period(month);
    end loop;
  end if;
end $$;

-- Closes wallets at once, under their locks. Internal.
create function close_wallets(p_wallet_ids uuid[], p_period billing_period, p_now timestamptz)
returns void
language plpgsql as $$
begin
  perform fence_wallets(p_wallet_ids, p_now, true);
  perform close_fenced_wallets(p_wallet_ids, p_period, p_now);
end $$;

-- Whether all ids are in ranges and all ranges are finished. Internal.
create function is_finished(r billing_runs) returns boolean
language sql stable as $$
  select r.planned_to = 'ffffffff-ffff-ffff-ffff-ffffffffffff' and not exists (
    select from billing_ranges g where g.run_id = r.id and g.finished_at is null)
$$;

-- Starts the run of a period, or finds it. Codes: OK, PERIOD_NOT_OVER.
create function request_month(
  p_period text, p_actor text, out code text, out run_id uuid, out finished boolean
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  called_at constant timestamptz := ledger_now();
begin
  if not period_is_over(p_period) then
    code := 'PERIOD_NOT_OVER';
    return;
  end if;
  insert into billing_runs (id, period, requested_by, started_at, emitted_at)
  values (gen_random_uuid(), p_period, p_actor, called_at, called_at)
  on conflict (period) do nothing;
  select r.id, is_finished(r) into run_id, finished from billing_runs r where r.period = p_period;
  code := 'OK';
end $$;

-- A page of the run's ranges that still have work, of at most `p_limit` ranges behind the cursor,
-- planning them first where they are not planned yet. The next cursor is null on the last page.
create function plan_month(
  p_run_id uuid, p_cursor uuid, p_limit int, out ranges jsonb, out next_cursor uuid
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  -- A range has at most so many wallets, and so many events to add up, but for its last wallet's.
  wallets_per_range constant int := 1000;
  events_per_range constant int := 500000;
  highest_id constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  called_at constant timestamptz := ledger_now();
  page_start constant uuid := coalesce(p_cursor, '00000000-0000-0000-0000-000000000000');
  run billing_runs;
  missing int;
begin
  select * into run from billing_runs where id = p_run_id for no key update;
  if not found then
    raise exception 'there is no billing run %', p_run_id using errcode = 'no_data_found';
  end if;
  if p_limit is null or p_limit < 1 then
    raise exception 'a page has at least one range' using errcode = 'invalid_parameter_value';
  end if;

  select p_limit - count(*) into missing from (
    select from billing_ranges where run_id = run.id and from_wallet_id >= page_start limit p_limit
  ) planned;
  if missing > 0 and run.planned_to < highest_id then
    with weighed as (
      -- A wallet with few events still weighs its share of the wallets. With months to catch up it
      -- weighs all its events.
      select w.id, greatest(w.seq - coalesce(p.to_seq, 0), events_per_range / wallets_per_range)
               as weight
      from wallets w
      left join statements p on p.wallet_id = w.id and p.period = previous_period(run.period)
      where w.id > run.planned_to
      order by w.id limit missing::bigint * wallets_per_range
    ), bounds as (
      -- A range ends with the wallet that fills it.
      select id from (
        select id, weight, sum(weight) over (order by id) as weight_so_far from weighed
      ) counted
      where div(weight_so_far, events_per_range) > div(weight_so_far - weight, events_per_range)
      order by id limit missing
    ), ends as (
      select id from bounds
      union all
      select highest_id where (select count(*) from bounds) < missing
    ), planned as (
      insert into billing_ranges (run_id, from_wallet_id, to_wallet_id, planned_at, due_at)
      select run.id, lag(id, 1, run.planned_to) over (order by id), id,
             called_at, called_at
      from ends
      returning to_wallet_id
    )
    update billing_runs
    set planned_to = (select to_wallet_id from planned order by to_wallet_id desc limit 1)
    where id = run.id;
  end if;

  select coalesce(
           jsonb_agg(jsonb_build_object('fromWalletId', from_wallet_id, 'toWalletId', to_wallet_id)
                     order by from_wallet_id)
             filter (where finished_at is null or due_at <= called_at), '[]'),
         nullif((array_agg(to_wallet_id order by to_wallet_id desc))[1], highest_id)
  into ranges, next_cursor
  from (
    select * from billing_ranges where run_id = run.id and from_wallet_id >= page_start
    order by from_wallet_id limit p_limit
  ) page;
end $$;

-- Errors that say nothing of a wallet: the whole call is to be tried again.
create function is_passing_error(p_sqlstate text) returns boolean
language sql immutable strict parallel safe as $$
  -- Deadlocks and the like, no resources, an operator, the system; a lock that was not free.
  select left(p_sqlstate, 2) in ('40', '53', '57', '58') or p_sqlstate = '55P03'
$$;

-- Puts up the fence for the wallets of a range that have a month to close, to be called in a transaction of its own, before
-- close_range. The first call, with null, waits for nobody: `in_use` counts the wallets that it
-- passed over. A second call, with the first one's instant, waits for those, and holds no others.
create function fence_range(
  p_period text, p_from_wallet_id uuid, p_to_wallet_id uuid, p_fenced_at timestamptz,
  out fenced_at timestamptz, out in_use int
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set jit = off as $$
declare
  called_at constant timestamptz := ledger_now();
  due uuid[];
begin
  if p_fenced_at > called_at then
    raise exception 'a fence cannot be put up in the future' using errcode = 'invalid_parameter_value';
  end if;
  fenced_at := coalesce(p_fenced_at, called_at);
  due := due_wallets(p_from_wallet_id, p_to_wallet_id, p_period, fenced_at);
  perform fence_wallets(due, fenced_at, p_fenced_at is not null);
  select count(*) into in_use from wallets w
  where w.id = any (due) and w.updated_at < fence_range.fenced_at;
end $$;

-- Closes the wallets of a planned range that stand behind its fence, or one of them, and says how
-- many of those that have lived in the period are closed, could not be closed, or wait, mostly for
-- their month's end. When one of many cannot be closed, none is: `apart` then lists them all, to be
-- closed one by one, each in a transaction of its own. Safe to call again, at any time.
create function close_range(
  p_run_id uuid, p_period text, p_from_wallet_id uuid, p_to_wallet_id uuid,
  p_fenced_at timestamptz, p_wallet_id uuid,
  out closed int, out failed int, out pending int, out apart jsonb
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set jit = off as $$
declare
  called_at constant timestamptz := ledger_now();
  month_end constant timestamp := period_wall_clock(next_period(p_period));
  -- After this no wallet can be opened in the month any more: it has ended at UTC-12 too.
  over_everywhere_at constant timestamptz := month_end at time zone interval '-12 hours';
  due uuid[];
  next_end timestamptz;
  failures int;
begin
  -- Two calls at once go one after the other, so that neither adds up what the other did.
  perform from billing_ranges g join billing_runs r on r.id = g.run_id
  where r.id = p_run_id and r.period = p_period
    and g.from_wallet_id = p_from_wallet_id and g.to_wallet_id = p_to_wallet_id
  for no key update of g;
  if not found then
    raise exception 'run % of % has no such range', p_run_id, p_period
      using errcode = 'no_data_found';
  end if;

  select coalesce(array_agg(w.id order by w.id), '{}') into due
  from wallets w
  where w.id = any (due_wallets(p_from_wallet_id, p_to_wallet_id, p_period, p_fenced_at))
    and w.updated_at >= p_fenced_at and (p_wallet_id is null or w.id = p_wallet_id);
  apart := '[]';
  begin
    perform close_fenced_wallets(due, p_period, p_fenced_at);
  exception when others then
    if is_passing_error(sqlstate) then
      raise;
    end if;
    if cardinality(due) > 1 then
      apart := to_jsonb(due);
    else
      insert into billing_failures as f (run_id, wallet_id, sqlstate, message, failed_at)
      values (p_run_id, due[1], sqlstate, sqlerrm, called_at)
      on conflict (run_id, wallet_id) do update set
        sqlstate = excluded.sqlstate, message = excluded.message,
        attempts = f.attempts + 1, failed_at = excluded.failed_at;
    end if;
  end;

  select count(s.wallet_id),
         count(f.wallet_id) filter (where s.wallet_id is null),
         count(*) filter (where s.wallet_id is null and f.wallet_id is null),
         min(month_end at time zone w.timezone)
           filter (where s.wallet_id is null and f.wallet_id is null),
         max(f.attempts) filter (where s.wallet_id is null)
  into closed, failed, pending, next_end, failures
  from wallets w
  left join statements s on s.wallet_id = w.id and s.period = p_period
  left join billing_failures f on f.run_id = p_run_id and f.wallet_id = w.id
  where w.id > p_from_wallet_id and w.id <= p_to_wallet_id
    and w.opened_at < month_end at time zone w.timezone;

  update billing_ranges g set
    attempts = g.attempts + (p_wallet_id is null)::int, attempted_at = called_at,
    closed = close_range.closed, failed = close_range.failed, pending = close_range.pending,
    last_error = case when close_range.failed > 0 then (
      select f.sqlstate from billing_failures f
      where f.run_id = p_run_id and f.wallet_id > p_from_wallet_id
        and f.wallet_id <= p_to_wallet_id
      order by f.failed_at desc limit 1) end,
    -- Failures are tried again ever more rarely, at last every five hours.
    due_at = least(
      next_end,
      case when close_range.failed > 0
        then called_at + interval '5 minutes' * power(2, least(failures - 1, 6)) end,
      case when called_at < over_everywhere_at then over_everywhere_at end),
    finished_at = case when close_range.failed + close_range.pending = 0
      then coalesce(g.finished_at, called_at) end
  where g.run_id = p_run_id and g.from_wallet_id = p_from_wallet_id;
end $$;

-- How a period stands: its run, and the wallets that have lived in it.
create function month_status(
  p_period text,
  out run_id uuid, out status text, out started_at timestamptz, out finished_at timestamptz,
  out total bigint, out billed bigint, out failed bigint, out pending bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set jit = off as $$
declare
  month_end constant timestamp := period_wall_clock(next_period(p_period));
begin
  select r.id, r.started_at, case when is_finished(r) then 'finished' else 'running' end
  into run_id, started_at, status
  from billing_runs r where r.period = p_period;
  status := coalesce(status, 'not_started');
  if status = 'finished' then
    select max(g.finished_at) into finished_at
    from billing_ranges g where g.run_id = month_status.run_id;
  end if;

  select count(*), count(s.wallet_id), count(f.wallet_id) filter (where s.wallet_id is null)
  into total, billed, failed
  from wallets w
  left join statements s on s.wallet_id = w.id and s.period = p_period
  left join billing_failures f on f.run_id = month_status.run_id and f.wallet_id = w.id
  where w.opened_at < month_end at time zone w.timezone;
  pending := total - billed - failed;
end $$;

-- What closing a period would do now, and nothing done: statements by month, oldest first.
-- PERIOD_NOT_OVER is the only refusal, as in request_month.
create function preview_month(p_period text, out code text, out months jsonb)
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
    select to_char(month, 'YYYY-MM') as period, count(*) as statements
    from unbilled
    cross join lateral generate_series(
      period_wall_clock(next_statement_period(w)), period_wall_clock(p_period), interval '1 month'
    ) as month
    where (month + interval '1 month') at time zone (w).timezone <= called_at
    group by 1
  )
  select coalesce(jsonb_agg(
    jsonb_build_object('period', m.period, 'statements', m.statements) order by m.period), '[]')
  into months from missing m;
end $$;

-- Months that the scheduler is to be told of, oldest first: those through `p_due_through` that no
-- run was started for, and runs with due work that has not moved for `p_quiet`. Each is handed to
-- one caller only, and not again before it has been quiet for as long.
create function claim_months(p_due_through text, p_quiet interval, p_actor text)
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
    where not exists (select from billing_runs r where r.period = to_char(month, 'YYYY-MM'))
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

grant select on billing_runs, billing_ranges, billing_failures, statements, monthly_billings
  to wallet_app;
grant execute on function
  request_month(text, text), plan_month(uuid, uuid, int),
  fence_range(text, uuid, uuid, timestamptz),
  close_range(uuid, text, uuid, uuid, timestamptz, uuid), month_status(text), preview_month(text),
  claim_months(text, interval, text)
  to wallet_app;
