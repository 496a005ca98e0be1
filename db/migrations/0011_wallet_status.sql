-- A wallet is frozen, unfrozen and closed by events, as all that happens to it.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (type in (
  'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
  'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired', 'usage_refund',
  'wallet_frozen', 'wallet_unfrozen', 'wallet_closed'
));

-- The status that an event of this type leaves a wallet in; null when it changes none.
create function status_after(p_type text) returns text
language sql immutable parallel safe as $$
  select case p_type
    when 'wallet_opened' then 'open'
    when 'wallet_unfrozen' then 'open'
    when 'wallet_frozen' then 'frozen'
    when 'wallet_closed' then 'closed'
  end
$$;

-- Freezes, closes or, with `open`, unfreezes a wallet. It needs no key: a wallet that has the status
-- already stays as it is and is answered as a replay. Only an empty wallet is closed, and a closed
-- one stays closed.
create function change_wallet_status(
  p_wallet_id uuid, p_status text, p_actor text, p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  open_holds bigint;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  if w.status = p_status then
    return row(
      'OK', true, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
      available_micros(w), w.updated_at, null
    )::ledger_outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, 0);
  end if;
  if p_status = 'closed' then
    select count(*) into open_holds from holds where wallet_id = w.id and status = 'open';
    if (w.balance_micros, w.held_micros, w.arrears_micros) <> (0, 0, 0) or open_holds > 0 then
      outcome := refusal_of('WALLET_NOT_EMPTY', w, 0);
      outcome.detail := json_build_object('openHolds', open_holds);
      return outcome;
    end if;
  end if;
  w := append_event(
    w,
    case p_status when 'open' then 'wallet_unfrozen' when 'frozen' then 'wallet_frozen'
                  when 'closed' then 'wallet_closed' end,
    0, 0, 0, null, null, p_actor, null, p_detail
  );
  update wallets set status = p_status where id = w.id;
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, p_detail
  )::ledger_outcome;
end $$;

-- Wallets whose status an owner has set by hand get the event that says so.
do $$
begin
  perform append_event(
    w, case w.status when 'frozen' then 'wallet_frozen' else 'wallet_closed' end, 0, 0, 0, null,
    null, 'system:migration', null, '{"reason": "set before a status was an event"}')
  from wallets w where w.status <> 'open';
end $$;

-- From here on: functions of earlier migrations, which learn of the status.

-- The account on the other side of each event type.
create or replace function contra_account(p_type text) returns text
language sql immutable strict parallel safe as $$
  select case p_type
    when 'top_up' then 'assets:processor_clearing'
    when 'grant' then 'expenses:promotions'
    when 'charge' then 'income:usage'
    when 'accrual' then 'income:usage'
    when 'accrual_settled' then 'income:usage'
    when 'hold_captured' then 'income:usage'
    when 'hold_expired' then 'income:usage'
    when 'usage_refund' then 'income:usage'
    when 'arrears_repaid' then 'assets:receivable'
    -- These move no money.
    when 'wallet_opened' then 'equity:opening'
    when 'wallet_frozen' then 'equity:opening'
    when 'wallet_unfrozen' then 'equity:opening'
    when 'wallet_closed' then 'equity:opening'
  end
$$;

-- Replays the events of a range: sequence, running totals, times and the chain of hashes; then
-- compares what stands on them: the wallets, with their first and their last event, and the last
-- that changed their status, too; the statements, each computed anew; and the top-ups that were
-- paid. `differences` lists the first p_limit of the `found`.
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
      (s.lines, s.accrued_lines) is distinct from (t.lines, t.accrued_lines) as other_lines
    from stated s
    left join wallets w on w.id = s.wallet_id
    left join wallet_events before on before.wallet_id = s.wallet_id and before.seq = s.from_seq - 1
    left join wallet_events first on first.wallet_id = s.wallet_id and first.seq = s.from_seq
    left join wallet_events last on last.wallet_id = s.wallet_id and last.seq = s.to_seq
    left join wallet_events next on next.wallet_id = s.wallet_id and next.seq = s.to_seq + 1
    cross join lateral statement_sums(s.wallet_id, s.from_seq - 1, s.to_seq) t
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

