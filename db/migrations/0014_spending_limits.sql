-- Spending limits: what a wallet may spend in a day or a month, on everything, on a type of usage,
-- on numbers that begin with a prefix. Each limit has one counter, which is changed in the
-- transaction of the event that it counts, under the wallet's lock. Wallets without limits pay for
-- none of it.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (type in (
  'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
  'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired', 'usage_refund',
  'wallet_frozen', 'wallet_unfrozen', 'wallet_closed', 'grant_expired',
  'limits_changed'
));
-- Few events are of this type, and verification looks for the last one of each wallet.
create index wallet_events_limits on wallet_events (wallet_id, seq) where type = 'limits_changed';

-- Whether the wallet has limits.
alter table wallets add column limited boolean not null default false;

create table wallet_limits (
  wallet_id uuid not null references wallets (id),
  period text not null check (period in ('day', 'month')),
  -- Null for every type of usage.
  usage_type text,
  -- The first digits of the destination; null for every destination, and for none.
  prefix text check (prefix ~ '^[0-9]{1,15}$'),
  amount_micros bigint not null check (amount_micros between 0 and 1000000000000000000),
  -- When the window began that the counter counts. In a later one nothing was counted yet.
  starts_at timestamptz not null,
  -- Sums of many charges need not fit 64 bits.
  spent_micros numeric not null,
  constraint wallet_limits_once unique nulls not distinct (wallet_id, period, usage_type, prefix)
);

-- The digits by which a destination is looked up among prefixes; empty when it is not a telephone
-- number. The twin of dialledDigits in server/rating/usage.ts, which says more.
create function dialled_digits(p_destination text) returns text
language sql immutable parallel safe as $$
  select case when n.number ~ '^[0-9]+$' then n.number else '' end
  from (
    -- What JavaScript takes for a space.
    select E' \t\n\x0b\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009'
            '\u200a\u2028\u2029\u202f\u205f\u3000\ufeff' as spaces
  ) s
  cross join lateral (
    select regexp_replace(
      translate(
        regexp_replace(
          regexp_replace(btrim(p_destination, s.spaces), '^([Ss][Ii][Pp][Ss]?|[Tt][Ee][Ll]):', ''),
          '[@;].*$', ''),
        s.spaces || './()-', ''),
      '^([+]|00)', '') as number
  ) n
$$;

-- The calendar day or month of a time zone that an instant belongs to, half-open. Where clocks are
-- set back across midnight the wall says the new day twice and the day begins the second time, as
-- with the months of statements (period_of).
create function limit_window(
  p_period text, p_at timestamptz, p_timezone text,
  out starts_at timestamptz, out ends_at timestamptz
)
language plpgsql stable strict parallel safe as $$
declare
  length constant interval := case p_period when 'day' then interval '1 day'
                                            else interval '1 month' end;
  first timestamp := date_trunc(p_period, p_at at time zone p_timezone);
begin
  if p_at < first at time zone p_timezone then
    first := first - length;
  end if;
  starts_at := first at time zone p_timezone;
  ends_at := (first + length) at time zone p_timezone;
end $$;

-- Whether a limit is for usage of a type to a destination, both of which may be unknown.
create function limit_counts(
  p_limit_type text, p_prefix text, p_usage_type text, p_destination text
) returns boolean
language sql immutable parallel safe as $$
  select (p_limit_type is null or p_limit_type is not distinct from p_usage_type)
    and (p_prefix is null or starts_with(dialled_digits(p_destination), p_prefix))
$$;

-- The event that first billed what another one corrects or refunds: that of its `originalSeq`, or
-- the first that billed its hold. Null when there is none.
create function first_bill(e wallet_events) returns wallet_events
language plpgsql stable as $$
declare
  hold_id text := e.detail ->> 'holdId';
  bill wallet_events;
begin
  if e.detail ->> 'originalSeq' is not null then
    select * into bill from wallet_events
    where wallet_id = e.wallet_id and seq = (e.detail ->> 'originalSeq')::bigint;
    hold_id := bill.detail ->> 'holdId';
    if hold_id is null then
      return bill;
    end if;
  end if;
  -- By wallet_events_of_holds: a limit of one row would tempt to walk through all events.
  with bills as materialized (
    select b.* from wallet_events b
    where b.wallet_id = e.wallet_id and b.detail ->> 'holdId' = hold_id and usage_micros(b) > 0
      and (b.type in ('hold_captured', 'hold_expired')
           or b.key is null and b.type in ('charge', 'accrual'))
  )
  select * into bill from bills order by seq limit 1;
  if not found then
    -- It ran out without usage, and its late capture, which has a key, was the first to bill any.
    select * into bill from wallet_events b
    where b.wallet_id = e.wallet_id and b.detail ->> 'holdId' = hold_id and usage_micros(b) > 0
      and b.seq > (select seq_before(h.wallet_id, h.expires_at) from holds h
                   where h.id = hold_id::uuid)
    order by b.seq limit 1;
  end if;
  return bill;
