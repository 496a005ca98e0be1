-- Promotional credit that expires. It lies in the balance beside paid money, and each grant of it is
-- followed: what spending burned of it, what came back, what ended unspent. Spending burns credit
-- before paid money, what expires soonest first.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (type in (
  'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
  'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired', 'usage_refund',
  'wallet_frozen', 'wallet_unfrozen', 'wallet_closed', 'grant_expired'
));

-- What is left of all grants. Who charges a wallet need not look for credit when this is zero.
alter table wallets add column grants_micros bigint not null default 0 check (grants_micros >= 0);

-- What the events of each grant have made of it.
create table grants (
  wallet_id uuid not null,
  -- The event that granted it.
  seq bigint not null,
  granted_micros bigint not null check (granted_micros > 0),
  left_micros bigint not null check (left_micros >= 0),
  -- What of it ended unspent. What is neither left nor expired was spent.
  expired_micros bigint not null default 0 check (expired_micros >= 0),
  -- From this instant on only holds that were placed before can spend it; null for never.
  expires_at timestamptz,
  -- Of grants older than this table: the wallet's last event when they were counted. Until then
  -- events do not say what they burned.
  counted_seq bigint,
  primary key (wallet_id, seq),
  constraint grants_stand_on_event foreign key (wallet_id, seq)
    references wallet_events (wallet_id, seq),
  constraint grants_never_grow check (left_micros + expired_micros <= granted_micros)
);
create index grants_left on grants (wallet_id, expires_at, seq) where left_micros > 0;

create trigger grants_never_deleted
  before delete or truncate on grants
  for each statement execute function refuse_ledger_change();

-- The credit that a hold's usage burned, in that order: [{seq, micros}].
alter table holds add column burned jsonb not null default '[]'
  check (jsonb_typeof(burned) = 'array');

-- As much as there is of [{seq, micros}], up to so many micros, in order or from the end; null when
-- that is nothing.
create function grant_parts(p_parts jsonb, p_micros numeric, p_from_end boolean) returns jsonb
language sql immutable parallel safe as $$
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
$$;

-- What spending burns of grants that stand in burning order. Credit that had expired when the
-- spending began is not for it; what a hold pays for began when it was placed.
create function burn_in_order(p_grants grants[], p_micros bigint, p_since timestamptz) returns jsonb
language sql immutable parallel safe as $$
  select grant_parts(
    jsonb_agg(jsonb_build_object('seq', g.seq::text, 'micros', g.left_micros) order by g.ordinality),
    p_micros, false)
  from unnest(p_grants) with ordinality as g
  where g.left_micros > 0 and (g.expires_at is null or g.expires_at > p_since)
$$;

-- A wallet's grants with something left, in burning order. Callers save the call when it has none.
create function left_grants(p_wallet_id uuid) returns grants[]
language sql stable parallel safe as $$
  select array(select g from grants g where g.wallet_id = p_wallet_id and g.left_micros > 0
               order by g.expires_at, g.seq)
$$;

-- What spending burns on a wallet now: an event's `grants`, null for nothing.
create function burn_of(w wallets, p_micros bigint, p_since timestamptz) returns jsonb
language plpgsql stable as $$
begin
  if w.grants_micros = 0 or p_micros = 0 then
    return null;
  end if;
  return burn_in_order(left_grants(w.id), p_micros, p_since);
end $$;

create function parts_total(p_parts jsonb) returns numeric
language sql immutable parallel safe as $$
  select coalesce(sum((p ->> 'micros')::numeric), 0) from jsonb_array_elements(p_parts) p
$$;

-- What comes back of the credit that usage burned when no more than this of it stays billed. Paid
-- money was spent last and comes back first; then what was burned last.
create function restored(p_burned jsonb, p_billed_micros bigint) returns jsonb
language sql immutable parallel safe as $$
  select grant_parts(p_burned, parts_total(p_burned) - p_billed_micros, true)
$$;

create function still_burned(p_burned jsonb, p_billed_micros bigint) returns jsonb
language sql immutable parallel safe as $$
  select coalesce(grant_parts(p_burned, p_billed_micros, false), '[]')
$$;

