-- Holds: money that is reserved while usage goes on, and what becomes of it. A hold is captured,
-- voided, or runs out at `expires_at`, whether or not anybody looks: every operation on a wallet
-- first settles what is due on it, in the same transaction.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (type in (
  'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
  'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired', 'usage_refund'
));

-- Nothing on the wallet falls due before this instant; null when nothing will. It may be earlier
-- than the first open hold runs out, never later: who charges a wallet need look no further when it
-- is null or still to come.
alter table wallets add column next_due_at timestamptz;
create index wallets_due on wallets (next_due_at) where next_due_at is not null;

-- What the events of each hold have made of it.
create table holds (
  id uuid primary key,
  wallet_id uuid not null references wallets (id),
  -- The caller's own key of the hold.
  reference_id text not null,
  status text not null check (status in ('open', 'captured', 'voided', 'expired')),
  -- The card that was in effect when it was placed: what is running keeps its price. No foreign
  -- key: all holds would lock the one row of the card, and cards are never deleted.
  rate_card_id uuid not null,
  -- Null until the caller says what is used.
  usage_type text,
  destination text,
  placed_micros bigint not null check (placed_micros between 0 and 1000000000000000000),
  -- What is to be reserved beyond the usage so far.
  ahead_micros bigint not null check (ahead_micros >= placed_micros),
  held_micros bigint not null check (held_micros >= 0),
  -- What was reported last, {usage, units, breakdown}, and its price; it never goes back.
  report jsonb check (jsonb_typeof(report) = 'object'),
  units_so_far bigint not null default 0,
  amount_so_far_micros bigint not null default 0 check (amount_so_far_micros >= 0),
  -- What was charged for it, taken or owed.
  billed_micros bigint not null default 0 check (billed_micros >= 0),
  ttl_seconds int not null check (ttl_seconds between 10 and 86400),
  placed_at timestamptz not null,
  expires_at timestamptz not null,
  constraint holds_reserve_while_open check (status = 'open' or held_micros = 0),
  constraint holds_bill_at_the_end check (status in ('captured', 'expired') or billed_micros = 0)
);
create index holds_open on holds (wallet_id, expires_at) where status = 'open';

create trigger holds_never_deleted
  before delete or truncate on holds
  for each statement execute function refuse_ledger_change();

-- An instant as JSON carries it.
create function json_instant(p_at timestamptz) returns text
language sql stable strict parallel safe as $$
  select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

create function hold_link(h holds) returns jsonb
language sql immutable parallel safe as $$
  select jsonb_build_object('holdId', h.id, 'referenceId', h.reference_id)
$$;

-- What an event charges for usage, taken, reserved or owed; negative for what it gives back.
create function usage_micros(e wallet_events) returns bigint
language sql immutable parallel safe as $$
  select case
    when e.type in ('charge', 'hold_captured', 'hold_expired')
      then e.arrears_delta_micros - e.balance_delta_micros
    when e.type = 'accrual' then e.held_delta_micros + e.arrears_delta_micros
    when e.type = 'usage_refund' then -e.balance_delta_micros
    else 0
  end
$$;

-- What a hold that runs out bills: its usage so far, out of what it holds, then out of what else is
-- available, and the rest owed, up to what a wallet can owe.
create function bill_of_expiry(w wallets, h holds, out funded_micros bigint, out owed_micros bigint)
language sql immutable parallel safe as $$
  select funded, least(h.amount_so_far_micros - funded,
                       greatest(3000000000000000000 - w.arrears_micros, 0))
  from least(h.amount_so_far_micros, h.held_micros + greatest(available_micros(w), 0)) as funded
$$;

-- Ends a hold: releases all that it holds and posts its usage. In a deferred wallet the usage stays
-- reserved, as an accrual right behind the release, until its month is closed. Internal.
create function end_hold(
  inout w wallets, h holds, p_type text, p_funded_micros bigint, p_owed_micros bigint, p_key uuid,
  p_request_hash bytea, p_actor text, p_occurred_at timestamptz, p_report jsonb
)
language plpgsql as $$
begin
  if p_report is null or w.mode = 'deferred' then
    w := append_event(
      w, p_type, 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, p_occurred_at,
      hold_link(h)::json
    );
    if p_report is not null then
      w := append_event(
        w, 'accrual', 0, p_funded_micros, p_owed_micros, null, null, p_actor, p_occurred_at,
        (hold_link(h) || p_report)::json
      );
    end if;
  else
    w := append_event(
      w, p_type, -p_funded_micros, -h.held_micros, p_owed_micros, p_key, p_request_hash, p_actor,
      p_occurred_at, (hold_link(h) || p_report)::json
    );
  end if;