end $$;

-- What an event counts against limits: how much, of what, and when. What corrects or refunds usage
-- counts as the first bill of it did, so that it never lowers a counter which that did not raise: a
-- refund at the time of that bill, more usage at its own.
create function counted_usage(e wallet_events)
returns table (counted_at timestamptz, usage_type text, destination text, micros bigint)
language sql stable as $$
  select case when e.type = 'usage_refund' then coalesce(o.recorded_at, e.recorded_at)
              else e.recorded_at end,
    coalesce(o.detail, e.detail) #>> '{usage,type}',
    coalesce(o.detail, e.detail) #>> '{usage,to}',
    usage_micros(e)
  from (select) one
  left join lateral (
    select b.recorded_at, b.detail from first_bill(e) b
    where e.type = 'usage_refund' or e.detail ->> 'alreadyBilledMicros' <> '0'
  ) o on true
  where usage_micros(e) <> 0
$$;

-- All that a wallet counts against limits in what was recorded from an instant on.
create function usage_since(p_wallet_id uuid, p_at timestamptz)
returns table (
  recorded_at timestamptz, counted_at timestamptz, usage_type text, destination text, micros bigint
)
language sql stable as $$
  select e.recorded_at, u.*
  from wallet_events e
  cross join lateral counted_usage(e) u
  where e.wallet_id = p_wallet_id and e.seq > seq_before(p_wallet_id, p_at)
$$;

-- Counts an event that was written just now. Internal.
create function count_usage(w wallets, e wallet_events) returns void
language sql as $$
  update wallet_limits l set
    starts_at = n.starts_at,
    spent_micros = case when l.starts_at = n.starts_at then l.spent_micros else 0 end
                   + case when u.counted_at >= n.starts_at then u.micros else 0 end
  from counted_usage(e) u, (values ('day'), ('month')) p (period)
  cross join lateral limit_window(p.period, e.recorded_at, w.timezone) n
  where l.wallet_id = w.id and l.period = p.period
    and limit_counts(l.usage_type, l.prefix, u.usage_type, u.destination)
$$;

-- How a limit stands: what was spent in its window, what open holds reserve of the rest, what is
-- left, and when the next window begins.
create type limit_standing as (
  period text,
  usage_type text,
  prefix text,
  amount_micros bigint,
  spent_micros numeric,
  reserved_micros numeric,
  left_micros bigint,
  resets_at timestamptz
);

-- The wallet's limits as they stand now, without one of its holds. A hold reserves what it holds,
-- or what was used of it when that is more; one that has run out has spent the latter already.
create function limit_standings(w wallets, p_except_hold uuid) returns setof limit_standing
language sql stable as $$
  select l.period, l.usage_type, l.prefix, l.amount_micros, t.spent, t.reserved,
    greatest(l.amount_micros - t.spent - t.reserved, 0)::bigint, n.ends_at
  from (select greatest(ledger_now(), w.updated_at) as at) clock
  join wallet_limits l on l.wallet_id = w.id
  cross join lateral limit_window(l.period, clock.at, w.timezone) n
  cross join lateral (
    select
      case when l.starts_at = n.starts_at then l.spent_micros else 0 end
        + coalesce(sum(h.amount_so_far_micros) filter (where h.expires_at <= clock.at), 0) as spent,
      coalesce(sum(greatest(h.held_micros, h.amount_so_far_micros))
        filter (where h.expires_at > clock.at), 0) as reserved
    from holds h
    where h.wallet_id = w.id and h.status = 'open' and h.id is distinct from p_except_hold
      and limit_counts(l.usage_type, l.prefix, h.usage_type, h.destination)
  ) t
  order by l.period, l.usage_type collate "C" nulls first, l.prefix collate "C" nulls first
$$;

-- Of the limits that are for usage of a type to a destination the one that leaves least; null when
-- there is none. Callers save the call with `if w.limited`.
create function tightest_limit(
  w wallets, p_usage_type text, p_destination text, p_except_hold uuid
) returns limit_standing
language plpgsql stable as $$
declare
  tightest limit_standing;
begin
  select s.* into tightest from limit_standings(w, p_except_hold) s
  where limit_counts(s.usage_type, s.prefix, p_usage_type, p_destination)
  order by s.left_micros, s.period, s.usage_type collate "C" nulls first,
    s.prefix collate "C" nulls first
  limit 1;
  return tightest;
end $$;

