-- The schema after all migrations, written by `npm run db:schema`. Do not edit.

-- Role of the application

create role wallet_app nologin;

-- Types

create domain billing_period as text collate "C"
  constraint billing_period_check CHECK (VALUE ~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])$'::text);

create type due_step as (
  at timestamp with time zone,
  hold_id uuid,
  funded_micros bigint,
  owed_micros bigint,
  grants jsonb,
  grant_seq bigint,
  ended_micros bigint,
  taken_micros bigint
);

create type event_state as (
  seq bigint,
  balance_micros bigint,
  held_micros bigint,
  arrears_micros bigint,
  recorded_at timestamp with time zone,
  hash bytea
);

create type hold_outcome as (
  code text,
  seq bigint,
  held_micros bigint,
  expires_at timestamp with time zone,
  amount_so_far_micros bigint,
  units_so_far bigint,
  low_balance boolean,
  available_micros bigint,
  headroom_micros bigint,
  detail json
);

create type ledger_outcome as (
  code text,
  replayed boolean,
  seq bigint,
  amount_micros bigint,
  balance_micros bigint,
  held_micros bigint,
  arrears_micros bigint,
  available_micros bigint,
  recorded_at timestamp with time zone,
  detail json
);

create type limit_standing as (
  period text,
  usage_type text,
  prefix text,
  amount_micros bigint,
  spent_micros numeric,
  reserved_micros numeric,
  left_micros bigint,
  resets_at timestamp with time zone
);

create type rate_card_change as (
  type text,
  prefix text,
  before jsonb,
  after jsonb
);

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
  mention_holds bigint[]
);

-- Sequences

create sequence statement_numbers as bigint increment 1 minvalue 1 maxvalue 9223372036854775807 start 1 cache 1;

-- Functions

CREATE OR REPLACE FUNCTION public.add_subscription(p_wallet_id uuid, p_id uuid, p_key uuid, p_request_hash bytea, p_kind text, p_description text, p_amount_micros bigint, p_starts_at timestamp with time zone, p_ends_at timestamp with time zone, p_actor text)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.affordable_micros(w wallets)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select least(available_micros(w),
    case when w.limited then (tightest_limit(w, null, null, null)).left_micros end)
$function$;

CREATE OR REPLACE FUNCTION public.append_event(INOUT w wallets, p_type text, p_balance_delta_micros bigint, p_held_delta_micros bigint, p_arrears_delta_micros bigint, p_key uuid, p_request_hash bytea, p_actor text, p_occurred_at timestamp with time zone, p_detail json, p_grants jsonb DEFAULT NULL::jsonb, p_projects boolean DEFAULT true)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
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

  if p_projects then
    -- A wallet's first event comes before its row, which is inserted on it.
    update wallets set
      balance_micros = w.balance_micros, held_micros = w.held_micros,
      arrears_micros = w.arrears_micros, seq = w.seq, head_hash = w.head_hash,
      grants_micros = w.grants_micros, updated_at = w.updated_at
    where id = w.id;
  end if;
  if w.limited then
    perform count_usage(w, e);
  end if;
  if strpos(p_detail::text, '"monthly"') > 0 then
    perform count_units(w, e);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.apply_dispute(p_dispute_id text, p_payment_intent_id text, p_currency text, p_amount_minor bigint, p_state text, p_status text, p_reason text, p_withdrawn_minor bigint, p_reinstated_minor bigint, p_actor text, p_occurred_at timestamp with time zone, p_detail jsonb)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  amount constant bigint := micros_of_minor(p_amount_minor, p_currency);
  dispute_detail constant json := (p_detail || jsonb_build_object('disputeId', p_dispute_id))::json;
  locked record;
  w wallets;
  t top_ups;
  old payment_disputes;
  d payment_disputes;
  outcome ledger_outcome;
  first_seq bigint;
  was_dispute boolean;
  is_dispute boolean;
