-- Usage that came after its own month was over stands on the statement of the month in which it was
-- told. That statement says now which of its usage that is.

-- Null on statements of before, which stay as they were closed: none without it can be added.
alter table statements
  add late_lines jsonb check (jsonb_typeof(late_lines) = 'array'),
  add constraint statements_tell_late_usage check (late_lines is not null) not valid;

-- Usage of one type, as statements have it.
create function usage_line(p_type text, p_count numeric, p_units numeric, p_micros numeric)
returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'type', p_type, 'count', p_count, 'units', p_units, 'amountMicros', p_micros::text)
$$;

-- The figures of a statement that begins at an instant, of the events behind one up to another.
-- `late_lines` is the part of the usage, charged or reserved, that occurred before it begins.
drop function statement_sums(uuid, bigint, bigint);
create function statement_sums(
  p_wallet_id uuid, p_after_seq bigint, p_to_seq bigint, p_starts_at timestamptz
) returns table (
  top_ups numeric, grants numeric, usage numeric, fees numeric, refunds numeric, other numeric,
  accrued numeric, lines jsonb, accrued_lines jsonb, late_lines jsonb
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
    coalesce(jsonb_agg(g.line order by g.usage_type) filter (where g.lines = 'accrued'), '[]'),
    coalesce(jsonb_agg(g.late_line order by g.usage_type) filter (where g.has_late), '[]')
  from (
    select m.movement, l.lines, t.usage_type, sum(t.balance) as balance, sum(t.held) as held,
           usage_line(t.usage_type, sum(t.count), sum(t.units), sum(c.micros)) as line,
           l.lines is not null and bool_or(t.is_late) as has_late,
           usage_line(t.usage_type, sum(t.count) filter (where t.is_late),
                      sum(t.units) filter (where t.is_late),
                      sum(c.micros) filter (where t.is_late)) as late_line
    from (
      -- Most of the work is reading each event's JSON, so it is read once.
      select e.type, d.usage is not null as tells_usage,
             coalesce(d.usage ->> 'type', 'other') as usage_type,
             e.occurred_at < p_starts_at as is_late,
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
      group by 1, 2, 3, 4
    ) t
    cross join lateral (select statement_movement(t.type) as movement) m
    cross join lateral (
      select case
        when t.type = 'accrual' then 'accrued'
        -- Other events that take money for usage, such as a settlement, tell of none themselves.
        when t.type = 'charge' or m.movement = 'usage' and t.tells_usage then 'charged'
      end as lines
    ) l
    -- What was taken, or reserved, and what is owed.
    cross join lateral (
      select t.arrears + case when l.lines = 'accrued' then t.held else -t.balance end as micros
    ) c
    group by m.movement, l.lines, t.usage_type
  ) g
$$;

create or replace function write_statements(
  p_wallet_ids uuid[], p_period billing_period, p_now timestamptz
) returns uuid[]
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
      lines, accrued_lines, late_lines, accrued_micros, from_seq, to_seq, head_hash, closed_at
    )
    select b.id, p_period, next_statement_number(p_period),
           b.starts_at, b.ends_at, b.currency, b.opening_balance_micros, head.balance_micros,
           t.top_ups, t.grants, t.usage, t.fees, t.refunds, t.other,
           head.held_micros, head.arrears_micros,
           t.lines, t.accrued_lines, t.late_lines, t.accrued, b.after_seq + 1, b.to_seq, head.hash, p_now
    from bounded b
    join wallet_events head on head.wallet_id = b.id and head.seq = b.to_seq
    cross join lateral statement_sums(b.id, b.after_seq, b.to_seq, b.starts_at) t
    order by b.id
    -- A later period's run, which catches this month up, may have been as fast.
    on conflict (wallet_id, period) do nothing
    returning wallet_id
  )
  select coalesce(array_agg(wallet_id), '{}') from written
$$;

