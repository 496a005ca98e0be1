-- Verification goes through the events once, each wallet's in their order, and sorts nothing.

-- What the events of a wallet add up to, and those among them that need a closer look.
create type replayed_wallet as (
  wallet_id uuid,
  events bigint,
  seq bigint,
  balance_micros numeric,
  held_micros numeric,
  arrears_micros numeric,
  out_of_sequence bigint[],
  wrong_total bigint[],
  back_in_time bigint[],
  wrong_hash bigint[],
  -- Events whose detail has the text "holdId" somewhere.
  mention_holds bigint[]
);

-- What an event has to follow.
create type event_state as (
  seq bigint,
  balance_micros bigint,
  held_micros bigint,
  arrears_micros bigint,
  recorded_at timestamptz
);

-- Replays the range's wallets. The primary key has their events in order: to sort them would be to
-- read the whole table for each range and to write what belongs to it to temporary files.
create function replayed_wallets(p_from uuid, p_to uuid) returns setof replayed_wallet
language sql stable rows 10000 set jit = off set enable_sort = off
set max_parallel_workers_per_gather = 0
as $$
  select l.wallet_id, count(*), max(l.seq),
    sum(l.balance_delta_micros), sum(l.held_delta_micros), sum(l.arrears_delta_micros),
    array_agg(l.seq) filter (where l.out_of_sequence),
    array_agg(l.seq) filter (where l.wrong_total),
    array_agg(l.seq) filter (where l.back_in_time),
    array_agg(l.seq) filter (where l.wrong_hash),
    array_agg(l.seq) filter (where l.mentions_hold)
  from (
    select e.wallet_id, e.seq,
      e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
      e.seq <> coalesce((e.before).seq, 0) + 1
        or e.seq = 1 and e.type <> 'wallet_opened' as out_of_sequence,
      e.balance_micros - e.balance_delta_micros <> coalesce((e.before).balance_micros, 0)
        or e.held_micros - e.held_delta_micros <> coalesce((e.before).held_micros, 0)
        or e.arrears_micros - e.arrears_delta_micros <> coalesce((e.before).arrears_micros, 0)
        as wrong_total,
      e.recorded_at < (e.before).recorded_at as back_in_time,
      e.wrong_hash, e.mentions_hold
    from (
      select e.wallet_id, e.seq, e.type, e.recorded_at,
        e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
        e.balance_micros, e.held_micros, e.arrears_micros,
        -- Fetched at once, for each lag() goes back for itself.
        lag(row(
          e.seq, e.balance_micros, e.held_micros, e.arrears_micros, e.recorded_at
        )::event_state) over chain as before,
        e.hash <> event_hash(lag(e.hash) over chain, e) as wrong_hash,
        -- Reading a detail's text costs a fifth of taking it apart.
        strpos(e.detail::text, '"holdId"') > 0 as mentions_hold
      from wallet_events e
      where e.wallet_id between p_from and p_to
      window chain as (partition by e.wallet_id order by e.seq)
    ) e
  ) l
  group by l.wallet_id
$$;

-- The status that a wallet's events leave it in; no row when they tell of none.
create function told_status(p_wallet_id uuid) returns table (status text)
language sql stable rows 1 as $$
  select status_after(e.type) from wallet_events e
  where e.wallet_id = p_wallet_id
    and e.type in ('wallet_opened', 'wallet_unfrozen', 'wallet_frozen', 'wallet_closed')
  order by e.seq desc limit 1
$$;

