-- Stripe's list against the ledger, the resolution of quarantined payments, and the inbox's pages.

-- What Stripe said of the payment, and how a person resolved it.
alter table stripe_quarantine
  add column customer_id text,
  add column currency text,
  add column amount_minor bigint check (amount_minor >= 0),
  add column livemode boolean,
  add column resolution text check (resolution in ('credited', 'refunded', 'dismissed')),
  add column resolved_at timestamptz,
  add column resolved_by text,
  add column note text check (length(note) between 1 and 1000),
  add column credited_wallet_id uuid,
  add column credited_seq bigint,
  add constraint stripe_quarantine_resolved_whole check (
    num_nulls(resolution, resolved_at, resolved_by, note) in (0, 4)),
  add constraint stripe_quarantine_credit_means_credited check (
    num_nulls(credited_wallet_id, credited_seq)
      = case when resolution is not distinct from 'credited' then 0 else 2 end);

-- A payment that was credited after all names the top-up that was credited with it, so that none is
-- said to be credited which is not.
alter table top_ups add constraint top_ups_credit unique (payment_intent_id, wallet_id, credited_seq);
alter table stripe_quarantine add constraint stripe_quarantine_credit
  foreign key (payment_intent_id, credited_wallet_id, credited_seq)
  references top_ups (payment_intent_id, wallet_id, credited_seq);
create index stripe_quarantine_newest on stripe_quarantine (created_at desc, payment_intent_id desc);
create index top_ups_credited on top_ups (created_at) where status = 'succeeded';

-- What a person decided stays decided: the row is the record of it.
create function keep_quarantine() returns trigger
language plpgsql as $$
begin
  if tg_op = 'UPDATE' and old.resolution is null
     and (new.payment_intent_id, new.reason, new.created_at)
       = (old.payment_intent_id, old.reason, old.created_at) then
    return new;
  end if;
  raise exception 'a payment in quarantine is resolved once and never forgotten'
    using errcode = 'restrict_violation';
end $$;
create trigger stripe_quarantine_resolved_once
  before update or delete on stripe_quarantine for each row execute function keep_quarantine();