end $$;

-- Settles, on a wallet whose row is locked, what has fallen due. Internal; callers save the call
-- with `if w.next_due_at <= ledger_now()`.
create function settle_due(inout w wallets)
language plpgsql as $$
declare
  called_at constant timestamptz := ledger_now();
  h holds;
  bill record;
begin
  for h in
    select * from holds
    where wallet_id = w.id and status = 'open' and expires_at <= called_at
    order by expires_at, id
  loop
    bill := bill_of_expiry(w, h);
    w := end_hold(w, h, 'hold_expired', bill.funded_micros, bill.owed_micros, null, null,
                  'system:expiry', h.expires_at, h.report);
    update holds
    set status = 'expired', held_micros = 0, billed_micros = bill.funded_micros + bill.owed_micros
    where id = h.id;
  end loop;
  w.next_due_at := (select min(expires_at) from holds where wallet_id = w.id and status = 'open');
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $$;

-- The wallet as it will stand once what is due has been settled; nothing is written.
create function wallet_now(w wallets) returns wallets
language plpgsql stable as $$
declare
  called_at constant timestamptz := ledger_now();
  h holds;
  bill record;
begin
  if w.next_due_at <= called_at then
    for h in
      select * from holds
      where wallet_id = w.id and status = 'open' and expires_at <= called_at
      order by expires_at, id
    loop
      bill := bill_of_expiry(w, h);
      w.held_micros := w.held_micros - h.held_micros;
      if w.mode = 'deferred' then
        w.held_micros := w.held_micros + bill.funded_micros;
      else
        w.balance_micros := w.balance_micros - bill.funded_micros;
      end if;
      w.arrears_micros := w.arrears_micros + bill.owed_micros;
    end loop;
  end if;
  return w;
end $$;

-- Settles wallets on which something is due, the longest due first. Wallets that are in use are
-- passed over: who uses them settles them. `failed` lists those that could not be settled, which
-- must not keep the others.
create function settle_due_wallets(p_limit int, out settled int, out failed jsonb)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  called_at constant timestamptz := ledger_now();
  w wallets;
begin
  settled := 0;
  failed := '[]';
  -- Nothing here waits for a wallet's lock, so the order of locks cannot lead to a deadlock.
  for w in
    select * from wallets where next_due_at <= called_at
    order by next_due_at, id limit p_limit for no key update skip locked
  loop
    begin
      perform settle_due(w);
      settled := settled + 1;
    exception when others then
      if is_passing_error(sqlstate) then
        raise;
      end if;
      failed := failed || jsonb_build_object('walletId', w.id, 'sqlstate', sqlstate);
    end;
  end loop;
end $$;

-- Posts the difference by which usage is above what was billed before. Internal.
create function post_difference(
  inout w wallets, p_funded_micros bigint, p_owed_micros bigint, p_key uuid, p_request_hash bytea,
  p_actor text, p_detail json
)
language plpgsql as $$
begin
  if w.mode = 'deferred' then
    w := append_event(w, 'accrual', 0, p_funded_micros, p_owed_micros, p_key, p_request_hash,
                      p_actor, null, p_detail);
  else
    w := append_event(w, 'charge', -p_funded_micros, 0, p_owed_micros, p_key, p_request_hash,
                      p_actor, null, p_detail);
  end if;
end $$;

-- The detail of an event that corrects what a hold billed when it ran out. Its units are the
-- difference too, so that units of several events add up.
create function correction_detail(h holds, p_report jsonb) returns json
language sql immutable parallel safe as $$
  select (hold_link(h) || coalesce(p_report, '{}') || jsonb_build_object(
    'units', coalesce((p_report ->> 'units')::bigint, 0) - h.units_so_far,
    'alreadyBilledMicros', h.billed_micros::text
  ))::json
$$;