-- `p_replayed` is what `replayed_wallets` says of the same range, for those who have it already.
drop function verify_wallets(uuid, uuid, int);
create function verify_wallets(
  p_from uuid, p_to uuid, p_limit int, p_replayed replayed_wallet[] default null,
  out wallets bigint, out events bigint, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with replayed as materialized (
    select * from unnest(coalesce(
      p_replayed, array(select r from replayed_wallets(p_from, p_to) r)))
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
      case when w.status <> told.status
        then format('the wallet is %s, its events leave it %s', w.status, told.status) end
        as wrong_status
    from replayed r
    full join (select * from wallets where id between p_from and p_to) w on w.id = r.wallet_id
    left join wallet_events head on head.wallet_id = r.wallet_id and head.seq = r.seq
    left join wallet_events opening on opening.wallet_id = w.id and opening.seq = 1
    left join lateral told_status(r.wallet_id) told on true
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
      select * from wallet_events where wallet_id between p_from and p_to and type = 'top_up'
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

drop function verify_holds(uuid, uuid, int);
create function verify_holds(
  p_from uuid, p_to uuid, p_limit int, p_replayed replayed_wallet[] default null,
  out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with kept as (
    select h.*, w.next_due_at
    from holds h left join wallets w on w.id = h.wallet_id
    where h.wallet_id between p_from and p_to
  ), told as (
    select e.wallet_id, e.detail ->> 'holdId' as hold_id, max(e.seq) as seq,
      sum(e.held_delta_micros) filter (where e.type <> 'accrual') as held_micros,
      sum(usage_micros(e)) as billed_micros,
      bool_or(e.type in ('hold_captured', 'hold_expired', 'hold_voided')) as ended,
      -- One that had run out gives back what it had billed, and its usage is none then.
      bool_or(e.type = 'hold_voided' or e.type = 'usage_refund' and e.detail -> 'usage' is null)
        as voided,
      min(e.recorded_at) filter (where e.type = 'hold_placed') as placed_at,
      max(coalesce((e.detail ->> 'aheadMicros')::bigint, e.held_delta_micros))
        filter (where e.type in ('hold_placed', 'hold_extended')) as ahead_micros,
      max(e.detail ->> 'referenceId') filter (where e.type = 'hold_placed') as reference_id,
      max(e.detail ->> 'rateCardId') filter (where e.type = 'hold_placed') as rate_card_id,
      (array_agg(e.detail::jsonb -> 'pricing') filter (where e.type = 'hold_placed'))[1] as pricing,
      (array_agg(e.detail ->> 'expiresAt' order by e.seq desc)
        filter (where e.type in ('hold_placed', 'hold_extended')))[1] as expires_at,
      (array_agg(e.detail::jsonb order by e.seq desc)
        filter (where e.type = 'hold_extended' and e.detail -> 'usage' is not null))[1] as report
    from unnest(coalesce(
      p_replayed, array(select r from replayed_wallets(p_from, p_to) r))) r
    cross join lateral unnest(r.mention_holds) as m (seq)
    join wallet_events e on e.wallet_id = r.wallet_id and e.seq = m.seq
    where e.detail ->> 'holdId' is not null
    group by 1, 2
  ), problems as (
    select coalesce(k.wallet_id, t.wallet_id) as wallet_id, t.seq, p.problem, p.message
    from kept k
    full join told t on t.wallet_id = k.wallet_id and t.hold_id = k.id::text
    cross join lateral (values
      ('HOLD_SUM', case when (k.held_micros, k.billed_micros)
          is distinct from (t.held_micros, t.billed_micros)
        then format('hold %s says held %s, billed %s; its events add up to %s, %s',
          coalesce(k.id::text, t.hold_id), k.held_micros, k.billed_micros,
          t.held_micros, t.billed_micros) end),
      ('HOLD_TERMS', case when
          (k.status <> 'open', k.status = 'voided', k.reference_id, k.rate_card_id::text, k.placed_at, k.ahead_micros,
           json_instant(k.expires_at))
          <> (t.ended, t.voided, t.reference_id, t.rate_card_id, t.placed_at, t.ahead_micros, t.expires_at)
          or k.id::text = t.hold_id and k.pricing is distinct from t.pricing
        then format('hold %s has another status, reference, rate card, pricing, beginning, expiry '
          'or reserve ahead than its events say', k.id) end),
      -- What is billed when it runs out.
      ('HOLD_USAGE', case when k.status = 'open' and not (
          k.report is not distinct from t.report - array(
            select f from jsonb_object_keys(t.report) f
            where f not in ('usage', 'units', 'breakdown'))
          and k.units_so_far = coalesce((t.report ->> 'units')::bigint, 0)
          and k.amount_so_far_micros = coalesce(
            (t.report #>> '{breakdown,amountMicros}')::bigint,
            case when t.report is null then 0 else k.amount_so_far_micros end))
        then format('hold %s says other usage than its last heartbeat', k.id) end),
      ('HOLD_DUE', case when k.status = 'open'
          and k.expires_at < coalesce(k.next_due_at, 'infinity')
        then format('hold %s runs out before its wallet falls due', k.id) end)
    ) as p (problem, message)
    where p.message is not null
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

create or replace function wallet_projections(p_from uuid, p_to uuid)
returns table (
  wallet_id uuid, events bigint, seq bigint, balance_micros bigint, held_micros bigint,
  arrears_micros bigint, status text, head_hash bytea, recorded_at timestamptz, sound boolean
)
language sql stable as $$
  select head.wallet_id, total.events, head.seq, head.balance_micros, head.held_micros,
    head.arrears_micros, told.status, head.hash, head.recorded_at,
    total.events = head.seq
      and (total.balance_micros, total.held_micros, total.arrears_micros)
        = (head.balance_micros, head.held_micros, head.arrears_micros)
  from (
    select e.wallet_id, count(*) as events, max(e.seq) as seq,
      sum(e.balance_delta_micros) as balance_micros, sum(e.held_delta_micros) as held_micros,
      sum(e.arrears_delta_micros) as arrears_micros
    from wallet_events e where e.wallet_id between p_from and p_to group by e.wallet_id
  ) total
  join wallet_events head on head.wallet_id = total.wallet_id and head.seq = total.seq
  left join lateral told_status(total.wallet_id) told on true
$$;
