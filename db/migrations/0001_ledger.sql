-- The ledger: append-only events, the wallets projected from them, and the only functions that
-- may write either. Money is integer micros (1 unit of currency = 1,000,000 micros).

do $$
begin
  -- Roles belong to the whole cluster, so another database may have made this one already.
  create role wallet_app nologin;
exception when duplicate_object or unique_violation then null;
end $$;

do $$
begin
  if not pg_has_role(current_user, 'wallet_app', 'member') then
    execute format('grant wallet_app to %I', current_user);
  end if;
end $$;

grant usage on schema public to wallet_app;
-- Functions are granted one by one, here and in every later migration.
alter default privileges revoke execute on functions from public;

create table currencies (
  code text primary key check (code ~ '^[A-Z]{3}$'),
  -- Decimals of the currency's minor unit, as ISO 4217 and Stripe count them.
  exponent int not null check (exponent between 0 and 3)
);
insert into currencies (code, exponent) values
  ('USD', 2), ('EUR', 2), ('GBP', 2), ('CHF', 2), ('CAD', 2), ('AUD', 2), ('JPY', 0), ('KWD', 3);

create table wallet_events (
  wallet_id uuid not null,
  seq bigint not null check (seq >= 1),
  type text not null check (type in (
    'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid'
  )),
  balance_delta_micros bigint not null,
  held_delta_micros bigint not null,
  arrears_delta_micros bigint not null,
  -- The wallet after this event.
  balance_micros bigint not null
    check (balance_micros between -4000000000000000000 and 4000000000000000000),
  held_micros bigint not null check (held_micros between 0 and 4000000000000000000),
  arrears_micros bigint not null check (arrears_micros between 0 and 4000000000000000000),
  overdraft_limit_micros bigint not null
    check (overdraft_limit_micros between 0 and 1000000000000000000),
  -- The caller's idempotency key and what was asked with it; null on the follow-up events of one
  -- operation, which stand or fall with the first.
  key uuid,
  request_hash bytea check (octet_length(request_hash) = 32),
  -- Who did it, such as api_key:key_…; one line. A regular expression here cost more than the rest
  -- of the insert.
  actor text not null check (length(actor) between 3 and 220 and position(':' in actor) > 1
                             and position(E'\n' in actor) = 0),
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  -- json, not jsonb: kept to the letter, so it is hashed as it came, and neither writing nor
  -- verifying takes it apart.
  detail json not null check (
    json_typeof(detail) = 'object'
    -- json takes the escape of NUL, which no text can hold, and then cannot be read back.
    and position('\u0000' in replace(detail::text, '\\', '')) = 0
  ),
  hash bytea not null check (octet_length(hash) = 32),
  -- Where this event says that it starts; the foreign key below makes the claim true.
  previous_seq bigint generated always as (nullif(seq - 1, 0)) stored,
  previous_balance_micros bigint generated always as (balance_micros - balance_delta_micros) stored,
  previous_held_micros bigint generated always as (held_micros - held_delta_micros) stored,
  previous_arrears_micros bigint generated always as (arrears_micros - arrears_delta_micros) stored,
  primary key (wallet_id, seq),
  constraint wallet_events_state_key
    unique (wallet_id, seq, balance_micros, held_micros, arrears_micros),
  constraint wallet_events_once unique (wallet_id, key),
  constraint wallet_events_follow_previous
    foreign key (wallet_id, previous_seq, previous_balance_micros, previous_held_micros,
                 previous_arrears_micros)
    references wallet_events (wallet_id, seq, balance_micros, held_micros, arrears_micros),
  constraint wallet_events_start_from_zero check (
    seq > 1 or (type = 'wallet_opened' and previous_balance_micros = 0
                and previous_held_micros = 0 and previous_arrears_micros = 0)
  ),
  constraint wallet_events_key_with_request check ((key is null) = (request_hash is null))
);

create table wallets (
  id uuid primary key,
  user_id text not null check (user_id ~ '^[[:graph:]]{1,128}$'),
  currency text not null references currencies (code),
  timezone text not null,
  mode text not null check (mode in ('live', 'deferred')),
  status text not null default 'open' check (status in ('open', 'frozen', 'closed')),
  balance_micros bigint not null,
  held_micros bigint not null,
  arrears_micros bigint not null,
  overdraft_limit_micros bigint not null,
  seq bigint not null,
  head_hash bytea not null check (octet_length(head_hash) = 32),
  opened_at timestamptz not null,
  updated_at timestamptz not null,
  unique (user_id, currency),
  constraint wallets_stand_on_head_event
    foreign key (id, seq, balance_micros, held_micros, arrears_micros)
    references wallet_events (wallet_id, seq, balance_micros, held_micros, arrears_micros)
) with (fillfactor = 50);