-- Places a hold, once per key. `p_amount_micros` is null when no rate was found, so that a replay
-- and the wallet's status still come first.
create function authorize_hold(
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

-- The answer to a heartbeat: the hold as it stands then. `low_balance` when less is reserved ahead
-- of the usage so far than was asked for.
create type hold_outcome as (
  code text,
  seq bigint,
  held_micros bigint,
  expires_at timestamptz,
  amount_so_far_micros bigint,
  units_so_far bigint,
  low_balance boolean,
  available_micros bigint
);

create function hold_answer(p_code text, w wallets, h holds, p_low_balance boolean)
returns hold_outcome
language sql immutable parallel safe as $$
  select row(
    p_code, w.seq, h.held_micros, h.expires_at, h.amount_so_far_micros, h.units_so_far,
    p_low_balance, available_micros(w)
  )::hold_outcome
$$;

-- Credits usage that was billed too much, and repays arrears first. Internal.
create function give_back(
  inout w wallets, p_amount_micros bigint, p_key uuid, p_request_hash bytea, p_actor text,
  p_detail json
)
language plpgsql as $$
begin
  w := append_event(w, 'usage_refund', p_amount_micros, 0, 0, p_key, p_request_hash, p_actor, null,
                    p_detail);
  w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq));
end $$;

