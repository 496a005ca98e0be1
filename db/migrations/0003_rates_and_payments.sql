-- Rate cards, top-ups, and the inbox of Stripe's events.

create table rate_cards (
  id uuid primary key,
  currency text not null references currencies (code),
  version int not null check (version >= 1),
  effective_from timestamptz not null,
  -- The whole card in the form of server/rating/rate-card.ts.
  card jsonb not null,
  created_at timestamptz not null default now(),
  created_by text not null,
  unique (currency, version),
  unique (currency, effective_from)
);
-- A charge's breakdown names the card that priced it, so a card stays what it was.
create trigger rate_cards_append_only
  before update or delete or truncate on rate_cards
  for each statement execute function refuse_ledger_change();

-- The prices that the owner started with, from server/rating/default-rate-card.ts.
insert into rate_cards (id, currency, version, effective_from, created_by, card) values (
  '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10', 'USD', 1, '2000-01-01T00:00:00Z', 'system:migration', '{
    "id": "7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10",
    "name": "Default prices",
    "currency": "USD",
    "version": 1,
    "effectiveFrom": "2000-01-01T00:00:00.000Z",
    "rounding": "half_up",
    "rules": [
      {"id": "call-any", "type": "call", "prefix": "", "connectionFeeMicros": "100000",
       "pricePerMinuteMicros": "50000", "initialSeconds": 1, "nextSeconds": 1},
      {"id": "sms-any", "type": "sms", "prefix": "", "connectionFeeMicros": "0",
       "pricePerUnitMicros": "20000"},
      {"id": "email-any", "type": "email", "prefix": "", "connectionFeeMicros": "0",
       "pricePerUnitMicros": "10000"},
      {"id": "fax-any", "type": "fax", "prefix": "", "connectionFeeMicros": "0",
       "pricePerUnitMicros": "150000"},
      {"id": "file-transfer-any", "type": "file_transfer", "prefix": "", "connectionFeeMicros": "0",
       "pricePerUnitMicros": "50000"}
    ]
  }'
);

-- Publishes the next version of a currency's card. Servers keep the published cards for a few
-- seconds, so a card takes effect no sooner than the lead time from now: by then all have read it.
create function publish_rate_card(p_card jsonb, p_actor text, out code text, out version int)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  lead_time constant interval := '60 seconds';
  card_currency constant text := p_card ->> 'currency';
begin
  perform pg_advisory_xact_lock(hashtextextended('rate_cards ' || card_currency, 0));
  select coalesce(max(c.version), 0) + 1 into version from rate_cards c where currency = card_currency;
  if (p_card ->> 'effectiveFrom')::timestamptz < ledger_now() + lead_time then
    code := 'EFFECTIVE_TOO_SOON';
  elsif exists (select from rate_cards c where currency = card_currency
                and c.effective_from >= (p_card ->> 'effectiveFrom')::timestamptz) then
    code := 'EFFECTIVE_BEFORE_NEWEST';
  elsif (p_card ->> 'version')::int <> version then
    code := 'VERSION_TAKEN';
  elsif not exists (select from currencies c where c.code = card_currency) then
    code := 'UNKNOWN_CURRENCY';
  elsif exists (select from rate_cards c where c.id = (p_card ->> 'id')::uuid) then
    code := 'ID_TAKEN';
  else
    insert into rate_cards (id, currency, version, effective_from, card, created_by) values (
      (p_card ->> 'id')::uuid, card_currency, version, (p_card ->> 'effectiveFrom')::timestamptz,
      p_card, p_actor
    );
    code := 'OK';
  end if;
end $$;

create table stripe_customers (
  user_id text not null,
  livemode boolean not null,
  stripe_customer_id text not null unique,
  created_at timestamptz not null default now(),
  primary key (user_id, livemode)
);