-- Edits and deletes are refused to everybody, the owner included.
create function refuse_ledger_change() returns trigger
language plpgsql as $$
begin
  raise exception '% of % is refused: the ledger is append-only', tg_op, tg_table_name
    using errcode = 'restrict_violation';
end $$;

create trigger wallet_events_append_only
  before update or delete or truncate on wallet_events
  for each statement execute function refuse_ledger_change();
create trigger wallets_never_deleted
  before delete or truncate on wallets
  for each statement execute function refuse_ledger_change();

-- The one clock of the ledger.
create function ledger_now() returns timestamptz
language sql volatile as $$ select clock_timestamp() $$;

-- An idempotency key of 128 bits out of what the caller named; see server/ledger/key.ts.
create function ledger_key(p_kind text, p_reference text) returns uuid
language sql immutable strict parallel safe as $$
  select encode(substring(sha256(convert_to(p_kind || E'\n' || p_reference, 'UTF8')) for 16), 'hex')::uuid
$$;

-- What the wallet's user can spend now.
create function available_micros(w wallets) returns bigint
language sql immutable parallel safe as $$
  select w.balance_micros - w.held_micros + w.overdraft_limit_micros
$$;

-- The canonical form that the chain hashes: seventeen lines, of which only the last, the detail,
-- can hold a line feed. An absent key or request is an empty line: concat_ws, the fastest way to
-- put lines together, would leave nulls out.
-- Instants are whole microseconds since 1970-01-01 UTC. server/ledger/hash.ts is its twin.
create function event_canonical(e wallet_events) returns text
language sql stable parallel safe as $$
  select concat_ws(
    E'\n', 'v1', e.wallet_id, e.seq, e.type,
    e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
    e.balance_micros, e.held_micros, e.arrears_micros, e.overdraft_limit_micros,
    coalesce(e.key::text, ''), coalesce(encode(e.request_hash, 'hex'), ''), e.actor,
    (extract(epoch from e.occurred_at) * 1000000)::bigint,
    (extract(epoch from e.recorded_at) * 1000000)::bigint,
    e.detail
  )
$$;

-- hash(n) = SHA-256(hash(n - 1) || canonical(n)); hash(0) is 32 zero bytes.
create function event_hash(p_previous bytea, e wallet_events) returns bytea
language sql stable parallel safe as $$
  select sha256(coalesce(p_previous, decode(repeat('00', 32), 'hex'))
                || convert_to(event_canonical(e), 'UTF8'))
$$;