create or replace function verify_wallets(
  p_from uuid, p_to uuid, p_limit int,
  out wallets bigint, out events bigint, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with linked as (
    select e.wallet_id, e.seq, e.type,
      e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
      e.seq <> coalesce(lag(e.seq) over chain, 0) + 1
        or e.seq = 1 and e.type <> 'wallet_opened' as out_of_sequence,
      e.balance_micros - e.balance_delta_micros <> coalesce(lag(e.balance_micros) over chain, 0)
        or e.held_micros - e.held_delta_micros <> coalesce(lag(e.held_micros) over chain, 0)
        or e.arrears_micros - e.arrears_delta_micros <> coalesce(lag(e.arrears_micros) over chain, 0)
        as wrong_total,
      e.recorded_at < lag(e.recorded_at) over chain as back_in_time,
      e.hash <> event_hash(lag(e.hash) over chain, e) as wrong_hash
    from wallet_events e
    where e.wallet_id between p_from and p_to
    window chain as (partition by e.wallet_id order by e.seq)
  ), replayed as (
    select l.wallet_id, count(*) as events, max(l.seq) as seq,
      sum(l.balance_delta_micros) as balance_micros, sum(l.held_delta_micros) as held_micros,
      sum(l.arrears_delta_micros) as arrears_micros,
      array_agg(l.seq order by l.seq) filter (where l.out_of_sequence) as out_of_sequence,
      array_agg(l.seq order by l.seq) filter (where l.wrong_total) as wrong_total,
      array_agg(l.seq order by l.seq) filter (where l.back_in_time) as back_in_time,
      array_agg(l.seq order by l.seq) filter (where l.wrong_hash) as wrong_hash,
      array_agg(l.seq) filter (where l.type = 'top_up') as top_ups,
      max(l.seq) filter (where status_after(l.type) is not null) as status_seq
    from linked l group by l.wallet_id
  ), compared as (
    select coalesce(r.wallet_id, w.id) as wallet_id, r.wallet_id is not null as has_events,
      w.id is not null as has_wallet, r.events,
      r.out_of_sequence, r.wrong_total, r.back_in_time, r.wrong_hash,
      case when w.seq <> r.seq
        then format('the wallet stands on event %s, its last event is %s', w.seq, r.seq) end
        as wrong_seq,
      case when (w.balance_micros, w.held_micros, w.arrears_micros)
             <> (r.balance_micros, r.held_micros, r.arrears_micros)
        then format('the wallet says balance %s, held %s, arrears %s; its events add up to %s, %s, %s',
          w.balance_micros, w.held_micros, w.arrears_micros,
          r.balance_micros, r.held_micros, r.arrears_micros) end as wrong_sum,
      case when w.head_hash <> head.hash
        then 'the wallet''s hash is not that of its last event' end as wrong_head,
      case when opening.seq = 1 and w.currency is distinct from opening.detail ->> 'currency'
        then format('the wallet is in %s, it was opened in %s', w.currency,
          opening.detail ->> 'currency') end as wrong_currency,
      case when opening.seq = 1 and w.user_id is distinct from opening.detail ->> 'userId'
        then 'the wallet is not that of the user whom it was opened for' end as wrong_user,
      case when opening.seq = 1 and w.mode is distinct from opening.detail ->> 'mode'
        then format('the wallet is %s, it was opened as %s', w.mode, opening.detail ->> 'mode') end
        as wrong_mode,
      case when opening.seq = 1 and w.timezone is distinct from opening.detail ->> 'timezone'
        then format('the wallet''s time zone is %s, it was opened in %s', w.timezone,
          opening.detail ->> 'timezone') end as wrong_timezone,
      case when w.overdraft_limit_micros <> head.overdraft_limit_micros
        then format('the wallet''s overdraft limit is %s, its last event''s is %s',
          w.overdraft_limit_micros, head.overdraft_limit_micros) end as wrong_overdraft,
      case when w.status <> status_after(standing.type)
        then format('the wallet is %s, its events leave it %s', w.status,
          status_after(standing.type)) end as wrong_status
    from replayed r
    full join (select * from wallets where id between p_from and p_to) w on w.id = r.wallet_id
    left join wallet_events head on head.wallet_id = r.wallet_id and head.seq = r.seq
    left join wallet_events opening on opening.wallet_id = w.id and opening.seq = 1
    left join wallet_events standing
      on standing.wallet_id = r.wallet_id and standing.seq = r.status_seq
  ), stated as (
    select s.*, lag(s.period) over months as month_before, lag(s.ends_at) over months as end_before,
      coalesce(lag(s.to_seq) over months, 0) as seq_before
    from statements s
    where s.wallet_id between p_from and p_to
    window months as (partition by s.wallet_id order by s.period)
  ), restated as (
    select s.wallet_id, s.to_seq, s.number, s.period,
      last.hash is distinct from s.head_hash as other_hash,
      s.from_seq <> s.seq_before + 1 or s.month_before <> s.previous_period
        or s.end_before <> s.starts_at as out_of_sequence,
      first.recorded_at < s.starts_at or last.recorded_at >= s.ends_at
        or next.recorded_at < s.ends_at as other_time,
      (s.currency, s.opening_balance_micros, s.closing_balance_micros, s.held_micros,
       s.arrears_micros, s.top_ups_micros, s.grants_micros, s.usage_micros, s.fees_micros,
       s.refunds_micros, s.other_micros, s.accrued_micros)
      is distinct from
      (w.currency, coalesce(before.balance_micros, 0), last.balance_micros, last.held_micros,
       last.arrears_micros, t.top_ups, t.grants, t.usage, t.fees, t.refunds, t.other, t.accrued)
        as other_sum,
      (s.lines, s.accrued_lines, coalesce(s.late_lines, t.late_lines))
      is distinct from (t.lines, t.accrued_lines, t.late_lines) as other_lines
    from stated s
    left join wallets w on w.id = s.wallet_id
    left join wallet_events before on before.wallet_id = s.wallet_id and before.seq = s.from_seq - 1
    left join wallet_events first on first.wallet_id = s.wallet_id and first.seq = s.from_seq
    left join wallet_events last on last.wallet_id = s.wallet_id and last.seq = s.to_seq
    left join wallet_events next on next.wallet_id = s.wallet_id and next.seq = s.to_seq + 1
    cross join lateral statement_sums(s.wallet_id, s.from_seq - 1, s.to_seq, s.starts_at) t
  ), paid as (
    select coalesce(e.wallet_id, t.wallet_id) as wallet_id, coalesce(e.seq, t.credited_seq) as seq,
      case
        when e.seq is null then 'TOP_UP_WITHOUT_EVENT'
        when t.id is null then 'EVENT_WITHOUT_TOP_UP'
        when (t.amount_micros, ledger_key('top_up', t.payment_intent_id), t.id::text)
          is distinct from (e.balance_delta_micros, e.key, e.detail ->> 'topUpId')
          then 'TOP_UP_DIFFERS'
      end as problem,
      coalesce(format('top-up %s', t.id), 'no top-up') as top_up
    from (
      select e.wallet_id, e.seq, e.balance_delta_micros, e.key, e.detail
      from replayed r
      cross join lateral unnest(r.top_ups) as credited (seq)
      join wallet_events e on e.wallet_id = r.wallet_id and e.seq = credited.seq
    ) e
    full join (
      select * from top_ups where wallet_id between p_from and p_to and status = 'succeeded'
    ) t on t.wallet_id = e.wallet_id and t.credited_seq = e.seq
  ), problems as (
    select c.wallet_id, null::bigint as seq, p.problem, p.message
    from compared c
    cross join lateral (values
      ('WALLET_WITHOUT_EVENTS', case when not c.has_events then 'the wallet has no events' end),
      ('EVENTS_WITHOUT_WALLET',
       case when not c.has_wallet then format('%s events belong to no wallet', c.events) end),
      ('WALLET_SEQUENCE', c.wrong_seq),
      ('WALLET_SUM', c.wrong_sum),
      ('WALLET_HASH', c.wrong_head),
      ('WALLET_CURRENCY', c.wrong_currency),
      ('WALLET_USER', c.wrong_user),
      ('WALLET_MODE', c.wrong_mode),
      ('WALLET_TIMEZONE', c.wrong_timezone),
      ('WALLET_OVERDRAFT', c.wrong_overdraft),
      ('WALLET_STATUS', c.wrong_status)
    ) as p (problem, message)
    where p.message is not null
    union all
    select c.wallet_id, s.seq, p.problem, p.message
    from compared c
    cross join lateral (values
      ('EVENT_SEQUENCE', 'does not follow the event before it', c.out_of_sequence),
      ('EVENT_TOTAL', 'its balance, held or arrears is not the total before it plus its change',
       c.wrong_total),
      ('EVENT_TIME', 'was recorded before the event before it', c.back_in_time),
      ('EVENT_HASH', 'its hash is not that of its content and the hash before it', c.wrong_hash)
    ) as p (problem, message, seqs)
    cross join lateral unnest(p.seqs) as s (seq)
    union all
    select s.wallet_id, s.to_seq, p.problem, format('statement %s of %s %s', s.number, s.period, p.message)
    from restated s
    cross join lateral (values
      ('STATEMENT_HASH', s.other_hash, 'was closed on another event'),
      ('STATEMENT_SEQUENCE', s.out_of_sequence, 'does not go on where the one before it ended'),
      ('STATEMENT_TIME', s.other_time, 'does not hold the events of its month'),
      ('STATEMENT_SUM', s.other_sum, 'says other sums than its events'),
      ('STATEMENT_LINES', s.other_lines, 'says other usage than its events')
    ) as p (problem, wrong, message)
    where p.wrong
    union all
    select p.wallet_id, p.seq, p.problem, case p.problem
      when 'TOP_UP_WITHOUT_EVENT' then format('%s says that it was credited here; it was not', p.top_up)
      when 'EVENT_WITHOUT_TOP_UP' then 'credits a payment that no top-up asked for'
      else format('credits another payment than its %s', p.top_up) end
    from paid p where p.problem is not null
  )
  select (select count(*) filter (where has_wallet) from compared),
    (select coalesce(sum(events), 0)::bigint from compared),
    (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq nulls last, l.problem), '[]')
     from (select * from problems order by wallet_id, seq nulls last, problem limit p_limit) l)
$$;