-- A detail, kept to the letter, with one more field behind it; without a value, as it is.
create function with_field(p_detail json, p_name text, p_value jsonb) returns json
language sql immutable parallel safe as $$
  select case
    when p_value is null then p_detail
    when p_detail::text ~ '^\s*\{\s*\}\s*$' then json_build_object(p_name, p_value)
    else (left(rtrim(p_detail::text, E' \t\r\n'), -1)
          || ',' || to_json(p_name) || ':' || p_value || '}')::json
  end
$$;

-- Appends one event to a wallet whose row the caller has locked, projects it, and returns the
-- wallet as it stands then. `p_grants` is what it burned of each grant, as the detail says too; a
-- refund of usage gives it back. Internal: the application's role cannot call it.
drop function append_event(
  wallets, text, bigint, bigint, bigint, uuid, bytea, text, timestamptz, json
);
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
end $$;

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

-- What time does to a wallet, one thing after the other: a hold runs out, or credit ends unspent.
create type due_step as (
  at timestamptz,
  -- The hold that runs out, and its bill, with what that burns.
  hold_id uuid,
  funded_micros bigint,
  owed_micros bigint,
  grants jsonb,
  -- Or the grant that expires: how much of it ends, and what of that is there to be taken.
  grant_seq bigint,
  ended_micros bigint,
  taken_micros bigint
);

-- What has become of a wallet by an instant, in the order of time; nothing is written. Of a hold and
-- a grant that end at one instant the hold comes first: it may spend the credit. Past its expiry,
-- credit is kept for the open holds that were placed before, as far as they reserve it, and for
-- nothing else. What of it is no longer there cannot be taken: a balance may have sunk below the
-- credit in it, never by its expiry.
create function plan_due(
  w wallets, p_at timestamptz, out wallet wallets, out unspent grants[], out steps due_step[]
)
language plpgsql stable as $$
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
  reserved numeric;
begin
  unspent := case when w.grants_micros > 0 then left_grants(w.id) else '{}' end;
  steps := '{}';
  loop
    step := null;
    left_so_far := 0;
    for i in 1 .. cardinality(unspent) loop
      exit when unspent[i].expires_at is null or unspent[i].expires_at > p_at;
      left_so_far := left_so_far + unspent[i].left_micros;
      select coalesce(sum(o.held_micros), 0) into reserved
      from unnest(open_holds[h_index:]) o where o.placed_at < unspent[i].expires_at;
      if left_so_far > reserved and unspent[i].left_micros > 0 then
        g_index := i;
        step.at := unspent[i].expires_at;
        step.grant_seq := unspent[i].seq;
        step.ended_micros := least(unspent[i].left_micros, left_so_far - reserved);
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
end $$;

-- Moves a wallet's due time forward to the soonest expiry of its credit, for callers that gave
-- credit, or took the hold that kept it. It may come too early: then nothing is due yet. Internal.
create function note_expiries(inout w wallets)
language plpgsql as $$
begin
  if w.grants_micros > 0 then
    w.next_due_at := least(w.next_due_at, (
      select min(expires_at) from grants where wallet_id = w.id and left_micros > 0));
    update wallets set next_due_at = w.next_due_at where id = w.id;
  end if;
end $$;

drop function end_hold(
  wallets, holds, text, bigint, bigint, uuid, bytea, text, timestamptz, jsonb
);
-- Ends a hold: releases all that it holds and posts its usage. In a deferred wallet the usage stays
-- reserved, as an accrual right behind the release, until its month is closed. `p_grants` is
-- what the usage burns. Internal.
create function end_hold(
  inout w wallets, h holds, p_type text, p_funded_micros bigint, p_owed_micros bigint, p_key uuid,
  p_request_hash bytea, p_actor text, p_occurred_at timestamptz, p_report jsonb,
  p_grants jsonb
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
        with_field((hold_link(h) || p_report)::json, 'grants', p_grants), p_grants
      );
    end if;
  else
    w := append_event(
      w, p_type, -p_funded_micros, -h.held_micros, p_owed_micros, p_key, p_request_hash, p_actor,
      p_occurred_at, with_field((hold_link(h) || p_report)::json, 'grants', p_grants), p_grants
    );
  end if;
end $$;

-- Settles, on a wallet whose row is locked, what has fallen due. Internal; callers save the call
-- with `if w.next_due_at <= ledger_now()`.
create or replace function settle_due(inout w wallets)
language plpgsql as $$
declare
  called_at constant timestamptz := ledger_now();
  step due_step;
  h holds;