-- What a refusal says of the limit that leaves less than is required.
create function limit_refused(l limit_standing, p_required_micros bigint) returns json
language sql stable as $$
  select json_build_object(
    'limit', jsonb_strip_nulls(jsonb_build_object(
      'period', l.period, 'type', l.usage_type, 'prefix', l.prefix)),
    'limitMicros', l.amount_micros::text, 'spentMicros', l.spent_micros::text,
    'reservedMicros', l.reserved_micros::text, 'requiredMicros', p_required_micros::text,
    'leftMicros', l.left_micros::text, 'resetsAt', json_instant(l.resets_at))
$$;

create function limit_refusal(l limit_standing, w wallets, p_amount_micros bigint)
returns ledger_outcome
language plpgsql stable as $$
declare
  outcome ledger_outcome := refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
begin
  outcome.detail := limit_refused(l, p_amount_micros);
  return outcome;
end $$;

-- What any usage, of whatever type, may cost the wallet now.
create function affordable_micros(w wallets) returns bigint
language sql stable as $$
  select least(available_micros(w),
    case when w.limited then (tightest_limit(w, null, null, null)).left_micros end)
$$;

-- A limit as it stands in events.
create function limit_term(p_period text, p_amount_micros bigint, p_type text, p_prefix text)
returns jsonb
language sql immutable parallel safe as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'period', p_period, 'amountMicros', p_amount_micros::text, 'type', p_type, 'prefix', p_prefix))
$$;

-- Replaces the limits of a wallet, `p_limits` [{period, amountMicros, type?, prefix?}]. The same
-- limits again, in whatever order, write nothing and are answered as replayed. A limit counts what
-- was spent since its window began, also before it was set.
create function set_limits(p_wallet_id uuid, p_limits jsonb, p_actor text) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  asked jsonb;
  allowed boolean;
  kept jsonb;
begin
  select coalesce(jsonb_agg(limit_term(l.period, l."amountMicros", l.type, l.prefix)
      order by l.period, l.type collate "C" nulls first, l.prefix collate "C" nulls first), '[]'),
    count(*) <= 20 and count(*) = count(distinct (l.period, l.type, l.prefix))
      and coalesce(bool_and(l."amountMicros" between 0 and 1000000000000000000), true)
  into asked, allowed
  from jsonb_to_recordset(p_limits) l (period text, "amountMicros" bigint, type text, prefix text);
  if allowed is not true then
    raise exception 'a wallet has at most 20 limits, none of them twice and none negative'
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
  select coalesce(jsonb_agg(limit_term(l.period, l.amount_micros, l.usage_type, l.prefix)
      order by l.period, l.usage_type collate "C" nulls first,
        l.prefix collate "C" nulls first), '[]')
  into kept
  from wallet_limits l where l.wallet_id = w.id;
  if asked = kept then
    return row('OK', true, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
               available_micros(w), w.updated_at, null)::ledger_outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, 0);
  end if;

  w := append_event(w, 'limits_changed', 0, 0, 0, null, null, p_actor, null,
                    json_build_object('limits', asked));
  delete from wallet_limits where wallet_id = w.id;
  with used as materialized (
    select u.* from limit_window('month', w.updated_at, w.timezone) n
    cross join lateral usage_since(w.id, n.starts_at) u
  )
  insert into wallet_limits (
    wallet_id, period, usage_type, prefix, amount_micros, starts_at, spent_micros
  )
  select w.id, l.period, l.type, l.prefix, l."amountMicros", n.starts_at, t.spent
  from jsonb_to_recordset(asked) l (period text, "amountMicros" bigint, type text, prefix text)
  cross join lateral limit_window(l.period, w.updated_at, w.timezone) n
  cross join lateral (
    select coalesce(sum(u.micros), 0) as spent from used u
    where u.counted_at >= n.starts_at
      and limit_counts(l.type, l.prefix, u.usage_type, u.destination)
  ) t;
  update wallets set limited = asked <> '[]' where id = w.id;
  return row('OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
             available_micros(w), w.updated_at, json_build_object('limits', asked))::ledger_outcome;
end $$;