-- What the events of a range say that their wallets are. `sound` when the events number their
-- wallet without gaps and add up to what the last of them says. Internal.
drop function wallet_projections(uuid, uuid);
create function wallet_projections(p_from uuid, p_to uuid)
returns table (
  wallet_id uuid, events bigint, seq bigint, balance_micros bigint, held_micros bigint,
  arrears_micros bigint, status text, head_hash bytea, recorded_at timestamptz, sound boolean
)
language sql stable as $$
  select head.wallet_id, total.events, head.seq, head.balance_micros, head.held_micros,
    head.arrears_micros, status_after(standing.type), head.hash, head.recorded_at,
    total.events = head.seq
      and (total.balance_micros, total.held_micros, total.arrears_micros)
        = (head.balance_micros, head.held_micros, head.arrears_micros)
  from (
    select e.wallet_id, count(*) as events, max(e.seq) as seq,
      sum(e.balance_delta_micros) as balance_micros, sum(e.held_delta_micros) as held_micros,
      sum(e.arrears_delta_micros) as arrears_micros,
      max(e.seq) filter (where status_after(e.type) is not null) as status_seq
    from wallet_events e where e.wallet_id between p_from and p_to group by e.wallet_id
  ) total
  join wallet_events head on head.wallet_id = total.wallet_id and head.seq = total.seq
  left join wallet_events standing
    on standing.wallet_id = total.wallet_id and standing.seq = total.status_seq
$$;

-- Computes the wallets of a range anew from their events and, if asked to, writes those that
-- differ. A wallet whose events contradict each other or are gone is reported and left alone, and
-- events without a wallet stay so: they do not say whose they are.
create or replace function rebuild_wallets(
  p_from uuid, p_to uuid, p_repair boolean,
  out wallets bigint, out events bigint, out differences jsonb
)
language plpgsql set jit = off as $$
declare
  d jsonb;
  repaired boolean;
begin
  with compared as (
    select p.events, coalesce(w.id, p.wallet_id) as wallet_id, w.id is not null as has_wallet,
      coalesce(p.sound, false) as sound,
      array[w.seq, w.balance_micros, w.held_micros, w.arrears_micros] as stored,
      array[p.seq, p.balance_micros, p.held_micros, p.arrears_micros] as computed,
      w.head_hash is distinct from p.head_hash as other_hash,
      w.status <> p.status as other_status, p.status
    from wallet_projections(p_from, p_to) p
    full join (select * from wallets where id between p_from and p_to) w on w.id = p.wallet_id
  )
  select count(*) filter (where c.has_wallet), coalesce(sum(c.events), 0),
    coalesce(jsonb_agg(jsonb_build_object(
      'walletId', c.wallet_id,
      'problem', case
        when not c.has_wallet then 'EVENTS_WITHOUT_WALLET'
        when c.events is null then 'WALLET_WITHOUT_EVENTS'
        when not c.sound then 'EVENTS_CONTRADICT'
        else 'WALLET_DIFFERS' end,
      'message', format(
        'stored seq, balance, held, arrears: %s; computed: %s%s%s',
        case when c.has_wallet then array_to_string(c.stored, ', ') else 'no wallet' end,
        case when c.events is null then 'no events' else array_to_string(c.computed, ', ') end,
        case when c.has_wallet and c.events is not null and c.other_hash
          then '; another hash' else '' end,
        case when c.other_status then format('; %s', c.status) else '' end),
      'repaired', false
    ) order by c.wallet_id) filter (where not c.sound or not c.has_wallet or c.other_hash
      or c.other_status or c.stored <> c.computed), '[]')
  into wallets, events, differences
  from compared c;

  if p_repair then
    for i in 0 .. jsonb_array_length(differences) - 1 loop
      d := differences -> i;
      continue when d ->> 'problem' <> 'WALLET_DIFFERS';
      -- Locked first, then computed again: the wallet may have gone on meanwhile.
      perform from wallets where id = (d ->> 'walletId')::uuid for no key update;
      update wallets w set
        seq = p.seq, balance_micros = p.balance_micros, held_micros = p.held_micros,
        arrears_micros = p.arrears_micros, status = p.status, head_hash = p.head_hash,
        updated_at = greatest(w.updated_at, p.recorded_at)
      from wallet_projections((d ->> 'walletId')::uuid, (d ->> 'walletId')::uuid) p
      where w.id = p.wallet_id and p.sound;
      repaired := found;
      differences := jsonb_set(differences, array[i::text, 'repaired'], to_jsonb(repaired));
    end loop;
  end if;
end $$;

grant execute on function change_wallet_status(uuid, text, text, json) to wallet_app;