begin
  if p_amount_minor <= 0 or p_withdrawn_minor < p_reinstated_minor or p_reinstated_minor < 0 then
    raise exception 'no more is given back than was taken'
      using errcode = 'invalid_parameter_value';
  end if;
  select * into locked from lock_payment(p_payment_intent_id);
  w := locked.w;
  t := locked.t;
  if w.id is null then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  select * into old from payment_disputes where dispute_id = p_dispute_id;
  if t.status <> 'succeeded' then
    return refusal_of('PAYMENT_NOT_CREDITED', w, amount);
  end if;
  if t.currency <> p_currency or old.top_up_id <> t.id then
    return refusal_of('PAYMENT_DIFFERS', w, amount);
  end if;

  first_seq := w.seq;
  was_dispute := coalesce(dispute_rank(old.state) >= dispute_rank('open'), false);
  d := old;
  if dispute_rank(p_state) >= coalesce(dispute_rank(old.state), 0) then
    d.state := p_state;
    d.status := p_status;
  end if;
  is_dispute := dispute_rank(d.state) >= dispute_rank('open');
  d.withdrawn_micros := case when is_dispute then greatest(
    coalesce(old.withdrawn_micros, 0), micros_of_minor(p_withdrawn_minor, p_currency)) else 0 end;
  d.reinstated_micros := case when is_dispute then greatest(
    coalesce(old.reinstated_micros, 0), micros_of_minor(p_reinstated_minor, p_currency)) else 0 end;
  d.freezes := is_dispute and d.state <> 'won' and case
    when was_dispute then old.freezes
    -- A wallet that a person froze is that person's to open.
    else w.status = 'open' or is_suspended(w) or w.status = 'frozen' and exists (
      select from payment_disputes where wallet_id = w.id and freezes)
  end;
  insert into payment_disputes as p (
    wallet_id, dispute_id, top_up_id, amount_micros, state, status, reason, withdrawn_micros,
    reinstated_micros, freezes, created_at
  ) values (
    w.id, p_dispute_id, t.id, amount, d.state, d.status, p_reason, d.withdrawn_micros,
    d.reinstated_micros, d.freezes, p_occurred_at
  ) on conflict (wallet_id, dispute_id) do update set
    state = excluded.state, status = excluded.status,
    withdrawn_micros = excluded.withdrawn_micros, reinstated_micros = excluded.reinstated_micros,
    freezes = excluded.freezes, updated_at = clock_timestamp();

  if is_dispute and not was_dispute then
    w := append_event(w, 'dispute_opened', 0, 0, 0, null, null, p_actor, p_occurred_at,
                      dispute_detail);
    if d.freezes and w.status = 'open' then
      w := append_event(
        w, 'wallet_frozen', 0, 0, 0, null, null, p_actor, null,
        json_build_object('disputeId', p_dispute_id, 'reason', 'A payment is disputed'));
      w.status := 'frozen';
      update wallets set status = w.status where id = w.id;
    end if;
  end if;
  if d.withdrawn_micros > coalesce(old.withdrawn_micros, 0) then
    w := append_event(
      w, 'dispute_withdrawn', coalesce(old.withdrawn_micros, 0) - d.withdrawn_micros, 0, 0, null,
      null, p_actor, null, dispute_detail);
  end if;
  if d.reinstated_micros > coalesce(old.reinstated_micros, 0) then
    w := append_event(
      w, 'dispute_reinstated', d.reinstated_micros - coalesce(old.reinstated_micros, 0), 0, 0,
      null, null, p_actor, null, dispute_detail);
    w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq), ledger_now(), 0);
  end if;
  if d.state in ('lost', 'won') and d.state is distinct from old.state then
    w := append_event(
      w, 'dispute_closed', 0, 0, 0, null, null, p_actor, null,
      (dispute_detail::jsonb || jsonb_build_object('outcome', d.state))::json);
  end if;
  if old.freezes and not d.freezes and w.status = 'frozen' and not is_suspended(w) and not exists (
    select from payment_disputes where wallet_id = w.id and freezes
  ) then
    w := append_event(
      w, 'wallet_unfrozen', 0, 0, 0, null, null, p_actor, null,
      json_build_object('disputeId', p_dispute_id, 'reason', 'The dispute has ended'));
    update wallets set status = 'open' where id = w.id;
  end if;
  return row(
    'OK', w.seq = first_seq, w.seq, amount, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, null
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.apply_payment_refund(p_stripe_refund_id text, p_own_id uuid, p_payment_intent_id text, p_currency text, p_amount_minor bigint, p_status text, p_failure_code text, p_reason text, p_actor text, p_occurred_at timestamp with time zone, p_detail jsonb)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  failed constant boolean := p_status in ('failed', 'canceled');
  amount constant bigint := micros_of_minor(p_amount_minor, p_currency);
  locked record;
  w wallets;
  t top_ups;
  r payment_refunds;
  outcome ledger_outcome;
  moved boolean := false;
begin
  if p_amount_minor <= 0 then
    raise exception 'a refund is positive' using errcode = 'invalid_parameter_value';
  end if;
  select * into locked from lock_payment(p_payment_intent_id);
  w := locked.w;
  t := locked.t;
  if w.id is null then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  select * into r from payment_refunds where stripe_refund_id = p_stripe_refund_id;
  if r.id is null then
    select * into r from payment_refunds
    where wallet_id = w.id and id = p_own_id and stripe_refund_id is null and status = 'reserved'
      and top_up_id = t.id and amount_micros = amount;
  end if;
  if t.status <> 'succeeded' then
    return refusal_of('PAYMENT_NOT_CREDITED', w, amount);
  end if;
  if t.currency <> p_currency or amount > t.amount_micros or r.top_up_id <> t.id
     or r.amount_micros <> amount then
    return refusal_of('PAYMENT_DIFFERS', w, amount);
  end if;

  -- One that had failed before it was heard of is told whole.
  if r.id is null then
    moved := true;
    r.id := ledger_key('payment_refund', p_stripe_refund_id);
    w := append_event(
      w, 'payment_refund', -amount, 0, 0, null, null, p_actor, p_occurred_at,
      (p_detail || jsonb_build_object('paymentRefundId', r.id))::json);
    insert into payment_refunds (
      wallet_id, id, top_up_id, stripe_refund_id, amount_micros, debited_micros, status, reason,
      created_at
    ) values (
      w.id, r.id, t.id, p_stripe_refund_id, amount, amount, 'pending', p_reason, p_occurred_at
    ) returning * into r;
  end if;
  if failed and r.debited_micros > 0 then
    moved := true;
    w := return_refund(w, r, p_actor, p_detail);
    r.debited_micros := 0;
  end if;
  update payment_refunds set
    stripe_refund_id = p_stripe_refund_id, debited_micros = r.debited_micros,
    status = case when refund_rank(p_status) >= refund_rank(status) then p_status else status end,
    failure_code = coalesce(failure_code, p_failure_code), updated_at = clock_timestamp()
  where wallet_id = w.id and id = r.id;
  return row(
    'OK', not moved, w.seq, amount, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, null
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.apply_top_up(p_payment_intent_id text, p_top_up_id uuid, p_customer_id text, p_currency text, p_amount_received_minor bigint, p_livemode boolean, p_actor text, p_occurred_at timestamp with time zone, OUT code text, OUT reason text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  t top_ups;
  w wallets;
  q stripe_quarantine;
  outcome ledger_outcome;
begin
  -- The wallet is locked before its top-up, as everywhere.
  select w2.* into w from wallets w2
  where w2.id = (select wallet_id from top_ups where id = p_top_up_id) for no key update;
  select * into t from top_ups where id = p_top_up_id for update;
  reason := case
    when t.id is null then 'no top-up asked for this payment'
    when t.payment_intent_id <> p_payment_intent_id then 'another payment belongs to this top-up'
    when t.livemode <> p_livemode then 'livemode differs'
    when t.currency <> p_currency then 'currency differs'
    when t.amount_minor <> p_amount_received_minor then 'amount differs'
    when not exists (
      select from stripe_customers c
      where c.user_id = w.user_id and c.livemode = p_livemode
        and c.stripe_customer_id = p_customer_id
    ) then 'customer differs'
  end;
  if t.status = 'succeeded' and t.payment_intent_id = p_payment_intent_id then
    code := 'ALREADY_CREDITED';
    seq := t.credited_seq;
    reason := null;
    return;
  end if;
  select * into q from stripe_quarantine where payment_intent_id = p_payment_intent_id;
  if q.resolution = 'credited' then
    code := 'ALREADY_CREDITED';
    seq := q.credited_seq;
    reason := null;
    return;
  end if;
  reason := coalesce(q.reason, reason);
  if reason is not null then
    if q.resolution is null then
      insert into stripe_quarantine (
        payment_intent_id, top_up_id, reason, customer_id, currency, amount_minor, livemode
      ) values (
        p_payment_intent_id, t.id, reason, p_customer_id, p_currency, p_amount_received_minor,
        p_livemode
      ) on conflict do nothing;
      update top_ups set status = 'quarantined', updated_at = clock_timestamp()
      where id = t.id and status <> 'succeeded'
        and coalesce(payment_intent_id, p_payment_intent_id) = p_payment_intent_id;
    end if;
    code := 'QUARANTINED';
    return;
  end if;

  outcome := credit_wallet(
    w, 'top_up', ledger_key('top_up', p_payment_intent_id),
    sha256(convert_to(t.id || E'\n' || t.amount_micros, 'UTF8')),
    t.amount_micros, p_actor, p_occurred_at,
    json_strip_nulls(json_build_object(
      'topUpId', t.id, 'paymentIntentId', p_payment_intent_id,
      'automatic', nullif(t.kind = 'auto', false)))
  );
  if outcome.code <> 'OK' then
    -- Nothing is recorded, so the event stays in the inbox with this as its error.
    raise exception 'payment % cannot be credited: %', p_payment_intent_id, outcome.code;
  end if;
  update top_ups set
    status = 'succeeded', payment_intent_id = p_payment_intent_id, credited_seq = outcome.seq,
    failure_code = null, failure_message = null, updated_at = clock_timestamp()
  where id = t.id;
  code := 'CREDITED';
  seq := outcome.seq;
end $function$;

CREATE OR REPLACE FUNCTION public.arrears_due_at(w wallets)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select least(a.notify_at, a.remind_at, case when w.status = 'open' then a.suspend_at end)
  from wallet_arrears a where a.wallet_id = w.id
$function$;

CREATE OR REPLACE FUNCTION public.authorize_hold(p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_amount_micros bigint, p_reference_id text, p_rate_card_id uuid, p_usage_type text, p_destination text, p_ttl_seconds integer, p_actor text, p_detail jsonb, p_pricing jsonb)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
  outcome ledger_outcome;
  ends_at timestamptz;
  placed_detail json;
  tightest limit_standing;
  moved bigint;
  -- That of its usage, once it says what that is.
  hold_key constant uuid := coalesce(ledger_key('usage:' || p_usage_type, p_reference_id), p_key);
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
  outcome := replay_of(w.id, hold_key, p_request_hash);
  if outcome.code is null and hold_key <> p_key then
    outcome := replay_of(w.id, p_key, p_request_hash);
  end if;
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
    w, 'hold_placed', 0, p_amount_micros, 0, hold_key, p_request_hash, p_actor, null, placed_detail
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
end $function$;

CREATE OR REPLACE FUNCTION public.auto_top_up_month(p_wallet_id uuid, OUT used_micros bigint, OUT ends_at timestamp with time zone)
 RETURNS record
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  select (select coalesce(sum(t.amount_micros), 0) from auto_top_up_attempts t
          where t.wallet_id = w.id and t.period = m.period and t.state <> 'failed')::bigint,
    period_ends_at(m.period, w.timezone)
  from wallets w cross join lateral (select period_of(ledger_now(), w.timezone) as period) m
  where w.id = p_wallet_id
$function$;

CREATE OR REPLACE FUNCTION public.auto_top_up_need(w wallets, a auto_top_ups, OUT below_micros bigint, OUT needed_micros bigint)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
  select a.threshold_micros - expected,
    case a.mode
      when 'restore' then a.amount_micros - expected
      else a.amount_micros * greatest(1, ceil(
        (a.threshold_micros - expected)::numeric / a.amount_micros))::bigint
    end
  from (
    select available_micros(w) - w.arrears_micros + coalesce((
      select sum(t.amount_micros) from top_ups t
      where t.wallet_id = w.id and t.status = 'processing'
        and t.updated_at > ledger_now() - interval '72 hours'
    ), 0)::bigint as expected
  ) e
$function$;

CREATE OR REPLACE FUNCTION public.available_micros(w wallets)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select w.balance_micros - w.held_micros + w.overdraft_limit_micros
$function$;

CREATE OR REPLACE FUNCTION public.begin_card_read(p_customer_id text)
 RETURNS bigint
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update stripe_customers set card_reads = card_reads + 1
  where stripe_customer_id = p_customer_id and deleted_at is null
  returning card_reads
$function$;

CREATE OR REPLACE FUNCTION public.begin_rerating(p_id uuid, p_card_id uuid, p_from timestamp with time zone, p_to timestamp with time zone, p_debits boolean, p_reason text, p_actor text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if not exists (select from rate_cards where id = p_card_id) then
    return 'NOT_FOUND';
  end if;
  insert into reratings (id, card_id, starts_at, ends_at, debits, reason, created_by)
  values (p_id, p_card_id, p_from, p_to, p_debits, p_reason, p_actor)
  on conflict do nothing;
  return case when exists (
    select from reratings r
    where (r.id, r.card_id, r.starts_at, r.ends_at, r.debits, r.reason)
        = (p_id, p_card_id, p_from, p_to, p_debits, p_reason)
  ) then 'OK' else 'KEY_REUSED' end;
end $function$;

CREATE OR REPLACE FUNCTION public.bill_of_expiry(w wallets, h holds, OUT funded_micros bigint, OUT owed_micros bigint)
 RETURNS record
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select funded, least(h.amount_so_far_micros - funded,
                       greatest(3000000000000000000 - w.arrears_micros, 0))
  from least(h.amount_so_far_micros, h.held_micros + greatest(available_micros(w), 0)) as funded
$function$;

CREATE OR REPLACE FUNCTION public.burn_in_order(p_grants grants[], p_micros bigint, p_since timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select grant_parts(
    jsonb_agg(jsonb_build_object('seq', g.seq::text, 'micros', g.left_micros) order by g.ordinality),
    p_micros, false)
  from unnest(p_grants) with ordinality as g
  where g.left_micros > 0 and (g.expires_at is null or g.expires_at > p_since)
$function$;

CREATE OR REPLACE FUNCTION public.burn_of(w wallets, p_micros bigint, p_since timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  if w.grants_micros = 0 or p_micros = 0 then
    return null;
  end if;
  return burn_in_order(left_grants(w.id), p_micros, p_since);
end $function$;

CREATE OR REPLACE FUNCTION public.burn_together(p_burning_wallets uuid[], p_wallet_ids uuid[], p_amounts_micros bigint[], p_known_ords bigint[], p_details json[], p_at timestamp with time zone)
 RETURNS json[]
 LANGUAGE sql
AS $function$
  with spent as (
    select c.ord, c.wallet_id, c.amount,
      sum(c.amount) over (partition by c.wallet_id order by c.ord) as upto
    from unnest(p_wallet_ids, p_amounts_micros) with ordinality c(wallet_id, amount, ord)
    where c.wallet_id = any (p_burning_wallets) and c.amount > 0
      and (p_known_ords is null or c.ord <> all (p_known_ords))
  ), credit as (
    select g.wallet_id, g.seq, g.left_micros,
      sum(g.left_micros) over (partition by g.wallet_id order by g.expires_at, g.seq) as upto
    from grants g
    where g.wallet_id = any (p_burning_wallets) and g.left_micros > 0
      and (g.expires_at is null or g.expires_at > p_at)
  ), burned as materialized (
    select s.ord, c.wallet_id, c.seq, c.upto as place,
      least(s.upto, c.upto) - greatest(s.upto - s.amount, c.upto - c.left_micros) as micros
    from spent s
    join credit c on c.wallet_id = s.wallet_id
      and c.upto - c.left_micros < s.upto and s.upto - s.amount < c.upto
  ), of_grants as (
    update grants g set left_micros = g.left_micros - b.micros
    from (select wallet_id, seq, sum(micros) as micros from burned group by wallet_id, seq) b
    where g.wallet_id = b.wallet_id and g.seq = b.seq
  ), of_wallets as (
    update wallets w set grants_micros = w.grants_micros - b.micros
    from (select wallet_id, sum(micros) as micros from burned group by wallet_id) b
    where w.id = b.wallet_id
  )
  select array_agg(with_field(d.detail, 'grants', b.parts) order by d.ord)
  from unnest(p_details) with ordinality d(detail, ord)
  left join (
    select ord,
      jsonb_agg(jsonb_build_object('seq', seq::text, 'micros', micros::text) order by place) as parts
    from burned group by ord
  ) b on b.ord = d.ord
$function$;

CREATE OR REPLACE FUNCTION public.capture_hold(p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_report jsonb, p_amount_micros bigint, p_overrun text, p_actor text)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  called_at timestamptz;
  w wallets;
  h holds;
  outcome ledger_outcome;
  final_report jsonb := p_report;
  final_micros bigint := p_amount_micros;
  billed bigint;
  original bigint;
  refunded bigint := 0;
  corrected bigint := 0;
  overcharged bigint;
  paid bigint;
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
  -- Nothing was billed while the hold is open, nothing is held after it ran out. What came back since
  -- is not given back once more.
  billed := final_micros;
  if h.status = 'expired' then
    select seq, refunded_micros, corrected_micros into original, refunded, corrected from end_of(h);
    billed := greatest(billed, refunded - least(corrected, 0));
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
      overcharged := overcharged_micros(h, billed, refunded, corrected);
      w := give_overcharge_back(w, h, original, h.billed_micros - refunded + corrected, overcharged,
                                p_actor, called_at);
      first_seq := w.seq + 1;
      paid := billed - refunded + corrected - overcharged;
      select burned into h.burned from holds where id = h.id;
      parts := restored(h.burned, paid);
      w := give_back(w, -due, p_key, p_request_hash, p_actor, posted_detail, parts, called_at);
    end if;
  end if;
  update holds set
    burned = case when due >= 0 then burned || coalesce(parts, '[]')
                  else still_burned(burned, paid) end,
    status = 'captured', held_micros = 0, usage_type = final_report #>> '{usage,type}',
    report = final_report, units_so_far = (final_report ->> 'units')::bigint,
    amount_so_far_micros = final_micros, billed_micros = billed
  where id = h.id;
  return row(
    'OK', false, first_seq, abs(due), w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, with_field(posted_detail, 'grants', parts)
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.card_unit_micros(p_currency text)
 RETURNS bigint
 LANGUAGE sql
 STABLE PARALLEL SAFE STRICT
AS $function$
  select (10 ^ (6 - least(exponent, 2)))::bigint from currencies where code = p_currency
$function$;

create aggregate chain_hash(bytea,text) (sfunc = next_link, stype = bytea);

CREATE OR REPLACE FUNCTION public.chained_hash(p_previous bytea, p_canonical text)
 RETURNS bytea
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select sha256(coalesce(p_previous, decode(repeat('00', 32), 'hex'))
                || convert_to(p_canonical, 'UTF8'))
$function$;

CREATE OR REPLACE FUNCTION public.change_arrears_terms(p_grace_days integer, p_reminder_days integer, p_actor text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  terms arrears_terms;
  wanted arrears_terms;
begin
  select * into terms from arrears_terms for update;
  wanted := terms;
  wanted.grace := coalesce(p_grace_days * interval '1 day', terms.grace);
  wanted.remind_before := coalesce(p_reminder_days * interval '1 day', terms.remind_before);
  if wanted.remind_before > wanted.grace then
    return false;
  end if;
  if wanted <> terms then
    update arrears_terms set grace = wanted.grace, remind_before = wanted.remind_before;
    insert into arrears_terms_changes (grace, remind_before, changed_by)
    values (wanted.grace, wanted.remind_before, p_actor);
  end if;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.change_rate_card_rules(p_draft_id uuid, p_put jsonb, p_removed jsonb, p_replace boolean, p_actor text, OUT code text, OUT added integer, OUT changed integer, OUT removed integer, OUT taken_id text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  changes rate_card_change[];
begin
  perform from rate_card_drafts where id = p_draft_id for update;
  if not found then
    code := 'NOT_FOUND';
    return;
  end if;
  changes := array(
    select row(coalesce(n.type, r.type), coalesce(n.prefix, r.prefix), r.rule, n.rule)::rate_card_change
    from (select n ->> 'type' as type, n ->> 'prefix' as prefix, n as rule
          from jsonb_array_elements(p_put) n) n
    full join (select * from rate_card_rules where card_id = p_draft_id) r
      on r.type = n.type and r.prefix = n.prefix
    where r.rule is distinct from n.rule and (
      n.rule is not null or p_replace or (r.type, r.prefix) in (
        select x ->> 'type', x ->> 'prefix' from jsonb_array_elements(p_removed) x))
  );
  select count(*) filter (where c.before is null),
    count(*) filter (where c.before is not null and c.after is not null),
    count(*) filter (where c.after is null)
  into added, changed, removed from unnest(changes) c;

  select r.rule_id into taken_id
  from unnest(changes) c
  join rate_card_rules r on r.card_id = p_draft_id and r.rule_id = c.after ->> 'id'
  where not exists (select from unnest(changes) g
                    where g.before is not null and g.type = r.type and g.prefix = r.prefix)
  limit 1;
  if taken_id is not null then
    code := 'RULE_ID_TAKEN';
    return;
  end if;

  code := 'OK';
  if cardinality(changes) > 0 then
    delete from rate_card_rules r using unnest(changes) c
    where r.card_id = p_draft_id and r.type = c.type and r.prefix = c.prefix;
    insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
    select p_draft_id, c.type, c.prefix, c.after ->> 'id', c.after
    from unnest(changes) c where c.after is not null;
    update rate_card_drafts set revision = revision + 1, updated_at = ledger_now(),
      updated_by = p_actor
    where id = p_draft_id;
    -- A few changes are kept as they are; of an import of thousands the counts say enough.
    perform log_rate_card(p_draft_id, p_actor, 'rules_changed', jsonb_build_object(
      'added', added, 'changed', changed, 'removed', removed,
      'rules', (select jsonb_agg(jsonb_build_object('before', c.before, 'after', c.after))
                from unnest(changes) c where cardinality(changes) <= 20)));
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.change_wallet_status(p_wallet_id uuid, p_status text, p_actor text, p_detail json)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
  if w.status = p_status and not (p_status = 'frozen' and (is_suspended(w) or exists (
    select from payment_disputes where wallet_id = w.id and freezes
  ))) then
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
  -- Who unfreezes a suspended wallet lets it owe until the next month is closed.
  if p_status = 'open' then
    delete from wallet_arrears where wallet_id = w.id and suspends;
  else
    update wallet_arrears set suspends = false where wallet_id = w.id;
  end if;
  -- Who freezes or unfreezes by hand decides for every dispute there is.
  if p_status in ('open', 'frozen') then
    update payment_disputes set freezes = false where wallet_id = w.id and freezes;
  end if;
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, p_detail
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.charge_many(p_wallet_ids uuid[], p_alone boolean[], p_keys uuid[], p_request_hashes bytea[], p_amounts_micros bigint[], p_overruns text[], p_occurred_at timestamp with time zone[], p_actors text[], p_details text, p_apart bigint[] DEFAULT NULL::bigint[])
 RETURNS TABLE(ord integer, code text, replayed boolean, seq bigint, amount_micros bigint, balance_micros bigint, held_micros bigint, arrears_micros bigint, available_micros bigint, recorded_at timestamp with time zone, detail json)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
declare
  now_at timestamptz;
  -- Nearly always null, which costs a charge nothing.
  revoked_actors text[];
  ambiguous_wallets uuid[];
  known_ords bigint[];
  voided_wallets uuid[];
  sequential_wallets uuid[];
  burning_wallets uuid[];
  details json[] := string_to_array(p_details, E'\n')::json[];
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

  -- What is known may be charged nevertheless: usage whose hold was voided.
  select array_agg(c.ord), array_agg(c.wallet_id) filter (
    where e.type = 'hold_placed'
      and exists (select from holds h where h.id = (e.detail ->> 'holdId')::uuid and h.status = 'voided'))
  into known_ords, voided_wallets
  from unnest(p_wallet_ids, p_keys) with ordinality c(wallet_id, key, ord)
  join wallet_events e on e.wallet_id = c.wallet_id and e.key = c.key;

  -- Wallets of which not every new charge is accepted whatever the order, or not simply debited; and
  -- those of the others that spend promotional credit.
  select array_agg(c.wallet_id) filter (where c.is_sequential),
    array_agg(c.wallet_id) filter (where c.is_sequential is not true and c.has_credit)
  into sequential_wallets, burning_wallets
  from (
    select c.wallet_id, w.grants_micros > 0 as has_credit,
      w.id is null or not c.priced or c.apart or w.status <> 'open' or w.next_due_at <= now_at
      or w.limited or c.wallet_id = any (voided_wallets)
      -- charge_wallet takes no more charges then, not even of nothing.
      or w.arrears_micros > 2000000000000000000
      or w.balance_micros - w.held_micros + w.overdraft_limit_micros < c.total
      -- Then some of its charges may be refused; it is as rare as they are.
      or w.grants_micros > 0 and (revoked_actors is not null or ambiguous_wallets is not null)
      as is_sequential
    from (
      select c.wallet_id, sum(c.amount) as total,
        bool_and(coalesce(c.amount between 0 and 1000000000000000000, false)) as priced,
        bool_or(c.ord = any (p_apart)) as apart
      from unnest(p_wallet_ids, p_amounts_micros) with ordinality c(wallet_id, amount, ord)
      where known_ords is null or c.ord <> all (known_ords)
      group by c.wallet_id
    ) c
    left join wallets w on w.id = c.wallet_id
  ) c;

  if burning_wallets is not null then
    details := burn_together(
      burning_wallets, p_wallet_ids, p_amounts_micros, known_ords, details, now_at);
  end if;

  return query
  with charged as (
    select c.*, w.head_hash, w.arrears_micros, w.overdraft_limit_micros,
      w.seq + row_number() over own as seq,
      -- Usage in deferred mode stays in the balance, and is held until its month is closed.
      case when w.mode = 'live' then 'charge' else 'accrual' end as type,
      case when w.mode = 'live' then -c.amount else 0 end as balance_delta,
      case when w.mode = 'live' then 0 else c.amount end as held_delta,
      w.balance_micros - case when w.mode = 'live' then (sum(c.amount) over own)::bigint else 0 end
        as balance,
      w.held_micros + case when w.mode = 'live' then 0 else (sum(c.amount) over own)::bigint end
        as held,
      lead(c.ord) over own is null as last,
      greatest(now_at, w.updated_at) as recorded,
      coalesce(c.occurred_at, greatest(now_at, w.updated_at)) as occurred
    from unnest(p_wallet_ids, p_alone, p_keys, p_request_hashes, p_amounts_micros, p_occurred_at,
                p_actors, details)
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
        concat_ws(E'\n', 'v1', c.wallet_id, c.seq, c.type, c.balance_delta, c.held_delta, '0',
          c.balance, c.held, c.arrears_micros, c.overdraft_limit_micros, c.key,
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
    select c.wallet_id, c.seq, c.type, c.balance_delta, c.held_delta, 0, c.balance, c.held,
      c.arrears_micros, c.overdraft_limit_micros, c.key, c.request, c.actor, c.occurred,
      c.recorded, c.detail, c.hash
    from chained c
  ), projected as (
    update wallets w set
      balance_micros = c.balance, held_micros = c.held, seq = c.seq, head_hash = c.hash,
      updated_at = c.recorded
    from chained c
    where w.id = c.wallet_id and c.last
  )
  select c.ord::int, 'OK', false, c.seq, c.amount, c.balance, c.held, c.arrears_micros,
    c.balance - c.held + c.overdraft_limit_micros, c.recorded, null::json
  from chained c;

  if revoked_actors is null and ambiguous_wallets is null and known_ords is null
     and sequential_wallets is null then
    return;
  end if;

  -- A revoked key's and an ambiguous name's charges are refused; the others take their turn.
  return query
  select c.ord::int, o.*
  from unnest(p_wallet_ids, p_alone, p_keys, p_request_hashes, p_amounts_micros, p_overruns,
              p_occurred_at, p_actors, details)
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
end $function$;

CREATE OR REPLACE FUNCTION public.charge_of_hold(known ledger_outcome, h holds, w wallets, p_usage jsonb)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  known.detail := hold_link(h) || jsonb_build_object(
    'status', h.status, 'billedMicros', h.billed_micros::text) || coalesce(h.report, '{}');
  -- Who called is not billed, and not every door knows it.
  if h.status <> 'open' and p_usage - 'from' = (h.report -> 'usage') - 'from' then
    return row(
      'OK', true, ended_seq(h), h.amount_so_far_micros, w.balance_micros, w.held_micros,
      w.arrears_micros, available_micros(w), known.recorded_at, known.detail
    )::ledger_outcome;
  end if;
  return known;
end $function$;

CREATE OR REPLACE FUNCTION public.charge_wallet(p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_amount_micros bigint, p_overrun text, p_occurred_at timestamp with time zone, p_actor text, p_detail json)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  called_at timestamptz;
  w wallets;
  outcome ledger_outcome;
  taken bigint;
  tightest limit_standing;
  burned jsonb;
  moved bigint;
  charge_detail json;
  charge_key uuid := p_key;
  held holds;
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
  outcome := replay_of(w.id, charge_key, p_request_hash);
  if outcome.code = 'KEY_REUSED' then
    select * into held from hold_under(w.id, p_key);
    if held.status = 'voided' then
      charge_key := key_after_void(held);
      outcome := replay_of(w.id, charge_key, p_request_hash);
    elsif held.id is not null then
      outcome := charge_of_hold(outcome, held, w, p_detail::jsonb -> 'usage');
    end if;
  end if;
  if outcome.code is not null then
    return outcome;
  end if;
  if p_amount_micros = 0 and p_detail #> '{breakdown,goodwillMicros}' is not null then
    w := append_event(w, 'goodwill', 0, 0, 0, charge_key, p_request_hash, p_actor, p_occurred_at,
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
      w, 'accrual', 0, taken, p_amount_micros - taken, charge_key, p_request_hash, p_actor,
      p_occurred_at, charge_detail, burned
    );
  else
    w := append_event(
      w, 'charge', -taken, 0, p_amount_micros - taken, charge_key, p_request_hash, p_actor,
      p_occurred_at, charge_detail, burned
    );
  end if;
  return row(
    'OK', false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, charge_detail
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.claim_auto_top_ups(p_livemode boolean, p_limit integer)
 RETURNS SETOF uuid
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update auto_top_up_attempts t set
    state = case t.state when 'awaiting_user' then 'canceling' else t.state end,
    resume_at = ledger_now() + interval '90 seconds'
  from (
    select d.top_up_id from auto_top_up_attempts d join auto_top_ups a on a.wallet_id = d.wallet_id
    where a.livemode = p_livemode and d.state in ('charging', 'awaiting_user', 'canceling') and d.resume_at <= ledger_now()
    order by d.resume_at limit p_limit for update of d skip locked
  ) due
  where t.top_up_id = due.top_up_id
  returning t.top_up_id
$function$;

CREATE OR REPLACE FUNCTION public.claim_mails(p_limit integer, p_lease_seconds integer)
 RETURNS TABLE(id uuid, attempt integer, kind text, payload jsonb, email text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update mail_outbox m set
    attempts = m.attempts + 1,
    next_attempt_at = clock_timestamp() + make_interval(secs => p_lease_seconds)
  from (
    select o.id, u.email
    from mail_outbox o left join users u on u.id = o.user_id
    where o.status = 'waiting' and o.next_attempt_at <= clock_timestamp()
    order by o.next_attempt_at limit p_limit for update of o skip locked
  ) due
  where m.id = due.id
  returning m.id, m.attempts, m.kind, m.payload, due.email
$function$;

CREATE OR REPLACE FUNCTION public.claim_months(p_due_through text, p_quiet interval, p_actor text)
 RETURNS TABLE(run_id uuid, period text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.claim_payment_refunds(p_livemode boolean, p_limit integer)
 RETURNS TABLE(wallet_id uuid, id uuid, stripe_refund_id text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update payment_refunds r set
    attempts = r.attempts + 1,
    next_attempt_at = clock_timestamp() + case r.status
      when 'reserved' then least(interval '1 hour', interval '2 minutes' * power(2, least(r.attempts, 6)))
      -- A bank takes days, and mostly a webhook tells.
      else least(interval '1 day', interval '1 hour' * power(2, least(r.attempts, 5))) end
  from (
    select d.wallet_id, d.id from payment_refunds d join top_ups t on t.id = d.top_up_id
    where d.status in ('reserved', 'pending', 'requires_action')
      and d.next_attempt_at <= clock_timestamp() and t.livemode = p_livemode
    order by d.next_attempt_at limit p_limit for update of d skip locked
  ) due
  where r.wallet_id = due.wallet_id and r.id = due.id
  returning r.wallet_id, r.id, r.stripe_refund_id
$function$;

CREATE OR REPLACE FUNCTION public.claim_reconciliation(p_day date, p_quiet interval)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  with claimed as (
    insert into reconciliation_runs (day) values (p_day)
    on conflict (day) do update set touched_at = clock_timestamp()
    where reconciliation_runs.finished_at is null
      and reconciliation_runs.touched_at < clock_timestamp() - p_quiet
    returning day
  )
  select exists (select from claimed)
$function$;

CREATE OR REPLACE FUNCTION public.claim_stripe_events(p_limit integer)
 RETURNS TABLE(event_id text, dispatch integer)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update stripe_inbox i set
    dispatches = i.dispatches + 1,
    next_dispatch_at = clock_timestamp()
      + least(interval '1 hour', interval '5 seconds' * power(2, least(i.dispatches, 12)))
  from (
    select d.event_id from stripe_inbox d
    where d.status = 'waiting' and d.next_dispatch_at <= clock_timestamp()
    order by d.next_dispatch_at limit p_limit for update skip locked
  ) due
  where i.event_id = due.event_id
  returning i.event_id, i.dispatches
$function$;

CREATE OR REPLACE FUNCTION public.close_differences(p_kind text, p_from timestamp with time zone, p_to timestamp with time zone, p_since timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  with closed as (
    update reconciliation_differences set resolved_at = clock_timestamp()
    where kind = p_kind and resolved_at is null and happened_at >= p_from and happened_at < p_to
      and last_seen_at < p_since
    returning id
  )
  select count(*) from closed
$function$;

CREATE OR REPLACE FUNCTION public.close_fenced_wallets(p_wallet_ids uuid[], p_period billing_period, p_fenced_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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

  -- What deferred wallets reserved is debited, and the fees of the closed months, and what is owed
  -- then is demanded: last of all, so that no lock outlives it for long.
  perform from wallets
  where id in (
    select wallet_id from unsettled_statements(p_wallet_ids, first_month, p_period)
    union select wallet_id from unposted_fees(p_wallet_ids)
    union select id from undemanded_arrears(p_wallet_ids, p_period))
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
    perform demand_arrears(w, p_period) from undemanded_arrears(p_wallet_ids, p_period) w;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.close_range(p_run_id uuid, p_period text, p_from_wallet_id uuid, p_to_wallet_id uuid, p_fenced_at timestamp with time zone, p_wallet_id uuid, OUT closed integer, OUT failed integer, OUT pending integer, OUT apart jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.close_saved_card_gaps(p_user_id text, p_livemode boolean)
 RETURNS void
 LANGUAGE sql
AS $function$
  update saved_cards s set position = o.position
  from (
    select payment_method_id, row_number() over (order by position)::int as position
    from saved_cards where user_id = p_user_id and livemode = p_livemode
  ) o
  where s.payment_method_id = o.payment_method_id and s.position <> o.position
$function$;

CREATE OR REPLACE FUNCTION public.close_wallets(p_wallet_ids uuid[], p_period billing_period, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  perform fence_wallets(p_wallet_ids, p_now, true);
  perform close_fenced_wallets(p_wallet_ids, p_period, p_now);
end $function$;

CREATE OR REPLACE FUNCTION public.contra_account(p_type text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
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
    when 'arrears_demanded' then 'equity:opening'
    when 'subscription_added' then 'equity:opening'
    when 'subscription_ended' then 'equity:opening'
  end
$function$;

CREATE OR REPLACE FUNCTION public.correction_detail(h holds, p_report jsonb)
 RETURNS json
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.count_units(w wallets, e wallet_events)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  counted record;
begin
  counted := counted_units(e);
  if counted.counter is not null then
    insert into monthly_units as m (wallet_id, counter, month_starts_at, units)
    select w.id, counted.counter, n.starts_at, counted.units
    from limit_window('month', e.recorded_at, w.timezone) n
    on conflict (wallet_id, counter) do update set
      units = excluded.units
        + case when m.month_starts_at = excluded.month_starts_at then m.units else 0 end,
      month_starts_at = excluded.month_starts_at;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.count_usage(w wallets, e wallet_events)
 RETURNS void
 LANGUAGE sql
AS $function$
  update wallet_limits l set
    starts_at = n.starts_at,
    spent_micros = case when l.starts_at = n.starts_at then l.spent_micros else 0 end
                   + case when u.counted_at >= n.starts_at then u.micros else 0 end
  from counted_usage(e) u, (values ('day'), ('month')) p (period)
  cross join lateral limit_window(p.period, e.recorded_at, w.timezone) n
  where l.wallet_id = w.id and l.period = p.period
    and limit_counts(l.usage_type, l.prefix, u.usage_type, u.destination)
$function$;

CREATE OR REPLACE FUNCTION public.counted_grants(p_wallet_id uuid, p_to_seq bigint)
 RETURNS TABLE(seq bigint, granted_micros bigint, left_micros bigint)
 LANGUAGE sql
 STABLE
AS $function$
  with walk as (
    select sum(
        case when e.type in ('grant', 'charge', 'hold_captured', 'hold_expired', 'arrears_repaid')
               then e.balance_delta_micros
             when e.type = 'accrual' then -e.held_delta_micros
             else 0 end
      ) over (order by e.seq) as height, e.seq
    from wallet_events e where e.wallet_id = p_wallet_id and e.seq <= p_to_seq
  ), total as (
    select (array_agg(height order by seq desc))[1] - least(min(height), 0) as left_micros from walk
  )
  select e.seq, e.balance_delta_micros,
    greatest(least(e.balance_delta_micros, t.left_micros - (
      sum(e.balance_delta_micros) over (order by e.seq desc) - e.balance_delta_micros)), 0)::bigint
  from wallet_events e cross join total t
  where e.wallet_id = p_wallet_id and e.seq <= p_to_seq and e.type = 'grant'
$function$;

CREATE OR REPLACE FUNCTION public.counted_units(e wallet_events, OUT counter text, OUT units bigint)
 RETURNS record
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
begin
  if e.type not in ('charge', 'accrual', 'hold_captured', 'hold_expired')
     -- Reading a detail's text costs a fifth of taking it apart.
     or strpos(e.detail::text, '"monthly"') = 0 then
    return;
  end if;
  counter := e.detail #>> '{breakdown,price,monthly,counter}';
  units := greatest(0, (e.detail #>> '{breakdown,price,billedUnits}')::bigint
                       - coalesce((e.detail ->> 'alreadyCountedUnits')::bigint, 0));
end $function$;

CREATE OR REPLACE FUNCTION public.counted_usage(e wallet_events)
 RETURNS TABLE(counted_at timestamp with time zone, usage_type text, destination text, micros bigint)
 LANGUAGE sql
 STABLE
AS $function$
  select case when e.type = 'usage_refund' then coalesce(o.recorded_at, e.recorded_at)
              else e.recorded_at end,
    coalesce(o.detail, e.detail) #>> '{usage,type}',
    coalesce(o.detail, e.detail) #>> '{usage,to}',
    usage_micros(e)
  from (select) one
  left join lateral (
    select b.recorded_at, b.detail from first_bill(e) b
    where e.type = 'usage_refund' or e.detail ->> 'alreadyBilledMicros' is not null
  ) o on true
  where usage_micros(e) <> 0
$function$;

CREATE OR REPLACE FUNCTION public.credit_wallet(w wallets, p_type text, p_key uuid, p_request_hash bytea, p_amount_micros bigint, p_actor text, p_occurred_at timestamp with time zone, p_detail json, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
AS $function$
declare
  called_at constant timestamptz := ledger_now();
  outcome ledger_outcome;
  e wallet_events;
begin
  if w.next_due_at <= called_at then
    w := settle_due(w);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if p_amount_micros > 1000000000000000000 or w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
  end if;
  if p_type = 'grant' then
    w.grants_micros := w.grants_micros + p_amount_micros;
  end if;
  w := append_event(
    w, p_type, p_amount_micros, 0, 0, p_key, p_request_hash, p_actor, p_occurred_at,
    with_field(p_detail, 'expiresAt', to_jsonb(json_instant(p_expires_at)))
  );
  if p_type = 'grant' then
    insert into grants (wallet_id, seq, granted_micros, left_micros, expires_at)
    values (w.id, w.seq, p_amount_micros, p_amount_micros, p_expires_at);
    w := note_expiries(w);
  end if;
  select * into e from wallet_events where wallet_id = w.id and seq = w.seq;
  w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq), called_at, 0);
  return outcome_of(e, false);
end $function$;

CREATE OR REPLACE FUNCTION public.default_alerts(p_exponent integer)
 RETURNS bigint[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case p_exponent
    when 0 then '{500000000,100000000}'::bigint[]
    when 3 then '{1500000,300000}'::bigint[]
    else '{5000000,1000000}'::bigint[]
  end
$function$;

CREATE OR REPLACE FUNCTION public.demand_arrears(INOUT w wallets, p_period billing_period)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  terms arrears_terms;
  suspend_at timestamptz;
begin
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  select * into terms from arrears_terms;
  suspend_at := date_trunc('milliseconds', ledger_now()) + terms.grace;
  w := append_event(
    w, 'arrears_demanded', 0, 0, 0, ledger_key('arrears', p_period),
    sha256(convert_to(w.id || E'\n' || p_period || E'\n' || w.arrears_micros, 'UTF8')),
    'system:month', null, json_build_object(
      'period', p_period, 'arrearsMicros', w.arrears_micros::text,
      'suspendAt', json_instant(suspend_at)));
  insert into wallet_arrears (wallet_id, demanded_seq, notify_at, remind_at, suspend_at)
  values (
    w.id, w.seq,
    ledger_now() + case when exists (
      select from auto_top_ups where wallet_id = w.id and status = 'on'
    ) then terms.notice_delay else interval '0' end,
    suspend_at - terms.remind_before, suspend_at);
  w.next_due_at := least(w.next_due_at, arrears_due_at(w));
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $function$;

CREATE OR REPLACE FUNCTION public.derive_notices(p_wallet_ids uuid[])
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  c notice_cursors;
  looked_at int := 0;
begin
  perform follow_wallets(p_wallet_ids);
  for c in
    select * from notice_cursors where wallet_id = any (p_wallet_ids)
    order by wallet_id for update skip locked
  loop
    perform derive_wallet_notices(c);
    looked_at := looked_at + 1;
  end loop;
  return looked_at;
end $function$;

CREATE OR REPLACE FUNCTION public.derive_wallet_notices(c notice_cursors)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  -- In one transaction; what is left comes in the next one.
  events_at_once constant bigint := 10000;
  -- A balance of yesterday is no news, for example in records that were imported.
  alert_within constant interval := '24 hours';
  -- A balance that goes up and down about a threshold as holds are placed and released is told of
  -- once in that time, unless something was added to it meanwhile.
  quiet constant interval := '1 hour';
  upto bigint;
  crossing record;
  told bigint[];
begin
  select least(w.seq, c.seq + events_at_once) into upto from wallets w where w.id = c.wallet_id;
  if upto <= c.seq then
    return;
  end if;

  perform enqueue_notice(
    c.wallet_id, notice_kind(e.type), e.seq::text,
    jsonb_build_object(
      'at', e.recorded_at, 'seq', e.seq::text, 'amountMicros', abs(e.balance_delta_micros)::text,
      'topUpId', e.detail ->> 'topUpId'
    )
  )
  from wallet_events e
  where e.wallet_id = c.wallet_id and e.seq > c.seq and e.seq <= upto
    and notice_kind(e.type) is not null;

  for crossing in
    select e.seq, e.available, e.recorded_at, e.credited_seq,
      array_agg(a.threshold_micros order by a.threshold_micros) as thresholds
    from (
      -- The cursor's own event comes along as the state before the first one.
      select seq, recorded_at,
        balance_micros - held_micros + overdraft_limit_micros as available,
        lag(balance_micros - held_micros + overdraft_limit_micros) over (order by seq) as before,
        coalesce(max(seq) filter (where balance_delta_micros > 0) over (order by seq), 0)
          as credited_seq
      from wallet_events where wallet_id = c.wallet_id and seq between c.seq and upto
    ) e
    join balance_alerts a on a.wallet_id = c.wallet_id
      and (e.available < a.threshold_micros) <> (coalesce(e.before, 0) < a.threshold_micros)
    where e.seq > c.seq
    group by e.seq, e.available, e.recorded_at, e.credited_seq
    order by e.seq
  loop
    if crossing.available >= crossing.thresholds[1] then
      update balance_alerts set below = false
      where wallet_id = c.wallet_id and threshold_micros = any (crossing.thresholds);
      continue;
    end if;
    update balance_alerts set below = true, since = crossing.recorded_at
    where wallet_id = c.wallet_id and threshold_micros = any (crossing.thresholds);
    if not c.alert_by_mail or crossing.recorded_at < ledger_now() - alert_within then
      continue;
    end if;
    with told_now as (
      update balance_alerts set told_seq = crossing.seq, told_at = crossing.recorded_at
      where wallet_id = c.wallet_id and threshold_micros = any (crossing.thresholds)
        and (told_seq is null or told_at < crossing.recorded_at - quiet
             or told_seq < greatest(crossing.credited_seq, c.credited_seq))
      returning threshold_micros
    )
    select array_agg(threshold_micros order by threshold_micros) into told from told_now;
    if told is not null then
      -- One event, one mail, however many thresholds it passed.
      perform enqueue_notice(c.wallet_id, 'low_balance', crossing.seq::text, jsonb_build_object(
        'at', crossing.recorded_at, 'availableMicros', crossing.available::text,
        'thresholdsMicros', to_jsonb(told::text[])
      ));
    end if;
  end loop;

  update notice_cursors n set
    seq = upto,
    credited_seq = coalesce((
      select max(e.seq) from wallet_events e
      where e.wallet_id = c.wallet_id and e.seq > c.seq and e.seq <= upto
        and e.balance_delta_micros > 0
    ), c.credited_seq)
  where n.wallet_id = c.wallet_id;
end $function$;

CREATE OR REPLACE FUNCTION public.describe_rate_card_draft(p_id uuid, p_card jsonb, p_actor text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  d rate_card_drafts;
begin
  select * into d from rate_card_drafts where id = p_id for update;
  if not found then
    return 'NOT_FOUND';
  elsif d.currency <> p_card ->> 'currency' then
    return 'CURRENCY_DIFFERS';
  elsif d.card ->> 'userId' <> coalesce(p_card ->> 'userId', '') then
    return 'CUSTOMER_DIFFERS';
  end if;
  if d.card <> p_card then
    update rate_card_drafts set card = p_card, revision = revision + 1, updated_at = ledger_now(),
      updated_by = p_actor
    where id = p_id;
    perform log_rate_card(p_id, p_actor, 'described',
                          jsonb_build_object('before', d.card, 'after', p_card));
  end if;
  return 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.dialled_digits(p_destination text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.differing_usage_days(p_from uuid, p_to uuid)
 RETURNS TABLE(wallet_id uuid, day date, usage_type text, count bigint, units numeric, micros numeric)
 LANGUAGE sql
 STABLE
AS $function$
  select wallet_id, day, usage_type, t.count, t.units, t.micros
  from (
    select c.wallet_id, u.*
    from notice_cursors c cross join lateral usage_by_day(c.wallet_id, 0, c.seq) u
    where c.wallet_id between p_from and p_to
  ) t
  full join (
    select * from usage_days where usage_days.wallet_id between p_from and p_to
  ) k using (wallet_id, day, usage_type)
  where (t.count, t.units, t.micros) is distinct from (k.count, k.units, k.micros)
$function$;

CREATE OR REPLACE FUNCTION public.discard_rate_card_draft(p_id uuid, p_actor text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  d rate_card_drafts;
  rules bigint;
begin
  delete from rate_card_drafts where id = p_id returning * into d;
  if not found then
    return false;
  end if;
  delete from rate_card_rules where card_id = p_id;
  get diagnostics rules = row_count;
  perform log_rate_card(p_id, p_actor, 'discarded',
    jsonb_build_object('card', d.card, 'basedOn', d.based_on, 'rules', rules));
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.dispute_rank(p_state text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select array_position(array['inquiry', 'inquiry_closed', 'open', 'lost', 'won'], p_state)
$function$;

CREATE OR REPLACE FUNCTION public.draft_rate_card(p_id uuid, p_card jsonb, p_based_on uuid, p_actor text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if not exists (select from currencies c where c.code = p_card ->> 'currency') then
    return 'UNKNOWN_CURRENCY';
  elsif exists (select from rate_cards where id = p_id) then
    return 'ID_TAKEN';
  end if;
  insert into rate_card_drafts (id, currency, card, based_on, created_by, updated_by)
  values (p_id, p_card ->> 'currency', p_card, p_based_on, p_actor, p_actor)
  on conflict do nothing;
  if not found then
    return case when exists (select from rate_card_drafts d
                             where d.id = p_id and d.based_on is not distinct from p_based_on)
                then 'OK' else 'ID_TAKEN' end;
  end if;
  insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
  select p_id, r.type, r.prefix, r.rule_id, r.rule from rate_card_rules r where r.card_id = p_based_on;
  perform log_rate_card(p_id, p_actor, 'drafted', jsonb_build_object('basedOn', p_based_on));
  return 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.drop_auto_top_up(p_top_up_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  perform from wallets
  where id = (select wallet_id from auto_top_up_attempts where top_up_id = p_top_up_id)
  for no key update;
  update top_ups set status = 'canceled', updated_at = clock_timestamp()
  where id = p_top_up_id and kind = 'auto' and status = 'created' and payment_intent_id is null;
  return found;
end $function$;

CREATE OR REPLACE FUNCTION public.due_wallets(p_from_wallet_id uuid, p_to_wallet_id uuid, p_period billing_period, p_at timestamp with time zone)
 RETURNS uuid[]
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.end_arrears(INOUT w wallets)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  was_suspended constant boolean := is_suspended(w);
  a wallet_arrears;
begin
  delete from wallet_arrears where wallet_id = w.id returning * into a;
  if was_suspended and not exists (
    select from payment_disputes where wallet_id = w.id and freezes
  ) then
    w := append_event(
      w, 'wallet_unfrozen', 0, 0, 0, null, null, 'system:arrears', null,
      json_build_object('reason', 'What was owed is paid'));
    w.status := 'open';
    update wallets set status = w.status where id = w.id;
    perform tell_of_arrears(w, 'wallet_resumed', a);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.end_hold(INOUT w wallets, h holds, p_type text, p_funded_micros bigint, p_owed_micros bigint, p_key uuid, p_request_hash bytea, p_actor text, p_occurred_at timestamp with time zone, p_report jsonb, p_grants jsonb, p_projects boolean DEFAULT true)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  is_goodwill constant boolean := p_funded_micros = 0 and p_owed_micros = 0
    and p_report #> '{breakdown,goodwillMicros}' is not null;
begin
  if p_report is null or w.mode = 'deferred' or is_goodwill then
    w := append_event(
      w, p_type, 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, p_occurred_at,
      hold_link(h)::json, p_projects => p_projects and p_report is null
    );
    if p_report is not null then
      w := append_event(
        w, case when is_goodwill then 'goodwill' else 'accrual' end, 0, p_funded_micros,
        p_owed_micros, null, null, p_actor, p_occurred_at,
        with_field((hold_link(h) || p_report)::json, 'grants', p_grants), p_grants, p_projects
      );
    end if;
  else
    w := append_event(
      w, p_type, -p_funded_micros, -h.held_micros, p_owed_micros, p_key, p_request_hash, p_actor,
      p_occurred_at, with_field((hold_link(h) || p_report)::json, 'grants', p_grants), p_grants,
      p_projects
    );
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.end_of(h holds, OUT seq bigint, OUT refunded_micros bigint, OUT corrected_micros bigint)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
  select e.seq, s.refunded_micros, s.corrected_micros
  from ended_seq(h) as e (seq) cross join lateral original_standing(h.wallet_id, e.seq) s
$function$;

CREATE OR REPLACE FUNCTION public.end_subscription(p_wallet_id uuid, p_id uuid, p_ends_at timestamp with time zone, p_actor text)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.ended_seq(h holds)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select seq from wallet_events
  where wallet_id = h.wallet_id and detail ->> 'holdId' = h.id::text
    and type in ('hold_captured', 'hold_expired')
$function$;

CREATE OR REPLACE FUNCTION public.enqueue_notice(p_wallet_id uuid, p_kind text, p_cause text, p_payload jsonb)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  insert into mail_outbox (user_id, kind, dedupe_key, payload)
  select w.user_id, p_kind, concat_ws(':', p_kind, w.id, p_cause),
    jsonb_strip_nulls(p_payload) || jsonb_build_object(
      'currency', w.currency, 'exponent', c.exponent, 'timezone', w.timezone, 'walletId', w.id
    )
  from wallets w join currencies c on c.code = w.currency
  where w.id = p_wallet_id and exists (select from users u where u.id = w.user_id)
  on conflict (dedupe_key) do nothing
$function$;

CREATE OR REPLACE FUNCTION public.event_canonical(e wallet_events)
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select concat_ws(
    E'\n', 'v1', e.wallet_id, e.seq, e.type,
    e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
    e.balance_micros, e.held_micros, e.arrears_micros, e.overdraft_limit_micros,
    coalesce(e.key::text, ''), coalesce(encode(e.request_hash, 'hex'), ''), e.actor,
    (extract(epoch from e.occurred_at) * 1000000)::bigint,
    (extract(epoch from e.recorded_at) * 1000000)::bigint,
    e.detail
  )
$function$;

CREATE OR REPLACE FUNCTION public.event_hash(p_previous bytea, e wallet_events)
 RETURNS bytea
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select chained_hash(p_previous, event_canonical(e))
$function$;

CREATE OR REPLACE FUNCTION public.extend_hold(p_wallet_id uuid, p_hold_id uuid, p_report jsonb, p_amount_micros bigint, p_add_micros bigint, p_ttl_seconds integer, p_actor text)
 RETURNS hold_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
    when w.status <> 'open' and not coalesce((h.pricing ->> 'goodwill')::boolean, false)
      then 'WALLET_' || upper(w.status)
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
end $function$;

CREATE OR REPLACE FUNCTION public.fail_mail(p_id uuid, p_attempt integer, p_error text)
 RETURNS text
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update mail_outbox set
    last_error = left(p_error, 60),
    status = case when give_up_at <= clock_timestamp() then 'dead' else status end,
    finished_at = case when give_up_at <= clock_timestamp() then clock_timestamp() end,
    next_attempt_at = clock_timestamp()
      + least(interval '15 minutes', interval '5 seconds' * power(2, least(p_attempt - 1, 10)))
  where id = p_id and attempts = p_attempt and status = 'waiting'
  returning status
$function$;

CREATE OR REPLACE FUNCTION public.fee_micros(p_amount_micros bigint, p_part interval, p_month interval)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select div(2::numeric * p_amount_micros * part.ms + month.ms, 2 * month.ms)::bigint
  from (select trunc(extract(epoch from p_part) * 1000) as ms) part,
       (select trunc(extract(epoch from p_month) * 1000) as ms) month
$function$;

CREATE OR REPLACE FUNCTION public.fence_range(p_period text, p_from_wallet_id uuid, p_to_wallet_id uuid, p_fenced_at timestamp with time zone, OUT fenced_at timestamp with time zone, OUT in_use integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.fence_wallets(p_wallet_ids uuid[], p_at timestamp with time zone, p_wait boolean)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.first_bill(e wallet_events)
 RETURNS wallet_events
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  is_of_original constant boolean := e.detail ->> 'originalSeq' is not null;
  hold_id text := e.detail ->> 'holdId';
  bill wallet_events;
  rerated wallet_events;
begin
  if is_of_original then
    select * into bill from wallet_events
    where wallet_id = e.wallet_id and seq = (e.detail ->> 'originalSeq')::bigint;
    hold_id := bill.detail ->> 'holdId';
    if hold_id is null then
      return bill;
    end if;
  end if;
  select r.* into rerated
  from holds h
  cross join lateral ended_seq(h) as ended (seq)
  join rerated_usage u on u.wallet_id = h.wallet_id and u.original_seq = ended.seq
  join wallet_events r on r.wallet_id = u.wallet_id and r.seq = any (u.event_seqs)
  where h.id = hold_id::uuid and u.posted_micros > 0
  order by r.seq limit 1;
  -- By wallet_events_of_holds: a limit of one row would tempt to walk through all events.
  with bills as materialized (
    select b.* from wallet_events b
    where b.wallet_id = e.wallet_id and b.detail ->> 'holdId' = hold_id and usage_micros(b) > 0
      and (b.type in ('hold_captured', 'hold_expired')
           or b.key is null and b.type in ('charge', 'accrual'))
  )
  select * into bill from bills order by seq limit 1;
  if not found and is_of_original then
    -- It ran out without usage, and its late capture, which has a key, may have been the first to bill
    -- any. No bill of its own comes after that.
    select * into bill from wallet_events b
    where b.wallet_id = e.wallet_id and b.detail ->> 'holdId' = hold_id and usage_micros(b) > 0
      and b.seq > (select seq_before(h.wallet_id, h.expires_at) from holds h
                   where h.id = hold_id::uuid)
      and b.seq < coalesce(rerated.seq, e.seq)
    order by b.seq limit 1;
  end if;
  return case when bill.seq is null or rerated.seq < bill.seq then rerated else bill end;
end $function$;

CREATE OR REPLACE FUNCTION public.follow_auto_top_up()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  ended_state constant text := case new.status
    when 'succeeded' then 'succeeded' when 'quarantined' then 'under_review' else 'failed' end;
  t auto_top_up_attempts;
begin
  -- A person may have credited another amount than was asked for.
  update auto_top_up_attempts set state = ended_state, updated_at = ledger_now(),
    amount_micros = new.amount_micros
  where top_up_id = new.id and state not in ('succeeded', ended_state)
  returning * into t;
  if not found then
    return null;
  end if;
  if ended_state = 'succeeded' then
    perform log_auto_top_up(t.wallet_id, 'system:auto-top-up', 'charged',
      jsonb_build_object('topUpId', t.top_up_id, 'amountMicros', t.amount_micros::text));
    update auto_top_ups set failures = 0, next_try_at = null, changed_at = ledger_now(),
      status = case when status = 'paused' and reason = 'authentication_required'
        then 'on' else status end,
      reason = case when status = 'on' or reason = 'authentication_required'
        then null else reason end,
      reason_detail = case when status = 'on' or reason = 'authentication_required'
        then '{}' else reason_detail end
    where wallet_id = t.wallet_id;
  elsif ended_state = 'under_review' then
    perform pause_auto_top_up(t.wallet_id, 'under_review', 'system:auto-top-up',
      jsonb_build_object('topUpId', t.top_up_id));
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.follow_usage_days()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  insert into usage_days as d (wallet_id, day, usage_type, count, units, micros)
  select new.wallet_id, u.* from usage_by_day(new.wallet_id, old.seq, new.seq) u
  on conflict (wallet_id, day, usage_type) do update set
    count = d.count + excluded.count, units = d.units + excluded.units,
    micros = d.micros + excluded.micros;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.follow_wallets(p_wallet_ids uuid[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  with followed as (
    insert into notice_cursors (wallet_id, seq)
    select w.id, 0 from wallets w where w.id = any (p_wallet_ids) order by w.id
    on conflict do nothing returning wallet_id
  )
  insert into balance_alerts (wallet_id, threshold_micros, below)
  select f.wallet_id, t.micros, true
  from followed f
  join wallets w on w.id = f.wallet_id
  join currencies c on c.code = w.currency
  cross join unnest(default_alerts(c.exponent)) as t (micros)
$function$;

CREATE OR REPLACE FUNCTION public.forget_stripe_customer(p_customer_id text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  c stripe_customers;
begin
  update stripe_customers set deleted_at = clock_timestamp()
  where stripe_customer_id = p_customer_id and deleted_at is null
  returning * into c;
  if found then
    delete from saved_cards s where s.user_id = c.user_id and s.livemode = c.livemode;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.free_micros(w wallets)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select in_card_units(
    greatest(0, w.balance_micros - w.held_micros - w.grants_micros - w.arrears_micros), w.currency)
$function$;

CREATE OR REPLACE FUNCTION public.give_back(INOUT w wallets, p_amount_micros bigint, p_key uuid, p_request_hash bytea, p_actor text, p_detail json, p_grants jsonb, p_at timestamp with time zone)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  expired_micros bigint;
begin
  select coalesce(sum(p.micros), 0) into expired_micros
  from jsonb_to_recordset(p_grants) as p (seq bigint, micros bigint)
  join grants g on g.wallet_id = w.id and g.seq = p.seq
  where g.expires_at <= p_at;
  w := append_event(w, 'usage_refund', p_amount_micros, 0, 0, p_key, p_request_hash, p_actor, null,
                    with_field(p_detail, 'grants', p_grants), p_grants);
  w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq), p_at, expired_micros);
  w := note_expiries(w);
end $function$;

CREATE OR REPLACE FUNCTION public.give_back_of(INOUT w wallets, h holds, p_original_seq bigint, p_paid_micros bigint, p_burned jsonb, p_amount_micros bigint, p_correction_micros bigint, p_key uuid, p_request_hash bytea, p_actor text, p_detail jsonb, p_at timestamp with time zone)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  left_micros constant bigint := p_paid_micros - p_amount_micros;
  -- What came back before is no longer burned.
  spent constant jsonb := still_burned(p_burned, p_paid_micros);
begin
  w := give_back(
    w, p_amount_micros, p_key, p_request_hash, p_actor,
    (p_detail || jsonb_build_object('originalSeq', p_original_seq::text))::json,
    restored(spent, left_micros), p_at);
  if h.id is not null then
    update holds set burned = still_burned(spent, left_micros) where id = h.id;
  end if;
  insert into usage_refunds as r (
    wallet_id, original_seq, refunded_micros, of_correction_micros
  ) values (w.id, p_original_seq, p_amount_micros, p_correction_micros)
  on conflict (wallet_id, original_seq) do update set
    refunded_micros = r.refunded_micros + excluded.refunded_micros,
    of_correction_micros = r.of_correction_micros + excluded.of_correction_micros,
    burned = case when r.burned is not null then still_burned(spent, left_micros) end;
end $function$;

CREATE OR REPLACE FUNCTION public.give_overcharge_back(INOUT w wallets, h holds, p_original_seq bigint, p_paid_micros bigint, p_amount_micros bigint, p_actor text, p_at timestamp with time zone)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
begin
  if p_amount_micros > 0 then
    w := give_back_of(
      w, h, p_original_seq, p_paid_micros, h.burned, p_amount_micros, p_amount_micros, null, null,
      p_actor, jsonb_build_object('type', h.usage_type, 'referenceId', h.reference_id,
        'correctionMicros', p_amount_micros::text), p_at);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.give_up_awaited_payment(p_wallet_id uuid)
 RETURNS void
 LANGUAGE sql
AS $function$
  update auto_top_up_attempts set state = 'canceling', resume_at = ledger_now(),
    updated_at = ledger_now()
  where wallet_id = p_wallet_id and state = 'awaiting_user'
$function$;

CREATE OR REPLACE FUNCTION public.goodwill_micros(e wallet_events)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case when e.type = 'goodwill' then
    coalesce((e.detail #>> '{breakdown,goodwillMicros}')::bigint, 0)
      - coalesce((e.detail ->> 'alreadyGoodwillMicros')::bigint, 0)
    else 0 end
$function$;

CREATE OR REPLACE FUNCTION public.grant_credit(p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_amount_micros bigint, p_actor text, p_detail json, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  called_at timestamptz;
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
  called_at := ledger_now();
  if w.next_due_at <= called_at then
    w := settle_due(w);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, p_amount_micros);
  end if;
  if p_expires_at <= called_at then
    return refusal_of('EXPIRES_IN_PAST', w, p_amount_micros);
  end if;
  return credit_wallet(w, 'grant', p_key, p_request_hash, p_amount_micros, p_actor, null, p_detail,
                       p_expires_at);
end $function$;

CREATE OR REPLACE FUNCTION public.grant_parts(p_parts jsonb, p_micros numeric, p_from_end boolean)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select jsonb_agg(jsonb_build_object('seq', t.seq, 'micros', t.taken::text) order by t.place)
  from (
    select seq, place, least(micros, p_micros - (sum(micros) over (order by place) - micros)) as taken
    from (
      select p ->> 'seq' as seq, (p ->> 'micros')::numeric as micros,
        case when p_from_end then -n else n end as place
      from jsonb_array_elements(p_parts) with ordinality as l (p, n)
    ) part
  ) t
  where t.taken > 0
$function$;

CREATE OR REPLACE FUNCTION public.grant_projections(p_from uuid, p_to uuid)
 RETURNS TABLE(wallet_id uuid, seq bigint, granted_micros bigint, left_micros bigint, expired_micros bigint, expires_at timestamp with time zone, counted_seq bigint)
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.grants_now(p_wallet_id uuid)
 RETURNS SETOF grants
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  now_left grants[];
begin
  select p.unspent into now_left
  from wallets w cross join lateral plan_due(w, ledger_now()) p where w.id = p_wallet_id;
  return query
  select g.* from unnest(now_left) g
  union all
  select g.* from grants g where g.wallet_id = p_wallet_id and g.left_micros = 0;
end $function$;

CREATE OR REPLACE FUNCTION public.hold_answer(p_code text, w wallets, h holds, p_low_balance boolean, p_headroom_micros bigint, p_detail json)
 RETURNS hold_outcome
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select row(
    p_code, w.seq, h.held_micros, h.expires_at, h.amount_so_far_micros, h.units_so_far,
    p_low_balance, available_micros(w), p_headroom_micros, p_detail
  )::hold_outcome
$function$;

CREATE OR REPLACE FUNCTION public.hold_link(h holds)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select jsonb_build_object('holdId', h.id, 'referenceId', h.reference_id)
$function$;

CREATE OR REPLACE FUNCTION public.hold_under(p_wallet_id uuid, p_key uuid)
 RETURNS SETOF holds
 LANGUAGE sql
 STABLE ROWS 1
AS $function$
  select h.* from wallet_events e
  join holds h on h.wallet_id = e.wallet_id and h.id = (e.detail ->> 'holdId')::uuid
  where e.wallet_id = p_wallet_id and e.key = p_key and e.type = 'hold_placed'
$function$;

CREATE OR REPLACE FUNCTION public.in_card_units(p_micros bigint, p_currency text)
 RETURNS bigint
 LANGUAGE sql
 STABLE PARALLEL SAFE STRICT
AS $function$
  select p_micros - p_micros % card_unit_micros(p_currency)
$function$;

CREATE OR REPLACE FUNCTION public.insert_rate_card(p_head jsonb, p_actor text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  head_id constant uuid := p_head ->> 'id';
  rules int;
begin
  select count(*) into rules from rate_card_rules r where r.card_id = head_id;
  insert into rate_cards (
    id, currency, user_id, version, effective_from, card, rule_count, created_by
  ) values (
    head_id, p_head ->> 'currency', p_head ->> 'userId', (p_head ->> 'version')::int,
    (p_head ->> 'effectiveFrom')::timestamptz, p_head, rules, p_actor
  );
  perform log_rate_card(head_id, p_actor, 'published', jsonb_build_object(
    'version', p_head -> 'version', 'effectiveFrom', p_head -> 'effectiveFrom', 'rules', rules));
end $function$;

CREATE OR REPLACE FUNCTION public.is_finished(r billing_runs)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select r.planned_to = 'ffffffff-ffff-ffff-ffff-ffffffffffff' and not exists (
    select from billing_ranges g where g.run_id = r.id and g.finished_at is null)
$function$;

CREATE OR REPLACE FUNCTION public.is_passing_error(p_sqlstate text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  -- Deadlocks and the like, no resources, an operator, the system; a lock that was not free.
  select left(p_sqlstate, 2) in ('40', '53', '57', '58') or p_sqlstate = '55P03'
$function$;

CREATE OR REPLACE FUNCTION public.is_suspended(w wallets)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select w.status = 'frozen' and exists (
    select from wallet_arrears a where a.wallet_id = w.id and a.suspends)
$function$;

CREATE OR REPLACE FUNCTION public.json_instant(p_at timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE STRICT
AS $function$
  select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$function$;

CREATE OR REPLACE FUNCTION public.keep_published_rules()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (select from changed_rules r join rate_cards c on c.id = r.card_id) then
    raise exception 'the rules of a published rate card never change'
      using errcode = 'restrict_violation';
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.keep_quarantine()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'UPDATE' and old.resolution is null
     and (new.payment_intent_id, new.reason, new.created_at)
       = (old.payment_intent_id, old.reason, old.created_at) then
    return new;
  end if;
  raise exception 'a payment in quarantine is resolved once and never forgotten'
    using errcode = 'restrict_violation';
end $function$;

CREATE OR REPLACE FUNCTION public.key_after_void(h holds)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select ledger_key('usage_after_void', h.id::text)
$function$;

CREATE OR REPLACE FUNCTION public.ledger_key(p_kind text, p_reference text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select encode(substring(sha256(convert_to(p_kind || E'\n' || p_reference, 'UTF8')) for 16), 'hex')::uuid
$function$;

CREATE OR REPLACE FUNCTION public.ledger_now()
 RETURNS timestamp with time zone
 LANGUAGE sql
AS $function$ select clock_timestamp() $function$;

CREATE OR REPLACE FUNCTION public.left_grants(p_wallet_id uuid)
 RETURNS grants[]
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select array(select g from grants g where g.wallet_id = p_wallet_id and g.left_micros > 0
               order by g.expires_at, g.seq)
$function$;

CREATE OR REPLACE FUNCTION public.limit_counts(p_limit_type text, p_prefix text, p_usage_type text, p_destination text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select (p_limit_type is null or p_limit_type is not distinct from p_usage_type)
    and (p_prefix is null or starts_with(dialled_digits(p_destination), p_prefix))
$function$;

CREATE OR REPLACE FUNCTION public.limit_refusal(l limit_standing, w wallets, p_amount_micros bigint)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  outcome ledger_outcome := refusal_of('LIMIT_EXCEEDED', w, p_amount_micros);
begin
  outcome.detail := limit_refused(l, p_amount_micros);
  return outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.limit_refused(l limit_standing, p_required_micros bigint)
 RETURNS json
 LANGUAGE sql
 STABLE
AS $function$
  select json_build_object(
    'limit', jsonb_strip_nulls(jsonb_build_object(
      'period', l.period, 'type', l.usage_type, 'prefix', l.prefix)),
    'limitMicros', l.amount_micros::text, 'spentMicros', l.spent_micros::text,
    'reservedMicros', l.reserved_micros::text, 'requiredMicros', p_required_micros::text,
    'leftMicros', l.left_micros::text, 'resetsAt', json_instant(l.resets_at))
$function$;

CREATE OR REPLACE FUNCTION public.limit_standings(w wallets, p_except_hold uuid)
 RETURNS SETOF limit_standing
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.limit_term(p_period text, p_amount_micros bigint, p_type text, p_prefix text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select jsonb_strip_nulls(jsonb_build_object(
    'period', p_period, 'amountMicros', p_amount_micros::text, 'type', p_type, 'prefix', p_prefix))
$function$;

CREATE OR REPLACE FUNCTION public.limit_window(p_period text, p_at timestamp with time zone, p_timezone text, OUT starts_at timestamp with time zone, OUT ends_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE STRICT
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.lock_payment(p_payment_intent_id text, OUT w wallets, OUT t top_ups)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
begin
  -- The wallet is locked before its top-up is read, as everywhere.
  select w2.* into w from wallets w2
  where w2.id = (select wallet_id from top_ups where payment_intent_id = p_payment_intent_id)
  for no key update;
  select * into t from top_ups where payment_intent_id = p_payment_intent_id;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.lock_saved_cards(p_user_id text, p_livemode boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
begin
  perform from stripe_customers c
  where c.user_id = p_user_id and c.livemode = p_livemode and c.deleted_at is null
  for no key update;
  return found;
end $function$;

CREATE OR REPLACE FUNCTION public.log_auto_top_up(p_wallet_id uuid, p_actor text, p_event text, p_detail jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into auto_top_up_log (wallet_id, at, actor, event, detail)
  values (p_wallet_id, ledger_now(), p_actor, p_event, p_detail)
$function$;

CREATE OR REPLACE FUNCTION public.log_rate_card(p_card_id uuid, p_actor text, p_action text, p_detail jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into rate_card_log (card_id, actor, action, detail)
  values (p_card_id, p_actor, p_action, p_detail)
$function$;

CREATE OR REPLACE FUNCTION public.micros_of_minor(p_amount_minor bigint, p_currency text)
 RETURNS bigint
 LANGUAGE sql
 STABLE PARALLEL SAFE STRICT
AS $function$
  select p_amount_minor * (10 ^ (6 - exponent))::bigint from currencies where code = p_currency
$function$;

CREATE OR REPLACE FUNCTION public.month_now(w wallets)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select starts_at from limit_window('month', greatest(ledger_now(), w.updated_at), w.timezone)
$function$;

CREATE OR REPLACE FUNCTION public.month_status(p_period text, OUT run_id uuid, OUT status text, OUT started_at timestamp with time zone, OUT finished_at timestamp with time zone, OUT total bigint, OUT billed bigint, OUT failed bigint, OUT pending bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.move_saved_card(p_user_id text, p_livemode boolean, p_payment_method_id text, p_position integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  old_position int;
  new_position int;
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  select position into old_position from saved_cards
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  if not found then
    return false;
  end if;
  select greatest(1, least(p_position, count(*)))::int into new_position from saved_cards
  where user_id = p_user_id and livemode = p_livemode;
  update saved_cards set position = case
    when position = old_position then new_position
    else position + sign(old_position - new_position)::int end
  where user_id = p_user_id and livemode = p_livemode
    and position between least(old_position, new_position) and greatest(old_position, new_position);
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.moved_units(w wallets, p_detail jsonb)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select m.units
  from (select p_detail #> '{breakdown,price,monthly}' as monthly) p
  cross join lateral (
    select coalesce((units_this_month(w) ->> (p.monthly ->> 'counter'))::bigint, 0) as units
  ) m
  where (p.monthly ->> 'unitsBefore')::bigint <> m.units
$function$;

CREATE OR REPLACE FUNCTION public.name_saved_card(p_user_id text, p_livemode boolean, p_payment_method_id text, p_name text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  update saved_cards set name = p_name
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  return found;
end $function$;

CREATE OR REPLACE FUNCTION public.needs_support(p_reason text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(p_reason in ('dispute', 'fraud_warning', 'under_review'), false)
$function$;

CREATE OR REPLACE FUNCTION public.next_auto_top_up_card(p_user_id text, p_livemode boolean, p_top_up_id uuid)
 RETURNS saved_cards
 LANGUAGE sql
 STABLE
AS $function$
  select c.* from saved_cards c
  where c.user_id = p_user_id and c.livemode = p_livemode
    and make_timestamptz(c.exp_year, c.exp_month, 1, 0, 0, 0, 'UTC') + interval '1 month'
      > ledger_now() - interval '1 day'
    and not exists (select from refused_cards r where r.payment_method_id = c.payment_method_id)
    and not exists (select from auto_top_up_tries y
                    where y.top_up_id = p_top_up_id and y.payment_method_id = c.payment_method_id)
  order by c.position limit 1
$function$;

CREATE OR REPLACE FUNCTION public.next_link(p_link bytea, p_head bytea, p_canonical text)
 RETURNS bytea
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
begin
  return sha256(coalesce(p_link, p_head) || convert_to(p_canonical, 'UTF8'));
end $function$;

CREATE OR REPLACE FUNCTION public.next_period(p_period billing_period)
 RETURNS billing_period
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select case when right(p_period, 2) = '12'
    then (left(p_period, 4)::int + 1)::text || '-01'
    else left(p_period, 5) || lpad((right(p_period, 2)::int + 1)::text, 2, '0')
  end
$function$;

CREATE OR REPLACE FUNCTION public.next_statement_number(p_period billing_period)
 RETURNS text
 LANGUAGE sql
AS $function$
  select p_period || '-' || lpad(n::text, greatest(6, length(n::text)), '0')
  from nextval('statement_numbers') n
$function$;

CREATE OR REPLACE FUNCTION public.next_statement_period(w wallets)
 RETURNS billing_period
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(
    (select next_period(max(s.period)) from statements s where s.wallet_id = w.id),
    period_of(w.opened_at, w.timezone)
  )
$function$;

CREATE OR REPLACE FUNCTION public.note_arrears_dates()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  new.next_due_at := least(new.next_due_at, arrears_due_at(new));
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.note_expiries(INOUT w wallets)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
begin
  if w.grants_micros > 0 then
    w.next_due_at := least(w.next_due_at, (
      select min(expires_at) from grants where wallet_id = w.id and left_micros > 0));
    update wallets set next_due_at = w.next_due_at where id = w.id;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.notice_kind(p_event_type text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case p_event_type when 'top_up' then 'receipt' end
$function$;

CREATE OR REPLACE FUNCTION public.open_month_starts_at(w wallets)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select n.starts_at from limit_window('month', greatest(ledger_now(), w.updated_at), w.timezone) n
$function$;

CREATE OR REPLACE FUNCTION public.open_wallet(p_wallet_id uuid, p_user_id text, p_currency text, p_timezone text, p_mode text, p_actor text, OUT opened boolean, OUT wallet wallets)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.original_standing(p_wallet_id uuid, p_seq bigint, OUT refunded_micros bigint, OUT corrected_micros bigint, OUT burned jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(u.refunded_micros - u.of_correction_micros, 0),
    c.micros - coalesce(u.of_correction_micros, 0), u.burned
  from (
    -- Long ago what re-ratings charged was given back as such, and not as their original's.
    select coalesce(sum(r.posted_micros - r.of_original_micros), 0)::bigint as micros
    from rerated_usage r where r.wallet_id = p_wallet_id and r.original_seq = p_seq
  ) c
  left join usage_refunds u on u.wallet_id = p_wallet_id and u.original_seq = p_seq
$function$;

CREATE OR REPLACE FUNCTION public.outcome_of(e wallet_events, p_replayed boolean)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 STABLE
AS $function$
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
    -- A deferred wallet's capture ended with the accrual right behind the release, and what is
    -- goodwill with that.
    select * into settled from wallet_events
    where wallet_id = e.wallet_id and seq = e.seq + 1 and type in ('accrual', 'goodwill')
      and key is null
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
end $function$;

CREATE OR REPLACE FUNCTION public.overcharged_micros(h holds, p_billed_micros bigint, p_refunded_micros bigint, p_corrected_micros bigint)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select greatest(0, p_corrected_micros - coalesce(div(
    p_corrected_micros::numeric * (p_billed_micros - p_refunded_micros),
    nullif(h.billed_micros - p_refunded_micros, 0)), 0))::bigint
$function$;

CREATE OR REPLACE FUNCTION public.owes_fees(s subscriptions)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select s.ends_at is null or s.ends_at > greatest(s.starts_at, s.billed_to)
$function$;

CREATE OR REPLACE FUNCTION public.parts_total(p_parts jsonb)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(sum((p ->> 'micros')::numeric), 0) from jsonb_array_elements(p_parts) p
$function$;

CREATE OR REPLACE FUNCTION public.pause_auto_top_up(p_wallet_id uuid, p_reason text, p_actor text, p_detail jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  a auto_top_ups;
  new_status constant text := case when p_reason in ('user', 'wallet_closed')
    then 'off' else 'paused' end;
begin
  perform from wallets where id = p_wallet_id for no key update;
  select * into a from auto_top_ups where wallet_id = p_wallet_id for update;
  if not found or a.status = 'off' and not needs_support(p_reason)
     or a.status = new_status and (a.reason = p_reason or needs_support(a.reason)) then
    return false;
  end if;
  update auto_top_ups set
    status = case when a.status = 'off' then 'off' else new_status end,
    reason = case when needs_support(a.reason) and not needs_support(p_reason)
      then a.reason else p_reason end,
    reason_detail = p_detail, next_try_at = null, changed_at = ledger_now()
  where wallet_id = p_wallet_id;
  perform log_auto_top_up(
    p_wallet_id, p_actor, case new_status when 'off' then 'turned_off' else 'paused' end,
    p_detail || jsonb_build_object('reason', p_reason));
  if p_reason <> 'authentication_required' then
    perform give_up_awaited_payment(p_wallet_id);
  end if;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.period_ends_at(p_period billing_period, p_timezone text)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select period_wall_clock(next_period(p_period)) at time zone p_timezone
$function$;

CREATE OR REPLACE FUNCTION public.period_is_over(p_period billing_period)
 RETURNS boolean
 LANGUAGE sql
 STRICT
AS $function$
  select period_wall_clock(next_period(p_period)) at time zone interval '14 hours' <= ledger_now()
$function$;

CREATE OR REPLACE FUNCTION public.period_of(p_at timestamp with time zone, p_timezone text)
 RETURNS billing_period
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE STRICT
AS $function$
declare
  on_the_wall constant billing_period := to_char(p_at at time zone p_timezone, 'YYYY-MM');
begin
  return case when p_at < period_wall_clock(on_the_wall) at time zone p_timezone
    then previous_period(on_the_wall) else on_the_wall end;
end $function$;

CREATE OR REPLACE FUNCTION public.period_wall_clock(p_period billing_period)
 RETURNS timestamp without time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select make_timestamp(left(p_period, 4)::int, right(p_period, 2)::int, 1, 0, 0, 0)
$function$;

CREATE OR REPLACE FUNCTION public.plan_due(w wallets, p_at timestamp with time zone, OUT wallet wallets, OUT unspent grants[], OUT steps due_step[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  -- Holds to come count too: they keep credit.
  open_holds constant holds[] := array(
    select h from holds h where h.wallet_id = w.id and h.status = 'open'
      and (h.expires_at <= p_at or w.grants_micros > 0)
    order by h.expires_at, h.id);
  -- The first of them that is still open.
  h_index int := 1;
  g_index int;
  step due_step;
  h holds;
  left_so_far numeric;
  -- What the holds that are still open keep, of each grant: those that were placed before it expired.
  reserved numeric[];
begin
  unspent := case when w.grants_micros > 0 then left_grants(w.id) else '{}' end;
  reserved := array(
    select coalesce((
      select sum(o.held_micros) from unnest(open_holds) o
      where u.expires_at <= p_at and o.placed_at < u.expires_at), 0)
    from unnest(unspent) with ordinality u order by u.ordinality);
  steps := '{}';
  loop
    step := null;
    left_so_far := 0;
    for i in 1 .. cardinality(unspent) loop
      exit when unspent[i].expires_at is null or unspent[i].expires_at > p_at;
      left_so_far := left_so_far + unspent[i].left_micros;
      if left_so_far > reserved[i] and unspent[i].left_micros > 0 then
        g_index := i;
        step.at := unspent[i].expires_at;
        step.grant_seq := unspent[i].seq;
        step.ended_micros := least(unspent[i].left_micros, left_so_far - reserved[i]);
        step.taken_micros := least(step.ended_micros,
                                   greatest(w.balance_micros - w.held_micros, 0));
        exit;
      end if;
    end loop;

    h := open_holds[h_index];
    if h.expires_at <= p_at and (step.at is null or h.expires_at <= step.at) then
      step := null;
      step.at := h.expires_at;
      step.hold_id := h.id;
      select b.funded_micros, b.owed_micros into step.funded_micros, step.owed_micros
      from bill_of_expiry(w, h) b;
      step.grants := burn_in_order(unspent, step.funded_micros, h.placed_at);
      w.held_micros := w.held_micros - h.held_micros;
      if w.mode = 'deferred' then
        w.held_micros := w.held_micros + step.funded_micros;
      else
        w.balance_micros := w.balance_micros - step.funded_micros;
      end if;
      w.arrears_micros := w.arrears_micros + step.owed_micros;
      for i in 1 .. cardinality(unspent) loop
        unspent[i].left_micros := unspent[i].left_micros - coalesce((
          select sum(p.micros) from jsonb_to_recordset(step.grants) as p (seq bigint, micros bigint)
          where p.seq = unspent[i].seq), 0);
        if h.placed_at < unspent[i].expires_at then
          reserved[i] := reserved[i] - h.held_micros;
        end if;
      end loop;
      w.grants_micros := w.grants_micros - coalesce(parts_total(step.grants), 0);
      h_index := h_index + 1;
    elsif step.at is not null then
      w.balance_micros := w.balance_micros - step.taken_micros;
      w.grants_micros := w.grants_micros - step.ended_micros;
      unspent[g_index].left_micros := unspent[g_index].left_micros - step.ended_micros;
      unspent[g_index].expired_micros := unspent[g_index].expired_micros + step.ended_micros;
    else
      exit;
    end if;
    steps := steps || step;
  end loop;
  wallet := w;
end $function$;

CREATE OR REPLACE FUNCTION public.plan_month(p_run_id uuid, p_cursor uuid, p_limit integer, OUT ranges jsonb, OUT next_cursor uuid)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.post_difference(INOUT w wallets, p_funded_micros bigint, p_owed_micros bigint, p_key uuid, p_request_hash bytea, p_actor text, p_detail json, p_grants jsonb)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
begin
  if p_funded_micros = 0 and p_owed_micros = 0
     and p_detail #> '{breakdown,goodwillMicros}' is not null then
    w := append_event(w, 'goodwill', 0, 0, 0, p_key, p_request_hash, p_actor, null, p_detail);
  elsif w.mode = 'deferred' then
    w := append_event(w, 'accrual', 0, p_funded_micros, p_owed_micros, p_key, p_request_hash,
                      p_actor, null, with_field(p_detail, 'grants', p_grants), p_grants);
  else
    w := append_event(w, 'charge', -p_funded_micros, 0, p_owed_micros, p_key, p_request_hash,
                      p_actor, null, with_field(p_detail, 'grants', p_grants), p_grants);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.post_fee(INOUT w wallets, s subscriptions, p_period billing_period, p_month_starts_at timestamp with time zone, p_month_ends_at timestamp with time zone)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.post_fees(INOUT w wallets)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.postpone_auto_top_up(p_top_up_id uuid)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update auto_top_up_attempts set
    unknowns = unknowns + 1, updated_at = ledger_now(),
    resume_at = ledger_now()
      + least(interval '10 minutes', interval '15 seconds' * power(2, least(unknowns, 10)))
  where top_up_id = p_top_up_id and state in ('charging', 'canceling')
$function$;

CREATE OR REPLACE FUNCTION public.preview_month(p_period text, OUT code text, OUT months jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.previous_period(p_period billing_period)
 RETURNS billing_period
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select case when right(p_period, 2) = '01'
    then (left(p_period, 4)::int - 1)::text || '-12'
    else left(p_period, 5) || lpad((right(p_period, 2)::int - 1)::text, 2, '0')
  end
$function$;

CREATE OR REPLACE FUNCTION public.publish_rate_card(p_card jsonb, p_actor text, OUT code text, OUT version integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  select r.code, r.version into code, version from rate_card_refusal(p_card - 'rules') r;
  if code = 'OK' and exists (select from rate_card_drafts d where d.id = (p_card ->> 'id')::uuid) then
    code := 'ID_TAKEN';
  end if;
  if code = 'OK' then
    insert into rate_card_rules (card_id, type, prefix, rule_id, rule)
    select (p_card ->> 'id')::uuid, r ->> 'type', r ->> 'prefix', r ->> 'id', r
    from jsonb_array_elements(p_card -> 'rules') r;
    perform insert_rate_card(p_card - 'rules', p_actor);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.publish_rate_card_draft(p_id uuid, p_revision integer, p_effective_from text, p_actor text, OUT code text, OUT version integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  d rate_card_drafts;
  head jsonb;
begin
  select * into d from rate_card_drafts where id = p_id for update;
  if not found then
    select case when c.effective_from = p_effective_from::timestamptz then 'OK' else 'ID_TAKEN' end,
      c.version into code, version from rate_cards c where c.id = p_id;
    code := coalesce(code, 'NOT_FOUND');
    return;
  elsif d.revision <> p_revision then
    code := 'DRAFT_CHANGED';
    return;
  elsif not exists (select from rate_card_rules where card_id = p_id) then
    code := 'NO_RULES';
    return;
  end if;
  head := d.card || jsonb_build_object('id', p_id, 'effectiveFrom', p_effective_from);
  select r.code, r.version into code, version from rate_card_refusal(head) r;
  if code = 'OK' then
    delete from rate_card_drafts where id = p_id;
    perform insert_rate_card(head || jsonb_build_object('version', version), p_actor);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.rate_card_refusal(p_head jsonb, OUT code text, OUT version integer)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  lead_time constant interval := '60 seconds';
  card_currency constant text := p_head ->> 'currency';
  card_user constant text := p_head ->> 'userId';
begin
  perform pg_advisory_xact_lock(hashtextextended('rate_cards ' || card_currency, 0));
  select coalesce(max(c.version), 0) + 1 into version from rate_cards c
  where currency = card_currency and user_id is not distinct from card_user;
  code := case
    when (p_head ->> 'effectiveFrom')::timestamptz < ledger_now() + lead_time
      then 'EFFECTIVE_TOO_SOON'
    when exists (select from rate_cards c
                 where currency = card_currency and user_id is not distinct from card_user
                 and c.effective_from >= (p_head ->> 'effectiveFrom')::timestamptz)
      then 'EFFECTIVE_BEFORE_NEWEST'
    when (p_head ->> 'version')::int <> version then 'VERSION_TAKEN'
    when not exists (select from currencies c where c.code = card_currency) then 'UNKNOWN_CURRENCY'
    when exists (select from rate_cards c where c.id = (p_head ->> 'id')::uuid) then 'ID_TAKEN'
    else 'OK'
  end;
end $function$;

CREATE OR REPLACE FUNCTION public.rebuild_usage_days(p_from uuid, p_to uuid, p_repair boolean, OUT differences jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET jit TO 'off'
AS $function$
declare
  d record;
begin
  differences := '[]';
  for d in
    select f.wallet_id, count(*) as days
    from differing_usage_days(p_from, p_to) f group by 1 order by 1
  loop
    if p_repair then
      -- Locked first, then computed again: nobody moves the cursor, or the days with it, meanwhile.
      perform from notice_cursors where wallet_id = d.wallet_id for update;
      with differing as materialized (
        select * from differing_usage_days(d.wallet_id, d.wallet_id)
      ), removed as (
        delete from usage_days k using differing f
        where f.count is null
          and (k.wallet_id, k.day, k.usage_type) = (f.wallet_id, f.day, f.usage_type)
      )
      insert into usage_days select * from differing f where f.count is not null
      on conflict (wallet_id, day, usage_type) do update set
        count = excluded.count, units = excluded.units, micros = excluded.micros;
    end if;
    differences := differences || jsonb_build_object(
      'walletId', d.wallet_id, 'problem', 'USAGE_DAYS_DIFFER',
      'message', format('days of usage that are not what their events come to: %s', d.days),
      'repaired', p_repair);
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION public.rebuild_wallets(p_from uuid, p_to uuid, p_repair boolean, OUT wallets bigint, OUT events bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET jit TO 'off'
AS $function$
declare
  d jsonb;
  repaired boolean;
begin
  with projected as materialized (
    select * from grant_projections(p_from, p_to)
  ), granted as (
    select p.wallet_id, sum(p.left_micros) as left_micros,
      bool_or((g.granted_micros, g.left_micros, g.expired_micros, g.expires_at) is distinct from
        (p.granted_micros, p.left_micros, p.expired_micros, p.expires_at)) as other_grants
    from projected p left join grants g on g.wallet_id = p.wallet_id and g.seq = p.seq
    group by p.wallet_id
  ), compared as (
    select p.events, coalesce(w.id, p.wallet_id) as wallet_id, w.id is not null as has_wallet,
      coalesce(p.sound, false) as sound,
      array[w.seq, w.balance_micros, w.held_micros, w.arrears_micros, w.grants_micros] as stored,
      array[p.seq, p.balance_micros, p.held_micros, p.arrears_micros,
            coalesce(g.left_micros, 0)::bigint] as computed,
      coalesce(g.other_grants, false) as other_grants,
      w.head_hash is distinct from p.head_hash as other_hash,
      w.status <> p.status as other_status, p.status
    from wallet_projections(p_from, p_to) p
    full join (select * from wallets where id between p_from and p_to) w on w.id = p.wallet_id
    left join granted g on g.wallet_id = p.wallet_id
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
        'stored seq, balance, held, arrears, grants: %s; computed: %s%s%s%s',
        case when c.has_wallet then array_to_string(c.stored, ', ') else 'no wallet' end,
        case when c.events is null then 'no events' else array_to_string(c.computed, ', ') end,
        case when c.has_wallet and c.events is not null and c.other_hash
          then '; another hash' else '' end,
        case when c.other_status then format('; %s', c.status) else '' end,
        case when c.other_grants then '; other grants' else '' end),
      'repaired', false
    ) order by c.wallet_id) filter (where not c.sound or not c.has_wallet or c.other_hash
      or c.other_status or c.other_grants or c.stored <> c.computed), '[]')
  into wallets, events, differences
  from compared c;

  if p_repair then
    for i in 0 .. jsonb_array_length(differences) - 1 loop
      d := differences -> i;
      continue when d ->> 'problem' <> 'WALLET_DIFFERS';
      -- Locked first, then computed again: the wallet may have gone on meanwhile.
      perform from wallets where id = (d ->> 'walletId')::uuid for no key update;
      insert into grants as g (
        wallet_id, seq, granted_micros, left_micros, expired_micros, expires_at, counted_seq
      )
      select p.* from grant_projections((d ->> 'walletId')::uuid, (d ->> 'walletId')::uuid) p
      on conflict (wallet_id, seq) do update set
        granted_micros = excluded.granted_micros, left_micros = excluded.left_micros,
        expired_micros = excluded.expired_micros, expires_at = excluded.expires_at
      where (g.granted_micros, g.left_micros, g.expired_micros, g.expires_at) is distinct from
        (excluded.granted_micros, excluded.left_micros, excluded.expired_micros,
         excluded.expires_at);
      update wallets w set
        grants_micros = coalesce((
          select sum(g.left_micros) from grants g where g.wallet_id = w.id), 0),
        seq = p.seq, balance_micros = p.balance_micros, held_micros = p.held_micros,
        arrears_micros = p.arrears_micros, status = p.status, head_hash = p.head_hash,
        updated_at = greatest(w.updated_at, p.recorded_at)
      from wallet_projections((d ->> 'walletId')::uuid, (d ->> 'walletId')::uuid) p
      where w.id = p.wallet_id and p.sound;
      repaired := found;
      perform note_expiries(w) from wallets w where w.id = (d ->> 'walletId')::uuid;
      differences := jsonb_set(differences, array[i::text, 'repaired'], to_jsonb(repaired));
    end loop;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.record_differences(p_kind text, p_found jsonb)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  insert into reconciliation_differences as d
    (kind, object_id, problem, happened_at, wallet_id, top_up_id, at_stripe, in_ledger)
  select p_kind, f."objectId", f.problem, f."happenedAt", f."walletId", f."topUpId",
         f."atStripe", f."inLedger"
  from jsonb_to_recordset(p_found) as f (
    "objectId" text, problem text, "happenedAt" timestamptz, "walletId" uuid, "topUpId" uuid,
    "atStripe" jsonb, "inLedger" jsonb)
  order by f."objectId", f.problem
  on conflict (kind, object_id, problem) where resolved_at is null do update set
    last_seen_at = clock_timestamp(), happened_at = excluded.happened_at,
    at_stripe = excluded.at_stripe, in_ledger = excluded.in_ledger
$function$;

CREATE OR REPLACE FUNCTION public.record_fraud_warning(p_warning_id text, p_payment_intent_id text, p_fraud_type text, p_actionable boolean, p_created_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  locked record;
  t top_ups;
begin
  select * into locked from lock_payment(p_payment_intent_id);
  t := locked.t;
  if t.status is distinct from 'succeeded' then
    return false;
  end if;
  insert into payment_fraud_warnings (
    wallet_id, warning_id, top_up_id, fraud_type, actionable, created_at
  ) values (
    t.wallet_id, p_warning_id, t.id, p_fraud_type, p_actionable, p_created_at
  ) on conflict (warning_id) do nothing;
  if found then
    perform pause_auto_top_up(t.wallet_id, 'fraud_warning', 'stripe:' || p_warning_id,
      jsonb_build_object('warningId', p_warning_id, 'topUpId', t.id));
  else
    update payment_fraud_warnings set actionable = actionable and p_actionable
    where warning_id = p_warning_id;
  end if;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.record_saved_cards(p_customer_id text, p_read bigint, p_cards jsonb)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  c stripe_customers;
begin
  select * into c from stripe_customers
  where stripe_customer_id = p_customer_id and deleted_at is null for no key update;
  if not found then
    return 'NO_CUSTOMER';
  end if;
  if p_read <= c.card_read_recorded then
    return 'STALE';
  end if;
  if p_read <= c.card_read_void then
    return 'VOID';
  end if;
  update stripe_customers set card_read_recorded = p_read where stripe_customer_id = p_customer_id;
  delete from saved_cards s
  where s.user_id = c.user_id and s.livemode = c.livemode
    and not exists (
      select from jsonb_array_elements(p_cards) card where card ->> 'id' = s.payment_method_id
    );
  insert into saved_cards (
    payment_method_id, user_id, livemode, brand, last4, exp_month, exp_year, position
  )
  select card ->> 'id', c.user_id, c.livemode, card ->> 'brand', card ->> 'last4',
    (card ->> 'expMonth')::int, (card ->> 'expYear')::int,
    ord + (select coalesce(max(s.position), 0) from saved_cards s
           where s.user_id = c.user_id and s.livemode = c.livemode)
  from jsonb_array_elements(p_cards) with ordinality as cards (card, ord)
  on conflict (payment_method_id) do update set
    brand = excluded.brand, last4 = excluded.last4, exp_month = excluded.exp_month,
    exp_year = excluded.exp_year
  where (saved_cards.user_id, saved_cards.livemode) = (excluded.user_id, excluded.livemode);
  perform close_saved_card_gaps(c.user_id, c.livemode);
  return 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.record_top_up_attempt(p_top_up_id uuid, p_payment_intent_id text, p_status text, p_failure_code text, p_failure_message text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update top_ups set
    payment_intent_id = p_payment_intent_id, status = p_status, failure_code = p_failure_code,
    failure_message = p_failure_message, updated_at = clock_timestamp()
  where id = p_top_up_id and status not in ('succeeded', 'quarantined')
    and (payment_intent_id is null or payment_intent_id = p_payment_intent_id)
$function$;

CREATE OR REPLACE FUNCTION public.refund_rank(p_status text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
  select case p_status
    when 'reserved' then 0 when 'pending' then 1 when 'requires_action' then 1
    when 'succeeded' then 2 else 3 end
$function$;

CREATE OR REPLACE FUNCTION public.refund_usage(p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_charge_key uuid, p_hold_key uuid, p_usage_type text, p_amount_micros bigint, p_actor text, p_detail jsonb)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  called_at timestamptz;
  w wallets;
  h holds;
  outcome ledger_outcome;
  refunded wallet_events;
  original bigint;
  billed bigint;
  spent jsonb;
  standing record;
  refundable bigint;
  amount bigint;
  correction bigint;
  first_seq bigint;
begin
  if p_amount_micros <= 0 then
    raise exception 'a refund is positive' using errcode = 'invalid_parameter_value';
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
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, p_amount_micros);
  end if;

  select * into h from hold_under(w.id, p_charge_key);
  select e.seq, usage_micros(e), coalesce(e.detail::jsonb -> 'grants', '[]')
  into original, billed, spent from wallet_events e
  where e.wallet_id = w.id and e.key in (p_charge_key, key_after_void(h))
    and e.type in ('charge', 'accrual');
  if found then
    h := null;
  else
    if h.id is null then
      select * into h from hold_under(w.id, p_hold_key);
    end if;
    if h.usage_type is distinct from p_usage_type then
      h := null;
    end if;
    original := ended_seq(h);
    billed := h.billed_micros;
    spent := h.burned;
  end if;
  standing := original_standing(w.id, original);
  refundable := coalesce(billed, 0) - standing.refunded_micros + standing.corrected_micros;
  amount := coalesce(p_amount_micros, refundable);
  if amount = 0 or amount > refundable then
    return refusal_of('NOT_REFUNDABLE', w, refundable);
  end if;
  if w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, amount);
  end if;

  -- What is left keeps the share of what was billed and of what was corrected, so that a later
  -- re-rating asks for no more than that share of its price.
  correction := amount - div(amount::numeric * (billed - standing.refunded_micros), refundable);
  first_seq := w.seq + 1;
  w := give_back_of(
    w, h, original, refundable, coalesce(standing.burned, spent), amount, correction, p_key,
    p_request_hash, p_actor, p_detail || case when correction = 0 then '{}'
      else jsonb_build_object('correctionMicros', correction::text) end, called_at);
  select * into strict refunded from wallet_events where wallet_id = w.id and seq = first_seq;
  return outcome_of(refunded, false);
end $function$;

CREATE OR REPLACE FUNCTION public.refundable_micros(w wallets, p_livemode boolean)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  free constant bigint := free_micros(w);
  returnable bigint := 0;
  t top_ups;
begin
  for t in
    select * from top_ups
    where wallet_id = w.id and status = 'succeeded' and livemode = p_livemode
    order by credited_seq desc
  loop
    exit when returnable >= free;
    returnable := returnable + returnable_micros(t);
  end loop;
  return least(free, returnable);
end $function$;

CREATE OR REPLACE FUNCTION public.refundable_micros(w wallets, t top_ups)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select least(returnable_micros(t), free_micros(w))
$function$;

CREATE OR REPLACE FUNCTION public.refusal_of(p_code text, w wallets, p_amount_micros bigint)
 RETURNS ledger_outcome
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select row(
    p_code, false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, null
  )::ledger_outcome
$function$;

CREATE OR REPLACE FUNCTION public.refuse_auto_top_up(p_top_up_id uuid, p_try integer, p_class text, p_code text, p_message text, p_has_payment boolean)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  backoffs constant interval[] := array['1 hour', '6 hours', '24 hours']::interval[];
  t auto_top_up_attempts;
  w wallets;
  a auto_top_ups;
  card saved_cards;
  end_state constant text := case when p_has_payment then 'canceling' else 'failed' end;
begin
  select w2.* into w from wallets w2
  where w2.id = (select wallet_id from auto_top_up_attempts where top_up_id = p_top_up_id)
  for no key update;
  -- The top-up before its attempt, as when its status changes.
  perform from top_ups where id = p_top_up_id for update;
  select * into t from auto_top_up_attempts where top_up_id = p_top_up_id for update;
  select * into a from auto_top_ups where wallet_id = w.id for update;
  if t.state <> 'charging' or t.try <> p_try then
    return t.state;
  end if;
  update auto_top_up_tries set failure_code = p_code, failure_class = p_class
  where top_up_id = t.top_up_id and try = t.try;
  update top_ups set failure_code = p_code, failure_message = p_message,
    updated_at = clock_timestamp()
  where id = t.top_up_id;
  if p_class = 'never' then
    insert into refused_cards (payment_method_id, code, refused_at)
    select payment_method_id, p_code, ledger_now() from auto_top_up_tries
    where top_up_id = t.top_up_id and try = t.try
    on conflict do nothing;
  end if;

  if a.status = 'on' and takes_payments(w) then
    if p_class = 'authentication' and p_has_payment then
      update auto_top_up_attempts set state = 'awaiting_user', unknowns = 0, recovery_no = 1,
        recovery_expires_at = ledger_now() + interval '72 hours', recovery_used_at = null,
        resume_at = ledger_now() + interval '7 days', updated_at = ledger_now()
      where top_up_id = t.top_up_id;
      update top_ups set status = 'requires_action' where id = t.top_up_id;
      perform pause_auto_top_up(w.id, 'authentication_required', 'system:auto-top-up',
        jsonb_build_object('topUpId', t.top_up_id));
      return 'awaiting_user';
    end if;
    card := next_auto_top_up_card(w.user_id, a.livemode, t.top_up_id);
    if p_class <> 'api' and card.payment_method_id is not null then
      insert into auto_top_up_tries (top_up_id, try, payment_method_id, brand, last4, asked_at)
      values (t.top_up_id, t.try + 1, card.payment_method_id, card.brand, card.last4, ledger_now());
      update auto_top_up_attempts set try = t.try + 1, unknowns = 0, updated_at = ledger_now(),
        resume_at = ledger_now() + interval '90 seconds'
      where top_up_id = t.top_up_id;
      return 'charging';
    end if;
  end if;

  update auto_top_up_attempts set state = end_state, unknowns = 0, updated_at = ledger_now(),
    resume_at = ledger_now() + interval '90 seconds'
  where top_up_id = t.top_up_id;
  if not p_has_payment then
    update top_ups set status = 'failed', updated_at = clock_timestamp() where id = t.top_up_id;
  end if;
  perform log_auto_top_up(w.id, 'system:auto-top-up', 'charge_failed',
    jsonb_build_object('topUpId', t.top_up_id, 'code', p_code));
  if a.status = 'on' then
    update auto_top_ups set failures = a.failures + 1, reason = 'declined',
      reason_detail = jsonb_build_object('topUpId', t.top_up_id, 'code', p_code),
      next_try_at = ledger_now() + backoffs[a.failures + 1], changed_at = ledger_now()
    where wallet_id = w.id;
    if (next_auto_top_up_card(w.user_id, a.livemode, null)).payment_method_id is null then
      perform pause_auto_top_up(w.id, 'cards_refused', 'system:auto-top-up',
        jsonb_build_object('topUpId', t.top_up_id, 'code', p_code));
    elsif a.failures >= cardinality(backoffs) then
      perform pause_auto_top_up(w.id, 'declined', 'system:auto-top-up',
        jsonb_build_object('topUpId', t.top_up_id, 'code', p_code));
    end if;
  end if;
  return end_state;
end $function$;

CREATE OR REPLACE FUNCTION public.refuse_ledger_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception '% of % is refused: the ledger is append-only', tg_op, tg_table_name
    using errcode = 'restrict_violation';
end $function$;

CREATE OR REPLACE FUNCTION public.refuse_unknown_timezone()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform now() at time zone new.timezone;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.release_payment_refund(p_wallet_id uuid, p_id uuid, p_failure_code text, p_actor text, p_detail jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
  r payment_refunds;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  select * into r from payment_refunds
  where wallet_id = w.id and id = p_id and status = 'reserved';
  if r.id is null then
    return false;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  w := return_refund(w, r, p_actor, p_detail);
  update payment_refunds set
    status = 'failed', debited_micros = 0, failure_code = p_failure_code,
    updated_at = clock_timestamp()
  where wallet_id = w.id and id = r.id;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.remove_saved_card(p_user_id text, p_livemode boolean, p_payment_method_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  removed boolean;
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  update stripe_customers set card_read_void = card_reads
  where user_id = p_user_id and livemode = p_livemode and deleted_at is null;
  delete from saved_cards
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  removed := found;
  perform close_saved_card_gaps(p_user_id, p_livemode);
  return removed;
end $function$;

CREATE OR REPLACE FUNCTION public.renew_recovery_link(p_wallet_id uuid, OUT top_up_id uuid, OUT no integer, OUT expires_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  perform from wallets where id = p_wallet_id for no key update;
  update auto_top_up_attempts t set recovery_no = t.recovery_no + 1, recovery_used_at = null,
    recovery_expires_at = ledger_now() + interval '72 hours'
  where t.wallet_id = p_wallet_id and t.state = 'awaiting_user'
  returning t.top_up_id, t.recovery_no, t.recovery_expires_at into top_up_id, no, expires_at;
end $function$;

CREATE OR REPLACE FUNCTION public.repay_arrears(INOUT w wallets, p_actor text, p_detail json, p_at timestamp with time zone, p_expired_micros bigint)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  repaid bigint := least(w.arrears_micros, w.balance_micros - w.held_micros - p_expired_micros);
  burned jsonb;
begin
  if repaid > 0 then
    burned := burn_of(w, repaid, p_at);
    w := append_event(w, 'arrears_repaid', -repaid, 0, -repaid, null, null, p_actor, null,
                      with_field(p_detail, 'grants', burned), burned);
    if w.arrears_micros = 0 then
      w := end_arrears(w);
    end if;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.replace_password(p_user_id text, p_old_hash text, p_new_hash text, p_session_hash bytea, p_idle_seconds integer)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
begin
  update users set password_hash = p_new_hash where id = p_user_id and password_hash = p_old_hash;
  if not found then
    return false;
  end if;
  delete from sessions where user_id = p_user_id;
  insert into sessions (id_hash, user_id, expires_at)
    values (p_session_hash, p_user_id, now() + make_interval(secs => p_idle_seconds));
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.replay_of(p_wallet_id uuid, p_key uuid, p_request_hash bytea)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  e wallet_events;
  outcome ledger_outcome;
begin
  if p_key is null or p_request_hash is null then
    raise exception 'a money operation needs its key and the hash of its request'
      using errcode = 'invalid_parameter_value';
  end if;
  select * into e from wallet_events where wallet_id = p_wallet_id and key = p_key;
  if not found then
    return null;
  end if;
  outcome := outcome_of(e, true);
  if e.request_hash <> p_request_hash then
    outcome.code := 'KEY_REUSED';
    outcome.replayed := false;
  end if;
  return outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.replay_stripe_event(p_event_id text)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  with again as (
    update stripe_inbox set
      status = 'waiting', outcome = null, finished_at = null, waiting_since = clock_timestamp(),
      next_dispatch_at = clock_timestamp() + interval '10 seconds'
    where event_id = p_event_id
    returning event_id
  )
  select exists (select from again)
$function$;

CREATE OR REPLACE FUNCTION public.replayed_after(p_from uuid, p_to uuid, p_parts replayed_wallet[])
 RETURNS SETOF replayed_wallet
 LANGUAGE sql
 STABLE ROWS 10000
 SET jit TO 'off'
AS $function$
  with rest as materialized (
    select r from replayed_wallets(p_from, p_to, (select max(p.seq) from unnest(p_parts) p)) r
  ), parts as materialized (
    select * from unnest(p_parts || array(select r from rest where (r).wallet_id = p_from))
  )
  select (r).* from rest where (r).wallet_id <> p_from
  union all
  select p_from, sum(p.events)::bigint, max(p.seq),
    sum(p.balance_micros), sum(p.held_micros), sum(p.arrears_micros),
    (select array_agg(s) from parts q, unnest(q.out_of_sequence) s),
    (select array_agg(s) from parts q, unnest(q.wrong_total) s),
    (select array_agg(s) from parts q, unnest(q.back_in_time) s),
    (select array_agg(s) from parts q, unnest(q.wrong_hash) s),
    (select array_agg(s) from parts q, unnest(q.mention_holds) s)
  from parts p
$function$;

CREATE OR REPLACE FUNCTION public.replayed_wallets(p_from uuid, p_to uuid, p_after_seq bigint DEFAULT NULL::bigint, p_up_to_seq bigint DEFAULT NULL::bigint)
 RETURNS SETOF replayed_wallet
 LANGUAGE sql
 STABLE ROWS 10000
 SET jit TO 'off'
 SET enable_sort TO 'off'
 SET enable_incremental_sort TO 'off'
 SET max_parallel_workers_per_gather TO '0'
AS $function$
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
      e.hash <> chained_hash((e.before).hash, e.canonical) as wrong_hash,
      -- Going through the text costs a fifth of taking the detail apart.
      strpos(e.canonical, '"holdId"') > 0 as mentions_hold
    from (
      select e.wallet_id, e.seq, e.type, e.recorded_at,
        e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
        e.balance_micros, e.held_micros, e.arrears_micros,
        -- Fetched at once, for each lag() goes back for itself.
        lag(row(
          e.seq, e.balance_micros, e.held_micros, e.arrears_micros, e.recorded_at, e.hash
        )::event_state) over chain as before,
        e.hash,
        -- Written once for all that reads it, as it is half of the work.
        event_canonical(e) as canonical
      from wallet_events e
      -- Compared as rows, which the index can begin and end at.
      where (e.wallet_id, e.seq) >= (p_from, coalesce(p_after_seq, -9223372036854775808))
        and (e.wallet_id, e.seq) <= (p_to, coalesce(p_up_to_seq, 9223372036854775807))
      -- No frame to look for: lag() knows none.
      window chain as (partition by e.wallet_id order by e.seq rows current row)
    ) e
  ) l
  where (l.wallet_id, l.seq) is distinct from (p_from, p_after_seq)
  group by l.wallet_id
$function$;

CREATE OR REPLACE FUNCTION public.request_month(p_period text, p_actor text, OUT code text, OUT run_id uuid, OUT finished boolean)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.rerate_usage(p_rerating_id uuid, p_wallet_id uuid, p_original_seq bigint, p_billed_micros bigint, p_price_micros bigint, p_breakdown jsonb, p_actor text, OUT code text, OUT posted_micros bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  called_at timestamptz;
  w wallets;
  r reratings;
  e wallet_events;
  h holds;
  standing record;
  request_hash constant bytea := sha256(convert_to(
    format('rerating %s %s %s', p_rerating_id, p_original_seq, p_price_micros), 'UTF8'));
  told jsonb;
  outcome ledger_outcome;
  paid bigint;
  burns jsonb;
begin
  if p_price_micros < 0 then
    raise exception 'a price is never negative' using errcode = 'invalid_parameter_value';
  end if;
  select * into strict r from reratings where id = p_rerating_id;
  posted_micros := 0;
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    code := 'WALLET_NOT_FOUND';
    return;
  end if;
  called_at := ledger_now();
  if w.next_due_at <= called_at then
    w := settle_due(w);
  end if;
  code := 'OK';
  select u.posted_micros into posted_micros from rerated_usage u
  where u.wallet_id = w.id and u.original_seq = p_original_seq and u.rerating_id = r.id;
  if found then
    return;
  end if;

  posted_micros := 0;
  select * into e from wallet_events where wallet_id = w.id and seq = p_original_seq;
  select s.* into standing from usage_standing(e) s;
  if standing.billed_micros is distinct from p_billed_micros then
    code := 'CHANGED';
    return;
  end if;
  posted_micros := rerating_due(p_price_micros, standing.billed_micros, standing.refunded_micros,
                                standing.corrected_micros);
  if posted_micros = 0 or posted_micros > 0 and not r.debits then
    posted_micros := 0;
    return;
  end if;
  if e.type in ('hold_captured', 'hold_expired') then
    select * into h from holds where id = (e.detail ->> 'holdId')::uuid;
  end if;
  told := jsonb_build_object(
    'type', standing.usage ->> 'type',
    'referenceId', coalesce(h.reference_id, e.detail ->> 'referenceId'),
    'reason', r.reason,
    'rerating', jsonb_build_object('id', r.id, 'cardId', r.card_id,
                                   'priceMicros', p_price_micros::text));
  paid := standing.billed_micros - standing.refunded_micros + standing.corrected_micros;
  burns := still_burned(coalesce(
    h.burned, (select s.burned from original_standing(w.id, e.seq) s),
    e.detail::jsonb -> 'grants', '[]'), paid);

  if posted_micros > 0 then
    outcome := charge_wallet(
      w.id, ledger_key('rerating', format('%s %s', r.id, e.seq)), request_hash, posted_micros,
      'arrears', e.occurred_at, p_actor, (told || jsonb_build_object(
        'originalSeq', e.seq::text, 'usage', standing.usage, 'units', 0, 'breakdown', p_breakdown,
        'alreadyBilledMicros', (p_price_micros - posted_micros)::text))::json);
    code := outcome.code;
    burns := burns || coalesce(outcome.detail::jsonb -> 'grants', '[]');
    if code <> 'OK' then
      posted_micros := 0;
      return;
    elsif h.id is not null then
      update holds set burned = burns where id = h.id;
    elsif burns <> '[]' or e.detail -> 'grants' is not null then
      insert into usage_refunds as f (wallet_id, original_seq, refunded_micros, burned)
      values (w.id, e.seq, 0, burns)
      on conflict (wallet_id, original_seq) do update set burned = excluded.burned;
    end if;
  else
    code := case when w.status = 'closed' then 'WALLET_CLOSED'
                 when w.balance_micros > 2000000000000000000 then 'LIMIT_EXCEEDED' else 'OK' end;
    if code <> 'OK' then
      posted_micros := 0;
      return;
    end if;
    outcome.seq := w.seq + 1;
    w := give_back_of(
      w, h, e.seq, paid, burns, -posted_micros, -posted_micros,
      ledger_key('rerating', format('%s %s %s', r.id, e.seq, e.seq)), request_hash, p_actor, told,
      called_at);
  end if;
  insert into rerated_usage (wallet_id, original_seq, rerating_id, price_micros, posted_micros,
                             of_original_micros, event_seqs)
  values (w.id, e.seq, r.id, p_price_micros, posted_micros, least(posted_micros, 0),
          array[outcome.seq]);
end $function$;

CREATE OR REPLACE FUNCTION public.rerating_due(p_price_micros bigint, p_billed_micros bigint, p_refunded_micros bigint, p_corrected_micros bigint)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select (case when p_billed_micros = 0 then p_price_micros
          else round(p_price_micros::numeric * (p_billed_micros - p_refunded_micros) / p_billed_micros)
          end)::bigint - (p_billed_micros - p_refunded_micros + p_corrected_micros)
$function$;

CREATE OR REPLACE FUNCTION public.reserve_auto_top_up(p_wallet_id uuid, p_top_up_id uuid, OUT code text, OUT amount_micros bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  lease constant interval := interval '90 seconds';
  w wallets;
  a auto_top_ups;
  card saved_cards;
  need record;
  burst record;
  this_period billing_period;
  month record;
begin
  select * into w from wallets where id = p_wallet_id;
  select * into a from auto_top_ups where wallet_id = p_wallet_id;
  if a.wallet_id is null or a.status <> 'on' then
    code := 'OFF';
    return;
  end if;
  if (auto_top_up_need(w, a)).below_micros <= 0 then
    code := 'NOT_BELOW';
    return;
  end if;
  -- Read before the lock: what has been recorded does not change, and charges need not wait.
  select * into burst from usage_burst(w.id, a.trusted_seq, a.amount_micros);

  select * into w from wallets where id = p_wallet_id for no key update;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  select * into a from auto_top_ups where wallet_id = w.id for update;
  this_period := period_of(ledger_now(), w.timezone);
  need := auto_top_up_need(w, a);
  code := case
    when a.status <> 'on' then 'OFF'
    when not takes_payments(w) then 'WALLET_' || upper(w.status)
    when exists (select from auto_top_up_attempts t where t.wallet_id = w.id
                 and t.state in ('charging', 'awaiting_user', 'canceling')) then 'IN_FLIGHT'
    when a.next_try_at > ledger_now() then 'NOT_YET'
    when need.below_micros <= 0 then 'NOT_BELOW'
  end;
  if code is not null then
    return;
  end if;
  card := next_auto_top_up_card(w.user_id, a.livemode, null);
  if card.payment_method_id is null then
    code := 'NO_CARD';
    perform pause_auto_top_up(w.id, case when exists (
      select from saved_cards c where c.user_id = w.user_id and c.livemode = a.livemode
    ) then 'cards_refused' else 'no_card' end, 'system:auto-top-up', '{}');
    return;
  end if;
  if burst.prefix is not null then
    code := 'VELOCITY';
    perform pause_auto_top_up(w.id, 'velocity', 'system:auto-top-up', jsonb_build_object(
      'prefix', '+' || burst.prefix, 'charges', burst.charges,
      'amountMicros', burst.amount_micros::text));
    return;
  end if;

  month := auto_top_up_month(w.id);
  amount_micros := least(
    ceil(need.needed_micros::numeric / a.charge_step_micros)::bigint * a.charge_step_micros,
    a.max_charge_micros);
  amount_micros := greatest(amount_micros, a.min_charge_micros);
  amount_micros := least(
    amount_micros, (a.monthly_cap_micros - month.used_micros) / a.charge_step_micros * a.charge_step_micros);
  if amount_micros < a.min_charge_micros then
    code := 'CAP_REACHED';
    amount_micros := null;
    update auto_top_ups set reason = 'cap_reached', reason_detail = '{}', changed_at = ledger_now(),
      next_try_at = month.ends_at
    where wallet_id = w.id;
    perform log_auto_top_up(w.id, 'system:auto-top-up', 'waiting',
      jsonb_build_object('reason', 'cap_reached', 'period', this_period));
    return;
  end if;

  insert into top_ups (
    id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode, kind
  )
  select p_top_up_id, w.id, 'auto-' || p_top_up_id, w.currency, reserve_auto_top_up.amount_micros,
    reserve_auto_top_up.amount_micros / (10 ^ (6 - c.exponent))::bigint, a.livemode, 'auto'
  from currencies c where c.code = w.currency;
  insert into auto_top_up_attempts (
    top_up_id, wallet_id, period, amount_micros, resume_at, created_at, updated_at
  ) values (
    p_top_up_id, w.id, this_period, reserve_auto_top_up.amount_micros, ledger_now() + lease,
    ledger_now(), ledger_now()
  );
  insert into auto_top_up_tries (top_up_id, try, payment_method_id, brand, last4, asked_at)
  values (p_top_up_id, 1, card.payment_method_id, card.brand, card.last4, ledger_now());
  code := 'RESERVED';
end $function$;

CREATE OR REPLACE FUNCTION public.reserve_payment_refund(p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_top_up_id uuid, p_amount_micros bigint, p_livemode boolean, p_while_frozen boolean, p_reason text, p_actor text, p_detail jsonb)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
  t top_ups;
  outcome ledger_outcome;
  refundable bigint;
  rest bigint;
  part bigint;
  parts int := 0;
  refund_id uuid;
  refund_detail json;
begin
  if p_amount_micros <= 0 then
    raise exception 'a refund is positive' using errcode = 'invalid_parameter_value';
  end if;
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  if p_amount_micros % card_unit_micros(w.currency) <> 0 then
    raise exception 'a card takes whole units' using errcode = 'invalid_parameter_value';
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, p_amount_micros);
  end if;
  if w.status = 'frozen' and not p_while_frozen then
    return refusal_of('WALLET_FROZEN', w, p_amount_micros);
  end if;
  if p_top_up_id is null then
    refundable := refundable_micros(w, p_livemode);
  else
    select * into t from top_ups
    where id = p_top_up_id and wallet_id = w.id and livemode = p_livemode;
    refundable := refundable_micros(w, t);
  end if;
  rest := coalesce(p_amount_micros, refundable);
  if rest = 0 or rest > refundable then
    return refusal_of('NOT_REFUNDABLE', w, refundable);
  end if;

  for t in
    select * from top_ups
    where wallet_id = w.id and status = 'succeeded' and livemode = p_livemode
      and (p_top_up_id is null or id = p_top_up_id)
    order by credited_seq desc
  loop
    part := least(rest, returnable_micros(t));
    continue when part = 0;
    rest := rest - part;
    parts := parts + 1;
    refund_id := case when rest = 0 then p_key
      else ledger_key('payment_refund_part', concat(p_key, ' ', parts)) end;
    refund_detail := (p_detail || jsonb_build_object(
      'paymentRefundId', refund_id, 'refundRequestId', p_key,
      'originalSeq', t.credited_seq::text))::json;
    w := append_event(w, 'payment_refund', -part, 0, 0, refund_id, p_request_hash, p_actor, null,
                      refund_detail);
    insert into payment_refunds (
      wallet_id, id, request_id, top_up_id, amount_micros, debited_micros, status, reason,
      requested_by, next_attempt_at
    ) values (
      w.id, refund_id, p_key, t.id, part, part, 'reserved', p_reason, p_actor,
      clock_timestamp() + interval '2 minutes'
    );
    exit when rest = 0;
  end loop;
  if rest <> 0 then
    raise exception 'what may be refunded is not what there is to refund';
  end if;
  return row(
    'OK', false, w.seq, part, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, refund_detail
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.resolve_quarantine(p_payment_intent_id text, p_resolution text, p_note text, p_actor text, p_wallet_id uuid, p_top_up_id uuid, p_currency text, p_amount_received_minor bigint, p_livemode boolean, p_occurred_at timestamp with time zone, OUT code text, OUT replayed boolean, OUT wallet_id uuid, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  q stripe_quarantine;
  t top_ups;
  w wallets;
  micros numeric;
  outcome ledger_outcome;
begin
  replayed := false;
  -- The wallet is locked first, as everywhere.
  if p_resolution = 'credited' then
    select * into w from wallets where id = p_wallet_id for no key update;
  end if;
  select * into q from stripe_quarantine where payment_intent_id = p_payment_intent_id for update;
  if q.payment_intent_id is null then
    code := 'NOT_FOUND';
    return;
  end if;
  if q.resolution is not null then
    replayed := q.resolution = p_resolution
      and (p_resolution <> 'credited' or q.credited_wallet_id = p_wallet_id);
    code := case when replayed then 'OK' else 'ALREADY_RESOLVED' end;
    wallet_id := q.credited_wallet_id;
    seq := q.credited_seq;
    return;
  end if;
  select * into t from top_ups where id = q.top_up_id for update;
  if exists (select from top_ups
             where payment_intent_id = p_payment_intent_id and status = 'succeeded') then
    code := 'ALREADY_CREDITED';
    return;
  end if;

  if p_resolution = 'credited' then
    micros := p_amount_received_minor * (select 10::numeric ^ (6 - exponent) from currencies c
                                         where c.code = p_currency);
    code := case
      when w.id is null then 'WALLET_NOT_FOUND'
      when w.status = 'closed' then 'WALLET_CLOSED'
      when w.currency <> p_currency or micros is null then 'CURRENCY_DIFFERS'
      when p_amount_received_minor is distinct from coalesce(q.amount_minor, p_amount_received_minor)
        or p_livemode is distinct from coalesce(q.livemode, p_livemode) or micros <= 0
        then 'CHANGED_AT_STRIPE'
    end;
    if code is not null then
      return;
    end if;
    if t.wallet_id = w.id and t.status <> 'succeeded'
       and coalesce(t.payment_intent_id, p_payment_intent_id) = p_payment_intent_id then
      update top_ups set
        payment_intent_id = p_payment_intent_id, currency = p_currency, amount_micros = micros,
        amount_minor = p_amount_received_minor, livemode = p_livemode
      where id = t.id returning * into t;
    else
      -- The payment leaves the top-up that claimed it, which stays unpaid.
      update top_ups set
        payment_intent_id = null, status = 'canceled', updated_at = clock_timestamp()
      where id = t.id and payment_intent_id = p_payment_intent_id;
      insert into top_ups (
        id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode, payment_intent_id
      ) values (
        p_top_up_id, w.id, 'quarantine_' || p_payment_intent_id, p_currency, micros,
        p_amount_received_minor, p_livemode, p_payment_intent_id
      ) returning * into t;
    end if;
    outcome := credit_wallet(
      w, 'top_up', ledger_key('top_up', p_payment_intent_id),
      sha256(convert_to(t.id || E'\n' || t.amount_micros, 'UTF8')),
      t.amount_micros, p_actor, p_occurred_at,
      json_build_object('topUpId', t.id, 'paymentIntentId', p_payment_intent_id,
                        'quarantined', q.reason)
    );
    if outcome.code <> 'OK' or outcome.replayed then
      raise exception 'payment % cannot be credited: %', p_payment_intent_id, outcome.code;
    end if;
    update top_ups set
      status = 'succeeded', credited_seq = outcome.seq, failure_code = null, failure_message = null,
      updated_at = clock_timestamp()
    where id = t.id;
    wallet_id := w.id;
    seq := outcome.seq;
  else
    update top_ups set
      status = 'canceled', failure_code = p_resolution, failure_message = null,
      updated_at = clock_timestamp()
    where id = t.id and status = 'quarantined';
  end if;
  update stripe_quarantine set
    resolution = p_resolution, resolved_at = clock_timestamp(), resolved_by = p_actor, note = p_note,
    credited_wallet_id = wallet_id, credited_seq = seq,
    currency = coalesce(currency, p_currency),
    amount_minor = coalesce(amount_minor, p_amount_received_minor),
    livemode = coalesce(livemode, p_livemode)
  where payment_intent_id = p_payment_intent_id;
  code := 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.restored(p_burned jsonb, p_billed_micros bigint)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select grant_parts(p_burned, parts_total(p_burned) - p_billed_micros, true)
$function$;

CREATE OR REPLACE FUNCTION public.resume_auto_top_up(p_wallet_id uuid, p_actor text, p_by_support boolean)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
  a auto_top_ups;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  select * into a from auto_top_ups where wallet_id = p_wallet_id for update;
  if a.wallet_id is null or a.status = 'off' and not (p_by_support and needs_support(a.reason)) then
    return 'OFF';
  end if;
  if not takes_payments(w) then
    return 'WALLET_' || upper(w.status);
  end if;
  if needs_support(a.reason) and not p_by_support then
    return 'NEEDS_SUPPORT';
  end if;
  if a.status = 'paused'
     and (next_auto_top_up_card(w.user_id, a.livemode, null)).payment_method_id is null then
    return 'NO_CARD';
  end if;
  update auto_top_ups set
    status = case when a.status = 'off' then 'off' else 'on' end,
    reason = case when a.status = 'off' then 'user' end, reason_detail = '{}',
    failures = 0, next_try_at = null, trusted_seq = w.seq, changed_at = ledger_now()
  where wallet_id = w.id;
  perform log_auto_top_up(w.id, p_actor, 'resumed', '{}');
  perform give_up_awaited_payment(w.id);
  return 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.return_refund(INOUT w wallets, r payment_refunds, p_actor text, p_detail jsonb)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
begin
  w := append_event(
    w, 'payment_refund_failed', r.debited_micros, 0, 0, null, null, p_actor, null,
    (p_detail || jsonb_build_object('paymentRefundId', r.id))::json);
  w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq), ledger_now(), 0);
end $function$;

CREATE OR REPLACE FUNCTION public.returnable_micros(t top_ups)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select case
    when t.status is distinct from 'succeeded' or exists (
      select from payment_disputes where top_up_id = t.id and state = 'open') then 0
    else in_card_units(greatest(0,
      t.amount_micros
        - coalesce((select sum(debited_micros) from payment_refunds where top_up_id = t.id), 0)
        - coalesce((select sum(withdrawn_micros - reinstated_micros) from payment_disputes
                    where top_up_id = t.id), 0)
    )::bigint, t.currency)
  end
$function$;

CREATE OR REPLACE FUNCTION public.seq_before(p_wallet_id uuid, p_at timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE
AS $function$
declare
  -- All events up to `low` were recorded before the instant, none after `high` was.
  low bigint := 0;
  low_at timestamptz;
  high bigint;
  high_at timestamptz;
  looked bigint;
  looked_at timestamptz;
  evenly boolean := false;
begin
  select w.seq, w.opened_at into high, low_at from wallets w where w.id = p_wallet_id;
  -- The last event itself is tried first: mostly nothing has happened since.
  select e.recorded_at into high_at from wallet_events e
  where e.wallet_id = p_wallet_id and e.seq = high;
  if high_at < p_at or high is null then
    return coalesce(high, 0);
  end if;
  high := high - 1;

  select e.seq, e.recorded_at into looked, looked_at from wallet_events e
  where e.wallet_id = p_wallet_id and e.seq % 256 = 0 and e.recorded_at < p_at
  order by e.recorded_at desc, e.seq desc limit 1;
  if found then
    low := looked;
    low_at := looked_at;
  end if;
  select e.seq, e.recorded_at into looked, looked_at from wallet_events e
  where e.wallet_id = p_wallet_id and e.seq % 256 = 0 and e.recorded_at >= p_at
  order by e.recorded_at, e.seq limit 1;
  if found and looked <= high then
    high := looked - 1;
    high_at := looked_at;
  end if;

  while low < high loop
    evenly := not evenly and high_at > low_at and p_at > low_at;
    looked := case
      when evenly then greatest(low + 1, least(high, low + round((high - low)
        * extract(epoch from p_at - low_at) / extract(epoch from high_at - low_at))::bigint))
      else (low + high + 1) / 2
    end;
    select e.recorded_at into looked_at from wallet_events e
    where e.wallet_id = p_wallet_id and e.seq = looked;
    if looked_at < p_at then
      low := looked;
      low_at := looked_at;
    else
      high := looked - 1;
      high_at := looked_at;
    end if;
  end loop;
  return low;
end $function$;

CREATE OR REPLACE FUNCTION public.set_auto_top_up(p_wallet_id uuid, p_livemode boolean, p_threshold_micros bigint, p_mode text, p_amount_micros bigint, p_monthly_cap_micros bigint, p_min_charge_micros bigint, p_max_charge_micros bigint, p_charge_step_micros bigint, p_consent_version text, p_actor text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
  a auto_top_ups;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    return 'WALLET_NOT_FOUND';
  end if;
  select * into a from auto_top_ups where wallet_id = w.id;
  if not takes_payments(w) then
    return 'WALLET_' || upper(w.status);
  end if;
  if needs_support(a.reason) then
    return 'NEEDS_SUPPORT';
  end if;
  if (next_auto_top_up_card(w.user_id, p_livemode, null)).payment_method_id is null then
    return 'NO_CARD';
  end if;
  insert into auto_top_ups (
    wallet_id, livemode, status, threshold_micros, mode, amount_micros, monthly_cap_micros,
    min_charge_micros, max_charge_micros, charge_step_micros, trusted_seq, changed_at
  ) values (
    w.id, p_livemode, 'on', p_threshold_micros, p_mode, p_amount_micros, p_monthly_cap_micros,
    p_min_charge_micros, p_max_charge_micros, p_charge_step_micros, w.seq, ledger_now()
  )
  on conflict (wallet_id) do update set
    livemode = excluded.livemode, status = 'on', reason = null, reason_detail = '{}',
    threshold_micros = excluded.threshold_micros, mode = excluded.mode,
    amount_micros = excluded.amount_micros, monthly_cap_micros = excluded.monthly_cap_micros,
    min_charge_micros = excluded.min_charge_micros, max_charge_micros = excluded.max_charge_micros,
    charge_step_micros = excluded.charge_step_micros, failures = 0, next_try_at = null,
    trusted_seq = excluded.trusted_seq, changed_at = excluded.changed_at;
  perform log_auto_top_up(w.id, p_actor, 'turned_on', jsonb_build_object(
    'consentVersion', p_consent_version, 'currency', w.currency, 'livemode', p_livemode,
    'thresholdMicros', p_threshold_micros::text, 'mode', p_mode,
    'amountMicros', p_amount_micros::text, 'monthlyCapMicros', p_monthly_cap_micros::text));
  perform give_up_awaited_payment(w.id);
  return 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.set_balance_alerts(p_wallet_id uuid, p_thresholds_micros bigint[], p_by_mail boolean)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  c notice_cursors;
  available bigint;
begin
  if cardinality(p_thresholds_micros) > 5 then
    raise exception 'a wallet has five alerts at the most' using errcode = 'check_violation';
  end if;
  perform follow_wallets(array[p_wallet_id]);
  select * into c from notice_cursors where wallet_id = p_wallet_id for update;
  -- What happened before was to be told by the thresholds of then.
  perform derive_wallet_notices(c);
  select e.balance_micros - e.held_micros + e.overdraft_limit_micros into available
  from notice_cursors n join wallet_events e on e.wallet_id = n.wallet_id and e.seq = n.seq
  where n.wallet_id = p_wallet_id;
  delete from balance_alerts
  where wallet_id = p_wallet_id and threshold_micros <> all (p_thresholds_micros);
  insert into balance_alerts (wallet_id, threshold_micros, below, since)
  select p_wallet_id, t.micros, available < t.micros,
    case when available < t.micros then ledger_now() end
  from unnest(p_thresholds_micros) as t (micros)
  on conflict do nothing;
  update notice_cursors set alert_by_mail = p_by_mail where wallet_id = p_wallet_id;
end $function$;

CREATE OR REPLACE FUNCTION public.set_limits(p_wallet_id uuid, p_limits jsonb, p_actor text)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
  outcome ledger_outcome;
  asked jsonb;
  allowed boolean;
  kept jsonb;
  counted_to bigint;
  counted jsonb;
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

  select * into w from wallets where id = p_wallet_id;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  counted_to := w.seq;
  select jsonb_agg(s) into counted
  from greatest(ledger_now(), w.updated_at) at
  cross join lateral limit_window('month', at, w.timezone) n
  cross join lateral spent_of_limits(
    asked, w, at, seq_before(w.id, n.starts_at), counted_to) s;

  select * into w from wallets where id = p_wallet_id for no key update;
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
  insert into wallet_limits (
    wallet_id, period, usage_type, prefix, amount_micros, starts_at, spent_micros
  )
  select w.id, s.period, s.usage_type, s.prefix, s.amount_micros, s.starts_at,
    s.spent_micros + coalesce(c.spent_micros, 0)
  from spent_of_limits(asked, w, w.updated_at, counted_to, w.seq) s
  -- When a window has begun meanwhile, nothing that was counted before is of it.
  left join jsonb_to_recordset(counted) c (
    period text, usage_type text, prefix text, starts_at timestamptz, spent_micros numeric
  ) on c.period = s.period and c.usage_type is not distinct from s.usage_type
    and c.prefix is not distinct from s.prefix and c.starts_at = s.starts_at;
  update wallets set limited = asked <> '[]' where id = w.id;
  return row('OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
             available_micros(w), w.updated_at, json_build_object('limits', asked))::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.settle_arrears(INOUT w wallets, p_at timestamp with time zone)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  a wallet_arrears;
begin
  select * into a from wallet_arrears where wallet_id = w.id;
  if a.suspend_at <= p_at then
    if w.status = 'open' then
      update wallet_arrears set suspends = true where wallet_id = w.id;
      w := append_event(
        w, 'wallet_frozen', 0, 0, 0, null, null, 'system:arrears', a.suspend_at,
        json_build_object('reason', 'What is owed was not paid in time'));
      w.status := 'frozen';
      update wallets set status = w.status where id = w.id;
      perform tell_of_arrears(w, 'wallet_suspended', a);
    end if;
    update wallet_arrears set notify_at = null, remind_at = null where wallet_id = w.id;
  elsif a.remind_at <= p_at then
    update wallet_arrears set notify_at = null, remind_at = null where wallet_id = w.id;
    perform tell_of_arrears(w, 'arrears_reminder', a);
  elsif a.notify_at <= p_at then
    update wallet_arrears set notify_at = null where wallet_id = w.id;
    perform tell_of_arrears(w, 'arrears_due', a);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.settle_due(INOUT w wallets)
 RETURNS wallets
 LANGUAGE plpgsql
AS $function$
declare
  called_at constant timestamptz := ledger_now();
  steps constant due_step[] := (select p.steps from plan_due(w, called_at) p);
  step due_step;
  is_last boolean;
  h holds;
begin
  for i in 1 .. cardinality(steps) loop
    step := steps[i];
    is_last := i = cardinality(steps);
    if step.hold_id is not null then
      select * into h from holds where id = step.hold_id;
      w := end_hold(w, h, 'hold_expired', step.funded_micros, step.owed_micros, null, null,
                    'system:expiry', step.at, h.report, step.grants, is_last);
      update holds set
        status = 'expired', held_micros = 0,
        billed_micros = step.funded_micros + step.owed_micros,
        burned = burned || coalesce(step.grants, '[]')
      where id = h.id;
    else
      w.grants_micros := w.grants_micros - step.ended_micros;
      w := append_event(
        w, 'grant_expired', -step.taken_micros, 0, 0, null, null, 'system:expiry', step.at,
        json_build_object('grantSeq', step.grant_seq::text, 'expiresAt', json_instant(step.at),
                          'endedMicros', step.ended_micros::text),
        p_projects => is_last);
      update grants set
        left_micros = left_micros - step.ended_micros,
        expired_micros = expired_micros + step.ended_micros
      where wallet_id = w.id and seq = step.grant_seq;
    end if;
  end loop;
  if w.arrears_micros > 0 then
    w := settle_arrears(w, called_at);
  end if;
  -- Credit that a hold keeps past its expiry falls due when that hold ends.
  w.next_due_at := least(
    (select min(expires_at) from holds where wallet_id = w.id and status = 'open'),
    (select min(expires_at) from grants
     where wallet_id = w.id and left_micros > 0 and expires_at > called_at),
    case when w.arrears_micros > 0 then arrears_due_at(w) end);
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $function$;

CREATE OR REPLACE FUNCTION public.settle_due_wallets(p_limit integer, OUT settled integer, OUT failed jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  -- Some 0.4 ms each.
  events_per_call constant int := 2000;
  called_at constant timestamptz := ledger_now();
  w wallets;
  settled_wallet wallets;
  events bigint := 0;
begin
  settled := 0;
  failed := '[]';
  -- Nothing here waits for a wallet's lock, so the order of locks cannot lead to a deadlock.
  for w in
    select * from wallets where next_due_at <= called_at
    order by next_due_at, id limit p_limit for no key update skip locked
  loop
    begin
      settled_wallet := settle_due(w);
      events := events + settled_wallet.seq - w.seq;
      settled := settled + 1;
    exception when others then
      if is_passing_error(sqlstate) then
        raise;
      end if;
      failed := failed || jsonb_build_object('walletId', w.id, 'sqlstate', sqlstate);
    end;
    exit when events >= events_per_call;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION public.spent_of_limits(p_limits jsonb, w wallets, p_at timestamp with time zone, p_after_seq bigint, p_up_to_seq bigint)
 RETURNS TABLE(period text, usage_type text, prefix text, amount_micros bigint, starts_at timestamp with time zone, spent_micros numeric)
 LANGUAGE sql
 STABLE
AS $function$
  with used as materialized (
    select u.* from wallet_events e cross join lateral counted_usage(e) u
    where e.wallet_id = w.id and e.seq > p_after_seq and e.seq <= p_up_to_seq
  )
  select l.period, l.type, l.prefix, l."amountMicros", n.starts_at, t.spent
  from jsonb_to_recordset(p_limits) l (period text, "amountMicros" bigint, type text, prefix text)
  cross join lateral limit_window(l.period, p_at, w.timezone) n
  cross join lateral (
    select coalesce(sum(u.micros), 0) as spent from used u
    where u.counted_at >= n.starts_at
      and limit_counts(l.type, l.prefix, u.usage_type, u.destination)
  ) t
$function$;

CREATE OR REPLACE FUNCTION public.start_card_setup(p_id uuid, p_user_id text, p_livemode boolean, p_attempt_key text, OUT code text, OUT id uuid)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    code := 'NO_CUSTOMER';
    return;
  end if;
  select s.id into id from card_setups s
  where s.user_id = p_user_id and s.livemode = p_livemode and s.attempt_key = p_attempt_key;
  if found then
    code := 'OK';
    return;
  end if;
  if (select count(*) from card_setups s where s.user_id = p_user_id and s.livemode = p_livemode
      and s.created_at > clock_timestamp() - interval '1 hour') >= 20 then
    code := 'THROTTLED';
    return;
  end if;
  insert into card_setups (id, user_id, livemode, attempt_key)
  values (p_id, p_user_id, p_livemode, p_attempt_key);
  code := 'OK';
  id := p_id;
end $function$;

CREATE OR REPLACE FUNCTION public.start_top_up(p_id uuid, p_wallet_id uuid, p_attempt_key text, p_amount_micros bigint, p_amount_minor bigint, p_livemode boolean, OUT code text, OUT top_up top_ups)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  w wallets;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    code := 'WALLET_NOT_FOUND';
    return;
  end if;
  select * into top_up from top_ups where wallet_id = p_wallet_id and attempt_key = p_attempt_key;
  if found then
    -- Stripe's test mode knows nothing of a live payment, and the other way round.
    code := case when top_up.amount_micros = p_amount_micros and top_up.livemode = p_livemode
      then 'OK' else 'KEY_REUSED' end;
    return;
  end if;
  if not takes_payments(w) then
    code := 'WALLET_' || upper(w.status);
    return;
  end if;
  -- A person needs a few attempts an hour; somebody who tries out stolen cards needs many.
  if (select count(*) from top_ups where wallet_id = p_wallet_id
      and created_at > clock_timestamp() - interval '1 hour') >= 30 then
    code := 'THROTTLED';
    return;
  end if;
  insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode)
  values (p_id, p_wallet_id, p_attempt_key, w.currency, p_amount_micros, p_amount_minor, p_livemode)
  returning * into top_up;
  code := 'OK';
end $function$;

CREATE OR REPLACE FUNCTION public.statement_movement(p_type text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.statement_sums(p_wallet_id uuid, p_after_seq bigint, p_to_seq bigint, p_starts_at timestamp with time zone)
 RETURNS TABLE(top_ups numeric, grants numeric, usage numeric, fees numeric, refunds numeric, other numeric, accrued numeric, lines jsonb, accrued_lines jsonb, late_lines jsonb)
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.status_after(p_type text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case p_type
    when 'wallet_opened' then 'open'
    when 'wallet_unfrozen' then 'open'
    when 'wallet_frozen' then 'frozen'
    when 'wallet_closed' then 'closed'
  end
$function$;

CREATE OR REPLACE FUNCTION public.still_burned(p_burned jsonb, p_billed_micros bigint)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(grant_parts(p_burned, p_billed_micros, false), '[]')
$function$;

CREATE OR REPLACE FUNCTION public.stop_alert_mails(p_wallet_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  update notice_cursors set alert_by_mail = false where wallet_id = p_wallet_id;
  if not found then
    return false;
  end if;
  delete from mail_outbox
  where kind = 'low_balance' and status = 'waiting' and payload ->> 'walletId' = p_wallet_id::text
    and user_id = (select user_id from wallets where id = p_wallet_id);
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.stop_auto_top_up_of_suspended()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  perform pause_auto_top_up(new.wallet_id, 'wallet_frozen', 'system:auto-top-up', '{}')
  from wallets w where w.id = new.wallet_id and w.status = 'frozen';
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.stop_auto_top_up_with_wallet()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if is_suspended(new) then
    return null;
  end if;
  perform pause_auto_top_up(new.id, 'wallet_' || new.status, 'system:auto-top-up', '{}');
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.stop_auto_top_up_without_card()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  a record;
begin
  if not exists (select from saved_cards
                 where user_id = old.user_id and livemode = old.livemode) then
    for a in
      select t.wallet_id from auto_top_ups t join wallets w on w.id = t.wallet_id
      where w.user_id = old.user_id and t.livemode = old.livemode and t.status = 'on'
      order by t.wallet_id
    loop
      perform pause_auto_top_up(a.wallet_id, 'no_card', 'system:auto-top-up', '{}');
    end loop;
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.take_unreported_differences(p_limit integer)
 RETURNS SETOF reconciliation_differences
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  update reconciliation_differences d set reported_at = clock_timestamp()
  from (
    select id from reconciliation_differences
    where resolved_at is null and reported_at is null
    order by id limit p_limit for update skip locked
  ) fresh
  where d.id = fresh.id
  returning d.*
$function$;

CREATE OR REPLACE FUNCTION public.takes_payments(w wallets)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select w.status = 'open' or is_suspended(w) and not exists (
    select from payment_disputes d where d.wallet_id = w.id and d.freezes)
$function$;

CREATE OR REPLACE FUNCTION public.tell_of_arrears(w wallets, p_kind text, a wallet_arrears)
 RETURNS void
 LANGUAGE sql
AS $function$
  select enqueue_notice(w.id, p_kind, a.demanded_seq::text, jsonb_build_object(
    'at', ledger_now(), 'arrearsMicros', w.arrears_micros::text, 'suspendAt', a.suspend_at))
$function$;

CREATE OR REPLACE FUNCTION public.tell_of_auto_top_up()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  a auto_top_ups;
  t auto_top_up_attempts;
  reason constant text := new.detail ->> 'reason';
begin
  select * into a from auto_top_ups where wallet_id = new.wallet_id;
  select * into t from auto_top_up_attempts where top_up_id = (new.detail ->> 'topUpId')::uuid;
  if new.event = 'paused' and reason = 'authentication_required' then
    perform enqueue_notice(new.wallet_id, 'payment_to_confirm', new.id::text, jsonb_build_object(
      'at', new.at, 'topUpId', t.top_up_id, 'no', t.recovery_no,
      'amountMicros', t.amount_micros::text, 'expiresAt', t.recovery_expires_at));
  elsif new.event = 'paused' then
    perform enqueue_notice(new.wallet_id, 'auto_top_up_paused', new.id::text, jsonb_build_object(
      'at', new.at, 'reason', reason, 'prefix', new.detail -> 'prefix',
      'charges', new.detail -> 'charges'));
  elsif new.event = 'charge_failed' and a.status = 'on' and a.failures = 0 then
    -- The first of a row: the others are tried in silence, and the pause at their end is told.
    perform enqueue_notice(new.wallet_id, 'auto_top_up_failed', new.id::text, jsonb_build_object(
      'at', new.at, 'amountMicros', t.amount_micros::text,
      'reason', (select failure_message from top_ups where id = t.top_up_id)));
  elsif new.event = 'waiting' then
    perform enqueue_notice(new.wallet_id, 'auto_top_up_cap_reached', new.id::text,
      jsonb_build_object('at', new.at, 'monthlyCapMicros', a.monthly_cap_micros::text));
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.tell_of_failed_top_up()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  perform enqueue_notice(new.wallet_id, 'payment_failed', new.id::text, jsonb_build_object(
    'at', clock_timestamp(), 'topUpId', new.id, 'amountMicros', new.amount_micros::text,
    'reason', new.failure_message
  ));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.tell_of_payment_dispute()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if tg_op = 'INSERT' or old.state <> new.state then
    perform enqueue_notice(
      new.wallet_id, case new.state when 'open' then 'dispute_opened' else 'dispute_closed' end,
      concat_ws(':', new.dispute_id, new.state), jsonb_build_object(
        'at', clock_timestamp(), 'topUpId', new.top_up_id,
        'amountMicros', new.amount_micros::text, 'outcome', nullif(new.state, 'open'),
        'freezes', new.freezes
      ));
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.tell_of_payment_refund()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  if tg_op = 'INSERT' or old.status <> new.status then
    perform enqueue_notice(
      new.wallet_id, case new.status when 'succeeded' then 'refund_done' else 'refund_failed' end,
      new.id::text, jsonb_build_object(
        'at', clock_timestamp(), 'topUpId', new.top_up_id,
        'amountMicros', new.amount_micros::text
      ));
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.tell_of_statements()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
begin
  perform enqueue_notice(s.wallet_id, 'statement', s.period, jsonb_build_object(
    'at', s.closed_at, 'number', s.number, 'period', s.period,
    'usageMicros', s.usage_micros::text, 'closingBalanceMicros', s.closing_balance_micros::text,
    'headHash', encode(s.head_hash, 'hex')
  ))
  from written s
  join wallets w on w.id = s.wallet_id
  join users u on u.id = w.user_id
  where u.statements_by_mail;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.tightest_limit(w wallets, p_usage_type text, p_destination text, p_except_hold uuid)
 RETURNS limit_standing
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  tightest limit_standing;
begin
  select s.* into tightest from limit_standings(w, p_except_hold) s
  where limit_counts(s.usage_type, s.prefix, p_usage_type, p_destination)
  order by s.left_micros, s.period, s.usage_type collate "C" nulls first,
    s.prefix collate "C" nulls first
  limit 1;
  return tightest;
end $function$;

CREATE OR REPLACE FUNCTION public.told_status(p_wallet_id uuid)
 RETURNS TABLE(status text)
 LANGUAGE sql
 STABLE ROWS 1
AS $function$
  select status_after(e.type) from wallet_events e
  where e.wallet_id = p_wallet_id
    and e.type in ('wallet_opened', 'wallet_unfrozen', 'wallet_frozen', 'wallet_closed')
  order by e.seq desc limit 1
$function$;

CREATE OR REPLACE FUNCTION public.touch_reconciliation(p_day date, p_finished boolean)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  insert into reconciliation_runs (day, finished_at)
  values (p_day, case when p_finished then clock_timestamp() end)
  on conflict (day) do update set
    touched_at = clock_timestamp(),
    finished_at = coalesce(reconciliation_runs.finished_at, excluded.finished_at)
$function$;

CREATE OR REPLACE FUNCTION public.trim_stripe_payloads(p_before timestamp with time zone, p_limit integer)
 RETURNS bigint
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  with old as (
    select event_id from stripe_inbox
    where trimmed_at is null and status in ('applied', 'ignored') and finished_at < p_before
    order by finished_at limit p_limit for update skip locked
  ), trimmed as (
    update stripe_inbox i set
      trimmed_at = clock_timestamp(),
      payload = jsonb_strip_nulls(jsonb_build_object(
        'id', i.event_id, 'type', i.type, 'created', i.payload -> 'created',
        'data', jsonb_build_object('object', jsonb_build_object(
          'id', i.object_id, 'customer', coalesce(
            i.payload #>> '{data,object,customer}',
            i.payload #>> '{data,previous_attributes,customer}')))))
    from old where i.event_id = old.event_id
    returning i.event_id
  )
  select count(*) from trimmed
$function$;

CREATE OR REPLACE FUNCTION public.undemanded_arrears(p_wallet_ids uuid[], p_period billing_period)
 RETURNS SETOF wallets
 LANGUAGE sql
 STABLE
AS $function$
  select w.* from wallets w
  where w.id = any (p_wallet_ids) and w.arrears_micros > 0
    and not exists (select from wallet_arrears a where a.wallet_id = w.id)
    and not exists (
      select from wallet_events e
      where e.wallet_id = w.id and e.key = ledger_key('arrears', p_period))
$function$;

CREATE OR REPLACE FUNCTION public.units_moved(w wallets, p_amount_micros bigint, p_units bigint)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
declare
  outcome ledger_outcome := refusal_of('UNITS_MOVED', w, p_amount_micros);
begin
  outcome.detail := json_build_object('unitsThisMonth', p_units);
  return outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.units_this_month(w wallets)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(jsonb_object_agg(counter, units), '{}') from monthly_units
  where wallet_id = w.id and month_starts_at = month_now(w)
$function$;

CREATE OR REPLACE FUNCTION public.unposted_fees(p_wallet_ids uuid[])
 RETURNS TABLE(wallet_id uuid, subscription_id uuid, added_seq bigint, period billing_period, month_starts_at timestamp with time zone, month_ends_at timestamp with time zone)
 LANGUAGE sql
 STABLE
AS $function$
  select s.wallet_id, s.id, s.added_seq, m.period, m.starts_at, m.ends_at
  from subscriptions s
  join statements m on m.wallet_id = s.wallet_id
    and m.ends_at > greatest(s.starts_at, s.billed_to)
    and (s.ends_at is null or s.ends_at > greatest(s.starts_at, m.starts_at))
  where s.wallet_id = any (p_wallet_ids)
$function$;

CREATE OR REPLACE FUNCTION public.unsettled_statements(p_wallet_ids uuid[], p_from billing_period, p_to billing_period)
 RETURNS SETOF statements
 LANGUAGE sql
 STABLE
AS $function$
  select s.* from statements s
  where s.wallet_id = any (p_wallet_ids) and s.period between p_from and p_to
    and s.accrued_micros > 0 and not exists (
      select from wallet_events e
      where e.wallet_id = s.wallet_id and e.key = ledger_key('settlement', s.period))
$function$;

CREATE OR REPLACE FUNCTION public.usage_burst(p_wallet_id uuid, p_trusted_seq bigint, p_large_micros bigint, OUT prefix text, OUT charges bigint, OUT amount_micros bigint)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
  with bounds as (
    select coalesce(seq_before(p_wallet_id, ledger_now() - interval '10 minutes'), 0) as seq
  ), read as (
    (select true as recent, e.recorded_at, e.detail, usage_micros(e) as micros, e.type
     from wallet_events e, bounds b
     where e.wallet_id = p_wallet_id and e.seq > greatest(b.seq, p_trusted_seq)
     order by e.seq desc limit 5000)
    union all
    (select false, e.recorded_at, e.detail, usage_micros(e), e.type
     from wallet_events e, bounds b
     where e.wallet_id = p_wallet_id and e.seq <= b.seq
     order by e.seq desc limit 5000)
  ), charged as (
    select r.recent, floor(extract(epoch from r.recorded_at) / 600) as span,
      left(substring(r.detail #>> '{usage,to}' from '^\+?([0-9]{5,})'), 6) as prefix,
      r.micros as amount_micros
    from read r where r.type in ('charge', 'accrual', 'hold_captured', 'hold_expired')
  ), usual as (
    select c.prefix, count(*)::numeric / s.spans as charges, sum(c.amount_micros) / s.spans as micros
    from charged c, (select count(distinct span) as spans from charged where not recent) s
    where not c.recent and c.prefix is not null group by c.prefix, s.spans
  ), now_charged as (
    select c.prefix, count(*) as charges, sum(c.amount_micros) as micros
    from charged c where c.recent and c.prefix is not null group by c.prefix
  )
  select n.prefix, n.charges, n.micros::bigint
  from now_charged n left join usual u on u.prefix = n.prefix
  where n.charges >= 30 and n.charges > 5 * coalesce(u.charges, 0)
    or n.charges >= 5 and n.micros >= p_large_micros and n.micros > 5 * coalesce(u.micros, 0)
  order by n.charges desc limit 1
$function$;

CREATE OR REPLACE FUNCTION public.usage_by_day(p_wallet_id uuid, p_after_seq bigint, p_to_seq bigint)
 RETURNS TABLE(day date, usage_type text, count bigint, units numeric, micros numeric)
 LANGUAGE sql
 STABLE
AS $function$
  select (e.recorded_at at time zone w.timezone)::date, coalesce(d.usage ->> 'type', 'other'),
    count(*) filter (where d."alreadyBilledMicros" is null),
    sum(case when json_typeof(d.units) = 'number' then d.units::text::numeric else 0 end),
    sum(usage_micros(e))
  from wallets w
  join wallet_events e on e.wallet_id = w.id
  cross join lateral json_to_record(e.detail)
    as d (usage json, units json, "alreadyBilledMicros" json)
  where w.id = p_wallet_id and e.seq > p_after_seq and e.seq <= p_to_seq
    and e.type in ('charge', 'accrual', 'hold_captured', 'hold_expired')
    and (e.type = 'charge' or d.usage is not null)
  group by 1, 2
$function$;

CREATE OR REPLACE FUNCTION public.usage_line(p_type text, p_count numeric, p_units numeric, p_micros numeric)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  select jsonb_build_object(
    'type', p_type, 'count', p_count, 'units', p_units, 'amountMicros', p_micros::text)
$function$;

CREATE OR REPLACE FUNCTION public.usage_micros(e wallet_events)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when e.type in ('charge', 'hold_captured', 'hold_expired')
      then e.arrears_delta_micros - e.balance_delta_micros
    when e.type = 'accrual' then e.held_delta_micros + e.arrears_delta_micros
    when e.type = 'usage_refund' then -e.balance_delta_micros
    else 0
  end
$function$;

CREATE OR REPLACE FUNCTION public.usage_page(p_currency text, p_user_id text, p_from timestamp with time zone, p_to timestamp with time zone, p_after_wallet_id uuid, p_after_seq bigint, p_limit integer)
 RETURNS TABLE(wallet_id uuid, user_id text, timezone text, seq bigint, priced_at timestamp with time zone, usage jsonb, billed_micros bigint, refunded_micros bigint, corrected_micros bigint)
 LANGUAGE sql
 STABLE
AS $function$
  select w.id, w.user_id, w.timezone, u.*
  from wallets w
  cross join lateral (
    select e.seq, s.*
    from wallet_events e cross join lateral usage_standing(e) s
    where e.wallet_id = w.id
      and e.seq > greatest(seq_before(w.id, p_from - interval '5 minutes'),
                           case when w.id = p_after_wallet_id then p_after_seq else 0 end)
      and e.type in ('charge', 'accrual', 'hold_captured', 'hold_expired')
      and s.priced_at >= p_from and s.priced_at < p_to
    order by e.seq limit p_limit
  ) u
  where w.currency = p_currency and w.id >= p_after_wallet_id
    and (p_user_id is null or w.user_id = p_user_id)
    and w.updated_at >= p_from - interval '5 minutes'
  order by w.id, u.seq limit p_limit
$function$;

CREATE OR REPLACE FUNCTION public.usage_since(p_wallet_id uuid, p_at timestamp with time zone)
 RETURNS TABLE(recorded_at timestamp with time zone, counted_at timestamp with time zone, usage_type text, destination text, micros bigint)
 LANGUAGE sql
 STABLE
AS $function$
  select e.recorded_at, u.*
  from wallet_events e
  cross join lateral counted_usage(e) u
  where e.wallet_id = p_wallet_id and e.seq > seq_before(p_wallet_id, p_at)
$function$;

CREATE OR REPLACE FUNCTION public.usage_since_day(p_wallet_id uuid, p_from date)
 RETURNS TABLE(day date, usage_type text, count bigint, units numeric, micros numeric)
 LANGUAGE sql
 STABLE
AS $function$
  select u.day, u.usage_type, sum(u.count)::bigint, sum(u.units), sum(u.micros)
  from wallets w
  left join notice_cursors c on c.wallet_id = w.id
  cross join lateral (
    select d.day, d.usage_type, d.count, d.units, d.micros
    from usage_days d where d.wallet_id = w.id and d.day >= p_from
    union all
    select b.* from usage_by_day(
      w.id,
      greatest(c.seq, seq_before(w.id, p_from::timestamp at time zone w.timezone)),
      w.seq
    ) b
  ) u
  where w.id = p_wallet_id
  group by u.day, u.usage_type
$function$;

CREATE OR REPLACE FUNCTION public.usage_standing(e wallet_events, OUT priced_at timestamp with time zone, OUT usage jsonb, OUT billed_micros bigint, OUT refunded_micros bigint, OUT corrected_micros bigint)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
  select o.priced_at, o.usage, o.billed_micros, s.refunded_micros, s.corrected_micros
  from (
    select e.occurred_at, e.detail::jsonb -> 'usage', usage_micros(e)
    where e.type in ('charge', 'accrual') and e.key is not null
      and e.detail ->> 'holdId' is null and e.detail ->> 'originalSeq' is null
    union all
    select h.placed_at, h.report -> 'usage', h.billed_micros
    from holds h
    where e.type in ('hold_captured', 'hold_expired')
      and h.id = (e.detail ->> 'holdId')::uuid and h.status <> 'voided'
      and h.report is not null and h.report #> '{breakdown,goodwillMicros}' is null
  ) o (priced_at, usage, billed_micros)
  cross join lateral original_standing(e.wallet_id, e.seq) s
  -- What was charged later for free usage, and then refunded, leaves no share that could be priced.
  where o.billed_micros > 0 or not exists (
    select from usage_refunds r
    where r.wallet_id = e.wallet_id and r.original_seq = e.seq and r.refunded_micros > 0)
$function$;

CREATE OR REPLACE FUNCTION public.use_recovery_link(p_top_up_id uuid, p_no integer, OUT code text, OUT payment_intent_id text, OUT payment_method_id text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  t auto_top_up_attempts;
begin
  perform from wallets
  where id = (select wallet_id from auto_top_up_attempts where top_up_id = p_top_up_id)
  for no key update;
  select * into t from auto_top_up_attempts where top_up_id = p_top_up_id for update;
  code := case
    when t.top_up_id is null or t.state <> 'awaiting_user' then 'OVER'
    when t.recovery_no <> p_no or t.recovery_used_at is not null then 'USED'
    when t.recovery_expires_at <= ledger_now() then 'EXPIRED'
    else 'OK'
  end;
  if code <> 'OK' then
    return;
  end if;
  update auto_top_up_attempts set recovery_used_at = ledger_now() where top_up_id = t.top_up_id;
  select p.payment_intent_id, y.payment_method_id into payment_intent_id, payment_method_id
  from top_ups p join auto_top_up_tries y on y.top_up_id = p.id and y.try = t.try
  where p.id = t.top_up_id;
end $function$;

CREATE OR REPLACE FUNCTION public.verify_arrears(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with demanded as (
    select e.wallet_id, max(e.seq) as seq from wallet_events e
    where e.wallet_id between p_from and p_to and e.type = 'arrears_demanded'
    group by e.wallet_id
  ), problems as (
    select a.wallet_id, a.demanded_seq as seq, p.problem, p.message
    from wallet_arrears a
    join wallets w on w.id = a.wallet_id
    left join wallet_events e on e.wallet_id = a.wallet_id and e.seq = a.demanded_seq
    left join lateral (
      select s.type = 'wallet_frozen' and s.actor = 'system:arrears' as by_arrears
      from wallet_events s
      where s.wallet_id = a.wallet_id and s.seq > a.demanded_seq
        and s.type in ('wallet_frozen', 'wallet_unfrozen')
      order by s.seq desc limit 1
    ) stands on true
    cross join lateral (values
      ('ARREARS_DEMAND', case
        when e.type is distinct from 'arrears_demanded'
          or (e.detail ->> 'suspendAt')::timestamptz <> a.suspend_at
        then 'what is owed was not demanded by its event as it is kept' end),
      ('ARREARS_PAID', case when w.arrears_micros = 0
        then 'what is owed is demanded, and nothing is owed' end),
      ('ARREARS_FREEZE', case when a.suspends <> coalesce(stands.by_arrears, false)
        then format('the demand %s the wallet, and its events say otherwise',
          case when a.suspends then 'suspends' else 'does not suspend' end) end)
    ) as p (problem, message)
    where a.wallet_id between p_from and p_to and p.message is not null
    union all
    select d.wallet_id, d.seq, 'ARREARS_DEMAND', 'what is owed was demanded, and no demand is kept'
    from demanded d
    where not exists (select from wallet_arrears a where a.wallet_id = d.wallet_id)
      and not exists (
        select from wallet_events e
        where e.wallet_id = d.wallet_id and e.seq > d.seq
          and (e.arrears_micros = 0
            or e.type = 'wallet_unfrozen' and e.actor <> 'system:arrears'))
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$function$;

CREATE OR REPLACE FUNCTION public.verify_auto_top_ups(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with consents as (
    select l.wallet_id, l.id, l.detail from auto_top_up_log l
    where l.event = 'turned_on' and l.wallet_id between p_from and p_to
  ), problems as (
    select p.wallet_id, p.credited_seq as seq, 'AUTO_TOP_UP_STATE' as problem,
      format('automatic top-up %s is %s, its charge is %s', p.id, p.status,
        coalesce(t.state, 'not recorded')) as message
    from top_ups p left join auto_top_up_attempts t on t.top_up_id = p.id
    where p.wallet_id between p_from and p_to and p.kind = 'auto'
      and (t.top_up_id is null or (t.wallet_id, t.amount_micros) <> (p.wallet_id, p.amount_micros)
           or (t.state = 'succeeded') <> (p.status = 'succeeded')
           or t.state <> 'failed' and p.status = 'canceled')
    union all
    select p.wallet_id, p.credited_seq, 'AUTO_TOP_UP_STATE',
      format('top-up %s has a charge of its own and is not automatic', p.id)
    from auto_top_up_attempts t join top_ups p on p.id = t.top_up_id and p.kind <> 'auto'
    where t.wallet_id between p_from and p_to
    union all
    select a.wallet_id, null, 'AUTO_TOP_UP_CONSENT',
      'the terms of the automatic top-up are not those that were agreed to last'
    from auto_top_ups a
    left join lateral (
      select c.detail from consents c where c.wallet_id = a.wallet_id order by c.id desc limit 1
    ) c on true
    where a.wallet_id between p_from and p_to
      and (c.detail ->> 'thresholdMicros', c.detail ->> 'mode', c.detail ->> 'amountMicros',
           c.detail ->> 'monthlyCapMicros', c.detail ->> 'livemode')
        is distinct from (a.threshold_micros::text, a.mode, a.amount_micros::text,
                          a.monthly_cap_micros::text, a.livemode::text)
    union all
    select t.wallet_id, null, 'AUTO_TOP_UP_CAP',
      format('%s was reserved in %s, more than any cap that was agreed to',
        sum(t.amount_micros), t.period)
    from auto_top_up_attempts t
    where t.wallet_id between p_from and p_to and t.state <> 'failed'
    group by t.wallet_id, t.period
    having sum(t.amount_micros) > coalesce((
      select max((c.detail ->> 'monthlyCapMicros')::bigint) from consents c
      where c.wallet_id = t.wallet_id), 0)
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$function$;

CREATE OR REPLACE FUNCTION public.verify_grants(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with told as materialized (
    select * from grant_projections(p_from, p_to)
  ), kept as (
    select id, grants_micros, w from wallets w where id between p_from and p_to
  ), problems as (
    select coalesce(g.wallet_id, t.wallet_id) as wallet_id, coalesce(g.seq, t.seq) as seq,
      'GRANT_SUM' as problem,
      format('the grant says granted %s, left %s, expired %s, until %s; its events say %s, %s, %s, %s',
        g.granted_micros, g.left_micros, g.expired_micros, coalesce(json_instant(g.expires_at), 'ever'),
        t.granted_micros, t.left_micros, t.expired_micros, coalesce(json_instant(t.expires_at), 'ever'))
        as message
    from told t
    full join (select * from grants where wallet_id between p_from and p_to) g
      on g.wallet_id = t.wallet_id and g.seq = t.seq
    where (g.granted_micros, g.left_micros, g.expired_micros, g.expires_at) is distinct from
      (t.granted_micros, t.left_micros, t.expired_micros, t.expires_at)
    union all
    select k.id, null, 'WALLET_GRANTS',
      format('the wallet says that %s is left of its grants; its events say %s',
        k.grants_micros, coalesce(t.left_micros, 0))
    from kept k
    left join (select wallet_id, sum(left_micros) as left_micros from told group by 1) t
      on t.wallet_id = k.id
    where k.grants_micros <> coalesce(t.left_micros, 0)
    union all
    select k.id, due.grant_seq, 'GRANT_DUE', 'the grant expires before its wallet falls due'
    from kept k
    cross join lateral (
      select s.at, s.grant_seq
      from plan_due(k.w, 'infinity') p cross join lateral unnest(p.steps) with ordinality as s
      order by s.ordinality limit 1
    ) due
    where k.grants_micros > 0 and due.grant_seq is not null
      and due.at < coalesce((k.w).next_due_at, 'infinity')
    union all
    select h.wallet_id, null, 'HOLD_BURNED',
      format('hold %s says that it burned %s; its events say %s', h.id, h.total, coalesce(e.total, 0))
    from (
      select wallet_id, id, parts_total(burned) as total from holds
      where wallet_id between p_from and p_to and wallet_id in (select wallet_id from told)
    ) h
    left join (
      select e.wallet_id,
        coalesce(e.detail ->> 'holdId', o.detail ->> 'holdId', first.detail ->> 'holdId') as hold_id,
        sum(case when e.type = 'usage_refund' then -p.micros else p.micros end) as total
      from wallet_events e
      -- A refund or a re-rating names its original, and long ago a refund of a re-rating named that.
      left join wallet_events o on o.wallet_id = e.wallet_id
        and o.seq = (e.detail ->> 'originalSeq')::bigint
      left join wallet_events first on first.wallet_id = o.wallet_id
        and first.seq = (o.detail ->> 'originalSeq')::bigint
      cross join lateral json_to_recordset(e.detail -> 'grants') as p (seq bigint, micros bigint)
      where e.wallet_id in (select wallet_id from told) and e.type in (
        'charge', 'accrual', 'hold_captured', 'hold_expired', 'usage_refund')
      group by 1, 2
    ) e on e.wallet_id = h.wallet_id and e.hold_id = h.id::text
    where h.total <> coalesce(e.total, 0)
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$function$;

CREATE OR REPLACE FUNCTION public.verify_holds(p_from uuid, p_to uuid, p_limit integer, p_replayed replayed_wallet[] DEFAULT NULL::replayed_wallet[], OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.verify_limits(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.verify_monthly_units(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.verify_payments(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with told as (
    select e.wallet_id, e.seq, e.type, e.balance_delta_micros as delta,
      e.detail ->> 'paymentRefundId' as refund_id, e.detail ->> 'disputeId' as dispute_id,
      e.detail ->> 'outcome' as outcome, e.detail ->> 'refundRequestId' as request_id,
      e.detail ->> 'originalSeq' as original_seq, e.detail ->> 'paymentIntentId' as payment
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type in (
      'payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn',
      'dispute_reinstated', 'dispute_closed')
  ), refunds as (
    select coalesce(r.wallet_id, t.wallet_id) as wallet_id, t.seq,
      coalesce(r.id::text, t.refund_id) as id, r.id is not null as is_kept,
      coalesce(r.debited_micros, 0) as kept, coalesce(t.debited, 0) as told,
      r.top_up_id, r.amount_micros, t.original_seq, t.payment,
      r.requested_by, r.request_id::text as request_id,
      case when r.id = any (t.keys) then t.actor end as told_asker,
      case when r.id = any (t.keys) then coalesce(t.request_id, r.id::text) end as told_request
    from (select * from payment_refunds where wallet_id between p_from and p_to) r
    full join (
      select t.wallet_id, t.refund_id, min(t.seq) as seq, -sum(t.delta) as debited,
        array_agg(e.key) as keys, max(t.request_id) as request_id,
        max(t.original_seq) as original_seq, max(t.payment) as payment,
        (array_agg(e.actor order by t.seq))[1] as actor
      from told t join wallet_events e on e.wallet_id = t.wallet_id and e.seq = t.seq
      where t.type in ('payment_refund', 'payment_refund_failed')
      group by t.wallet_id, t.refund_id
    ) t on t.wallet_id = r.wallet_id and t.refund_id = r.id::text
  ), disputes as (
    select coalesce(d.wallet_id, t.wallet_id) as wallet_id, t.seq,
      coalesce(d.dispute_id, t.dispute_id) as id, d.dispute_id is not null as is_kept,
      coalesce(d.withdrawn_micros, 0) as withdrawn, coalesce(d.reinstated_micros, 0) as reinstated,
      coalesce(t.withdrawn, 0) as told_withdrawn, coalesce(t.reinstated, 0) as told_reinstated,
      case when d.state in ('open', 'lost', 'won') then d.state end as state,
      case when t.opened then coalesce(t.outcome, 'open') end as told_state,
      d.freezes, d.top_up_id, t.payment, w.status
    from (select * from payment_disputes where wallet_id between p_from and p_to) d
    full join (
      select wallet_id, dispute_id, min(seq) as seq, max(payment) as payment,
        -sum(delta) filter (where type = 'dispute_withdrawn') as withdrawn,
        sum(delta) filter (where type = 'dispute_reinstated') as reinstated,
        bool_or(type = 'dispute_opened') as opened,
        (array_agg(outcome order by seq desc) filter (where type = 'dispute_closed'))[1] as outcome
      from told where type like 'dispute%' group by wallet_id, dispute_id
    ) t on t.wallet_id = d.wallet_id and t.dispute_id = d.dispute_id
    left join wallets w on w.id = d.wallet_id
  ), problems as (
    select r.wallet_id, r.seq, p.problem, p.message
    from refunds r
    left join top_ups t on t.id = r.top_up_id
    cross join lateral (values
      ('PAYMENT_REFUND_SUM', case when r.kept <> r.told or not r.is_kept
        then format('refund %s keeps %s as debited; its events add up to %s', r.id,
          case when r.is_kept then r.kept::text else 'nothing' end, r.told) end),
      ('PAYMENT_REFUND_OF_OTHER', case
        when t.wallet_id <> r.wallet_id or t.status <> 'succeeded' or r.amount_micros > t.amount_micros
          or r.original_seq <> t.credited_seq::text or r.payment <> t.payment_intent_id
        then format('refund %s is not of what its top-up credited', r.id) end),
      ('PAYMENT_REFUND_UNASKED', case when r.is_kept
          and (r.requested_by, r.request_id) is distinct from (r.told_asker, r.told_request)
        then format('refund %s has another request or asker than its events say', r.id) end)
    ) as p (problem, message)
    where p.message is not null
    union all
    select d.wallet_id, d.seq, p.problem, p.message
    from disputes d
    left join top_ups t on t.id = d.top_up_id
    cross join lateral (values
      ('DISPUTE_SUM', case
        when (d.withdrawn, d.reinstated) <> (d.told_withdrawn, d.told_reinstated) or not d.is_kept
        then format('dispute %s keeps %s taken and %s given back; its events say %s and %s', d.id,
          d.withdrawn, d.reinstated, d.told_withdrawn, d.told_reinstated) end),
      ('DISPUTE_STATE', case when d.is_kept and d.state is distinct from d.told_state
        then format('dispute %s is kept as %s; its events say %s', d.id,
          coalesce(d.state, 'no dispute'), coalesce(d.told_state, 'no dispute')) end),
      ('DISPUTE_FREEZE', case when d.freezes and d.status = 'open'
        then format('dispute %s freezes a wallet that is open', d.id) end),
      ('DISPUTE_OF_OTHER', case
        when t.wallet_id <> d.wallet_id or t.status <> 'succeeded' or d.payment <> t.payment_intent_id
        then format('dispute %s is not of what its top-up credited', d.id) end)
    ) as p (problem, message)
    where p.message is not null
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$function$;

CREATE OR REPLACE FUNCTION public.verify_refunds(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with told as (
    select e.wallet_id, sum(e.balance_delta_micros) as refunded_micros,
      sum(case when e.detail -> 'rerating' is not null then e.balance_delta_micros
               else coalesce((e.detail ->> 'correctionMicros')::bigint, 0) end)
        as of_correction_micros,
      sum(parts_total(e.detail::jsonb -> 'grants')) filter (where e.detail -> 'rerating' is null)
        as restored_micros,
      case when e.detail ->> 'originalSeq' ~ '^[0-9]{1,18}$'
        then (e.detail ->> 'originalSeq')::bigint end as original_seq
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type = 'usage_refund'
      and e.detail ->> 'originalSeq' is not null
    group by wallet_id, original_seq
  ), compared as (
    select coalesce(k.wallet_id, t.wallet_id) as wallet_id,
      coalesce(k.original_seq, t.original_seq) as original_seq,
      k.refunded_micros as kept_micros, coalesce(t.refunded_micros, 0) as told_micros,
      k.of_correction_micros as kept_correction, coalesce(t.of_correction_micros, 0) as told_correction,
      k.burned, coalesce(t.restored_micros, 0) as restored_micros
    from (select * from usage_refunds where wallet_id between p_from and p_to) k
    full join told t on t.wallet_id = k.wallet_id and t.original_seq = k.original_seq
  ), problems as (
    select c.wallet_id, e.seq, p.problem, p.message
    from compared c
    left join wallet_events e on e.wallet_id = c.wallet_id and e.seq = c.original_seq
    left join holds h on e.type in ('hold_captured', 'hold_expired')
      and h.wallet_id = c.wallet_id and h.id = case
        when e.detail ->> 'holdId' ~ '^[0-9a-f-]{36}$' then (e.detail ->> 'holdId')::uuid end
    cross join lateral (
      select coalesce(sum(u.posted_micros - u.of_original_micros), 0) as micros,
        coalesce(sum((
          select sum(case when s.type = 'usage_refund' then -1 else 1 end
                     * parts_total(s.detail::jsonb -> 'grants'))
          from wallet_events s where s.wallet_id = u.wallet_id and s.seq = any (u.event_seqs)
        )), 0) as burned_micros
      from rerated_usage u where u.wallet_id = c.wallet_id and u.original_seq = c.original_seq
    ) r
    cross join lateral (values
      ('REFUND_SUM', case
        when (c.kept_micros, c.kept_correction) is distinct from (c.told_micros, c.told_correction)
        then format('of event %s %s is kept as refunded, %s of it of corrections; the refunds add up '
          'to %s, %s', c.original_seq, coalesce(c.kept_micros::text, 'nothing'),
          coalesce(c.kept_correction::text, 'nothing'), c.told_micros, c.told_correction) end),
      ('REFUND_ABOVE_ORIGINAL', case
        when c.told_micros > coalesce(h.billed_micros, usage_micros(e), 0) + r.micros
        then format('event %s billed %s, corrected by %s; its refunds add up to %s', c.original_seq,
          coalesce(h.billed_micros, usage_micros(e), 0), r.micros, c.told_micros) end),
      ('REFUND_CREDIT', case
        when c.burned is not null and parts_total(c.burned) <> coalesce(parts_total(e.detail::jsonb -> 'grants'), 0)
          + r.burned_micros - c.restored_micros
        then format('event %s is kept as burning %s of credit, which is not what its events say',
          c.original_seq, parts_total(c.burned)) end)
    ) as p (problem, message)
    where p.message is not null
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$function$;

CREATE OR REPLACE FUNCTION public.verify_reratings(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with problems as (
    select u.wallet_id, u.original_seq as seq, 'RERATING_SUM' as problem,
      format('re-rating %s says that it posted %s for event %s; its events say %s', u.rerating_id,
        u.posted_micros, u.original_seq, coalesce(p.posted_micros, 0)) as message
    from rerated_usage u
    cross join lateral (
      select sum(usage_micros(e)) as posted_micros,
        sum(usage_micros(e)) filter (
          where e.type = 'usage_refund' and e.detail ->> 'originalSeq' = u.original_seq::text
        ) as of_original_micros
      from wallet_events e
      where e.wallet_id = u.wallet_id and e.seq = any (u.event_seqs)
        and e.detail #>> '{rerating,id}' = u.rerating_id::text
    ) p
    where u.wallet_id between p_from and p_to
      and (u.posted_micros, u.of_original_micros)
        is distinct from (coalesce(p.posted_micros, 0), coalesce(p.of_original_micros, 0))
    union all
    select e.wallet_id, e.seq, 'RERATING_UNKNOWN', 'it corrects usage, and no re-rating says so'
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type = 'usage_refund'
      and e.detail -> 'rerating' is not null and not exists (
        select from rerated_usage u
        where u.rerating_id::text = e.detail #>> '{rerating,id}' and u.wallet_id = e.wallet_id
          and e.seq = any (u.event_seqs))
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$function$;

CREATE OR REPLACE FUNCTION public.verify_subscriptions(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.verify_usage_days(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
  with listed as (
    select wallet_id, day, usage_type,
      row_number() over (order by wallet_id, day, usage_type) as number
    from differing_usage_days(p_from, p_to)
  )
  select count(*), coalesce(jsonb_agg(jsonb_build_object(
    'walletId', wallet_id, 'seq', null, 'problem', 'USAGE_DAY',
    'message', format('%s of %s is not what the events of that day come to', usage_type, day)
  ) order by number) filter (where number <= p_limit), '[]')
  from listed
$function$;

CREATE OR REPLACE FUNCTION public.verify_wallets(p_from uuid, p_to uuid, p_limit integer, p_replayed replayed_wallet[] DEFAULT NULL::replayed_wallet[], OUT wallets bigint, OUT events bigint, OUT found bigint, OUT differences jsonb)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET jit TO 'off'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.void_hold(p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_actor text)
 RETURNS ledger_outcome
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
declare
  called_at timestamptz;
  w wallets;
  h holds;
  outcome ledger_outcome;
  first_seq bigint;
  original bigint;
  refunded bigint := 0;
  corrected bigint := 0;
  still_billed bigint;
  overcharged bigint;
  due_back bigint;
  voided_detail json;
  parts jsonb;
begin
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
    return refusal_of('HOLD_NOT_FOUND', w, null);
  end if;
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code = 'OK' then
    return outcome;
  end if;
  if h.status not in ('open', 'expired') then
    return refusal_of('HOLD_NOT_OPEN', w, null);
  end if;
  if h.status = 'expired' then
    select seq, refunded_micros, corrected_micros into original, refunded, corrected from end_of(h);
  end if;
  still_billed := refunded - least(corrected, 0);
  due_back := h.billed_micros - still_billed;
  overcharged := overcharged_micros(h, still_billed, refunded, corrected);
  if due_back + overcharged > 0 and w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, due_back);
  end if;

  w := give_overcharge_back(w, h, original, h.billed_micros - refunded + corrected, overcharged,
                            p_actor, called_at);
  first_seq := w.seq + 1;
  if due_back > 0 then
    voided_detail := correction_detail(h, null);
    select burned into h.burned from holds where id = h.id;
    parts := restored(h.burned, 0);
    w := give_back(w, due_back, p_key, p_request_hash, p_actor, voided_detail, parts, called_at);
  else
    voided_detail := hold_link(h)::json;
    w := append_event(w, 'hold_voided', 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, null,
                      voided_detail);
    w := note_expiries(w);
  end if;
  update holds set status = 'voided', held_micros = 0, billed_micros = still_billed, burned = '[]'
  where id = h.id;
  return row(
    'OK', false, first_seq, h.held_micros + due_back, w.balance_micros, w.held_micros,
    w.arrears_micros, available_micros(w), w.updated_at, with_field(voided_detail, 'grants', parts)
  )::ledger_outcome;
end $function$;

CREATE OR REPLACE FUNCTION public.wallet_now(w wallets)
 RETURNS wallets
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  called_at constant timestamptz := ledger_now();
begin
  if w.next_due_at <= called_at then
    select (p.wallet).* into w from plan_due(w, called_at) p;
  end if;
  return w;
end $function$;

CREATE OR REPLACE FUNCTION public.wallet_projections(p_from uuid, p_to uuid)
 RETURNS TABLE(wallet_id uuid, events bigint, seq bigint, balance_micros bigint, held_micros bigint, arrears_micros bigint, status text, head_hash bytea, recorded_at timestamp with time zone, sound boolean)
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.wallets_to_top_up(p_livemode boolean, p_limit integer)
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
  select a.wallet_id from auto_top_ups a join wallets w on w.id = a.wallet_id
  where a.status = 'on' and a.livemode = p_livemode
    and (a.next_try_at is null or a.next_try_at <= ledger_now())
    and w.balance_micros - w.held_micros + w.overdraft_limit_micros - w.arrears_micros
      < a.threshold_micros
    and not exists (select from auto_top_up_attempts t
                    where t.wallet_id = a.wallet_id
                      and t.state in ('charging', 'awaiting_user', 'canceling'))
    and (auto_top_up_need(w, a)).below_micros > 0
  order by random() limit p_limit
$function$;

CREATE OR REPLACE FUNCTION public.with_field(p_detail json, p_name text, p_value jsonb)
 RETURNS json
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when p_value is null then p_detail
    when p_detail::text ~ '^\s*\{\s*\}\s*$' then json_build_object(p_name, p_value)
    else (left(rtrim(p_detail::text, E' \t\r\n'), -1)
          || ',' || to_json(p_name) || ':' || p_value || '}')::json
  end
$function$;

CREATE OR REPLACE FUNCTION public.write_holds(p_kinds text[], p_wallet_ids uuid[], p_alone boolean[], p_hold_ids uuid[], p_keys uuid[], p_request_hashes bytea[], p_amounts_micros bigint[], p_actors text[], p_details json[], p_reference_ids text[], p_rate_card_ids uuid[], p_pricings jsonb[], p_usage_types text[], p_destinations text[], p_ttls_seconds integer[], p_overruns text[])
 RETURNS TABLE(ord integer, code text, replayed boolean, seq bigint, amount_micros bigint, balance_micros bigint, held_micros bigint, arrears_micros bigint, available_micros bigint, recorded_at timestamp with time zone, detail json, expires_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
declare
  now_at timestamptz;
  -- Nearly always null, as are the others.
  revoked_actors text[];
  revoked_ords bigint[];
  ambiguous_ords bigint[];
  sequential_ords bigint[];
  apart_ords bigint[];
  one record;
  outcome ledger_outcome;
begin
  perform from wallets where id = any (p_wallet_ids) order by id for no key update;
  now_at := ledger_now();

  -- From here on, each statement sees what the locks' former holders have committed.
  select array_agg('api_key:' || id) into revoked_actors from api_keys
  where revoked_at is not null and id = any (
    select substr(a.actor, 9) from (select distinct actor from unnest(p_actors) a(actor)) a);

  with asked as materialized (
    select c.ord, c.wallet_id, c.hold_id, c.key, coalesce(k.usage_key, c.key) as event_key,
      coalesce(c.actor = any (revoked_actors), false) as revoked,
      coalesce(c.alone, false)
        and exists (select from wallets x where x.user_id = w.user_id and x.id <> w.id) as ambiguous,
      -- Not `in`: whoever looks for one whole key is sure to find it by the index of keys.
      exists (select from wallet_events e where e.wallet_id = c.wallet_id and e.key = c.key)
        or exists (select from wallet_events e
                   where e.wallet_id = c.wallet_id and e.key = k.usage_key) as known,
      w.balance_micros - w.held_micros + w.overdraft_limit_micros as available,
      case c.kind when 'authorize' then c.amount else greatest(c.amount - h.held_micros, 0) end
        as needed,
      coalesce(
        w.status = 'open' and not w.limited and coalesce(w.next_due_at > now_at, true)
        and c.key is not null and c.request is not null and c.said is not null
        and c.amount between 0 and 1000000000000000000
        and case c.kind
          when 'authorize' then
            c.ttl between 10 and 86400 and not c.pricing ?| array['goodwill', 'unitsThisMonth']
          when 'capture' then
            w.mode = 'live' and w.grants_micros = 0 and w.arrears_micros <= 2000000000000000000
            and h.status = 'open' and coalesce(h.usage_type = c.usage_type, true)
            and c.overrun in ('refuse', 'arrears')
            and strpos(c.said::text, '"goodwillMicros"') = 0
            and strpos(c.said::text, '"monthly"') = 0
        end, false) as plain
    from unnest(p_kinds, p_wallet_ids, p_alone, p_hold_ids, p_keys, p_request_hashes,
                p_amounts_micros, p_actors, p_details, p_reference_ids, p_pricings, p_usage_types,
                p_ttls_seconds, p_overruns)
      with ordinality
      c(kind, wallet_id, alone, hold_id, key, request, amount, actor, said, reference, pricing,
        usage_type, ttl, overrun, ord)
    cross join lateral (
      -- ledger_key, written out: it is not inlined.
      select encode(substring(sha256(convert_to(
        'usage:' || c.usage_type || E'\n' || c.reference, 'UTF8')) for 16), 'hex')::uuid as usage_key
    ) k
    left join lateral (select * from wallets where id = c.wallet_id limit 1) w on true
    left join lateral (
      select * from holds where id = c.hold_id and wallet_id = c.wallet_id limit 1
    ) h on c.kind = 'capture'
  ), apart as (
    -- Wallets of which not everything new is accepted whatever the order, or not simply written.
    select wallet_id from asked where not known group by wallet_id
    having not bool_and(plain) or sum(needed) > max(available)
      or count(*) > least(count(distinct key), count(distinct event_key), count(distinct hold_id))
  )
  select array_agg(a.ord) filter (where a.revoked),
    array_agg(a.ord) filter (where a.ambiguous and not a.revoked),
    array_agg(a.ord) filter (where not a.ambiguous and not a.revoked
                               and (a.known or a.wallet_id in (select wallet_id from apart)))
  into revoked_ords, ambiguous_ords, sequential_ords
  from asked a;
  apart_ords := revoked_ords || ambiguous_ords || sequential_ords;

  return query
  with planned as (
    select c.*, p.*, w.head_hash, w.arrears_micros, w.overdraft_limit_micros,
      (left(c.said::text, -1) || case when c.said::text = '{}' then '' else ',' end || p.link
        || '}')::json as detail,
      greatest(now_at, w.updated_at) as recorded,
      w.seq + row_number() over own as seq,
      w.balance_micros + (sum(p.balance_delta) over own)::bigint as balance,
      w.held_micros + (sum(p.held_delta) over own)::bigint as held,
      min(p.ends_at) over own as first_end,
      lead(c.ord) over own is null as last
    from unnest(p_kinds, p_wallet_ids, p_hold_ids, p_keys, p_request_hashes, p_amounts_micros,
                p_actors, p_details, p_reference_ids, p_rate_card_ids, p_pricings, p_usage_types,
                p_destinations, p_ttls_seconds)
      with ordinality
      c(kind, wallet_id, hold_id, key, request, amount, actor, said, reference, card, pricing,
        usage_type, destination, ttl, ord)
    cross join lateral (select * from wallets where id = c.wallet_id limit 1) w
    left join lateral (select * from holds where id = c.hold_id limit 1) h on c.kind = 'capture'
    cross join lateral (
      select date_trunc('milliseconds', now_at) + make_interval(secs => c.ttl) as ends_at) t
    cross join lateral (
      select 'hold_placed' as type, 0::bigint as balance_delta, c.amount as held_delta, t.ends_at,
        -- ledger_key, as above.
        coalesce(encode(substring(sha256(convert_to(
          'usage:' || c.usage_type || E'\n' || c.reference, 'UTF8')) for 16), 'hex')::uuid, c.key)
          as event_key,
        concat('"holdId":"', c.hold_id, '","referenceId":', to_json(c.reference),
          ',"rateCardId":"', c.card, '","pricing":', c.pricing,
          ',"expiresAt":"', json_instant(t.ends_at), '"') as link
      where c.kind = 'authorize'
      union all
      select 'hold_captured', -c.amount, -h.held_micros, null, c.key,
        concat('"holdId":"', c.hold_id, '","referenceId":', to_json(h.reference_id))
      where c.kind = 'capture'
    ) p
    where apart_ords is null or c.ord <> all (apart_ords)
    window own as (partition by c.wallet_id order by c.ord rows unbounded preceding)
  ), chained as materialized (
    select p.*, chain_hash(
        p.head_hash,
        -- event_canonical, written out: a call of it for each event would build the whole row.
        concat_ws(E'\n', 'v1', p.wallet_id, p.seq, p.type, p.balance_delta, p.held_delta, '0',
          p.balance, p.held, p.arrears_micros, p.overdraft_limit_micros, p.event_key,
          encode(p.request, 'hex'), p.actor, (extract(epoch from p.recorded) * 1000000)::bigint,
          (extract(epoch from p.recorded) * 1000000)::bigint, p.detail)
      ) over (partition by p.wallet_id order by p.ord rows unbounded preceding) as hash
    from planned p
  ), written as (
    insert into wallet_events (
      wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
      balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
      actor, occurred_at, recorded_at, detail, hash
    )
    select wallet_id, seq, type, balance_delta, held_delta, 0, balance, held, arrears_micros,
      overdraft_limit_micros, event_key, request, actor, recorded, recorded, detail, hash
    from chained
  ), projected as (
    update wallets w set
      balance_micros = c.balance, held_micros = c.held, seq = c.seq, head_hash = c.hash,
      updated_at = c.recorded, next_due_at = least(w.next_due_at, c.first_end)
    from chained c
    where w.id = any (array[c.wallet_id]) and c.last
  ), placed as (
    insert into holds (
      id, wallet_id, reference_id, status, rate_card_id, pricing, usage_type, destination,
      placed_micros, ahead_micros, held_micros, ttl_seconds, placed_at, expires_at
    )
    select hold_id, wallet_id, reference, 'open', card, pricing, usage_type, destination,
      amount, amount, amount, ttl, recorded, ends_at
    from chained
    where kind = 'authorize'
  ), captured as (
    update holds h set
      status = 'captured', held_micros = 0, usage_type = c.usage_type,
      report = c.said::jsonb, units_so_far = (c.said ->> 'units')::bigint,
      amount_so_far_micros = c.amount, billed_micros = c.amount
    from chained c
    where h.id = any (array[c.hold_id]) and c.kind = 'capture'
  )
  select c.ord::int, 'OK', false, c.seq, c.amount, c.balance, c.held, c.arrears_micros,
    c.balance - c.held + c.overdraft_limit_micros, c.recorded, null::json, c.ends_at
  from chained c;

  if apart_ords is null then
    return;
  end if;

  for one in
    select * from unnest(p_kinds, p_wallet_ids, p_hold_ids, p_keys, p_request_hashes,
                         p_amounts_micros, p_actors, p_details, p_reference_ids, p_rate_card_ids,
                         p_pricings, p_usage_types, p_destinations, p_ttls_seconds, p_overruns)
      with ordinality
      c(kind, wallet_id, hold_id, key, request, amount, actor, said, reference, card, pricing,
        usage_type, destination, ttl, overrun, ord)
    where c.ord = any (sequential_ords)
    order by c.ord
  loop
    if one.kind = 'authorize' then
      outcome := authorize_hold(
        one.wallet_id, one.hold_id, one.key, one.request, one.amount, one.reference, one.card,
        one.usage_type, one.destination, one.ttl, one.actor, one.said::jsonb, one.pricing);
    else
      outcome := capture_hold(
        one.wallet_id, one.hold_id, one.key, one.request, one.said::jsonb, one.amount, one.overrun,
        one.actor);
    end if;
    return query select one.ord::int, outcome.*, null::timestamptz;
  end loop;

  return query
  select r.ord::int, case when r.ord = any (revoked_ords) then 'KEY_REVOKED'
                          else 'CURRENCY_REQUIRED' end, false,
    null::bigint, null::bigint, null::bigint, null::bigint, null::bigint, null::bigint,
    null::timestamptz, null::json, null::timestamptz
  from unnest(revoked_ords || ambiguous_ords) r(ord);
end $function$;

CREATE OR REPLACE FUNCTION public.write_statements(p_wallet_ids uuid[], p_period billing_period, p_now timestamp with time zone)
 RETURNS uuid[]
 LANGUAGE sql
AS $function$
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
$function$;

-- Tables

create table api_keys (
  id text not null,
  name text not null,
  scopes text[] not null,
  secret_hash bytea not null,
  prefix text not null,
  created_by text not null,
  created_at timestamp with time zone not null default now(),
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  rate_limit_per_second integer,
  rate_limit_burst integer,
  constraint api_keys_pkey PRIMARY KEY (id),
  constraint api_keys_secret_hash_key UNIQUE (secret_hash),
  constraint api_keys_check CHECK (revoked_at >= created_at),
  constraint api_keys_created_by_check CHECK (length(created_by) >= 1 AND length(created_by) <= 200),
  constraint api_keys_id_check CHECK (id ~ '^key_[a-z2-7]{16}$'::text),
  constraint api_keys_name_check CHECK (length(name) >= 1 AND length(name) <= 100),
  constraint api_keys_prefix_check CHECK (length(prefix) <= 8),
  constraint api_keys_rate_limit_burst_check CHECK (rate_limit_burst >= 1 AND rate_limit_burst <= 10000000),
  constraint api_keys_rate_limit_per_second_check CHECK (rate_limit_per_second >= 1 AND rate_limit_per_second <= 1000000),
  constraint api_keys_scopes_check CHECK (cardinality(scopes) > 0),
  constraint api_keys_secret_hash_check CHECK (octet_length(secret_hash) = 32),
  constraint rate_limit_is_whole CHECK ((rate_limit_per_second IS NULL) = (rate_limit_burst IS NULL))
);

create table arrears_terms (
  only_row boolean not null default true,
  grace interval not null default '7 days'::interval,
  remind_before interval not null default '2 days'::interval,
  notice_delay interval not null default '01:00:00'::interval,
  constraint arrears_terms_pkey PRIMARY KEY (only_row),
  constraint arrears_terms_grace_check CHECK (grace >= '00:00:00'::interval AND grace <= '365 days'::interval),
  constraint arrears_terms_notice_delay_check CHECK (notice_delay >= '00:00:00'::interval),
  constraint arrears_terms_only_row_check CHECK (only_row),
  constraint arrears_terms_remind_before_check CHECK (remind_before >= '00:00:00'::interval)
);

create table arrears_terms_changes (
  id bigint not null generated always as identity,
  grace interval not null,
  remind_before interval not null,
  changed_at timestamp with time zone not null default ledger_now(),
  changed_by text not null,
  constraint arrears_terms_changes_pkey PRIMARY KEY (id)
);
CREATE TRIGGER arrears_terms_changes_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON arrears_terms_changes FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table auto_top_up_attempts (
  top_up_id uuid not null,
  wallet_id uuid not null,
  period billing_period not null,
  amount_micros bigint not null,
  state text not null default 'charging'::text,
  try integer not null default 1,
  resume_at timestamp with time zone not null,
  unknowns integer not null default 0,
  recovery_no integer not null default 0,
  recovery_expires_at timestamp with time zone,
  recovery_used_at timestamp with time zone,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint auto_top_up_attempts_pkey PRIMARY KEY (top_up_id),
  constraint auto_top_up_attempts_amount_micros_check CHECK (amount_micros > 0),
  constraint auto_top_up_attempts_state_check CHECK (state = ANY (ARRAY['charging'::text, 'awaiting_user'::text, 'canceling'::text, 'under_review'::text, 'succeeded'::text, 'failed'::text])),
  constraint auto_top_up_attempts_try_check CHECK (try >= 1),
  constraint auto_top_up_attempts_top_up_id_fkey FOREIGN KEY (top_up_id) REFERENCES top_ups(id),
  constraint auto_top_up_attempts_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES auto_top_ups(wallet_id)
);
CREATE INDEX auto_top_up_attempts_due ON public.auto_top_up_attempts USING btree (resume_at) WHERE (state = ANY (ARRAY['charging'::text, 'awaiting_user'::text, 'canceling'::text]));
CREATE UNIQUE INDEX auto_top_up_attempts_in_flight ON public.auto_top_up_attempts USING btree (wallet_id) WHERE (state = ANY (ARRAY['charging'::text, 'awaiting_user'::text, 'canceling'::text]));
CREATE INDEX auto_top_up_attempts_of_month ON public.auto_top_up_attempts USING btree (wallet_id, period);

create table auto_top_up_log (
  id bigint not null generated always as identity,
  wallet_id uuid not null,
  at timestamp with time zone not null,
  actor text not null,
  event text not null,
  detail jsonb not null,
  constraint auto_top_up_log_pkey PRIMARY KEY (id),
  constraint auto_top_up_log_actor_check CHECK (length(actor) >= 3 AND length(actor) <= 220),
  constraint auto_top_up_log_event_check CHECK (event = ANY (ARRAY['turned_on'::text, 'turned_off'::text, 'resumed'::text, 'paused'::text, 'waiting'::text, 'charge_failed'::text, 'charged'::text])),
  constraint auto_top_up_log_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES auto_top_ups(wallet_id)
);
CREATE INDEX auto_top_up_log_of_wallet ON public.auto_top_up_log USING btree (wallet_id, id DESC);
CREATE TRIGGER auto_top_up_log_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON auto_top_up_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER auto_top_up_log_told AFTER INSERT ON auto_top_up_log FOR EACH ROW EXECUTE FUNCTION tell_of_auto_top_up();

create table auto_top_up_tries (
  top_up_id uuid not null,
  try integer not null,
  payment_method_id text not null,
  brand text not null,
  last4 text not null,
  asked_at timestamp with time zone not null,
  failure_code text,
  failure_class text,
  constraint auto_top_up_tries_pkey PRIMARY KEY (top_up_id, try),
  constraint auto_top_up_tries_failure_class_check CHECK (failure_class = ANY (ARRAY['later'::text, 'never'::text, 'authentication'::text, 'api'::text])),
  constraint auto_top_up_tries_try_check CHECK (try >= 1),
  constraint auto_top_up_tries_top_up_id_fkey FOREIGN KEY (top_up_id) REFERENCES auto_top_up_attempts(top_up_id)
);

create table auto_top_ups (
  wallet_id uuid not null,
  livemode boolean not null,
  status text not null,
  reason text,
  reason_detail jsonb not null default '{}'::jsonb,
  threshold_micros bigint not null,
  mode text not null,
  amount_micros bigint not null,
  monthly_cap_micros bigint not null,
  min_charge_micros bigint not null,
  max_charge_micros bigint not null,
  charge_step_micros bigint not null,
  failures integer not null default 0,
  next_try_at timestamp with time zone,
  trusted_seq bigint not null default 0,
  changed_at timestamp with time zone not null,
  constraint auto_top_ups_pkey PRIMARY KEY (wallet_id),
  constraint auto_top_ups_amount_micros_check CHECK (amount_micros >= 1 AND amount_micros <= '1000000000000000000'::bigint),
  constraint auto_top_ups_charge_step_micros_check CHECK (charge_step_micros > 0),
  constraint auto_top_ups_check CHECK (max_charge_micros >= min_charge_micros),
  constraint auto_top_ups_failures_check CHECK (failures >= 0),
  constraint auto_top_ups_min_charge_micros_check CHECK (min_charge_micros > 0),
  constraint auto_top_ups_mode_check CHECK (mode = ANY (ARRAY['restore'::text, 'add'::text])),
  constraint auto_top_ups_monthly_cap_micros_check CHECK (monthly_cap_micros >= 1 AND monthly_cap_micros <= '1000000000000000000'::bigint),
  constraint auto_top_ups_reason_check CHECK (reason = ANY (ARRAY['user'::text, 'cap_reached'::text, 'declined'::text, 'cards_refused'::text, 'no_card'::text, 'authentication_required'::text, 'velocity'::text, 'wallet_frozen'::text, 'wallet_closed'::text, 'dispute'::text, 'fraud_warning'::text, 'under_review'::text])),
  constraint auto_top_ups_rest_has_a_reason CHECK (status = 'on'::text OR reason IS NOT NULL),
  constraint auto_top_ups_restore_above_threshold CHECK (mode <> 'restore'::text OR amount_micros > threshold_micros),
  constraint auto_top_ups_status_check CHECK (status = ANY (ARRAY['on'::text, 'paused'::text, 'off'::text])),
  constraint auto_top_ups_threshold_micros_check CHECK (threshold_micros >= 0 AND threshold_micros <= '1000000000000000000'::bigint),
  constraint auto_top_ups_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE INDEX auto_top_ups_watched ON public.auto_top_ups USING btree (wallet_id) INCLUDE (threshold_micros, next_try_at) WHERE (status = 'on'::text);

create table balance_alerts (
  wallet_id uuid not null,
  threshold_micros bigint not null,
  below boolean not null,
  since timestamp with time zone,
  told_seq bigint,
  told_at timestamp with time zone,
  constraint balance_alerts_pkey PRIMARY KEY (wallet_id, threshold_micros),
  constraint balance_alerts_threshold_micros_check CHECK (threshold_micros >= 1 AND threshold_micros <= '1000000000000000'::bigint),
  constraint balance_alerts_told_of_event CHECK ((told_seq IS NULL) = (told_at IS NULL)),
  constraint balance_alerts_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES notice_cursors(wallet_id)
) with (fillfactor=70);

create table billing_failures (
  run_id uuid not null,
  wallet_id uuid not null,
  sqlstate text not null,
  message text not null,
  attempts integer not null default 1,
  failed_at timestamp with time zone not null,
  constraint billing_failures_pkey PRIMARY KEY (run_id, wallet_id),
  constraint billing_failures_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_runs(id)
);

create table billing_ranges (
  run_id uuid not null,
  from_wallet_id uuid not null,
  to_wallet_id uuid not null,
  planned_at timestamp with time zone not null,
  attempts integer not null default 0,
  attempted_at timestamp with time zone,
  closed integer not null default 0,
  failed integer not null default 0,
  pending integer not null default 0,
  last_error text,
  due_at timestamp with time zone,
  finished_at timestamp with time zone,
  constraint billing_ranges_pkey PRIMARY KEY (run_id, from_wallet_id),
  constraint billing_ranges_check CHECK (to_wallet_id > from_wallet_id),
  constraint billing_ranges_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_runs(id)
);
CREATE INDEX billing_ranges_due ON public.billing_ranges USING btree (run_id, due_at) WHERE (due_at IS NOT NULL);

create table billing_runs (
  id uuid not null,
  period billing_period not null,
  requested_by text not null,
  started_at timestamp with time zone not null,
  emitted_at timestamp with time zone not null,
  planned_to uuid not null default '00000000-0000-0000-0000-000000000000'::uuid,
  constraint billing_runs_pkey PRIMARY KEY (id),
  constraint billing_runs_period_key UNIQUE (period),
  constraint billing_runs_requested_by_check CHECK (requested_by ~ '^[a-z_]+:[[:print:]]{1,200}$'::text)
);

create table card_setups (
  id uuid not null,
  user_id text not null,
  livemode boolean not null,
  attempt_key text not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint card_setups_pkey PRIMARY KEY (id),
  constraint card_setups_user_id_livemode_attempt_key_key UNIQUE (user_id, livemode, attempt_key),
  constraint card_setups_attempt_key_check CHECK (attempt_key ~ '^[A-Za-z0-9_-]{8,100}$'::text)
);
CREATE INDEX card_setups_newest ON public.card_setups USING btree (user_id, livemode, created_at DESC);

create table currencies (
  code text not null,
  exponent integer not null,
  constraint currencies_pkey PRIMARY KEY (code),
  constraint currencies_code_check CHECK (code ~ '^[A-Z]{3}$'::text),
  constraint currencies_exponent_check CHECK (exponent >= 0 AND exponent <= 3)
);

create table grants (
  wallet_id uuid not null,
  seq bigint not null,
  granted_micros bigint not null,
  left_micros bigint not null,
  expired_micros bigint not null default 0,
  expires_at timestamp with time zone,
  counted_seq bigint,
  constraint grants_pkey PRIMARY KEY (wallet_id, seq),
  constraint grants_expired_micros_check CHECK (expired_micros >= 0),
  constraint grants_granted_micros_check CHECK (granted_micros > 0),
  constraint grants_left_micros_check CHECK (left_micros >= 0),
  constraint grants_never_grow CHECK ((left_micros + expired_micros) <= granted_micros),
  constraint grants_stand_on_event FOREIGN KEY (wallet_id, seq) REFERENCES wallet_events(wallet_id, seq)
);
CREATE INDEX grants_left ON public.grants USING btree (wallet_id, expires_at, seq) WHERE (left_micros > 0);
CREATE TRIGGER grants_never_deleted BEFORE DELETE OR TRUNCATE ON grants FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table holds (
  id uuid not null,
  wallet_id uuid not null,
  reference_id text not null,
  status text not null,
  rate_card_id uuid not null,
  usage_type text,
  destination text,
  placed_micros bigint not null,
  ahead_micros bigint not null,
  held_micros bigint not null,
  report jsonb,
  units_so_far bigint not null default 0,
  amount_so_far_micros bigint not null default 0,
  billed_micros bigint not null default 0,
  ttl_seconds integer not null,
  placed_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  burned jsonb not null default '[]'::jsonb,
  pricing jsonb,
  constraint holds_pkey PRIMARY KEY (id),
  constraint holds_amount_so_far_micros_check CHECK (amount_so_far_micros >= 0),
  constraint holds_bill_at_the_end CHECK (status <> 'open'::text OR billed_micros = 0),
  constraint holds_billed_micros_check CHECK (billed_micros >= 0),
  constraint holds_burned_check CHECK (jsonb_typeof(burned) = 'array'::text),
  constraint holds_check CHECK (ahead_micros >= placed_micros),
  constraint holds_held_micros_check CHECK (held_micros >= 0),
  constraint holds_placed_micros_check CHECK (placed_micros >= 0 AND placed_micros <= '1000000000000000000'::bigint),
  constraint holds_pricing_check CHECK (jsonb_typeof(pricing) = 'object'::text),
  constraint holds_report_check CHECK (jsonb_typeof(report) = 'object'::text),
  constraint holds_reserve_while_open CHECK (status = 'open'::text OR held_micros = 0),
  constraint holds_status_check CHECK (status = ANY (ARRAY['open'::text, 'captured'::text, 'voided'::text, 'expired'::text])),
  constraint holds_ttl_seconds_check CHECK (ttl_seconds >= 10 AND ttl_seconds <= 86400),
  constraint holds_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE INDEX holds_open ON public.holds USING btree (wallet_id, expires_at) WHERE (status = 'open'::text);
CREATE TRIGGER holds_never_deleted BEFORE DELETE OR TRUNCATE ON holds FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table mail_outbox (
  id uuid not null default gen_random_uuid(),
  user_id text not null,
  kind text not null,
  dedupe_key text not null,
  payload jsonb not null,
  status text not null default 'waiting'::text,
  attempts integer not null default 0,
  next_attempt_at timestamp with time zone not null default clock_timestamp(),
  last_error text,
  created_at timestamp with time zone not null default clock_timestamp(),
  give_up_at timestamp with time zone not null default (clock_timestamp() + '3 days'::interval),
  finished_at timestamp with time zone,
  constraint mail_outbox_pkey PRIMARY KEY (id),
  constraint mail_outbox_dedupe_key_key UNIQUE (dedupe_key),
  constraint mail_outbox_dedupe_key_check CHECK (length(dedupe_key) >= 3 AND length(dedupe_key) <= 250),
  constraint mail_outbox_finished CHECK ((finished_at IS NULL) = (status = 'waiting'::text)),
  constraint mail_outbox_kind_check CHECK (kind ~ '^[a-z][a-z_]{2,39}$'::text),
  constraint mail_outbox_last_error_check CHECK (length(last_error) <= 60),
  constraint mail_outbox_payload_check CHECK (jsonb_typeof(payload) = 'object'::text),
  constraint mail_outbox_status_check CHECK (status = ANY (ARRAY['waiting'::text, 'sent'::text, 'dead'::text]))
);
CREATE INDEX mail_outbox_dead ON public.mail_outbox USING btree (created_at) WHERE (status = 'dead'::text);
CREATE INDEX mail_outbox_due ON public.mail_outbox USING btree (next_attempt_at) WHERE (status = 'waiting'::text);

create table monthly_units (
  wallet_id uuid not null,
  counter text not null,
  month_starts_at timestamp with time zone not null,
  units bigint not null,
  constraint monthly_units_pkey PRIMARY KEY (wallet_id, counter),
  constraint monthly_units_counter_check CHECK (length(counter) >= 1 AND length(counter) <= 100),
  constraint monthly_units_units_check CHECK (units >= 0),
  constraint monthly_units_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE TRIGGER monthly_units_never_deleted BEFORE DELETE OR TRUNCATE ON monthly_units FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table notice_cursors (
  wallet_id uuid not null,
  seq bigint not null,
  credited_seq bigint not null default 0,
  alert_by_mail boolean not null default true,
  constraint notice_cursors_pkey PRIMARY KEY (wallet_id),
  constraint notice_cursors_seq_check CHECK (seq >= 0),
  constraint notice_cursors_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
) with (fillfactor=70);
CREATE TRIGGER notice_cursors_usage AFTER UPDATE OF seq ON notice_cursors FOR EACH ROW WHEN (new.seq > old.seq) EXECUTE FUNCTION follow_usage_days();

create table payment_disputes (
  wallet_id uuid not null,
  dispute_id text not null,
  top_up_id uuid not null,
  amount_micros bigint not null,
  state text not null,
  status text not null,
  reason text,
  withdrawn_micros bigint not null default 0,
  reinstated_micros bigint not null default 0,
  freezes boolean not null,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint payment_disputes_pkey PRIMARY KEY (wallet_id, dispute_id),
  constraint payment_disputes_dispute_id_key UNIQUE (dispute_id),
  constraint payment_disputes_amount_micros_check CHECK (amount_micros > 0),
  constraint payment_disputes_check CHECK (reinstated_micros <= withdrawn_micros),
  constraint payment_disputes_reinstated_micros_check CHECK (reinstated_micros >= 0),
  constraint payment_disputes_state_check CHECK (state = ANY (ARRAY['inquiry'::text, 'inquiry_closed'::text, 'open'::text, 'lost'::text, 'won'::text])),
  constraint payment_disputes_top_up_id_fkey FOREIGN KEY (top_up_id) REFERENCES top_ups(id),
  constraint payment_disputes_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE INDEX payment_disputes_of_top_up ON public.payment_disputes USING btree (top_up_id);
CREATE INDEX payment_disputes_opened ON public.payment_disputes USING btree (created_at);
CREATE TRIGGER payment_disputes_never_deleted BEFORE DELETE OR TRUNCATE ON payment_disputes FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER payment_disputes_stop_auto_top_up AFTER INSERT OR UPDATE OF freezes ON payment_disputes FOR EACH ROW WHEN (new.freezes) EXECUTE FUNCTION stop_auto_top_up_of_suspended();
CREATE TRIGGER payment_disputes_told AFTER INSERT OR UPDATE OF state ON payment_disputes FOR EACH ROW WHEN (new.state = ANY (ARRAY['open'::text, 'lost'::text, 'won'::text])) EXECUTE FUNCTION tell_of_payment_dispute();

create table payment_fraud_warnings (
  wallet_id uuid not null,
  warning_id text not null,
  top_up_id uuid not null,
  fraud_type text not null,
  actionable boolean not null,
  created_at timestamp with time zone not null,
  constraint payment_fraud_warnings_pkey PRIMARY KEY (wallet_id, warning_id),
  constraint payment_fraud_warnings_warning_id_key UNIQUE (warning_id),
  constraint payment_fraud_warnings_top_up_id_fkey FOREIGN KEY (top_up_id) REFERENCES top_ups(id),
  constraint payment_fraud_warnings_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);

create table payment_refunds (
  wallet_id uuid not null,
  id uuid not null,
  top_up_id uuid not null,
  stripe_refund_id text,
  amount_micros bigint not null,
  debited_micros bigint not null,
  status text not null,
  failure_code text,
  reason text,
  requested_by text,
  attempts integer not null default 0,
  next_attempt_at timestamp with time zone not null default now(),
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  request_id uuid,
  constraint payment_refunds_pkey PRIMARY KEY (wallet_id, id),
  constraint payment_refunds_stripe_refund_id_key UNIQUE (stripe_refund_id),
  constraint payment_refunds_amount_micros_check CHECK (amount_micros > 0),
  constraint payment_refunds_debit CHECK (debited_micros =
CASE
    WHEN status = ANY (ARRAY['failed'::text, 'canceled'::text]) THEN 0::bigint
    ELSE amount_micros
END),
  constraint payment_refunds_known_to_stripe CHECK (stripe_refund_id IS NOT NULL OR (status = ANY (ARRAY['reserved'::text, 'failed'::text]))),
  constraint payment_refunds_request CHECK ((request_id IS NULL) = (requested_by IS NULL)),
  constraint payment_refunds_status_check CHECK (status = ANY (ARRAY['reserved'::text, 'pending'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])),
  constraint payment_refunds_top_up_id_fkey FOREIGN KEY (top_up_id) REFERENCES top_ups(id),
  constraint payment_refunds_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE INDEX payment_refunds_made ON public.payment_refunds USING btree (created_at);
CREATE INDEX payment_refunds_of_request ON public.payment_refunds USING btree (wallet_id, request_id) WHERE (request_id IS NOT NULL);
CREATE INDEX payment_refunds_of_top_up ON public.payment_refunds USING btree (top_up_id);
CREATE INDEX payment_refunds_unfinished ON public.payment_refunds USING btree (next_attempt_at) WHERE (status = ANY (ARRAY['reserved'::text, 'pending'::text, 'requires_action'::text]));
CREATE TRIGGER payment_refunds_never_deleted BEFORE DELETE OR TRUNCATE ON payment_refunds FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER payment_refunds_told AFTER INSERT OR UPDATE OF status ON payment_refunds FOR EACH ROW WHEN (new.status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text])) EXECUTE FUNCTION tell_of_payment_refund();

create table rate_card_drafts (
  id uuid not null,
  currency text not null,
  card jsonb not null,
  based_on uuid,
  revision integer not null default 1,
  created_at timestamp with time zone not null default ledger_now(),
  created_by text not null,
  updated_at timestamp with time zone not null default ledger_now(),
  updated_by text not null,
  constraint rate_card_drafts_pkey PRIMARY KEY (id),
  constraint rate_card_drafts_based_on_fkey FOREIGN KEY (based_on) REFERENCES rate_cards(id),
  constraint rate_card_drafts_currency_fkey FOREIGN KEY (currency) REFERENCES currencies(code)
);

create table rate_card_log (
  seq bigint not null generated always as identity,
  card_id uuid not null,
  at timestamp with time zone not null default ledger_now(),
  actor text not null,
  action text not null,
  detail jsonb not null,
  constraint rate_card_log_pkey PRIMARY KEY (seq),
  constraint rate_card_log_action_check CHECK (action = ANY (ARRAY['drafted'::text, 'described'::text, 'rules_changed'::text, 'published'::text, 'discarded'::text]))
);
CREATE INDEX rate_card_log_of_card ON public.rate_card_log USING btree (card_id, seq);
CREATE TRIGGER rate_card_log_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON rate_card_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table rate_card_rules (
  card_id uuid not null,
  type text not null,
  prefix text collate "C" not null,
  rule_id text not null,
  rule jsonb not null,
  constraint rate_card_rules_pkey PRIMARY KEY (card_id, type, prefix),
  constraint rate_card_rules_card_id_rule_id_key UNIQUE (card_id, rule_id),
  constraint rate_card_rules_prefix_check CHECK (prefix ~ '^[0-9]{0,18}$'::text)
);
CREATE TRIGGER rate_card_rules_kept_from_delete AFTER DELETE ON rate_card_rules REFERENCING OLD TABLE AS changed_rules FOR EACH STATEMENT EXECUTE FUNCTION keep_published_rules();
CREATE TRIGGER rate_card_rules_kept_from_insert AFTER INSERT ON rate_card_rules REFERENCING NEW TABLE AS changed_rules FOR EACH STATEMENT EXECUTE FUNCTION keep_published_rules();
CREATE TRIGGER rate_card_rules_never_updated BEFORE UPDATE OR TRUNCATE ON rate_card_rules FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table rate_cards (
  id uuid not null,
  currency text not null,
  version integer not null,
  effective_from timestamp with time zone not null,
  card jsonb not null,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  rule_count integer not null,
  user_id text,
  constraint rate_cards_pkey PRIMARY KEY (id),
  constraint rate_cards_once_at_a_time UNIQUE NULLS NOT DISTINCT (currency, user_id, effective_from),
  constraint rate_cards_version_once UNIQUE NULLS NOT DISTINCT (currency, user_id, version),
  constraint rate_cards_user_id_check CHECK (user_id ~ '^[[:graph:]]{1,128}$'::text),
  constraint rate_cards_version_check CHECK (version >= 1),
  constraint rate_cards_currency_fkey FOREIGN KEY (currency) REFERENCES currencies(code)
);
CREATE TRIGGER rate_cards_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON rate_cards FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table reconciliation_differences (
  id bigint not null generated always as identity,
  kind text not null,
  object_id text not null,
  problem text not null,
  happened_at timestamp with time zone not null,
  wallet_id uuid,
  top_up_id uuid,
  at_stripe jsonb,
  in_ledger jsonb,
  first_seen_at timestamp with time zone not null default clock_timestamp(),
  last_seen_at timestamp with time zone not null default clock_timestamp(),
  reported_at timestamp with time zone,
  resolved_at timestamp with time zone,
  constraint reconciliation_differences_pkey PRIMARY KEY (id),
  constraint reconciliation_differences_kind_check CHECK (kind = ANY (ARRAY['payment'::text, 'refund'::text, 'dispute'::text])),
  constraint reconciliation_differences_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE UNIQUE INDEX reconciliation_differences_open ON public.reconciliation_differences USING btree (kind, object_id, problem) WHERE (resolved_at IS NULL);
CREATE INDEX reconciliation_differences_range ON public.reconciliation_differences USING btree (kind, happened_at) WHERE (resolved_at IS NULL);

create table reconciliation_runs (
  day date not null,
  started_at timestamp with time zone not null default clock_timestamp(),
  touched_at timestamp with time zone not null default clock_timestamp(),
  finished_at timestamp with time zone,
  constraint reconciliation_runs_pkey PRIMARY KEY (day)
);

create table refused_cards (
  payment_method_id text not null,
  code text not null,
  refused_at timestamp with time zone not null,
  constraint refused_cards_pkey PRIMARY KEY (payment_method_id)
);

create table rerated_usage (
  wallet_id uuid not null,
  original_seq bigint not null,
  rerating_id uuid not null,
  price_micros bigint not null,
  posted_micros bigint not null,
  of_original_micros bigint not null,
  event_seqs bigint[] not null,
  constraint rerated_usage_pkey PRIMARY KEY (wallet_id, original_seq, rerating_id),
  constraint rerated_usage_of_original_micros_check CHECK (of_original_micros <= 0),
  constraint rerated_usage_price_micros_check CHECK (price_micros >= 0),
  constraint rerated_usage_of_event FOREIGN KEY (wallet_id, original_seq) REFERENCES wallet_events(wallet_id, seq),
  constraint rerated_usage_rerating_id_fkey FOREIGN KEY (rerating_id) REFERENCES reratings(id)
);
CREATE INDEX rerated_usage_by_rerating ON public.rerated_usage USING btree (rerating_id, wallet_id, original_seq);
CREATE TRIGGER rerated_usage_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON rerated_usage FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table reratings (
  id uuid not null,
  card_id uuid not null,
  starts_at timestamp with time zone not null,
  ends_at timestamp with time zone not null,
  debits boolean not null,
  reason text not null,
  created_at timestamp with time zone not null default ledger_now(),
  created_by text not null,
  constraint reratings_pkey PRIMARY KEY (id),
  constraint reratings_check CHECK (ends_at > starts_at),
  constraint reratings_card_id_fkey FOREIGN KEY (card_id) REFERENCES rate_cards(id)
);
CREATE TRIGGER reratings_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON reratings FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table saved_cards (
  payment_method_id text not null,
  user_id text not null,
  livemode boolean not null,
  brand text not null,
  last4 text not null,
  exp_month integer not null,
  exp_year integer not null,
  name text,
  "position" integer not null,
  created_at timestamp with time zone not null default now(),
  constraint saved_cards_pkey PRIMARY KEY (payment_method_id),
  constraint saved_cards_in_order UNIQUE (user_id, livemode, "position") DEFERRABLE,
  constraint saved_cards_brand_check CHECK (length(brand) >= 1 AND length(brand) <= 50),
  constraint saved_cards_exp_month_check CHECK (exp_month >= 1 AND exp_month <= 12),
  constraint saved_cards_exp_year_check CHECK (exp_year >= 2000 AND exp_year <= 9999),
  constraint saved_cards_last4_check CHECK (last4 ~ '^[0-9]{4}$'::text),
  constraint saved_cards_name_check CHECK (length(name) >= 1 AND length(name) <= 40 AND name !~ '([0-9][^0-9a-zA-Z]*){10}'::text),
  constraint saved_cards_payment_method_id_check CHECK (length(payment_method_id) >= 1 AND length(payment_method_id) <= 100),
  constraint saved_cards_position_check CHECK ("position" >= 1)
);
CREATE CONSTRAINT TRIGGER saved_cards_last_stops_auto_top_up AFTER DELETE ON saved_cards DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stop_auto_top_up_without_card();

create table schema_migrations (
  version integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default clock_timestamp(),
  constraint schema_migrations_pkey PRIMARY KEY (version),
  constraint schema_migrations_version_check CHECK (version > 0)
);

create table sessions (
  id_hash bytea not null,
  user_id text not null,
  created_at timestamp with time zone not null default now(),
  last_seen_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null,
  constraint sessions_pkey PRIMARY KEY (id_hash),
  constraint sessions_check CHECK (expires_at > created_at),
  constraint sessions_id_hash_check CHECK (octet_length(id_hash) = 32),
  constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);
CREATE INDEX sessions_expiry ON public.sessions USING btree (expires_at);
CREATE INDEX sessions_user ON public.sessions USING btree (user_id);

create table sign_in_attempts (
  key_hash bytea not null,
  kind text not null,
  attempts integer not null,
  window_ends_at timestamp with time zone not null,
  constraint sign_in_attempts_pkey PRIMARY KEY (key_hash),
  constraint sign_in_attempts_attempts_check CHECK (attempts >= 0),
  constraint sign_in_attempts_key_hash_check CHECK (octet_length(key_hash) = 32),
  constraint sign_in_attempts_kind_check CHECK (kind = ANY (ARRAY['sign_in_email'::text, 'sign_in_ip'::text, 'sign_up_ip'::text]))
);
CREATE INDEX sign_in_attempts_window ON public.sign_in_attempts USING btree (window_ends_at);

create table statements (
  wallet_id uuid not null,
  period billing_period not null,
  number text not null,
  starts_at timestamp with time zone not null,
  ends_at timestamp with time zone not null,
  currency text not null,
  opening_balance_micros bigint not null,
  closing_balance_micros bigint not null,
  top_ups_micros bigint not null,
  grants_micros bigint not null,
  usage_micros bigint not null,
  fees_micros bigint not null,
  refunds_micros bigint not null,
  other_micros bigint not null,
  held_micros bigint not null,
  arrears_micros bigint not null,
  lines jsonb not null,
  accrued_lines jsonb not null,
  accrued_micros bigint not null,
  from_seq bigint not null,
  to_seq bigint not null,
  head_hash bytea not null,
  closed_at timestamp with time zone not null,
  previous_period billing_period generated always as (previous_period(period)) stored,
  previous_to_seq bigint generated always as (NULLIF((from_seq - 1), 0)) stored,
  late_lines jsonb,
  constraint statements_pkey PRIMARY KEY (wallet_id, period),
  constraint statements_number_key UNIQUE (number),
  constraint statements_state_key UNIQUE (wallet_id, period, to_seq, closing_balance_micros, ends_at),
  constraint statements_accrued_lines_check CHECK (jsonb_typeof(accrued_lines) = 'array'::text),
  constraint statements_accrued_micros_check CHECK (accrued_micros >= 0),
  constraint statements_add_up CHECK ((opening_balance_micros + top_ups_micros + grants_micros + usage_micros + fees_micros + refunds_micros + other_micros) = closing_balance_micros),
  constraint statements_check CHECK (ends_at > starts_at),
  constraint statements_check1 CHECK (to_seq >= (from_seq - 1)),
  constraint statements_check2 CHECK (closed_at >= ends_at),
  constraint statements_from_seq_check CHECK (from_seq >= 1),
  constraint statements_head_hash_check CHECK (octet_length(head_hash) = 32),
  constraint statements_late_lines_check CHECK (jsonb_typeof(late_lines) = 'array'::text),
  constraint statements_lines_check CHECK (jsonb_typeof(lines) = 'array'::text),
  constraint statements_start_from_zero CHECK (from_seq > 1 OR opening_balance_micros = 0 AND to_seq >= 1),
  constraint statements_tell_late_usage CHECK (late_lines IS NOT NULL) NOT VALID,
  constraint statements_close_on_event FOREIGN KEY (wallet_id, to_seq, closing_balance_micros, held_micros, arrears_micros) REFERENCES wallet_events(wallet_id, seq, balance_micros, held_micros, arrears_micros),
  constraint statements_currency_fkey FOREIGN KEY (currency) REFERENCES currencies(code),
  constraint statements_follow_previous FOREIGN KEY (wallet_id, previous_period, previous_to_seq, opening_balance_micros, starts_at) REFERENCES statements(wallet_id, period, to_seq, closing_balance_micros, ends_at)
);
CREATE UNIQUE INDEX statements_begin_once ON public.statements USING btree (wallet_id) WHERE (from_seq = 1);
CREATE TRIGGER statements_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON statements FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER statements_told AFTER INSERT ON statements REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION tell_of_statements();

create table stripe_customers (
  user_id text not null,
  livemode boolean not null,
  stripe_customer_id text not null,
  created_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  card_reads bigint not null default 0,
  card_read_recorded bigint not null default 0,
  card_read_void bigint not null default 0,
  constraint stripe_customers_pkey PRIMARY KEY (stripe_customer_id)
);
CREATE UNIQUE INDEX stripe_customers_of_user ON public.stripe_customers USING btree (user_id, livemode) WHERE (deleted_at IS NULL);

create table stripe_inbox (
  event_id text not null,
  type text not null,
  object_id text,
  livemode boolean not null,
  api_version text,
  payload jsonb not null,
  received_at timestamp with time zone not null default now(),
  status text not null default 'waiting'::text,
  outcome text,
  dispatches integer not null default 0,
  next_dispatch_at timestamp with time zone not null default (now() + '00:00:10'::interval),
  failures integer not null default 0,
  last_error text,
  finished_at timestamp with time zone,
  trimmed_at timestamp with time zone,
  waiting_since timestamp with time zone not null default now(),
  constraint stripe_inbox_pkey PRIMARY KEY (event_id),
  constraint stripe_inbox_status_check CHECK (status = ANY (ARRAY['waiting'::text, 'applied'::text, 'ignored'::text, 'unhandled'::text, 'dead'::text]))
);
CREATE INDEX stripe_inbox_due ON public.stripe_inbox USING btree (next_dispatch_at) WHERE (status = 'waiting'::text);
CREATE INDEX stripe_inbox_newest ON public.stripe_inbox USING btree (received_at DESC, event_id DESC);
CREATE INDEX stripe_inbox_status_newest ON public.stripe_inbox USING btree (status, received_at DESC, event_id DESC);
CREATE INDEX stripe_inbox_untrimmed ON public.stripe_inbox USING btree (finished_at) WHERE ((trimmed_at IS NULL) AND (status = ANY (ARRAY['applied'::text, 'ignored'::text])));

create table stripe_quarantine (
  payment_intent_id text not null,
  top_up_id uuid,
  reason text not null,
  created_at timestamp with time zone not null default now(),
  customer_id text,
  currency text,
  amount_minor bigint,
  livemode boolean,
  resolution text,
  resolved_at timestamp with time zone,
  resolved_by text,
  note text,
  credited_wallet_id uuid,
  credited_seq bigint,
  constraint stripe_quarantine_pkey PRIMARY KEY (payment_intent_id),
  constraint stripe_quarantine_amount_minor_check CHECK (amount_minor >= 0),
  constraint stripe_quarantine_credit_means_credited CHECK (num_nulls(credited_wallet_id, credited_seq) =
CASE
    WHEN NOT resolution IS DISTINCT FROM 'credited'::text THEN 0
    ELSE 2
END),
  constraint stripe_quarantine_note_check CHECK (length(note) >= 1 AND length(note) <= 1000),
  constraint stripe_quarantine_resolution_check CHECK (resolution = ANY (ARRAY['credited'::text, 'refunded'::text, 'dismissed'::text])),
  constraint stripe_quarantine_resolved_whole CHECK (num_nulls(resolution, resolved_at, resolved_by, note) = ANY (ARRAY[0, 4])),
  constraint stripe_quarantine_credit FOREIGN KEY (payment_intent_id, credited_wallet_id, credited_seq) REFERENCES top_ups(payment_intent_id, wallet_id, credited_seq),
  constraint stripe_quarantine_top_up_id_fkey FOREIGN KEY (top_up_id) REFERENCES top_ups(id)
);
CREATE INDEX stripe_quarantine_newest ON public.stripe_quarantine USING btree (created_at DESC, payment_intent_id DESC);
CREATE TRIGGER stripe_quarantine_resolved_once BEFORE DELETE OR UPDATE ON stripe_quarantine FOR EACH ROW EXECUTE FUNCTION keep_quarantine();

create table subscriptions (
  wallet_id uuid not null,
  id uuid not null,
  kind text not null,
  description text not null,
  amount_micros bigint not null,
  starts_at timestamp with time zone not null,
  ends_at timestamp with time zone,
  billed_to timestamp with time zone,
  added_seq bigint not null,
  constraint subscriptions_pkey PRIMARY KEY (wallet_id, id),
  constraint subscriptions_amount_micros_check CHECK (amount_micros >= 1 AND amount_micros <= '1000000000000000'::bigint),
  constraint subscriptions_check CHECK (ends_at >= starts_at),
  constraint subscriptions_description_check CHECK (length(description) >= 1 AND length(description) <= 500),
  constraint subscriptions_kind_check CHECK (kind = ANY (ARRAY['plan'::text, 'number'::text])),
  constraint subscriptions_wallet_id_added_seq_fkey FOREIGN KEY (wallet_id, added_seq) REFERENCES wallet_events(wallet_id, seq),
  constraint subscriptions_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE TRIGGER subscriptions_never_deleted BEFORE DELETE OR TRUNCATE ON subscriptions FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table top_ups (
  id uuid not null,
  wallet_id uuid not null,
  attempt_key text not null,
  currency text not null,
  amount_micros bigint not null,
  amount_minor bigint not null,
  livemode boolean not null,
  status text not null default 'created'::text,
  payment_intent_id text,
  failure_code text,
  failure_message text,
  credited_seq bigint,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  kind text not null default 'manual'::text,
  constraint top_ups_pkey PRIMARY KEY (id),
  constraint top_ups_credit UNIQUE (payment_intent_id, wallet_id, credited_seq),
  constraint top_ups_credited_once UNIQUE (wallet_id, credited_seq),
  constraint top_ups_payment_intent_id_key UNIQUE (payment_intent_id),
  constraint top_ups_wallet_id_attempt_key_key UNIQUE (wallet_id, attempt_key),
  constraint top_ups_amount_micros_check CHECK (amount_micros > 0),
  constraint top_ups_amount_minor_check CHECK (amount_minor > 0),
  constraint top_ups_attempt_key_check CHECK (attempt_key ~ '^[A-Za-z0-9_-]{8,100}$'::text),
  constraint top_ups_credit_means_success CHECK ((credited_seq IS NOT NULL) = (status = 'succeeded'::text)),
  constraint top_ups_kind_check CHECK (kind = ANY (ARRAY['manual'::text, 'auto'::text])),
  constraint top_ups_status_check CHECK (status = ANY (ARRAY['created'::text, 'requires_action'::text, 'processing'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text, 'quarantined'::text])),
  constraint top_ups_credited_by_event FOREIGN KEY (wallet_id, credited_seq) REFERENCES wallet_events(wallet_id, seq),
  constraint top_ups_currency_fkey FOREIGN KEY (currency) REFERENCES currencies(code),
  constraint top_ups_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE INDEX top_ups_credited ON public.top_ups USING btree (created_at) WHERE (status = 'succeeded'::text);
CREATE INDEX top_ups_newest ON public.top_ups USING btree (wallet_id, created_at DESC);
CREATE INDEX top_ups_unsettled ON public.top_ups USING btree (created_at) WHERE (status = ANY (ARRAY['created'::text, 'requires_action'::text, 'processing'::text, 'failed'::text]));
CREATE TRIGGER top_ups_auto_followed AFTER UPDATE OF status ON top_ups FOR EACH ROW WHEN (new.kind = 'auto'::text AND (new.status = ANY (ARRAY['succeeded'::text, 'canceled'::text, 'quarantined'::text]))) EXECUTE FUNCTION follow_auto_top_up();
CREATE TRIGGER top_ups_failed AFTER UPDATE OF status ON top_ups FOR EACH ROW WHEN (new.kind = 'manual'::text AND new.status = 'failed'::text AND old.status <> 'failed'::text) EXECUTE FUNCTION tell_of_failed_top_up();

create table usage_days (
  wallet_id uuid not null,
  day date not null,
  usage_type text not null,
  count bigint not null,
  units numeric not null,
  micros numeric not null,
  constraint usage_days_pkey PRIMARY KEY (wallet_id, day, usage_type),
  constraint usage_days_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES notice_cursors(wallet_id)
) with (fillfactor=70);

create table usage_refunds (
  wallet_id uuid not null,
  original_seq bigint not null,
  refunded_micros bigint not null,
  of_correction_micros bigint not null default 0,
  burned jsonb,
  constraint usage_refunds_pkey PRIMARY KEY (wallet_id, original_seq),
  constraint usage_refunds_refunded_micros_check CHECK (refunded_micros >= 0),
  constraint usage_refunds_of_event FOREIGN KEY (wallet_id, original_seq) REFERENCES wallet_events(wallet_id, seq)
);
CREATE TRIGGER usage_refunds_never_deleted BEFORE DELETE OR TRUNCATE ON usage_refunds FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table users (
  id text not null,
  email text not null,
  password_hash text not null,
  role text not null default 'user'::text,
  created_at timestamp with time zone not null default now(),
  statements_by_mail boolean not null default true,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_email_check CHECK (length(email) >= 3 AND length(email) <= 254 AND email !~ '[[:space:]]'::text),
  constraint users_id_check CHECK (id ~ '^[A-Za-z0-9_.:-]{1,128}$'::text),
  constraint users_password_hash_check CHECK (password_hash ~~ '$argon2id$%'::text),
  constraint users_role_check CHECK (role = ANY (ARRAY['user'::text, 'support'::text]))
);
CREATE UNIQUE INDEX users_email ON public.users USING btree (lower(email));

create table wallet_arrears (
  wallet_id uuid not null,
  demanded_seq bigint not null,
  notify_at timestamp with time zone,
  remind_at timestamp with time zone,
  suspend_at timestamp with time zone not null,
  suspends boolean not null default false,
  constraint wallet_arrears_pkey PRIMARY KEY (wallet_id),
  constraint wallet_arrears_wallet_id_demanded_seq_fkey FOREIGN KEY (wallet_id, demanded_seq) REFERENCES wallet_events(wallet_id, seq),
  constraint wallet_arrears_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);
CREATE TRIGGER wallet_arrears_stop_auto_top_up AFTER UPDATE OF suspends ON wallet_arrears FOR EACH ROW WHEN (old.suspends AND NOT new.suspends) EXECUTE FUNCTION stop_auto_top_up_of_suspended();

create table wallet_events (
  wallet_id uuid not null,
  seq bigint not null,
  type text not null,
  balance_delta_micros bigint not null,
  held_delta_micros bigint not null,
  arrears_delta_micros bigint not null,
  balance_micros bigint not null,
  held_micros bigint not null,
  arrears_micros bigint not null,
  overdraft_limit_micros bigint not null,
  key uuid,
  request_hash bytea,
  actor text not null,
  occurred_at timestamp with time zone not null,
  recorded_at timestamp with time zone not null,
  detail json not null,
  hash bytea not null,
  previous_seq bigint generated always as (NULLIF((seq - 1), 0)) stored,
  previous_balance_micros bigint generated always as ((balance_micros - balance_delta_micros)) stored,
  previous_held_micros bigint generated always as ((held_micros - held_delta_micros)) stored,
  previous_arrears_micros bigint generated always as ((arrears_micros - arrears_delta_micros)) stored,
  constraint wallet_events_pkey PRIMARY KEY (wallet_id, seq),
  constraint wallet_events_once UNIQUE (wallet_id, key),
  constraint wallet_events_state_key UNIQUE (wallet_id, seq, balance_micros, held_micros, arrears_micros),
  constraint wallet_events_actor_check CHECK (length(actor) >= 3 AND length(actor) <= 220 AND POSITION((':'::text) IN (actor)) > 1 AND POSITION(('
'::text) IN (actor)) = 0),
  constraint wallet_events_arrears_micros_check CHECK (arrears_micros >= 0 AND arrears_micros <= '4000000000000000000'::bigint),
  constraint wallet_events_balance_micros_check CHECK (balance_micros >= '-4000000000000000000'::bigint AND balance_micros <= '4000000000000000000'::bigint),
  constraint wallet_events_detail_check CHECK (json_typeof(detail) = 'object'::text AND POSITION(('\u0000'::text) IN (replace(detail::text, '\\'::text, ''::text))) = 0),
  constraint wallet_events_goodwill_moves_nothing CHECK (type <> 'goodwill'::text OR balance_delta_micros = 0 AND held_delta_micros = 0 AND arrears_delta_micros = 0),
  constraint wallet_events_hash_check CHECK (octet_length(hash) = 32),
  constraint wallet_events_held_micros_check CHECK (held_micros >= 0 AND held_micros <= '4000000000000000000'::bigint),
  constraint wallet_events_key_with_request CHECK ((key IS NULL) = (request_hash IS NULL)),
  constraint wallet_events_overdraft_limit_micros_check CHECK (overdraft_limit_micros >= 0 AND overdraft_limit_micros <= '1000000000000000000'::bigint),
  constraint wallet_events_request_hash_check CHECK (octet_length(request_hash) = 32),
  constraint wallet_events_seq_check CHECK (seq >= 1),
  constraint wallet_events_start_from_zero CHECK (seq > 1 OR type = 'wallet_opened'::text AND previous_balance_micros = 0 AND previous_held_micros = 0 AND previous_arrears_micros = 0),
  constraint wallet_events_type_check CHECK (type = ANY (ARRAY['wallet_opened'::text, 'top_up'::text, 'grant'::text, 'charge'::text, 'accrual'::text, 'accrual_settled'::text, 'arrears_repaid'::text, 'hold_placed'::text, 'hold_extended'::text, 'hold_captured'::text, 'hold_voided'::text, 'hold_expired'::text, 'usage_refund'::text, 'wallet_frozen'::text, 'wallet_unfrozen'::text, 'wallet_closed'::text, 'grant_expired'::text, 'payment_refund'::text, 'payment_refund_failed'::text, 'dispute_opened'::text, 'dispute_withdrawn'::text, 'dispute_reinstated'::text, 'dispute_closed'::text, 'limits_changed'::text, 'goodwill'::text, 'subscription_added'::text, 'subscription_ended'::text, 'fee'::text, 'arrears_demanded'::text])),
  constraint wallet_events_follow_previous FOREIGN KEY (wallet_id, previous_seq, previous_balance_micros, previous_held_micros, previous_arrears_micros) REFERENCES wallet_events(wallet_id, seq, balance_micros, held_micros, arrears_micros)
);
CREATE INDEX wallet_events_hold_pages ON public.wallet_events USING btree (wallet_id, seq) WHERE (type = ANY (ARRAY['hold_placed'::text, 'hold_extended'::text, 'hold_captured'::text, 'hold_voided'::text, 'hold_expired'::text]));
CREATE INDEX wallet_events_milestones ON public.wallet_events USING btree (wallet_id, recorded_at, seq) WHERE ((seq % (256)::bigint) = 0);
CREATE INDEX wallet_events_of_holds ON public.wallet_events USING btree (wallet_id, ((detail ->> 'holdId'::text))) WHERE ((type = ANY (ARRAY['hold_captured'::text, 'hold_expired'::text])) OR ((key IS NULL) AND (type = ANY (ARRAY['charge'::text, 'accrual'::text, 'goodwill'::text]))));
CREATE INDEX wallet_events_of_subscriptions ON public.wallet_events USING btree (wallet_id, seq) WHERE (type = ANY (ARRAY['subscription_added'::text, 'subscription_ended'::text, 'fee'::text]));
CREATE INDEX wallet_events_rare ON public.wallet_events USING btree (wallet_id, type, seq) WHERE (type <> ALL (ARRAY['charge'::text, 'accrual'::text, 'hold_placed'::text, 'hold_extended'::text, 'hold_captured'::text]));
CREATE TRIGGER wallet_events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON wallet_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

create table wallet_limits (
  wallet_id uuid not null,
  period text not null,
  usage_type text,
  prefix text,
  amount_micros bigint not null,
  starts_at timestamp with time zone not null,
  spent_micros numeric not null,
  constraint wallet_limits_once UNIQUE NULLS NOT DISTINCT (wallet_id, period, usage_type, prefix),
  constraint wallet_limits_amount_micros_check CHECK (amount_micros >= 0 AND amount_micros <= '1000000000000000000'::bigint),
  constraint wallet_limits_period_check CHECK (period = ANY (ARRAY['day'::text, 'month'::text])),
  constraint wallet_limits_prefix_check CHECK (prefix ~ '^[0-9]{1,15}$'::text),
  constraint wallet_limits_wallet_id_fkey FOREIGN KEY (wallet_id) REFERENCES wallets(id)
);

create table wallets (
  id uuid not null,
  user_id text not null,
  currency text not null,
  timezone text not null,
  mode text not null,
  status text not null default 'open'::text,
  balance_micros bigint not null,
  held_micros bigint not null,
  arrears_micros bigint not null,
  overdraft_limit_micros bigint not null,
  seq bigint not null,
  head_hash bytea not null,
  opened_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  next_due_at timestamp with time zone,
  grants_micros bigint not null default 0,
  limited boolean not null default false,
  constraint wallets_pkey PRIMARY KEY (id),
  constraint wallets_user_id_currency_key UNIQUE (user_id, currency),
  constraint wallets_grants_micros_check CHECK (grants_micros >= 0),
  constraint wallets_head_hash_check CHECK (octet_length(head_hash) = 32),
  constraint wallets_mode_check CHECK (mode = ANY (ARRAY['live'::text, 'deferred'::text])),
  constraint wallets_status_check CHECK (status = ANY (ARRAY['open'::text, 'frozen'::text, 'closed'::text])),
  constraint wallets_user_id_check CHECK (length(user_id) >= 1 AND length(user_id) <= 128 AND user_id !~ '[^[:graph:]]'::text),
  constraint wallets_currency_fkey FOREIGN KEY (currency) REFERENCES currencies(code),
  constraint wallets_stand_on_head_event FOREIGN KEY (id, seq, balance_micros, held_micros, arrears_micros) REFERENCES wallet_events(wallet_id, seq, balance_micros, held_micros, arrears_micros)
) with (fillfactor=50);
CREATE INDEX wallets_due ON public.wallets USING btree (next_due_at) WHERE (next_due_at IS NOT NULL);
CREATE INDEX wallets_opening ON public.wallets USING btree (opened_at);
CREATE TRIGGER wallets_never_deleted BEFORE DELETE OR TRUNCATE ON wallets FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER wallets_open_to_arrears_dates BEFORE UPDATE OF status ON wallets FOR EACH ROW WHEN (new.status = 'open'::text AND old.status <> 'open'::text) EXECUTE FUNCTION note_arrears_dates();
CREATE TRIGGER wallets_status_stops_auto_top_up AFTER UPDATE OF status ON wallets FOR EACH ROW WHEN (new.status <> 'open'::text AND new.status IS DISTINCT FROM old.status) EXECUTE FUNCTION stop_auto_top_up_with_wallet();
CREATE TRIGGER wallets_timezone_known BEFORE INSERT OR UPDATE OF timezone ON wallets FOR EACH ROW EXECUTE FUNCTION refuse_unknown_timezone();

-- Views

create view journal as
 SELECT e.wallet_id,
    e.seq,
    e.recorded_at,
    e.type,
    w.currency,
    p.account,
    p.amount_micros
   FROM wallet_events e
     JOIN wallets w ON w.id = e.wallet_id
     CROSS JOIN LATERAL ( VALUES ('liabilities:wallets'::text,e.balance_delta_micros), ('assets:receivable'::text,- e.arrears_delta_micros), (contra_account(e.type),e.arrears_delta_micros - e.balance_delta_micros - goodwill_micros(e.*)), ('income:usage'::text,goodwill_micros(e.*))) p(account, amount_micros)
  WHERE p.amount_micros <> 0;

create view monthly_billings as
 SELECT s.number AS id,
    w.user_id,
    s.wallet_id,
    s.period AS billing_period,
    s.currency,
    s.opening_balance_micros,
    s.usage_micros,
    s.accrued_micros,
    s.closing_balance_micros,
    s.closed_at
   FROM statements s
     JOIN wallets w ON w.id = s.wallet_id;

create view trial_balance as
 SELECT currency,
    account,
    sum(amount_micros) AS amount_micros
   FROM journal
  GROUP BY currency, account;

create view wallet_transactions as
 SELECT wallet_id,
    seq,
    type,
    balance_delta_micros AS amount_micros,
    balance_micros,
    occurred_at,
    recorded_at,
    detail
   FROM wallet_events;

-- Privileges

grant usage on schema public to public;
grant usage on schema public to wallet_app;
grant select on api_keys to wallet_app;
grant select on arrears_terms to wallet_app;
grant select on arrears_terms_changes to wallet_app;
grant select on auto_top_up_attempts to wallet_app;
grant select on auto_top_up_log to wallet_app;
grant select on auto_top_up_tries to wallet_app;
grant select on auto_top_ups to wallet_app;
grant select on balance_alerts to wallet_app;
grant select on billing_failures to wallet_app;
grant select on billing_ranges to wallet_app;
grant select on billing_runs to wallet_app;
grant select on card_setups to wallet_app;
grant select on currencies to wallet_app;
grant select on grants to wallet_app;
grant select on holds to wallet_app;
grant select on journal to wallet_app;
grant select on mail_outbox to wallet_app;
grant select on monthly_billings to wallet_app;
grant select on monthly_units to wallet_app;
grant select on notice_cursors to wallet_app;
grant select on payment_disputes to wallet_app;
grant select on payment_fraud_warnings to wallet_app;
grant select on payment_refunds to wallet_app;
grant select on rate_card_drafts to wallet_app;
grant select on rate_card_log to wallet_app;
grant select on rate_card_rules to wallet_app;
grant select on rate_cards to wallet_app;
grant select on reconciliation_differences to wallet_app;
grant select on reconciliation_runs to wallet_app;
grant select on refused_cards to wallet_app;
grant select on rerated_usage to wallet_app;
grant select on reratings to wallet_app;
grant select on saved_cards to wallet_app;
grant select on schema_migrations to wallet_app;
grant delete, insert, select on sessions to wallet_app;
grant delete, insert, select on sign_in_attempts to wallet_app;
grant select on statements to wallet_app;
grant insert, select on stripe_customers to wallet_app;
grant insert, select, update on stripe_inbox to wallet_app;
grant select on stripe_quarantine to wallet_app;
grant select on subscriptions to wallet_app;
grant select on top_ups to wallet_app;
grant select on trial_balance to wallet_app;
grant select on usage_days to wallet_app;
grant select on usage_refunds to wallet_app;
grant select on users to wallet_app;
grant select on wallet_arrears to wallet_app;
grant select on wallet_events to wallet_app;
grant select on wallet_limits to wallet_app;
grant select on wallet_transactions to wallet_app;
grant select on wallets to wallet_app;
grant insert (created_by, id, name, prefix, rate_limit_burst, rate_limit_per_second, scopes, secret_hash), update (last_used_at, revoked_at) on api_keys to wallet_app;
grant update (finished_at, give_up_at, last_error, next_attempt_at, status) on mail_outbox to wallet_app;
grant update (expires_at, last_seen_at) on sessions to wallet_app;
grant update (attempts, window_ends_at) on sign_in_attempts to wallet_app;
grant insert (email, id, password_hash), update (password_hash, statements_by_mail) on users to wallet_app;
grant execute on function add_subscription(uuid,uuid,uuid,bytea,text,text,bigint,timestamp with time zone,timestamp with time zone,text) to wallet_app;
grant execute on function affordable_micros(wallets) to wallet_app;
grant execute on function apply_dispute(text,text,text,bigint,text,text,text,bigint,bigint,text,timestamp with time zone,jsonb) to wallet_app;
grant execute on function apply_payment_refund(text,uuid,text,text,bigint,text,text,text,text,timestamp with time zone,jsonb) to wallet_app;
grant execute on function apply_top_up(text,uuid,text,text,bigint,boolean,text,timestamp with time zone) to wallet_app;
grant execute on function authorize_hold(uuid,uuid,uuid,bytea,bigint,text,uuid,text,text,integer,text,jsonb,jsonb) to wallet_app;
grant execute on function auto_top_up_month(uuid) to wallet_app;
grant execute on function available_micros(wallets) to wallet_app;
grant execute on function begin_card_read(text) to wallet_app;
grant execute on function begin_rerating(uuid,uuid,timestamp with time zone,timestamp with time zone,boolean,text,text) to wallet_app;
grant execute on function bill_of_expiry(wallets,holds) to wallet_app;
grant execute on function burn_in_order(grants[],bigint,timestamp with time zone) to wallet_app;
grant execute on function capture_hold(uuid,uuid,uuid,bytea,jsonb,bigint,text,text) to wallet_app;
grant execute on function card_unit_micros(text) to wallet_app;
grant execute on function chained_hash(bytea,text) to wallet_app;
grant execute on function change_arrears_terms(integer,integer,text) to wallet_app;
grant execute on function change_rate_card_rules(uuid,jsonb,jsonb,boolean,text) to wallet_app;
grant execute on function change_wallet_status(uuid,text,text,json) to wallet_app;
grant execute on function charge_many(uuid[],boolean[],uuid[],bytea[],bigint[],text[],timestamp with time zone[],text[],text,bigint[]) to wallet_app;
grant execute on function charge_wallet(uuid,uuid,bytea,bigint,text,timestamp with time zone,text,json) to wallet_app;
grant execute on function claim_auto_top_ups(boolean,integer) to wallet_app;
grant execute on function claim_mails(integer,integer) to wallet_app;
grant execute on function claim_months(text,interval,text) to wallet_app;
grant execute on function claim_payment_refunds(boolean,integer) to wallet_app;
grant execute on function claim_reconciliation(date,interval) to wallet_app;
grant execute on function claim_stripe_events(integer) to wallet_app;
grant execute on function close_differences(text,timestamp with time zone,timestamp with time zone,timestamp with time zone) to wallet_app;
grant execute on function close_range(uuid,text,uuid,uuid,timestamp with time zone,uuid) to wallet_app;
grant execute on function contra_account(text) to wallet_app;
grant execute on function counted_units(wallet_events) to wallet_app;
grant execute on function derive_notices(uuid[]) to wallet_app;
grant execute on function describe_rate_card_draft(uuid,jsonb,text) to wallet_app;
grant execute on function dialled_digits(text) to wallet_app;
grant execute on function discard_rate_card_draft(uuid,text) to wallet_app;
grant execute on function draft_rate_card(uuid,jsonb,uuid,text) to wallet_app;
grant execute on function drop_auto_top_up(uuid) to wallet_app;
grant execute on function end_subscription(uuid,uuid,timestamp with time zone,text) to wallet_app;
grant execute on function event_canonical(wallet_events) to wallet_app;
grant execute on function event_hash(bytea,wallet_events) to wallet_app;
grant execute on function extend_hold(uuid,uuid,jsonb,bigint,bigint,integer,text) to wallet_app;
grant execute on function fail_mail(uuid,integer,text) to wallet_app;
grant execute on function fence_range(text,uuid,uuid,timestamp with time zone) to wallet_app;
grant execute on function follow_wallets(uuid[]) to wallet_app;
grant execute on function forget_stripe_customer(text) to wallet_app;
grant execute on function free_micros(wallets) to wallet_app;
grant execute on function goodwill_micros(wallet_events) to wallet_app;
grant execute on function grant_credit(uuid,uuid,bytea,bigint,text,json,timestamp with time zone) to wallet_app;
grant execute on function grant_parts(jsonb,numeric,boolean) to wallet_app;
grant execute on function grants_now(uuid) to wallet_app;
grant execute on function in_card_units(bigint,text) to wallet_app;
grant execute on function is_suspended(wallets) to wallet_app;
grant execute on function ledger_key(text,text) to wallet_app;
grant execute on function ledger_now() to wallet_app;
grant execute on function left_grants(uuid) to wallet_app;
grant execute on function limit_counts(text,text,text,text) to wallet_app;
grant execute on function limit_standings(wallets,uuid) to wallet_app;
grant execute on function limit_window(text,timestamp with time zone,text) to wallet_app;
grant execute on function month_now(wallets) to wallet_app;
grant execute on function month_status(text) to wallet_app;
grant execute on function move_saved_card(text,boolean,text,integer) to wallet_app;
grant execute on function name_saved_card(text,boolean,text,text) to wallet_app;
grant execute on function open_wallet(uuid,text,text,text,text,text) to wallet_app;
grant execute on function original_standing(uuid,bigint) to wallet_app;
grant execute on function parts_total(jsonb) to wallet_app;
grant execute on function pause_auto_top_up(uuid,text,text,jsonb) to wallet_app;
grant execute on function plan_due(wallets,timestamp with time zone) to wallet_app;
grant execute on function plan_month(uuid,uuid,integer) to wallet_app;
grant execute on function postpone_auto_top_up(uuid) to wallet_app;
grant execute on function preview_month(text) to wallet_app;
grant execute on function publish_rate_card(jsonb,text) to wallet_app;
grant execute on function publish_rate_card_draft(uuid,integer,text,text) to wallet_app;
grant execute on function record_differences(text,jsonb) to wallet_app;
grant execute on function record_fraud_warning(text,text,text,boolean,timestamp with time zone) to wallet_app;
grant execute on function record_saved_cards(text,bigint,jsonb) to wallet_app;
grant execute on function record_top_up_attempt(uuid,text,text,text,text) to wallet_app;
grant execute on function refund_usage(uuid,uuid,bytea,uuid,uuid,text,bigint,text,jsonb) to wallet_app;
grant execute on function refundable_micros(wallets,boolean) to wallet_app;
grant execute on function refundable_micros(wallets,top_ups) to wallet_app;
grant execute on function refuse_auto_top_up(uuid,integer,text,text,text,boolean) to wallet_app;
grant execute on function release_payment_refund(uuid,uuid,text,text,jsonb) to wallet_app;
grant execute on function remove_saved_card(text,boolean,text) to wallet_app;
grant execute on function renew_recovery_link(uuid) to wallet_app;
grant execute on function replace_password(text,text,text,bytea,integer) to wallet_app;
grant execute on function replay_stripe_event(text) to wallet_app;
grant execute on function request_month(text,text) to wallet_app;
grant execute on function rerate_usage(uuid,uuid,bigint,bigint,bigint,jsonb,text) to wallet_app;
grant execute on function rerating_due(bigint,bigint,bigint,bigint) to wallet_app;
grant execute on function reserve_auto_top_up(uuid,uuid) to wallet_app;
grant execute on function reserve_payment_refund(uuid,uuid,bytea,uuid,bigint,boolean,boolean,text,text,jsonb) to wallet_app;
grant execute on function resolve_quarantine(text,text,text,text,uuid,uuid,text,bigint,boolean,timestamp with time zone) to wallet_app;
grant execute on function resume_auto_top_up(uuid,text,boolean) to wallet_app;
grant execute on function returnable_micros(top_ups) to wallet_app;
grant execute on function seq_before(uuid,timestamp with time zone) to wallet_app;
grant execute on function set_auto_top_up(uuid,boolean,bigint,text,bigint,bigint,bigint,bigint,bigint,text,text) to wallet_app;
grant execute on function set_balance_alerts(uuid,bigint[],boolean) to wallet_app;
grant execute on function set_limits(uuid,jsonb,text) to wallet_app;
grant execute on function settle_due_wallets(integer) to wallet_app;
grant execute on function start_card_setup(uuid,text,boolean,text) to wallet_app;
grant execute on function start_top_up(uuid,uuid,text,bigint,bigint,boolean) to wallet_app;
grant execute on function stop_alert_mails(uuid) to wallet_app;
grant execute on function take_unreported_differences(integer) to wallet_app;
grant execute on function takes_payments(wallets) to wallet_app;
grant execute on function tightest_limit(wallets,text,text,uuid) to wallet_app;
grant execute on function touch_reconciliation(date,boolean) to wallet_app;
grant execute on function trim_stripe_payloads(timestamp with time zone,integer) to wallet_app;
grant execute on function units_this_month(wallets) to wallet_app;
grant execute on function usage_by_day(uuid,bigint,bigint) to wallet_app;
grant execute on function usage_micros(wallet_events) to wallet_app;
grant execute on function usage_page(text,text,timestamp with time zone,timestamp with time zone,uuid,bigint,integer) to wallet_app;
grant execute on function usage_since_day(uuid,date) to wallet_app;
grant execute on function usage_standing(wallet_events) to wallet_app;
grant execute on function use_recovery_link(uuid,integer) to wallet_app;
grant execute on function void_hold(uuid,uuid,uuid,bytea,text) to wallet_app;
grant execute on function wallet_now(wallets) to wallet_app;
grant execute on function wallets_to_top_up(boolean,integer) to wallet_app;
grant execute on function write_holds(text[],uuid[],boolean[],uuid[],uuid[],bytea[],bigint[],text[],json[],text[],uuid[],jsonb[],text[],text[],integer[],text[]) to wallet_app;
