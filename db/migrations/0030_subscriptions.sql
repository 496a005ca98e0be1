-- Recurring fees: a plan or a rented number costs its wallet so much a month, whatever it is used
-- for. A month's fees are posted when the month is closed, for the part of it in which the
-- subscription ran, so that nothing has to be given back when one ends.

create table subscriptions (
  wallet_id uuid not null references wallets,
  id uuid not null,
  kind text not null check (kind in ('plan', 'number')),
  description text not null check (length(description) between 1 and 500),
  -- Of a whole month.
  amount_micros bigint not null check (amount_micros between 1 and 1000000000000000),
  starts_at timestamptz not null,
  -- Null until somebody ends it. One that ends as it starts costs nothing.
  ends_at timestamptz check (ends_at >= starts_at),
  -- The end of the newest month whose fee was posted.
  billed_to timestamptz,
  -- The event that added it; fees of one month are posted in this order.
  added_seq bigint not null,
  primary key (wallet_id, id),
  foreign key (wallet_id, added_seq) references wallet_events (wallet_id, seq)
);
create trigger subscriptions_never_deleted
  before delete or truncate on subscriptions
  for each statement execute function refuse_ledger_change();

-- The few events that statements and verification look for among many.
create index wallet_events_of_subscriptions on wallet_events (wallet_id, seq)
  where type in ('subscription_added', 'subscription_ended', 'fee');

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (
  type = any (array[
    'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
    'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired',
    'usage_refund', 'wallet_frozen', 'wallet_unfrozen', 'wallet_closed', 'grant_expired',
    'payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn',
    'dispute_reinstated', 'dispute_closed', 'limits_changed', 'goodwill', 'subscription_added',
    'subscription_ended', 'fee'
  ])
);

-- A fee is income, and a movement of its own; who subscribes moves no money.
create or replace function contra_account(p_type text) returns text
language sql immutable parallel safe strict as $$
  select case p_type
    when 'top_up' then 'assets:processor_clearing'
    when 'payment_refund' then 'assets:processor_clearing'
    when 'payment_refund_failed' then 'assets:processor_clearing'
    when 'dispute_withdrawn' then 'expenses:dispute_losses'
    when 'dispute_reinstated' then 'expenses:dispute_losses'
    when 'grant' then 'expenses:promotions'
    when 'goodwill' then 'expenses:goodwill'
    when 'grant_expired' then 'income:breakage'
    when 'charge' then 'income:usage'
    when 'accrual' then 'income:usage'
    when 'accrual_settled' then 'income:usage'
    when 'hold_captured' then 'income:usage'
    when 'hold_expired' then 'income:usage'
    when 'usage_refund' then 'income:usage'
    when 'fee' then 'income:fees'
    when 'arrears_repaid' then 'assets:receivable'
    -- These move no money.
    when 'wallet_opened' then 'equity:opening'
    when 'wallet_frozen' then 'equity:opening'
    when 'wallet_unfrozen' then 'equity:opening'
    when 'wallet_closed' then 'equity:opening'
    when 'dispute_opened' then 'equity:opening'
    when 'dispute_closed' then 'equity:opening'
    when 'limits_changed' then 'equity:opening'
    when 'subscription_added' then 'equity:opening'
    when 'subscription_ended' then 'equity:opening'
  end
$$;

create or replace function statement_movement(p_type text) returns text
language sql immutable parallel safe strict as $$
  select case p_type
    when 'top_up' then 'top_ups'
    when 'grant' then 'grants'
    -- What was granted and ended unspent was never anything else.
    when 'grant_expired' then 'grants'
    when 'charge' then 'usage'
    when 'accrual_settled' then 'usage'
    when 'hold_captured' then 'usage'
    when 'hold_expired' then 'usage'
    when 'fee' then 'fees'
    when 'usage_refund' then 'refunds'
    when 'payment_refund' then 'refunds'
    when 'payment_refund_failed' then 'refunds'
    when 'dispute_withdrawn' then 'refunds'
    when 'dispute_reinstated' then 'refunds'
    else 'other'
  end
$$;

-- Fees burn promotional credit as usage does.
create or replace function grant_projections(p_from uuid, p_to uuid)
returns table (
wallet_id uuid, seq bigint, granted_micros bigint, left_micros bigint,
  expired_micros bigint, expires_at timestamptz, counted_seq bigint)