-- Compares the limits of a range of wallets with the last event that set them, and their counters
-- with the events of their windows. Only the owner may call it.
create function verify_limits(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with last_set as (
    select distinct on (wallet_id) wallet_id, seq, detail from wallet_events
    where wallet_id between p_from and p_to and type = 'limits_changed'
    order by wallet_id, seq desc
  ), told as (
    select s.wallet_id, s.seq, l.*
    from last_set s
    cross join lateral json_to_recordset(s.detail -> 'limits')
      l (period text, "amountMicros" bigint, type text, prefix text)
  ), kept as (
    select l.*, w.timezone, n.starts_at = l.starts_at as in_window, n.ends_at
    from wallet_limits l
    join wallets w on w.id = l.wallet_id
    cross join lateral limit_window(l.period, l.starts_at, w.timezone) n
    where l.wallet_id between p_from and p_to
  ), used as materialized (
    select k.wallet_id, u.*
    from (select wallet_id, min(starts_at) as starts_at from kept group by wallet_id) k
    cross join lateral usage_since(k.wallet_id, k.starts_at) u
  ), counted as (
    select k.*, t.spent, t.counted_later
    from kept k
    cross join lateral (
      select
        coalesce(sum(u.micros) filter (where u.recorded_at < k.ends_at), 0) as spent,
        count(*) filter (where u.recorded_at >= k.ends_at) > 0 as counted_later
      from used u
      where u.wallet_id = k.wallet_id and u.counted_at >= k.starts_at
        and limit_counts(k.usage_type, k.prefix, u.usage_type, u.destination)
    ) t
  ), problems as (
    select coalesce(c.wallet_id, t.wallet_id) as wallet_id, t.seq, p.problem,
      format(p.message, concat_ws(' ', coalesce(c.period, t.period), coalesce(c.usage_type, t.type),
        coalesce(c.prefix, t.prefix)), p.stored, p.computed) as message
    from counted c
    full join told t on t.wallet_id = c.wallet_id and t.period = c.period
      and coalesce(t.type, '') = coalesce(c.usage_type, '')
      and coalesce(t.prefix, '') = coalesce(c.prefix, '')
    cross join lateral (values
      ('LIMIT_LIST', 'the limit (%s) is %s, it was set to %s',
        coalesce(c.amount_micros::text, 'missing'), coalesce(t."amountMicros"::text, 'none'),
        c.amount_micros is distinct from t."amountMicros"),
      ('LIMIT_WINDOW', 'the limit (%s) counts from %s, which is not its last window (%s)',
        c.starts_at::text, c.ends_at::text, not c.in_window or c.counted_later),
      ('LIMIT_SPENT', 'the limit (%s) says %s spent, its events add up to %s',
        c.spent_micros::text, c.spent::text, c.spent_micros <> c.spent)
    ) as p (problem, message, stored, computed, wrong)
    where p.wrong
    union all
    select w.id, s.seq, 'WALLET_LIMITED', 'the wallet says that it has '
      || case when w.limited then 'limits, it has none' else 'no limits, it has some' end
    from wallets w
    left join last_set s on s.wallet_id = w.id
    where w.id between p_from and p_to
      and w.limited <> coalesce(json_array_length(s.detail -> 'limits') > 0, false)
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem, l.message), '[]')
     from (select * from problems order by wallet_id, seq, problem, message limit p_limit) l)
$$;

grant select on wallet_limits to wallet_app;
grant execute on function
  dialled_digits(text), limit_window(text, timestamptz, text),
  limit_counts(text, text, text, text), limit_standings(wallets, uuid),
  tightest_limit(wallets, text, text, uuid), affordable_micros(wallets),
  set_limits(uuid, jsonb, text)
  to wallet_app;

-- From here on: functions of earlier migrations, which learn of limits.

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
end $$;

-- The account on the other side of each event type.
create or replace function contra_account(p_type text) returns text
language sql immutable strict parallel safe as $$
  select case p_type
    when 'top_up' then 'assets:processor_clearing'
    when 'grant' then 'expenses:promotions'
    when 'grant_expired' then 'income:breakage'
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
    when 'limits_changed' then 'equity:opening'
  end
$$;