-- The heartbeat of what is running: records the usage so far, `p_report` {usage, units, breakdown}
-- at `p_amount_micros` (null when no rate was found), reserves as much ahead of it as was asked
-- for, as far as the wallet has it, and puts the expiry off. Usage that is not above what was
-- recorded changes nothing, so heartbeats may come twice and in any order. What was delivered is
-- recorded whatever the answer, and covered before anything else is; after the hold ran out it is
-- billed.
create function extend_hold(
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
  target bigint;
  raised bigint;
  ends_at timestamptz;
  extended_detail jsonb;
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
    return hold_answer(outcome.code, w, h, false);
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
      w := post_difference(w, funded, p_amount_micros - h.billed_micros - funded, null, null,
                           p_actor, correction_detail(h, p_report));
      update holds set
        report = p_report, units_so_far = units,
        amount_so_far_micros = p_amount_micros, billed_micros = p_amount_micros,
        usage_type = p_report #>> '{usage,type}'
      where id = h.id returning * into h;
    end if;
    return hold_answer('HOLD_NOT_OPEN', w, h, false);
  end if;

  if grown then
    h.report := p_report;
    h.units_so_far := units;
    h.amount_so_far_micros := p_amount_micros;
    h.usage_type := p_report #>> '{usage,type}';
    h.destination := coalesce(h.destination, p_report #>> '{usage,to}');
  end if;
  h.ahead_micros := greatest(h.ahead_micros, h.placed_micros + p_add_micros);
  -- A frozen wallet pays for what was delivered and for nothing more.
  target := h.amount_so_far_micros + case when w.status = 'open' then h.ahead_micros else 0 end;
  raised := greatest(least(target - h.held_micros, available_micros(w)), 0);
  h.held_micros := h.held_micros + raised;
  outcome.code := case
    when w.status <> 'open' then 'WALLET_' || upper(w.status)
    when h.held_micros < target and h.held_micros <= h.amount_so_far_micros
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
  return hold_answer(outcome.code, w, h, h.held_micros < h.amount_so_far_micros + h.ahead_micros);
end $$;

-- Posts the final usage of a hold, once, and releases the rest of it. `p_report` is null for the
-- usage that was recorded last. What is above the hold comes out of what else is available; what is
-- above that too is refused, the hold staying open, or owed (`p_overrun`). After the hold ran out
-- only the difference to what was billed then is posted, or given back. The wallet's status does
-- not matter: this was delivered.
create function capture_hold(
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
  w wallets;
  h holds;
  outcome ledger_outcome;
  final_report jsonb := p_report;
  final_micros bigint := p_amount_micros;
  due bigint;
  funded bigint;
  first_seq bigint;
  posted_detail json;
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
  if w.next_due_at <= ledger_now() then
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
  -- Nothing was billed while the hold is open, nothing is held after it ran out.
  due := final_micros - h.billed_micros;
  if final_micros > 1000000000000000000
     or due < 0 and w.balance_micros > 2000000000000000000
     or due >= 0 and w.arrears_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, final_micros);
  end if;
  funded := least(due, h.held_micros + greatest(available_micros(w), 0));
  if funded < due and p_overrun = 'refuse' then
    outcome := refusal_of('INSUFFICIENT_FUNDS', w, due);
    outcome.available_micros := h.held_micros + greatest(available_micros(w), 0);
    return outcome;
  end if;

  first_seq := w.seq + 1;
  if h.status = 'open' then
    w := end_hold(w, h, 'hold_captured', funded, due - funded, p_key, p_request_hash, p_actor, null,
                  final_report);
    posted_detail := (hold_link(h) || final_report)::json;
  else
    posted_detail := correction_detail(h, final_report);
    if due >= 0 then
      w := post_difference(w, funded, due - funded, p_key, p_request_hash, p_actor, posted_detail);
    else
      w := give_back(w, -due, p_key, p_request_hash, p_actor, posted_detail);
    end if;
  end if;
  update holds set
    status = 'captured', held_micros = 0, usage_type = final_report #>> '{usage,type}',
    report = final_report, units_so_far = (final_report ->> 'units')::bigint,
    amount_so_far_micros = final_micros, billed_micros = final_micros
  where id = h.id;
  return row(
    'OK', false, first_seq, abs(due), w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, posted_detail
  )::ledger_outcome;
end $$;

-- Releases a hold: nothing of it was delivered, so nothing is billed, also when a heartbeat said
-- otherwise; what was billed when it ran out is given back. Once captured it stays captured.
create function void_hold(
  p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_actor text
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  h holds;
  outcome ledger_outcome;
  first_seq bigint;
  voided_detail json;
begin
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
    return refusal_of('HOLD_NOT_FOUND', w, null);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code = 'OK' then
    return outcome;
  end if;
  if h.status not in ('open', 'expired') then
    return refusal_of('HOLD_NOT_OPEN', w, null);
  end if;
  if h.billed_micros > 0 and w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, h.billed_micros);
  end if;

  first_seq := w.seq + 1;
  if h.billed_micros > 0 then
    voided_detail := correction_detail(h, null);
    w := give_back(w, h.billed_micros, p_key, p_request_hash, p_actor, voided_detail);
  else
    voided_detail := hold_link(h)::json;
    w := append_event(w, 'hold_voided', 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, null,
                      voided_detail);
  end if;
  update holds set status = 'voided', held_micros = 0, billed_micros = 0 where id = h.id;
  return row(
    'OK', false, first_seq, h.held_micros + h.billed_micros, w.balance_micros, w.held_micros,
    w.arrears_micros, available_micros(w), w.updated_at, voided_detail
  )::ledger_outcome;
end $$;

-- From here on: functions of earlier migrations, which learn of holds.

-- The answer that an event gives to its key, now or replayed.
create or replace function outcome_of(e wallet_events, p_replayed boolean) returns ledger_outcome
language plpgsql stable as $$
declare
  credited constant boolean := e.type in ('top_up', 'grant', 'usage_refund');
  settled wallet_events := e;
begin
  if credited then
    -- A credit that repaid arrears ended with the event right behind it.
    select * into settled from wallet_events
    where wallet_id = e.wallet_id and seq = e.seq + 1 and type = 'arrears_repaid';
    if not found then
      settled := e;
    end if;
  elsif e.type = 'hold_captured' then
    -- A deferred wallet's capture ended with the accrual right behind the release.
    select * into settled from wallet_events
    where wallet_id = e.wallet_id and seq = e.seq + 1 and type = 'accrual' and key is null
      and detail ->> 'holdId' = e.detail ->> 'holdId';
    if not found then
      settled := e;
    end if;
  end if;
  return row(
    'OK', p_replayed, e.seq,
    -- What was asked for: for a debit what was taken, reserved and left in arrears.
    case when credited then e.balance_delta_micros
         when e.type = 'hold_captured' then usage_micros(settled)
         when e.type = 'hold_voided' then -e.held_delta_micros
         else e.held_delta_micros + e.arrears_delta_micros - e.balance_delta_micros end,
    settled.balance_micros, settled.held_micros, settled.arrears_micros,
    settled.balance_micros - settled.held_micros + settled.overdraft_limit_micros,
    e.recorded_at, case when e.type = 'hold_captured' then settled.detail else e.detail end
  )::ledger_outcome;
end $$;

-- Adds money to a wallet whose row is locked, once per key, and repays arrears first. Internal.
create or replace function credit_wallet(
  w wallets,
  p_type text,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_actor text,
  p_occurred_at timestamptz,
  p_detail json
) returns ledger_outcome
language plpgsql as $$
declare
  outcome ledger_outcome;
  e wallet_events;
begin
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if p_amount_micros > 1000000000000000000 or w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
  end if;
  w := append_event(
    w, p_type, p_amount_micros, 0, 0, p_key, p_request_hash, p_actor, p_occurred_at, p_detail
  );
  select * into e from wallet_events where wallet_id = w.id and seq = w.seq;
  w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq));
  return outcome_of(e, false);