-- Resolves a payment in quarantine: `credited` to p_wallet_id with what was received, `refunded` at
-- Stripe, or `dismissed`. The caller has read at Stripe that this is so, and passes what it read.
-- Once resolved it stays so: the same again is answered as a replay, another way is refused.
-- Credit goes to the top-up that the payment claims when that one is the wallet's and still unpaid;
-- else a new top-up (p_top_up_id) is written, which refunds and disputes of the payment find.
create function resolve_quarantine(
  p_payment_intent_id text, p_resolution text, p_note text, p_actor text, p_wallet_id uuid,
  p_top_up_id uuid, p_currency text, p_amount_received_minor bigint, p_livemode boolean,
  p_occurred_at timestamptz,
  out code text, out replayed boolean, out wallet_id uuid, out seq bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
end $$;

-- Credits a succeeded payment once, after checking it against the top-up that asked for it. What
-- does not match is quarantined, with what Stripe says of it: the money is Stripe's fact, the credit
-- is a person's decision. What is in quarantine stays with that person, whatever comes later.
create or replace function apply_top_up(
  p_payment_intent_id text, p_top_up_id uuid, p_customer_id text, p_currency text,
  p_amount_received_minor bigint, p_livemode boolean, p_actor text, p_occurred_at timestamptz,
  out code text, out reason text, out seq bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
    json_build_object('topUpId', t.id, 'paymentIntentId', p_payment_intent_id)
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
end $$;

-- Where Stripe and the ledger differ. A difference is open until a later look does not find it.
create table reconciliation_differences (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('payment', 'refund', 'dispute')),
  -- Stripe's id of the object.
  object_id text not null,
  problem text not null,
  -- When Stripe made the object, or when the ledger asked for one that Stripe does not know.
  happened_at timestamptz not null,
  wallet_id uuid references wallets (id),
  top_up_id uuid,
  at_stripe jsonb,
  in_ledger jsonb,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  -- The daily run has told of it.
  reported_at timestamptz,
  resolved_at timestamptz
);
create unique index reconciliation_differences_open
  on reconciliation_differences (kind, object_id, problem) where resolved_at is null;
create index reconciliation_differences_range
  on reconciliation_differences (kind, happened_at) where resolved_at is null;

-- Records the differences of a page; those that are open already are seen again.
create function record_differences(p_kind text, p_found jsonb) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
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
$$;

-- Closes the differences of a range that a look which began at p_since did not find. Returns how many.
create function close_differences(
  p_kind text, p_from timestamptz, p_to timestamptz, p_since timestamptz
) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with closed as (
    update reconciliation_differences set resolved_at = clock_timestamp()
    where kind = p_kind and resolved_at is null and happened_at >= p_from and happened_at < p_to
      and last_seen_at < p_since
    returning id
  )
  select count(*) from closed
$$;

-- Takes open differences that nobody was told of yet, so that each is told of once.
create function take_unreported_differences(p_limit int) returns setof reconciliation_differences
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update reconciliation_differences d set reported_at = clock_timestamp()
  from (
    select id from reconciliation_differences
    where resolved_at is null and reported_at is null
    order by id limit p_limit for update skip locked
  ) fresh
  where d.id = fresh.id
  returning d.*
$$;

-- The daily run: one row a UTC day.
create table reconciliation_runs (
  day date primary key,
  started_at timestamptz not null default clock_timestamp(),
  -- Moves with every range that is done: a run that stands still is taken over.
  touched_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
);

-- Marks a daily run as under way, or as finished.
create function touch_reconciliation(p_day date, p_finished boolean) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into reconciliation_runs (day, finished_at)
  values (p_day, case when p_finished then clock_timestamp() end)
  on conflict (day) do update set
    touched_at = clock_timestamp(),
    finished_at = coalesce(reconciliation_runs.finished_at, excluded.finished_at)
$$;

-- True for the one process that is to make the day's run: nobody began it, or it stands still.
create function claim_reconciliation(p_day date, p_quiet interval) returns boolean
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with claimed as (
    insert into reconciliation_runs (day) values (p_day)
    on conflict (day) do update set touched_at = clock_timestamp()
    where reconciliation_runs.finished_at is null
      and reconciliation_runs.touched_at < clock_timestamp() - p_quiet
    returning day
  )
  select exists (select from claimed)
$$;

-- The inbox's pages, newest first, and what is old enough to be trimmed.
create index stripe_inbox_newest on stripe_inbox (received_at desc, event_id desc);
create index stripe_inbox_status_newest on stripe_inbox (status, received_at desc, event_id desc);
alter table stripe_inbox add column trimmed_at timestamptz;
create index stripe_inbox_untrimmed on stripe_inbox (finished_at)
  where trimmed_at is null and status in ('applied', 'ignored');

-- Leaves of events that are done since before p_before only what says which they were: what they
-- told of people goes. The row stays, because its id keeps a second delivery out. Returns how many.
create function trim_stripe_payloads(p_before timestamptz, p_limit int) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with old as (
    select event_id from stripe_inbox
    where trimmed_at is null and status in ('applied', 'ignored') and finished_at < p_before
    order by finished_at limit p_limit for update skip locked
  ), trimmed as (
    update stripe_inbox i set
      trimmed_at = clock_timestamp(),
      payload = jsonb_strip_nulls(jsonb_build_object(
        'id', i.event_id, 'type', i.type, 'created', i.payload -> 'created',
        'data', jsonb_build_object('object', jsonb_build_object('id', i.object_id))))
    from old where i.event_id = old.event_id
    returning i.event_id
  )
  select count(*) from trimmed
$$;

-- Puts an event back in line, whatever became of it. Applying it again changes nothing that was done.
create function replay_stripe_event(p_event_id text) returns boolean
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with again as (
    update stripe_inbox set
      status = 'waiting', outcome = null, finished_at = null,
      next_dispatch_at = clock_timestamp() + interval '10 seconds'
    where event_id = p_event_id
    returning event_id
  )
  select exists (select from again)
$$;

grant select on reconciliation_differences, reconciliation_runs to wallet_app;
grant execute on function
  resolve_quarantine(
    text, text, text, text, uuid, uuid, text, bigint, boolean, timestamptz),
  record_differences(text, jsonb), close_differences(text, timestamptz, timestamptz, timestamptz),
  take_unreported_differences(int), touch_reconciliation(date, boolean),
  claim_reconciliation(date, interval), trim_stripe_payloads(timestamptz, int),
  replay_stripe_event(text)
  to wallet_app;