language sql stable as $$
  with granted as materialized (
    select e.wallet_id, e.seq, e.balance_delta_micros as granted_micros,
      (e.detail ->> 'expiresAt')::timestamptz as expires_at, g.counted_seq
    from wallet_events e
    left join grants g on g.wallet_id = e.wallet_id and g.seq = e.seq
    where e.wallet_id between p_from and p_to and e.type = 'grant'
  ), counted as (
    select w.wallet_id, c.seq, c.left_micros
    from (select g.wallet_id, max(g.counted_seq) as counted_seq from granted g group by 1) w
    cross join lateral counted_grants(w.wallet_id, w.counted_seq) c
    where w.counted_seq is not null
  ), moved as (
    select m.wallet_id, m.seq, sum(m.left_micros) as left_micros, sum(m.expired_micros) as expired_micros
    from (select distinct g.wallet_id from granted g) w
    cross join lateral (
      select e.wallet_id, p.seq, 0 as expired_micros,
        case when e.type = 'usage_refund' then p.micros else -p.micros end as left_micros
      from wallet_events e
      cross join lateral json_to_recordset(e.detail -> 'grants') as p (seq bigint, micros bigint)
      where e.wallet_id = w.wallet_id and e.type in (
        'charge', 'accrual', 'hold_captured', 'hold_expired', 'arrears_repaid', 'fee', 'usage_refund')
      union all
      select e.wallet_id, (e.detail ->> 'grantSeq')::bigint, (e.detail ->> 'endedMicros')::bigint,
        -(e.detail ->> 'endedMicros')::bigint
      from wallet_events e where e.wallet_id = w.wallet_id and e.type = 'grant_expired'
    ) m
    group by 1, 2
  )
  select g.wallet_id, g.seq, g.granted_micros,
    (coalesce(c.left_micros, g.granted_micros) + coalesce(m.left_micros, 0))::bigint,
    coalesce(m.expired_micros, 0)::bigint, g.expires_at, g.counted_seq
  from granted g
  left join counted c on c.wallet_id = g.wallet_id and c.seq = g.seq
  left join moved m on m.wallet_id = g.wallet_id and m.seq = g.seq
$$;

-- The fee for the part of a month in which a subscription ran, by time: amount × part ÷ month,
-- rounded once to the nearest micro, half of one up. Both ends are instants, so that an hour which
-- clocks skip or repeat counts for what it lasts.
create function fee_micros(
  p_amount_micros bigint, p_part interval, p_month interval
) returns bigint
language sql immutable parallel safe strict as $$
  select div(2::numeric * p_amount_micros * part.ms + month.ms, 2 * month.ms)::bigint
  from (select trunc(extract(epoch from p_part) * 1000) as ms) part,
       (select trunc(extract(epoch from p_month) * 1000) as ms) month
$$;

-- Whether fees are still to come.
create function owes_fees(s subscriptions) returns boolean
language sql immutable parallel safe as $$
  select s.ends_at is null or s.ends_at > greatest(s.starts_at, s.billed_to)
$$;

-- Fees of the wallets' closed months that have not been posted. Internal.
create function unposted_fees(p_wallet_ids uuid[])
returns table (
  wallet_id uuid, subscription_id uuid, added_seq bigint, period billing_period,
  month_starts_at timestamptz, month_ends_at timestamptz
)
language sql stable as $$
  select s.wallet_id, s.id, s.added_seq, m.period, m.starts_at, m.ends_at
  from subscriptions s
  join statements m on m.wallet_id = s.wallet_id
    and m.ends_at > greatest(s.starts_at, s.billed_to)
    and (s.ends_at is null or s.ends_at > greatest(s.starts_at, m.starts_at))
  where s.wallet_id = any (p_wallet_ids)
$$;

-- Posts the fee of a subscription's month on its locked wallet: takes what is available, and the
-- rest is owed. Internal.
create function post_fee(
  inout w wallets, s subscriptions, p_period billing_period, p_month_starts_at timestamptz,
  p_month_ends_at timestamptz
)
language plpgsql as $$
declare
  from_at constant timestamptz := greatest(s.starts_at, p_month_starts_at);
  to_at constant timestamptz := least(s.ends_at, p_month_ends_at);
  amount constant bigint :=
    fee_micros(s.amount_micros, to_at - from_at, p_month_ends_at - p_month_starts_at);
  taken constant bigint := least(amount, greatest(available_micros(w), 0));
  burned jsonb := burn_of(w, taken, ledger_now());
begin
  w := append_event(
    w, 'fee', -taken, 0, amount - taken, ledger_key('fee', s.id || ':' || p_period),
    sha256(convert_to(s.id || E'\n' || p_period || E'\n' || amount, 'UTF8')),
    'system:month', null,
    with_field(json_build_object(
      'subscriptionId', s.id, 'kind', s.kind, 'description', s.description, 'period', p_period,
      'from', json_instant(from_at), 'to', json_instant(to_at),
      'monthlyMicros', s.amount_micros::text), 'grants', burned),
    burned);
  update subscriptions set billed_to = p_month_ends_at where wallet_id = w.id and id = s.id;
end $$;