begin
  foreach step in array (select p.steps from plan_due(w, called_at) p) loop
    if step.hold_id is not null then
      select * into h from holds where id = step.hold_id;
      w := end_hold(w, h, 'hold_expired', step.funded_micros, step.owed_micros, null, null,
                    'system:expiry', step.at, h.report, step.grants);
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
                          'endedMicros', step.ended_micros::text));
      update grants set
        left_micros = left_micros - step.ended_micros,
        expired_micros = expired_micros + step.ended_micros
      where wallet_id = w.id and seq = step.grant_seq;
    end if;
  end loop;
  -- Credit that a hold keeps past its expiry falls due when that hold ends.
  w.next_due_at := least(
    (select min(expires_at) from holds where wallet_id = w.id and status = 'open'),
    (select min(expires_at) from grants
     where wallet_id = w.id and left_micros > 0 and expires_at > called_at));
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $$;

-- The wallet as it will stand once what is due has been settled; nothing is written.
create or replace function wallet_now(w wallets) returns wallets
language plpgsql stable as $$
declare
  called_at constant timestamptz := ledger_now();
begin
  if w.next_due_at <= called_at then
    select (p.wallet).* into w from plan_due(w, called_at) p;
  end if;
  return w;
end $$;

-- A wallet's grants as they will stand once what is due has been settled; nothing is written.
create function grants_now(p_wallet_id uuid) returns setof grants
language plpgsql stable as $$
declare
  now_left grants[];
begin
  select p.unspent into now_left
  from wallets w cross join lateral plan_due(w, ledger_now()) p where w.id = p_wallet_id;
  return query
  select g.* from unnest(now_left) g
  union all
  select g.* from grants g where g.wallet_id = p_wallet_id and g.left_micros = 0;
end $$;

-- Repays arrears out of money that is neither held nor borrowed, nor credit that came back past its
-- expiry. Internal.
drop function repay_arrears(wallets, text, json);
create function repay_arrears(
  inout w wallets, p_actor text, p_detail json, p_at timestamptz, p_expired_micros bigint
)
language plpgsql as $$
declare
  repaid bigint := least(w.arrears_micros, w.balance_micros - w.held_micros - p_expired_micros);
  burned jsonb;
begin
  if repaid > 0 then
    burned := burn_of(w, repaid, p_at);
    w := append_event(w, 'arrears_repaid', -repaid, 0, -repaid, null, null, p_actor, null,
                      with_field(p_detail, 'grants', burned), burned);
  end if;
end $$;

-- Adds money to a wallet whose row is locked, once per key, and repays arrears first. `p_expires_at`
-- is a grant's, null for never. Internal.
drop function credit_wallet(wallets, text, uuid, bytea, bigint, text, timestamptz, json);
create function credit_wallet(
  w wallets,
  p_type text,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_actor text,
  p_occurred_at timestamptz,
  p_detail json,
  p_expires_at timestamptz default null
) returns ledger_outcome
language plpgsql as $$
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
end $$;