-- Opens the wallet of a user in a currency, or returns the one that is open already.
create or replace function open_wallet(
  p_wallet_id uuid,
  p_user_id text,
  p_currency text,
  p_timezone text,
  p_mode text,
  p_actor text,
  out opened boolean,
  out wallet wallets
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  -- Two openings of one wallet wait for each other here, so neither leaves an event behind.
  perform pg_advisory_xact_lock(hashtextextended(p_user_id || E'\n' || p_currency, 0));
  select * into wallet from wallets where user_id = p_user_id and currency = p_currency;
  if found then
    opened := false;
    return;
  end if;
  -- Refuses a name that the database's time zone table does not know.
  perform now() at time zone p_timezone;

  wallet.id := p_wallet_id;
  wallet.user_id := p_user_id;
  wallet.currency := p_currency;
  wallet.timezone := p_timezone;
  wallet.mode := p_mode;
  wallet.status := 'open';
  wallet.balance_micros := 0;
  wallet.held_micros := 0;
  wallet.arrears_micros := 0;
  wallet.overdraft_limit_micros := 0;
  wallet.limited := false;
  wallet.grants_micros := 0;
  wallet.seq := 0;
  wallet.updated_at := '-infinity';
  wallet := append_event(
    wallet, 'wallet_opened', 0, 0, 0, null, null, p_actor, null,
    json_build_object('currency', p_currency, 'mode', p_mode, 'timezone', p_timezone,
                       'userId', p_user_id)
  );
  wallet.opened_at := wallet.updated_at;
  insert into wallets values (wallet.*);
  opened := true;
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
  if w.status <> 'open' then
    return refusal_of('WALLET_' || upper(w.status), w, p_amount_micros);
  end if;
  if p_amount_micros is null then
    return refusal_of('NO_RATE', w, null);
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

create or replace function charge_many(
  p_wallet_ids uuid[],
  p_alone boolean[],
  p_keys uuid[],
  p_request_hashes bytea[],
  p_amounts_micros bigint[],
  p_overruns text[],
  p_occurred_at timestamptz[],
  p_actors text[],
  p_details json[]
) returns table (
  ord int, code text, replayed boolean, seq bigint, amount_micros bigint, balance_micros bigint,
  held_micros bigint, arrears_micros bigint, available_micros bigint, recorded_at timestamptz,
  detail json
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
-- A plan that is made once does not know how long the arrays are, and would read all wallets.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  now_at timestamptz;
  -- Nearly always null, which costs a charge nothing.
  revoked_actors text[];
  ambiguous_wallets uuid[];
  known_ords bigint[];
  sequential_wallets uuid[];
begin
  perform from wallets where id = any (p_wallet_ids) order by id for no key update;
  now_at := ledger_now();

  -- From here on, each statement sees what the locks' former holders have committed.
  select array_agg('api_key:' || id) into revoked_actors from api_keys
  where revoked_at is not null and id = any (
    select substr(a.actor, 9) from (select distinct actor from unnest(p_actors) a(actor)) a);

  select array_agg(w.id) into ambiguous_wallets from wallets w
  where w.id = any (p_wallet_ids)
    and exists (select from wallets o where o.user_id = w.user_id and o.id <> w.id);

  select array_agg(c.ord) into known_ords
  from unnest(p_wallet_ids, p_keys) with ordinality c(wallet_id, key, ord)
  join wallet_events e on e.wallet_id = c.wallet_id and e.key = c.key;

  -- Wallets of which not every new charge is accepted whatever the order, or not simply debited.
  select array_agg(c.wallet_id) into sequential_wallets
  from (
    select c.wallet_id, sum(c.amount) as total,
      bool_and(coalesce(c.amount between 0 and 1000000000000000000, false)) as priced
    from unnest(p_wallet_ids, p_amounts_micros) with ordinality c(wallet_id, amount, ord)
    where known_ords is null or c.ord <> all (known_ords)
    group by c.wallet_id
  ) c
  left join wallets w on w.id = c.wallet_id
  where w.id is null or not c.priced or w.status <> 'open' or w.mode <> 'live' or w.next_due_at <= now_at
    or w.grants_micros > 0 or w.limited
    -- charge_wallet takes no more charges then, not even of nothing.
    or w.arrears_micros > 2000000000000000000
    or w.balance_micros - w.held_micros + w.overdraft_limit_micros < c.total;

  return query
  with charged as (
    select c.*, w.head_hash, w.held_micros, w.arrears_micros, w.overdraft_limit_micros,
      w.seq + row_number() over own as seq,
      w.balance_micros - (sum(c.amount) over own)::bigint as balance,
      lead(c.ord) over own is null as last,
      greatest(now_at, w.updated_at) as recorded,
      coalesce(c.occurred_at, greatest(now_at, w.updated_at)) as occurred
    from unnest(p_wallet_ids, p_alone, p_keys, p_request_hashes, p_amounts_micros, p_occurred_at,
                p_actors, p_details)
      with ordinality
      c(wallet_id, alone, key, request, amount, occurred_at, actor, detail, ord)
    join wallets w on w.id = c.wallet_id
    where (known_ords is null or c.ord <> all (known_ords))
      and (sequential_wallets is null or c.wallet_id <> all (sequential_wallets))
      and (revoked_actors is null or c.actor <> all (revoked_actors))
      and (ambiguous_wallets is null or not c.alone or c.wallet_id <> all (ambiguous_wallets))
    window own as (partition by c.wallet_id order by c.ord rows unbounded preceding)
  ), chained as materialized (
    select c.*, chain_hash(
        c.head_hash,
        -- event_canonical, written out: a call of it for each event would build the whole row.
        concat_ws(E'\n', 'v1', c.wallet_id, c.seq, 'charge', -c.amount, '0', '0',
          c.balance, c.held_micros, c.arrears_micros, c.overdraft_limit_micros, c.key,
          encode(c.request, 'hex'), c.actor, (extract(epoch from c.occurred) * 1000000)::bigint,
          (extract(epoch from c.recorded) * 1000000)::bigint, c.detail)
      ) over (partition by c.wallet_id order by c.ord rows unbounded preceding) as hash
    from charged c
  ), written as (
    insert into wallet_events (
      wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
      balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
      actor, occurred_at, recorded_at, detail, hash
    )
    select c.wallet_id, c.seq, 'charge', -c.amount, 0, 0, c.balance, c.held_micros,
      c.arrears_micros, c.overdraft_limit_micros, c.key, c.request, c.actor, c.occurred,
      c.recorded, c.detail, c.hash
    from chained c
  ), projected as (
    update wallets w set
      balance_micros = c.balance, seq = c.seq, head_hash = c.hash, updated_at = c.recorded
    from chained c
    where w.id = c.wallet_id and c.last
  )
  select c.ord::int, 'OK', false, c.seq, c.amount, c.balance, c.held_micros, c.arrears_micros,
    c.balance - c.held_micros + c.overdraft_limit_micros, c.recorded, null::json
  from chained c;

  if revoked_actors is null and ambiguous_wallets is null and known_ords is null
     and sequential_wallets is null then
    return;
  end if;

  -- A revoked key's and an ambiguous name's charges are refused; the others take their turn.
  return query
  select c.ord::int, o.*
  from unnest(p_wallet_ids, p_alone, p_keys, p_request_hashes, p_amounts_micros, p_overruns,
              p_occurred_at, p_actors, p_details)
    with ordinality
    c(wallet_id, alone, key, request, amount, overrun, occurred_at, actor, detail, ord)
  cross join lateral charge_wallet(
    c.wallet_id, c.key, c.request, c.amount, c.overrun, c.occurred_at, c.actor, c.detail) o
  where (c.ord = any (known_ords) or c.wallet_id = any (sequential_wallets))
    and (revoked_actors is null or c.actor <> all (revoked_actors))
    and (ambiguous_wallets is null or not c.alone or c.wallet_id <> all (ambiguous_wallets))
  order by c.wallet_id, c.ord;

  return query
  select c.ord::int, case when c.revoked then 'KEY_REVOKED' else 'CURRENCY_REQUIRED' end, false,
    null::bigint, null::bigint, null::bigint, null::bigint, null::bigint, null::bigint,
    null::timestamptz, null::json
  from (
    select c.ord, coalesce(c.actor = any (revoked_actors), false) as revoked,
      coalesce(c.alone and c.wallet_id = any (ambiguous_wallets), false) as ambiguous
    from unnest(p_wallet_ids, p_alone, p_actors) with ordinality c(wallet_id, alone, actor, ord)
  ) c
  where c.revoked or c.ambiguous;
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
  p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  ends_at timestamptz;
  placed_detail json;
  tightest limit_standing;
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
  if w.limited then
    tightest := tightest_limit(w, p_usage_type, p_destination, null);
    if p_amount_micros > tightest.left_micros then
      return limit_refusal(tightest, w, p_amount_micros);
    end if;
  end if;
  if p_amount_micros > greatest(available_micros(w), 0) then
    return refusal_of('INSUFFICIENT_FUNDS', w, p_amount_micros);
  end if;

  ends_at := date_trunc('milliseconds', ledger_now()) + make_interval(secs => p_ttl_seconds);
  placed_detail := (p_detail || jsonb_build_object(
    'holdId', p_hold_id, 'referenceId', p_reference_id, 'rateCardId', p_rate_card_id,
    'expiresAt', json_instant(ends_at))
    -- How far the limits let it come: a replay says the same.
    || jsonb_strip_nulls(jsonb_build_object('headroomMicros', tightest.left_micros::text)))::json;
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

-- The answer to a heartbeat also says the most that the limits let the hold come to, null when none
-- is for it, and of LIMIT_EXCEEDED which limit.
alter type hold_outcome
  add attribute headroom_micros bigint,
  add attribute detail json;
drop function hold_answer(text, wallets, holds, boolean);
create function hold_answer(
  p_code text, w wallets, h holds, p_low_balance boolean, p_headroom_micros bigint, p_detail json
) returns hold_outcome
language sql immutable parallel safe as $$
  select row(
    p_code, w.seq, h.held_micros, h.expires_at, h.amount_so_far_micros, h.units_so_far,
    p_low_balance, available_micros(w), p_headroom_micros, p_detail
  )::hold_outcome
$$;

-- The heartbeat of what is running: records the usage so far, `p_report` {usage, units, breakdown}
-- at `p_amount_micros` (null when no rate was found), reserves as much ahead of it as was asked
-- for, as far as the wallet has it and its limits leave it, and puts the expiry off. Usage that is
-- not above what was recorded changes nothing, so heartbeats may come twice and in any order. What
-- was delivered is recorded whatever the answer, and covered before anything else is; after the
-- hold ran out it is billed.
create or replace function extend_hold(
  p_wallet_id uuid,
  p_hold_id uuid,
  p_report jsonb,
  p_amount_micros bigint,
  p_add_micros bigint,
  p_ttl_seconds int,
  p_actor text
) returns hold_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  h holds;
  outcome hold_outcome;
  units constant bigint := p_report ->> 'units';
  grown boolean := false;
  funded bigint;
  burn jsonb;
  target bigint;
  raised bigint;
  ends_at timestamptz;
  extended_detail jsonb;
  wanted bigint;
  tightest limit_standing;
begin
  if p_amount_micros < 0 or p_add_micros <= 0 or p_ttl_seconds not between 10 and 86400 then
    raise exception 'usage is not negative, an addition positive, a hold lasts 10 to 86400 seconds'
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
  select * into h from holds where id = p_hold_id and wallet_id = w.id;
  if not found then
    outcome.code := 'HOLD_NOT_FOUND';
    return outcome;
  end if;
  outcome.code := case
    when h.status not in ('open', 'expired') then 'HOLD_NOT_OPEN'
    when h.usage_type <> p_report #>> '{usage,type}' then 'USAGE_TYPE_DIFFERS'
    when p_report is not null and p_amount_micros is null then 'NO_RATE'
    when greatest(p_amount_micros, p_add_micros) > 1000000000000000000 then 'LIMIT_EXCEEDED'
  end;
  if outcome.code is not null then
    return hold_answer(outcome.code, w, h, false, null, null);
  end if;

  if p_report is not null then
    grown := h.report is null
      or units >= h.units_so_far and p_amount_micros >= h.amount_so_far_micros
         and (units > h.units_so_far or p_amount_micros > h.amount_so_far_micros);
  end if;

  if h.status = 'expired' then
    -- Delivered all the same, so the difference is owed; the caller learns that it must end.
    if grown and p_amount_micros > h.billed_micros and w.arrears_micros <= 2000000000000000000 then
      funded := least(p_amount_micros - h.billed_micros, greatest(available_micros(w), 0));
      burn := burn_of(w, funded, h.placed_at);
      w := post_difference(w, funded, p_amount_micros - h.billed_micros - funded, null, null,
                           p_actor, correction_detail(h, p_report), burn);
      update holds set
        burned = burned || coalesce(burn, '[]'),
        report = p_report, units_so_far = units,
        amount_so_far_micros = p_amount_micros, billed_micros = p_amount_micros,
        usage_type = p_report #>> '{usage,type}',
        destination = coalesce(p_report #>> '{usage,to}', destination)
      where id = h.id returning * into h;
    end if;
    return hold_answer('HOLD_NOT_OPEN', w, h, false, null, null);
  end if;

  if grown then
    h.report := p_report;
    h.units_so_far := units;
    h.amount_so_far_micros := p_amount_micros;
    h.usage_type := p_report #>> '{usage,type}';
    h.destination := coalesce(p_report #>> '{usage,to}', h.destination);
  end if;
  h.ahead_micros := greatest(h.ahead_micros, h.placed_micros + p_add_micros);
  -- A frozen wallet pays for what was delivered and for nothing more.
  wanted := h.amount_so_far_micros + case when w.status = 'open' then h.ahead_micros else 0 end;
  if w.limited then
    tightest := tightest_limit(w, h.usage_type, h.destination, h.id);
  end if;
  -- What was delivered counts against the limits anyway.
  target := greatest(least(wanted, tightest.left_micros), h.amount_so_far_micros);
  raised := greatest(least(target - h.held_micros, available_micros(w)), 0);
  h.held_micros := h.held_micros + raised;
  outcome.code := case
    when w.status <> 'open' then 'WALLET_' || upper(w.status)
    when tightest.left_micros < wanted
         and greatest(tightest.left_micros, h.held_micros) <= h.amount_so_far_micros
      then 'LIMIT_EXCEEDED'
    when h.held_micros < wanted and h.held_micros <= h.amount_so_far_micros
      then 'INSUFFICIENT_FUNDS'
    else 'OK'
  end;
  ends_at := h.expires_at;
  if outcome.code = 'OK' then
    h.ttl_seconds := coalesce(p_ttl_seconds, h.ttl_seconds);
    ends_at := greatest(ends_at, date_trunc('milliseconds', ledger_now())
                                 + make_interval(secs => h.ttl_seconds));
  end if;
  if grown or raised > 0 or ends_at > h.expires_at then
    h.expires_at := ends_at;
    extended_detail := hold_link(h) || jsonb_build_object(
      'expiresAt', json_instant(h.expires_at), 'aheadMicros', h.ahead_micros::text,
      'ttlSeconds', h.ttl_seconds);
    w := append_event(
      w, 'hold_extended', 0, raised, 0, null, null, p_actor, null,
      (case when grown then extended_detail || p_report else extended_detail end)::json
    );
    update holds set
      usage_type = h.usage_type, destination = h.destination, ahead_micros = h.ahead_micros,
      held_micros = h.held_micros, report = h.report, units_so_far = h.units_so_far,
      amount_so_far_micros = h.amount_so_far_micros, ttl_seconds = h.ttl_seconds,
      expires_at = h.expires_at
    where id = h.id;
  end if;
  return hold_answer(
    outcome.code, w, h, h.held_micros < h.amount_so_far_micros + h.ahead_micros,
    tightest.left_micros,
    case when outcome.code = 'LIMIT_EXCEEDED' then limit_refused(tightest, wanted) end);
end $$;

-- Posts the final usage of a hold, once, and releases the rest of it. `p_report` is null for the
-- usage that was recorded last. What is above the hold comes out of what else is available; what is
-- above that too is refused, the hold staying open, or owed (`p_overrun`), and so is what is above
-- the hold and above what a limit leaves. After the hold ran out only the difference to what was
-- billed then is posted, or given back. The wallet's status does not matter: this was delivered.
create or replace function capture_hold(
  p_wallet_id uuid,
  p_hold_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_report jsonb,
  p_amount_micros bigint,
  p_overrun text,
  p_actor text
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  called_at timestamptz;
  w wallets;
  h holds;
  outcome ledger_outcome;
  final_report jsonb := p_report;
  final_micros bigint := p_amount_micros;
  billed bigint;
  refunded bigint := 0;
  due bigint;
  funded bigint;
  first_seq bigint;
  posted_detail json;
  tightest limit_standing;
  parts jsonb;
begin
  if p_amount_micros < 0 or p_overrun is null or p_overrun not in ('refuse', 'arrears') then
    raise exception 'a capture is never negative, and overrun is refuse or arrears'
      using errcode = 'invalid_parameter_value';
  end if;
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  called_at := ledger_now();
  if w.next_due_at <= called_at then
    w := settle_due(w);
  end if;
  select * into h from holds where id = p_hold_id and wallet_id = w.id;
  if not found then
    return refusal_of('HOLD_NOT_FOUND', w, final_micros);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code = 'OK' then
    return outcome;
  end if;
  if h.status not in ('open', 'expired') then
    return refusal_of('HOLD_NOT_OPEN', w, final_micros);
  end if;
  if final_report is null then
    final_report := h.report;
    final_micros := h.amount_so_far_micros;
  end if;
  if final_report is null then
    return refusal_of('USAGE_REQUIRED', w, null);
  end if;
  if h.usage_type <> final_report #>> '{usage,type}' then
    return refusal_of('USAGE_TYPE_DIFFERS', w, final_micros);
  end if;
  if final_micros is null then
    return refusal_of('NO_RATE', w, null);
  end if;
  -- Nothing was billed while the hold is open, nothing is held after it ran out. What was refunded
  -- since is not given back once more.
  billed := final_micros;
  if h.status = 'expired' then
    refunded := refunded_micros(h);
    billed := greatest(billed, refunded);
  end if;
  due := billed - h.billed_micros;
  if final_micros > 1000000000000000000
     or due < 0 and w.balance_micros > 2000000000000000000
     or due >= 0 and w.arrears_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, final_micros);
  end if;
  if w.limited and p_overrun = 'refuse' and due > h.held_micros then
    tightest := tightest_limit(w, final_report #>> '{usage,type}', final_report #>> '{usage,to}',
                               h.id);
    if due > tightest.left_micros then
      return limit_refusal(tightest, w, due);
    end if;
  end if;
  funded := least(due, h.held_micros + greatest(available_micros(w), 0));
  if funded < due and p_overrun = 'refuse' then
    outcome := refusal_of('INSUFFICIENT_FUNDS', w, due);
    outcome.available_micros := h.held_micros + greatest(available_micros(w), 0);
    return outcome;
  end if;

  first_seq := w.seq + 1;
  if h.status = 'open' then
    posted_detail := (hold_link(h) || final_report)::json;
    parts := burn_of(w, funded, h.placed_at);
    w := end_hold(w, h, 'hold_captured', funded, due - funded, p_key, p_request_hash, p_actor, null,
                  final_report, parts);
    w := note_expiries(w);
  else
    posted_detail := correction_detail(h, final_report);
    if due >= 0 then
      parts := burn_of(w, funded, h.placed_at);
      w := post_difference(w, funded, due - funded, p_key, p_request_hash, p_actor, posted_detail,
                           parts);
    else
      parts := restored(h.burned, billed - refunded);
      w := give_back(w, -due, p_key, p_request_hash, p_actor, posted_detail, parts, called_at);
    end if;
  end if;
  update holds set
    burned = case when due >= 0 then burned || coalesce(parts, '[]')
                  else still_burned(burned, billed - refunded) end,
    status = 'captured', held_micros = 0, usage_type = final_report #>> '{usage,type}',
    report = final_report, units_so_far = (final_report ->> 'units')::bigint,
    amount_so_far_micros = final_micros, billed_micros = billed
  where id = h.id;
  return row(
    'OK', false, first_seq, abs(due), w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, with_field(posted_detail, 'grants', parts)
  )::ledger_outcome;
end $$;