-- Appends one event to a wallet whose row the caller has locked, projects it, and returns the
-- wallet as it stands then. Internal: the application's role cannot call it.
create function append_event(
  inout w wallets,
  p_type text,
  p_balance_delta_micros bigint,
  p_held_delta_micros bigint,
  p_arrears_delta_micros bigint,
  p_key uuid,
  p_request_hash bytea,
  p_actor text,
  p_occurred_at timestamptz,
  p_detail json
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
    updated_at = w.updated_at
  where id = w.id;
end $$;

-- The answer of every money operation. `code` is OK or a refusal's name; the event's columns are
-- those of the event written now or, when `replayed`, of the one that the key wrote before.
create type ledger_outcome as (
  code text,
  replayed boolean,
  seq bigint,
  amount_micros bigint,
  balance_micros bigint,
  held_micros bigint,
  arrears_micros bigint,
  available_micros bigint,
  recorded_at timestamptz,
  detail json
);

create function outcome_of(e wallet_events, p_replayed boolean) returns ledger_outcome
language plpgsql stable as $$
declare
  credited constant boolean := e.type in ('top_up', 'grant');
  settled wallet_events := e;
begin
  if credited then
    -- A credit that repaid arrears ended with the event right behind it.
    select * into settled from wallet_events
    where wallet_id = e.wallet_id and seq = e.seq + 1 and type = 'arrears_repaid';
    if not found then
      settled := e;
    end if;
  end if;
  return row(
    'OK', p_replayed, e.seq,
    -- What was asked for: for a debit what was taken, reserved and left in arrears.
    case when credited then e.balance_delta_micros
         else e.held_delta_micros + e.arrears_delta_micros - e.balance_delta_micros end,
    settled.balance_micros, settled.held_micros, settled.arrears_micros,
    settled.balance_micros - settled.held_micros + settled.overdraft_limit_micros,
    e.recorded_at, e.detail
  )::ledger_outcome;
end $$;

create function refusal_of(p_code text, w wallets, p_amount_micros bigint) returns ledger_outcome
language sql immutable as $$
  select row(
    p_code, false, w.seq, p_amount_micros, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, null
  )::ledger_outcome
$$;

-- The answer to a key that was used before, or null when it is new.
create function replay_of(p_wallet_id uuid, p_key uuid, p_request_hash bytea)
returns ledger_outcome
language plpgsql stable as $$
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
end $$;

-- Opens the wallet of a user in a currency, or returns the one that is open already.
create function open_wallet(
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

-- Repays arrears out of money that is neither held nor borrowed. Internal.
create function repay_arrears(inout w wallets, p_actor text, p_detail json)
language plpgsql as $$
declare
  repaid bigint := least(w.arrears_micros, w.balance_micros - w.held_micros);
begin
  if repaid > 0 then
    w := append_event(w, 'arrears_repaid', -repaid, 0, -repaid, null, null, p_actor, null, p_detail);
  end if;
end $$;

-- Adds money to a wallet whose row is locked, once per key, and repays arrears first. Internal.
create function credit_wallet(
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
  outcome ledger_outcome := replay_of(w.id, p_key, p_request_hash);
  e wallet_events;
begin
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
create function grant_credit(
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
create function charge_wallet(
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

-- The last event recorded before an instant, by binary search: recorded_at grows with seq, so this
-- reads some twenty rows however long the history is. 0 when there is none.
create function seq_before(p_wallet_id uuid, p_at timestamptz) returns bigint
language plpgsql stable parallel safe as $$
declare
  low bigint := 0;
  high bigint := coalesce((select seq from wallets where id = p_wallet_id), 0);
  middle bigint;
begin
  -- The last event itself is tried first: mostly nothing has happened since.
  middle := high;
  while low < high loop
    if (select recorded_at < p_at from wallet_events
        where wallet_id = p_wallet_id and seq = middle) then
      low := middle;
    else
      high := middle - 1;
    end if;
    middle := (low + high + 1) / 2;
  end loop;
  return low;
end $$;

-- The account on the other side of each event type.
create function contra_account(p_type text) returns text
language sql immutable strict parallel safe as $$
  select case p_type
    when 'top_up' then 'assets:processor_clearing'
    when 'grant' then 'expenses:promotions'
    when 'charge' then 'income:usage'
    when 'accrual' then 'income:usage'
    when 'accrual_settled' then 'income:usage'
    when 'arrears_repaid' then 'assets:receivable'
    when 'wallet_opened' then 'equity:opening'
  end
$$;

-- Double entry over the events. Credits are positive: what we owe wallets grows with a top-up,
-- and arrears are money owed to us. Reservations (held) move no money and make no entry.
create view journal as
select e.wallet_id, e.seq, e.recorded_at, e.type, w.currency, p.account, p.amount_micros
from wallet_events e
join wallets w on w.id = e.wallet_id
cross join lateral (values
  ('liabilities:wallets', e.balance_delta_micros),
  ('assets:receivable', -e.arrears_delta_micros),
  (contra_account(e.type), e.arrears_delta_micros - e.balance_delta_micros)
) as p (account, amount_micros)
where p.amount_micros <> 0;

create view trial_balance as
select currency, account, sum(amount_micros) as amount_micros
from journal group by currency, account;

-- The owner's original name for the events of a wallet.
create view wallet_transactions as
select wallet_id, seq, type, balance_delta_micros as amount_micros, balance_micros,
       occurred_at, recorded_at, detail
from wallet_events;

grant select on currencies, wallets, wallet_events, journal, trial_balance, wallet_transactions
  to wallet_app;
grant execute on function
  ledger_now(), ledger_key(text, text), available_micros(wallets), contra_account(text),
  seq_before(uuid, timestamptz), event_canonical(wallet_events), event_hash(bytea, wallet_events),
  open_wallet(uuid, text, text, text, text, text),
  grant_credit(uuid, uuid, bytea, bigint, text, json),
  charge_wallet(uuid, uuid, bytea, bigint, text, timestamptz, text, json)
  to wallet_app;