-- Promotional credit, once per key, until `p_expires_at`; null for ever.
drop function grant_credit(uuid, uuid, bytea, bigint, text, json);
create function grant_credit(
  p_wallet_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_amount_micros bigint,
  p_actor text,
  p_detail json,
  p_expires_at timestamptz default null
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
  called_at timestamptz;
  w wallets;
  outcome ledger_outcome;
  taken bigint;
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

-- Posts the difference by which usage is above what was billed before. Internal.
drop function post_difference(wallets, bigint, bigint, uuid, bytea, text, json);
create function post_difference(
  inout w wallets, p_funded_micros bigint, p_owed_micros bigint, p_key uuid, p_request_hash bytea,
  p_actor text, p_detail json, p_grants jsonb
)
language plpgsql as $$
begin
  if w.mode = 'deferred' then
    w := append_event(w, 'accrual', 0, p_funded_micros, p_owed_micros, p_key, p_request_hash,
                      p_actor, null, with_field(p_detail, 'grants', p_grants), p_grants);
  else
    w := append_event(w, 'charge', -p_funded_micros, 0, p_owed_micros, p_key, p_request_hash,
                      p_actor, null, with_field(p_detail, 'grants', p_grants), p_grants);
  end if;
end $$;

-- Credits usage that was billed too much, gives back the credit that it had burned (`p_grants`), and
-- repays arrears first. Internal.
drop function give_back(wallets, bigint, uuid, bytea, text, json);
create function give_back(
  inout w wallets, p_amount_micros bigint, p_key uuid, p_request_hash bytea, p_actor text,
  p_detail json, p_grants jsonb, p_at timestamptz
)
language plpgsql as $$
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
end $$;

-- The heartbeat of what is running: records the usage so far, `p_report` {usage, units, breakdown}
-- at `p_amount_micros` (null when no rate was found), reserves as much ahead of it as was asked
-- for, as far as the wallet has it, and puts the expiry off. Usage that is not above what was
-- recorded changes nothing, so heartbeats may come twice and in any order. What was delivered is
-- recorded whatever the answer, and covered before anything else is; after the hold ran out it is
-- billed.
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
      burn := burn_of(w, funded, h.placed_at);
      w := post_difference(w, funded, p_amount_micros - h.billed_micros - funded, null, null,
                           p_actor, correction_detail(h, p_report), burn);
      update holds set
        burned = burned || coalesce(burn, '[]'),
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

-- Releases a hold: nothing of it was delivered, so nothing is billed, also when a heartbeat said
-- otherwise; what was billed when it ran out and is not refunded yet is given back. Once captured
-- it stays captured.
create or replace function void_hold(
  p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_actor text
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  called_at timestamptz;
  w wallets;
  h holds;
  outcome ledger_outcome;
  first_seq bigint;
  refunded bigint := 0;
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
  if h.billed_micros > 0 then
    refunded := refunded_micros(h);
  end if;
  due_back := h.billed_micros - refunded;
  if due_back > 0 and w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, due_back);
  end if;

  first_seq := w.seq + 1;
  if due_back > 0 then
    voided_detail := correction_detail(h, null);
    parts := restored(h.burned, 0);
    w := give_back(w, due_back, p_key, p_request_hash, p_actor, voided_detail, parts, called_at);
  else
    voided_detail := hold_link(h)::json;
    w := append_event(w, 'hold_voided', 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, null,
                      voided_detail);
    w := note_expiries(w);
  end if;
  update holds set status = 'voided', held_micros = 0, billed_micros = refunded, burned = '[]'
  where id = h.id;
  return row(
    'OK', false, first_seq, h.held_micros + due_back, w.balance_micros, w.held_micros,
    w.arrears_micros, available_micros(w), w.updated_at, with_field(voided_detail, 'grants', parts)
  )::ledger_outcome;
end $$;

-- Gives usage back, once per key: an amount, or all that is left (null). The original is the charge
-- of one key or else the hold that the other key placed, for this type of usage. Together the
-- refunds of an original are never above what it billed, taken or owed; the refusal says in
-- `amount_micros` how much is left. A deferred wallet's reserved usage stays to be settled: the
-- refund is money of its own, so that available is as in a live wallet. A frozen wallet may receive.
create or replace function refund_usage(
  p_wallet_id uuid,
  p_key uuid,
  p_request_hash bytea,
  p_charge_key uuid,
  p_hold_key uuid,
  p_usage_type text,
  p_amount_micros bigint,
  p_actor text,
  p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  called_at timestamptz;
  w wallets;
  h holds;
  outcome ledger_outcome;
  original bigint;
  refundable bigint;
  amount bigint;
  first_seq bigint;
  refund_detail json;
  spent jsonb;
  parts jsonb;
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

  select e.seq, usage_micros(e), coalesce(e.detail::jsonb -> 'grants', '[]')
  into original, refundable, spent from wallet_events e
  where e.wallet_id = w.id and e.key = p_charge_key and e.type in ('charge', 'accrual');
  if not found then
    select * into h from holds where wallet_id = w.id and usage_type = p_usage_type and id = (
      select (e.detail ->> 'holdId')::uuid from wallet_events e
      where e.wallet_id = w.id and e.key = p_hold_key and e.type = 'hold_placed');
    original := ended_seq(h);
    refundable := h.billed_micros;
    spent := h.burned;
  end if;
  refundable := coalesce(refundable, 0) - coalesce((
    select refunded_micros from usage_refunds where wallet_id = w.id and original_seq = original), 0);
  amount := coalesce(p_amount_micros, refundable);
  if amount = 0 or amount > refundable then
    return refusal_of('NOT_REFUNDABLE', w, refundable);
  end if;
  if w.balance_micros > 2000000000000000000 then
    return refusal_of('LIMIT_EXCEEDED', w, amount);
  end if;

  first_seq := w.seq + 1;
  refund_detail := (p_detail || jsonb_build_object('originalSeq', original::text))::json;
  -- What came back before is no longer burned.
  spent := still_burned(spent, refundable);
  parts := restored(spent, refundable - amount);
  w := give_back(w, amount, p_key, p_request_hash, p_actor, refund_detail, parts, called_at);
  if h.id is not null then
    update holds set burned = still_burned(spent, refundable - amount)
    where id = h.id;
  end if;
  insert into usage_refunds as r (wallet_id, original_seq, refunded_micros)
  values (w.id, original, amount)
  on conflict (wallet_id, original_seq) do update set
    refunded_micros = r.refunded_micros + excluded.refunded_micros;
  return row(
    'OK', false, first_seq, amount, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, with_field(refund_detail, 'grants', parts)
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
    or w.grants_micros > 0
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
  end
$$;

-- The column of the statement that an event's change of the balance is summed in.
create or replace function statement_movement(p_type text) returns text
language sql immutable strict parallel safe as $$
  select case p_type
    when 'top_up' then 'top_ups'
    when 'grant' then 'grants'
    -- What was granted and ended unspent was never anything else.
    when 'grant_expired' then 'grants'
    when 'charge' then 'usage'
    when 'accrual_settled' then 'usage'
    when 'hold_captured' then 'usage'
    when 'hold_expired' then 'usage'
    when 'usage_refund' then 'refunds'
    else 'other'
  end
$$;

-- What was left of a wallet's grants after an event, where events do not say what they burned: all
-- of them were for ever, so the oldest was spent first, and what refunds of usage gave back was paid
-- money. The credit left is a walk of credit and spending that never goes below zero.
create function counted_grants(p_wallet_id uuid, p_to_seq bigint)
returns table (seq bigint, granted_micros bigint, left_micros bigint)
language sql stable as $$
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
$$;

-- What the events of a range say that its grants are. Internal.
create function grant_projections(p_from uuid, p_to uuid)
returns table (
  wallet_id uuid, seq bigint, granted_micros bigint, left_micros bigint, expired_micros bigint,
  expires_at timestamptz, counted_seq bigint
)
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
        'charge', 'accrual', 'hold_captured', 'hold_expired', 'arrears_repaid', 'usage_refund')
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

-- Compares the grants of a range of wallets with their events: what is left of each and in sum, what
-- the usage of each hold burned, and that the wallet knows when credit falls due. Only the owner may
-- call it.
create function verify_grants(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
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
      select e.wallet_id, coalesce(e.detail ->> 'holdId', o.detail ->> 'holdId') as hold_id,
        sum(case when e.type = 'usage_refund' then -p.micros else p.micros end) as total
      from wallet_events e
      left join wallet_events o on e.type = 'usage_refund' and o.wallet_id = e.wallet_id
        and o.seq = (e.detail ->> 'originalSeq')::bigint
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
$$;

-- Computes the wallets of a range, with their grants, anew from their events and, if asked to,
-- writes those that differ. A wallet whose events contradict each other or are gone is reported and left alone, and
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
end $$;

-- Credit that was granted before is counted now, and never expires.
insert into grants (wallet_id, seq, granted_micros, left_micros, counted_seq)
select w.id, c.seq, c.granted_micros, c.left_micros, w.seq
from wallets w
cross join lateral counted_grants(w.id, w.seq) c
where w.id in (select wallet_id from wallet_events where type = 'grant');
update wallets w set grants_micros = g.left_micros
from (select wallet_id, sum(left_micros) as left_micros from grants group by wallet_id) g
where g.wallet_id = w.id;

grant select on grants to wallet_app;
grant execute on function
  parts_total(jsonb), grant_parts(jsonb, numeric, boolean),
  burn_in_order(grants[], bigint, timestamptz), left_grants(uuid),
  plan_due(wallets, timestamptz), grants_now(uuid),
  grant_credit(uuid, uuid, bytea, bigint, text, json, timestamptz)
  to wallet_app;