create table top_ups (
  id uuid primary key,
  wallet_id uuid not null references wallets (id),
  -- Minted by the page, so that a reload or a second click finds the attempt that it began.
  attempt_key text not null check (attempt_key ~ '^[A-Za-z0-9_-]{8,100}$'),
  currency text not null references currencies (code),
  amount_micros bigint not null check (amount_micros > 0),
  amount_minor bigint not null check (amount_minor > 0),
  livemode boolean not null,
  status text not null default 'created' check (status in (
    'created', 'requires_action', 'processing', 'succeeded', 'failed', 'canceled', 'quarantined'
  )),
  payment_intent_id text unique,
  failure_code text,
  failure_message text,
  credited_seq bigint,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (wallet_id, attempt_key),
  constraint top_ups_credited_by_event foreign key (wallet_id, credited_seq)
    references wallet_events (wallet_id, seq),
  constraint top_ups_credited_once unique (wallet_id, credited_seq),
  constraint top_ups_credit_means_success check ((credited_seq is not null) = (status = 'succeeded'))
);
create index top_ups_newest on top_ups (wallet_id, created_at desc);
create index top_ups_unsettled on top_ups (created_at)
  where status in ('created', 'requires_action', 'processing', 'failed');

-- Payments that succeeded at Stripe and do not match what was asked for; a person decides.
create table stripe_quarantine (
  payment_intent_id text primary key,
  top_up_id uuid references top_ups (id),
  reason text not null,
  created_at timestamptz not null default now()
);

create table stripe_inbox (
  event_id text primary key,
  type text not null,
  object_id text,
  livemode boolean not null,
  api_version text,
  payload jsonb not null,
  received_at timestamptz not null default now(),
  status text not null default 'waiting' check (status in (
    -- unhandled: kept for the day when a use case for its type exists.
    'waiting', 'applied', 'ignored', 'unhandled', 'dead'
  )),
  outcome text,
  dispatches int not null default 0,
  -- The webhook tells Inngest itself; the dispatcher comes in when that was lost.
  next_dispatch_at timestamptz not null default now() + interval '10 seconds',
  failures int not null default 0,
  last_error text,
  finished_at timestamptz
);
create index stripe_inbox_due on stripe_inbox (next_dispatch_at) where status = 'waiting';

-- Starts a top-up, or returns the one that the attempt key started. The row is committed before
-- Stripe is called, and Stripe's idempotency key is derived from its id.
create function start_top_up(
  p_id uuid, p_wallet_id uuid, p_attempt_key text, p_amount_micros bigint, p_amount_minor bigint,
  p_livemode boolean, out code text, out top_up top_ups
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
  if w.status <> 'open' then
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
end $$;

-- Records what Stripe says of a payment that has moved no money. A success is never downgraded,
-- and an attempt of another intent than the top-up's own changes nothing.
create function record_top_up_attempt(
  p_top_up_id uuid, p_payment_intent_id text, p_status text, p_failure_code text,
  p_failure_message text
) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update top_ups set
    payment_intent_id = p_payment_intent_id, status = p_status, failure_code = p_failure_code,
    failure_message = p_failure_message, updated_at = clock_timestamp()
  where id = p_top_up_id and status not in ('succeeded', 'quarantined')
    and (payment_intent_id is null or payment_intent_id = p_payment_intent_id)
$$;

-- Credits a succeeded payment once, after checking it against the top-up that asked for it. What
-- does not match is quarantined: the money is Stripe's fact, the credit is a person's decision.
create function apply_top_up(
  p_payment_intent_id text, p_top_up_id uuid, p_customer_id text, p_currency text,
  p_amount_received_minor bigint, p_livemode boolean, p_actor text, p_occurred_at timestamptz,
  out code text, out reason text, out seq bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  t top_ups;
  w wallets;
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
  if reason is not null then
    insert into stripe_quarantine (payment_intent_id, top_up_id, reason)
    values (p_payment_intent_id, t.id, reason) on conflict do nothing;
    update top_ups set status = 'quarantined', updated_at = clock_timestamp()
    where id = t.id and status <> 'succeeded'
      and coalesce(payment_intent_id, p_payment_intent_id) = p_payment_intent_id;
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

-- Takes events that are due, so that no other process dispatches them for a while: at first soon
-- again, then ever more rarely, an hour apart at the most.
create function claim_stripe_events(p_limit int) returns table (event_id text, dispatch int)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
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
$$;

grant select
  on rate_cards, stripe_customers, top_ups, stripe_quarantine, stripe_inbox, schema_migrations
  to wallet_app;
grant insert on stripe_customers to wallet_app;
grant insert, update on stripe_inbox to wallet_app;
grant execute on function
  publish_rate_card(jsonb, text),
  start_top_up(uuid, uuid, text, bigint, bigint, boolean),
  record_top_up_attempt(uuid, text, text, text, text),
  apply_top_up(text, uuid, text, text, bigint, boolean, text, timestamptz),
  claim_stripe_events(int)
  to wallet_app;