-- Posts what fees of closed months are missing on a locked wallet, oldest first. Internal.
create function post_fees(inout w wallets)
language plpgsql as $$
declare
  f record;
  s subscriptions;
begin
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  for f in select * from unposted_fees(array[w.id]) order by period, added_seq loop
    select * into s from subscriptions where wallet_id = w.id and id = f.subscription_id;
    w := post_fee(w, s, f.period, f.month_starts_at, f.month_ends_at);
  end loop;
end $$;

-- The beginning of the month in which the wallet's next event will be recorded. Fees of months
-- before it may have been posted. A month that is being closed is fenced: nothing is recorded in it
-- any more, so no subscription gets into it unseen either. Internal.
create function open_month_starts_at(w wallets) returns timestamptz
language sql stable as $$
  select n.starts_at from limit_window('month', greatest(ledger_now(), w.updated_at), w.timezone) n
$$;

-- Adds a subscription, once per key. Codes: OK, WALLET_NOT_FOUND, KEY_REUSED, WALLET_CLOSED,
-- MONTH_CLOSED when it begins before the wallet's present month.
create function add_subscription(
  p_wallet_id uuid, p_id uuid, p_key uuid, p_request_hash bytea, p_kind text, p_description text,
  p_amount_micros bigint, p_starts_at timestamptz, p_ends_at timestamptz, p_actor text
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  starts_at timestamptz;
  ends_at timestamptz := date_trunc('milliseconds', p_ends_at);
  added_detail json;
begin
  if p_amount_micros is null or p_amount_micros not between 1 and 1000000000000000 then
    raise exception 'a fee is from 1 to 10^15 micros a month'
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
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, 0);
  end if;
  starts_at := date_trunc('milliseconds', coalesce(p_starts_at, ledger_now()));
  if starts_at < open_month_starts_at(w) then
    return refusal_of('MONTH_CLOSED', w, 0);
  end if;
  if ends_at < starts_at then
    ends_at := starts_at;
  end if;

  added_detail := jsonb_strip_nulls(jsonb_build_object(
    'subscriptionId', p_id, 'kind', p_kind, 'description', p_description,
    'monthlyMicros', p_amount_micros::text, 'startsAt', json_instant(starts_at),
    'endsAt', json_instant(ends_at)))::json;
  w := append_event(w, 'subscription_added', 0, 0, 0, p_key, p_request_hash, p_actor, null,
                    added_detail);
  insert into subscriptions (
    wallet_id, id, kind, description, amount_micros, starts_at, ends_at, added_seq
  ) values (
    w.id, p_id, p_kind, p_description, p_amount_micros, starts_at, ends_at, w.seq
  );
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, added_detail
  )::ledger_outcome;
end $$;

-- Ends a subscription, by default now; the same end again writes nothing. An end before its start
-- is its start. Codes: OK, WALLET_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, WALLET_CLOSED, MONTH_CLOSED
-- when it ended, or shall have ended, before the wallet's present month.
create function end_subscription(p_wallet_id uuid, p_id uuid, p_ends_at timestamptz, p_actor text)
returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  s subscriptions;
  outcome ledger_outcome;
  new_end timestamptz;
  ended_detail json;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  select * into s from subscriptions where wallet_id = w.id and id = p_id;
  if not found then
    return refusal_of('SUBSCRIPTION_NOT_FOUND', w, 0);
  end if;
  new_end := greatest(s.starts_at, date_trunc('milliseconds', coalesce(p_ends_at, ledger_now())));
  if s.ends_at = new_end or p_ends_at is null and s.ends_at <= ledger_now() then
    return row(
      'OK', true, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
      available_micros(w), w.updated_at, null
    )::ledger_outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, 0);
  end if;
  if least(s.ends_at, new_end) < open_month_starts_at(w) then
    return refusal_of('MONTH_CLOSED', w, 0);
  end if;
  ended_detail := json_build_object(
    'subscriptionId', s.id, 'kind', s.kind, 'description', s.description,
    'endsAt', json_instant(new_end));
  w := append_event(w, 'subscription_ended', 0, 0, 0, null, null, p_actor, null, ended_detail);
  update subscriptions set ends_at = new_end where wallet_id = w.id and id = s.id;
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, ended_detail
  )::ledger_outcome;
end $$;

