-- Usage that nobody pays: a destination that must always connect is reached whatever the wallet's
-- standing, and what it costs is booked as goodwill. And holds keep all that their prices depend on.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (type in (
  'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
  'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired', 'usage_refund',
  'wallet_frozen', 'wallet_unfrozen', 'wallet_closed', 'grant_expired', 'payment_refund',
  'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn', 'dispute_reinstated',
  'dispute_closed', 'limits_changed', 'goodwill'));
alter table wallet_events add constraint wallet_events_goodwill_moves_nothing check (
  type <> 'goodwill'
  or balance_delta_micros = 0 and held_delta_micros = 0 and arrears_delta_micros = 0);

drop index wallet_events_of_holds;
create index wallet_events_of_holds on wallet_events (wallet_id, (detail ->> 'holdId'))
  where type in ('hold_captured', 'hold_expired')
     or key is null and type in ('charge', 'accrual', 'goodwill');

-- What the prices of a hold depend on beside its rate card; null in holds of before, whose prices
-- depend on nothing else.
alter table holds add column pricing jsonb check (jsonb_typeof(pricing) = 'object');

-- What an event books as goodwill; a correction the difference.
create function goodwill_micros(e wallet_events) returns bigint
language sql immutable parallel safe as $$
  select case when e.type = 'goodwill' then
    coalesce((e.detail #>> '{breakdown,goodwillMicros}')::bigint, 0)
      - coalesce((e.detail ->> 'alreadyGoodwillMicros')::bigint, 0)
    else 0 end
$$;
grant execute on function goodwill_micros(wallet_events) to wallet_app;

-- The account on the other side of each event type.
create or replace function contra_account(p_type text) returns text
language sql immutable strict parallel safe as $$
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
    when 'arrears_repaid' then 'assets:receivable'
    -- These move no money.
    when 'wallet_opened' then 'equity:opening'
    when 'wallet_frozen' then 'equity:opening'
    when 'wallet_unfrozen' then 'equity:opening'
    when 'wallet_closed' then 'equity:opening'
    when 'dispute_opened' then 'equity:opening'
    when 'dispute_closed' then 'equity:opening'
    when 'limits_changed' then 'equity:opening'
  end
$$;

-- The double-entry view of the ledger. What is booked as goodwill was earned and given away.
create or replace view journal as
select e.wallet_id, e.seq, e.recorded_at, e.type, w.currency, p.account, p.amount_micros
from wallet_events e
join wallets w on w.id = e.wallet_id
cross join lateral (values
  ('liabilities:wallets', e.balance_delta_micros),
  ('assets:receivable', -e.arrears_delta_micros),
  (contra_account(e.type), e.arrears_delta_micros - e.balance_delta_micros - goodwill_micros(e)),
  ('income:usage', goodwill_micros(e))
) as p (account, amount_micros)
where p.amount_micros <> 0;

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
  if p_amount_micros = 0 and p_detail #> '{breakdown,goodwillMicros}' is not null then
    w := append_event(w, 'goodwill', 0, 0, 0, p_key, p_request_hash, p_actor, p_occurred_at,
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

drop function charge_many(
  uuid[], boolean[], uuid[], bytea[], bigint[], text[], timestamptz[], text[], json[]);
create function charge_many(
  p_wallet_ids uuid[],
  p_alone boolean[],
  p_keys uuid[],
  p_request_hashes bytea[],
  p_amounts_micros bigint[],
  p_overruns text[],
  p_occurred_at timestamptz[],
  p_actors text[],
  p_details json[], p_apart bigint[] default null
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
      bool_and(coalesce(c.amount between 0 and 1000000000000000000, false)) as priced,
      bool_or(c.ord = any (p_apart)) as apart
    from unnest(p_wallet_ids, p_amounts_micros) with ordinality c(wallet_id, amount, ord)
    where known_ords is null or c.ord <> all (known_ords)
    group by c.wallet_id
  ) c
  left join wallets w on w.id = c.wallet_id
  where w.id is null or not c.priced or c.apart or w.status <> 'open' or w.mode <> 'live' or w.next_due_at <= now_at
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
grant execute on function charge_many(
  uuid[], boolean[], uuid[], bytea[], bigint[], text[], timestamptz[], text[], json[], bigint[]
) to wallet_app;

-- Ends a hold: releases all that it holds and posts its usage. In a deferred wallet the usage stays
-- reserved, as an accrual right behind the release, until its month is closed; goodwill stands there
-- too. `p_grants` is what the usage burns. Internal.
create or replace function end_hold(
  inout w wallets, h holds, p_type text, p_funded_micros bigint, p_owed_micros bigint, p_key uuid,
  p_request_hash bytea, p_actor text, p_occurred_at timestamptz, p_report jsonb,
  p_grants jsonb
)
language plpgsql as $$
declare
  is_goodwill constant boolean := p_funded_micros = 0 and p_owed_micros = 0
    and p_report #> '{breakdown,goodwillMicros}' is not null;
begin
  if p_report is null or w.mode = 'deferred' or is_goodwill then
    w := append_event(
      w, p_type, 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, p_occurred_at,
      hold_link(h)::json
    );
    if p_report is not null then
      w := append_event(
        w, case when is_goodwill then 'goodwill' else 'accrual' end, 0, p_funded_micros, p_owed_micros, null, null, p_actor, p_occurred_at,
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

create or replace function post_difference(
  inout w wallets, p_funded_micros bigint, p_owed_micros bigint, p_key uuid, p_request_hash bytea,
  p_actor text, p_detail json, p_grants jsonb
)
language plpgsql as $$
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
end $$;

-- The detail of an event that corrects what a hold billed when it ran out. Its units are the
-- difference too, so that units of several events add up.
create or replace function correction_detail(h holds, p_report jsonb) returns json
language sql immutable parallel safe as $$
  select (hold_link(h) || coalesce(p_report, '{}') || jsonb_build_object(
    'units', coalesce((p_report ->> 'units')::bigint, 0) - h.units_so_far,
    'alreadyBilledMicros', h.billed_micros::text
  ) || jsonb_strip_nulls(jsonb_build_object(
    'alreadyGoodwillMicros', h.report #> '{breakdown,goodwillMicros}'
  )))::json
$$;

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
drop function authorize_hold(
  uuid, uuid, uuid, bytea, bigint, text, uuid, text, text, int, text, jsonb);
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
  p_detail jsonb,
  p_pricing jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  ends_at timestamptz;
  placed_detail json;
  tightest limit_standing;
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
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status <> 'open' and not is_goodwill then
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
    'pricing', p_pricing, 'expiresAt', json_instant(ends_at))
    -- How far the limits let it come: a replay says the same.
    || jsonb_strip_nulls(jsonb_build_object('headroomMicros', tightest.left_micros::text)))::json;
  w := append_event(
    w, 'hold_placed', 0, p_amount_micros, 0, p_key, p_request_hash, p_actor, null, placed_detail
  );
  insert into holds (
    id, wallet_id, reference_id, status, rate_card_id, pricing, usage_type, destination, placed_micros,
    ahead_micros, held_micros, ttl_seconds, placed_at, expires_at
  ) values (
    p_hold_id, w.id, p_reference_id, 'open', p_rate_card_id, p_pricing, p_usage_type, p_destination,
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
grant execute on function authorize_hold(
  uuid, uuid, uuid, bytea, bigint, text, uuid, text, text, int, text, jsonb, jsonb
) to wallet_app;

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
end $$;

create or replace function verify_holds(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
  returns record
  language sql
  stable
  set jit to 'off'
as $$
  with kept as (
    select h.*, w.next_due_at
    from holds h left join wallets w on w.id = h.wallet_id
    where h.wallet_id between p_from and p_to
  ), holding as materialized (
    -- Of all other wallets no detail is read.
    select wallet_id from kept
    union
    select wallet_id from wallet_events
    where wallet_id between p_from and p_to and type = 'hold_placed'
  ), told as (
    select e.wallet_id, e.detail ->> 'holdId' as hold_id, max(e.seq) as seq,
      sum(e.held_delta_micros) filter (where e.type <> 'accrual') as held_micros,
      sum(usage_micros(e)) as billed_micros,
      bool_or(e.type in ('hold_captured', 'hold_expired', 'hold_voided')) as ended,
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
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.wallet_id in (select wallet_id from holding)
      -- Reading a detail's text costs a fifth of taking it apart.
      and case when strpos(e.detail::text, '"holdId"') > 0 then e.detail ->> 'holdId' end is not null
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
          (k.status <> 'open', k.reference_id, k.rate_card_id::text, k.placed_at, k.ahead_micros,
           json_instant(k.expires_at))
          <> (t.ended, t.reference_id, t.rate_card_id, t.placed_at, t.ahead_micros, t.expires_at)
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