end $$;

-- Promotional credit, once per key.
create or replace function grant_credit(
  p_wallet_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_actor text,
  p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
begin
  if p_amount_micros is null or p_amount_micros <= 0 then
    raise exception 'a grant must be positive' using errcode = 'invalid_parameter_value';
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
    return refusal_of('WALLET_CLOSED', w, p_amount_micros);
  end if;
  return credit_wallet(w, 'grant', p_key, p_request_hash, p_amount_micros, p_actor, null, p_detail);
end $$;

-- Charges usage, once per key. `p_amount_micros` is null when no rate was found, so that a replay
-- and the wallet's status still come first. In `arrears` mode the part that the wallet cannot
-- fund is booked as arrears; in `refuse` mode the whole charge is refused.
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
  w wallets;
  outcome ledger_outcome;
  taken bigint;
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
  if p_amount_micros > 1000000000000000000 or w.arrears_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
  end if;

  taken := least(p_amount_micros, greatest(available_micros(w), 0));
  if taken < p_amount_micros and p_overrun = 'refuse' then
    return refusal_of('INSUFFICIENT_FUNDS', w, p_amount_micros);
  end if;
  if w.mode = 'deferred' then
    w := append_event(
      w, 'accrual', 0, taken, p_amount_micros - taken, p_key, p_request_hash, p_actor,
      p_occurred_at, p_detail
    );
  else
    w := append_event(
      w, 'charge', -taken, 0, p_amount_micros - taken, p_key, p_request_hash, p_actor,
      p_occurred_at, p_detail
    );
  end if;
  return row(
    'OK', false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, p_detail
  )::ledger_outcome;
end $$;

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
    when 'wallet_opened' then 'equity:opening'
  end
$$;

-- The column of the statement that an event's change of the balance is summed in.
create or replace function statement_movement(p_type text) returns text
language sql immutable strict parallel safe as $$
  select case p_type
    when 'top_up' then 'top_ups'
    when 'grant' then 'grants'
    when 'charge' then 'usage'
    when 'accrual_settled' then 'usage'
    when 'hold_captured' then 'usage'
    when 'hold_expired' then 'usage'
    when 'usage_refund' then 'refunds'
    else 'other'
  end
$$;

-- Compares the holds of a range of wallets with their events: what each holds, what was billed for
-- it, and that its wallet knows when it falls due. Only the owner may call it.
create function verify_holds(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with kept as (
    select h.*, w.next_due_at
    from holds h left join wallets w on w.id = h.wallet_id
    where h.wallet_id between p_from and p_to
  ), told as (
    select e.wallet_id, e.detail ->> 'holdId' as hold_id, max(e.seq) as seq,
      sum(e.held_delta_micros) filter (where e.type <> 'accrual') as held_micros,
      sum(usage_micros(e)) as billed_micros
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.wallet_id in (select wallet_id from kept)
      and e.detail ->> 'holdId' is not null
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

grant select on holds to wallet_app;
grant execute on function
  usage_micros(wallet_events),
  bill_of_expiry(wallets, holds), wallet_now(wallets), settle_due_wallets(int),
  authorize_hold(uuid, uuid, uuid, bytea, bigint, text, uuid, text, text, int, text, jsonb),
  extend_hold(uuid, uuid, jsonb, bigint, bigint, int, text),
  capture_hold(uuid, uuid, uuid, bytea, jsonb, bigint, text, text),
  void_hold(uuid, uuid, uuid, bytea, text)
  to wallet_app;