create or replace function close_fenced_wallets(
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

  -- What deferred wallets reserved is debited, and the fees of the closed months, last of all, so
  -- that no lock outlives it for long.
  perform from wallets
  where id in (
    select wallet_id from unsettled_statements(p_wallet_ids, first_month, p_period)
    union select wallet_id from unposted_fees(p_wallet_ids))
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
    perform post_fees(w) from wallets w
    where w.id in (select wallet_id from unposted_fees(p_wallet_ids));
  end if;
end $$;

-- A wallet with fees to come is not closed: they would be owed by nobody.
create or replace function change_wallet_status(
  p_wallet_id uuid, p_status text, p_actor text, p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  open_holds bigint;
  open_subscriptions bigint;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  if w.status = p_status and not (p_status = 'frozen' and exists (
    select from payment_disputes where wallet_id = w.id and freezes
  )) then
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
    select count(*) into open_subscriptions
    from subscriptions s where s.wallet_id = w.id and owes_fees(s);
    if (w.balance_micros, w.held_micros, w.arrears_micros) <> (0, 0, 0)
       or open_holds + open_subscriptions > 0 then
      outcome := refusal_of('WALLET_NOT_EMPTY', w, 0);
      outcome.detail := json_build_object(
        'openHolds', open_holds, 'openSubscriptions', open_subscriptions);
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
  -- Who freezes or unfreezes by hand decides for every dispute there is.
  if p_status in ('open', 'frozen') then
    update payment_disputes set freezes = false where wallet_id = w.id and freezes;
  end if;
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, p_detail
  )::ledger_outcome;
end $$;

-- Compares subscriptions with the events that tell of them, and fees with both.
create function verify_subscriptions(
  p_from uuid, p_to uuid, p_limit integer, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with told as materialized (
    select e.wallet_id, e.seq, e.type, e.detail ->> 'subscriptionId' as id, e.detail,
      e.arrears_delta_micros - e.balance_delta_micros as micros
    from wallet_events e
    where e.wallet_id between p_from and p_to
      and e.type in ('subscription_added', 'subscription_ended', 'fee')
  ), compared as (
    select coalesce(s.wallet_id, a.wallet_id) as wallet_id, coalesce(a.seq, s.added_seq) as seq,
      coalesce(s.id::text, a.id) as id,
      (s.kind, s.description, s.amount_micros, s.starts_at, s.ends_at, s.added_seq)
      is distinct from
      (a.detail ->> 'kind', a.detail ->> 'description', (a.detail ->> 'monthlyMicros')::bigint,
       (a.detail ->> 'startsAt')::timestamptz,
       coalesce(ended.at, (a.detail ->> 'endsAt')::timestamptz), a.seq) as differs,
      s.billed_to is distinct from billed.up_to as wrong_billed
    from (select * from subscriptions where wallet_id between p_from and p_to) s
    full join (select * from told where type = 'subscription_added') a
      on a.wallet_id = s.wallet_id and a.id = s.id::text
    left join lateral (
      select (t.detail ->> 'endsAt')::timestamptz as at from told t
      where t.wallet_id = s.wallet_id and t.id = s.id::text and t.type = 'subscription_ended'
      order by t.seq desc limit 1
    ) ended on true
    left join lateral (
      select max(m.ends_at) as up_to from told t
      join statements m on m.wallet_id = t.wallet_id and m.period = t.detail ->> 'period'
      where t.wallet_id = s.wallet_id and t.id = s.id::text and t.type = 'fee'
    ) billed on true
  ), fees as (
    select t.wallet_id, t.seq, t.id, t.detail ->> 'period' as period, s.id is null as unknown,
      t.micros is distinct from fee_micros(s.amount_micros,
        least(s.ends_at, m.ends_at) - greatest(s.starts_at, m.starts_at), m.ends_at - m.starts_at)
        as other_amount
    from told t
    left join subscriptions s on s.wallet_id = t.wallet_id and s.id::text = t.id
    left join statements m on m.wallet_id = t.wallet_id and m.period = t.detail ->> 'period'
    where t.type = 'fee'
  ), problems as (
    select c.wallet_id, c.seq, p.problem, p.message
    from compared c
    cross join lateral (values
      ('SUBSCRIPTION_DIFFERS', case when c.differs
        then format('subscription %s is not as its events tell it', c.id) end),
      ('SUBSCRIPTION_BILLED', case when c.wrong_billed
        then format('subscription %s is not billed as far as its fees were posted', c.id) end)
    ) as p (problem, message)
    where p.message is not null
    union all
    select f.wallet_id, f.seq, 'FEE_DIFFERS', case when f.unknown
      then format('a fee of %s is for no subscription', f.period)
      else format('the fee of %s for subscription %s is not its price for the time it ran',
        f.period, f.id) end
    from fees f where f.unknown or f.other_amount
    union all
    select u.wallet_id, null, 'FEE_MISSING',
      format('the fee of %s for subscription %s was not posted', u.period, u.subscription_id)
    from unposted_fees(array(
      select distinct s.wallet_id from subscriptions s where s.wallet_id between p_from and p_to)) u
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

grant select on subscriptions to wallet_app;
grant execute on function
  add_subscription(uuid, uuid, uuid, bytea, text, text, bigint, timestamptz, timestamptz, text),
  end_subscription(uuid, uuid, timestamptz, text)
  to wallet_app;
