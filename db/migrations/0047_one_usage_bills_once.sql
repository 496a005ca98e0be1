-- One usage bills once, whichever door it came by. A hold that names the type of its usage is placed
-- under the key of that usage, by which a charge of it finds the hold. A charge is the final word on
-- what was authorized: of usage that is billed already it is a replay, of other figures KEY_REUSED
-- that names the hold, and it bills after all what a voided hold did not.

-- The hold that was placed under a key, whatever has become of it.
create function hold_under(p_wallet_id uuid, p_key uuid) returns setof holds
language sql stable rows 1 as $$
  select h.* from wallet_events e
  join holds h on h.wallet_id = e.wallet_id and h.id = (e.detail ->> 'holdId')::uuid
  where e.wallet_id = p_wallet_id and e.key = p_key and e.type = 'hold_placed'
$$;

-- Under which key usage is charged after its hold was voided: the hold has that of the usage for ever.
create function key_after_void(h holds) returns uuid
language sql immutable as $$
  select ledger_key('usage_after_void', h.id::text)
$$;

-- What a charge is answered that comes under a hold's key. `known` is the answer of the hold's placing.
create function charge_of_hold(known ledger_outcome, h holds, w wallets, p_usage jsonb)
returns ledger_outcome
language plpgsql stable as $$
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
end $$;

create or replace function charge_wallet(
  p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_amount_micros bigint, p_overrun text,
  p_occurred_at timestamptz, p_actor text, p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
end $$;

-- `p_key` is the hold's own key: of one that does not say its type, and of all that were placed before
-- they had that of their usage.
create or replace function authorize_hold(
  p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_amount_micros bigint,
  p_reference_id text, p_rate_card_id uuid, p_usage_type text, p_destination text,
  p_ttl_seconds int, p_actor text, p_detail jsonb, p_pricing jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
end $$;

create or replace function refund_usage(
  p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_charge_key uuid, p_hold_key uuid,
  p_usage_type text, p_amount_micros bigint, p_actor text, p_detail jsonb
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

  select * into h from hold_under(w.id, p_charge_key);
  select e.seq, usage_micros(e), coalesce(e.detail::jsonb -> 'grants', '[]')
  into original, refundable, spent from wallet_events e
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

create or replace function rerate_usage(
  p_rerating_id uuid, p_wallet_id uuid, p_original_seq bigint, p_billed_micros bigint,
  p_price_micros bigint, p_breakdown jsonb, p_actor text, out code text, out posted_micros bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  r reratings;
  e wallet_events;
  h holds;
  standing record;
  request_hash constant bytea := sha256(convert_to(
    format('rerating %s %s %s', p_rerating_id, p_original_seq, p_price_micros), 'UTF8'));
  told jsonb;
  outcome ledger_outcome;
  source record;
  part bigint;
  left_micros bigint;
  of_original bigint := 0;
  posted_seqs bigint[] := '{}';
begin
  select * into strict r from reratings where id = p_rerating_id;
  perform from wallets where id = p_wallet_id for no key update;
  select u.posted_micros into posted_micros from rerated_usage u
  where u.wallet_id = p_wallet_id and u.original_seq = p_original_seq
    and u.rerating_id = p_rerating_id;
  if found then
    code := 'OK';
    return;
  end if;

  select * into strict e from wallet_events where wallet_id = p_wallet_id and seq = p_original_seq;
  standing := usage_standing(e);
  if standing.billed_micros is distinct from p_billed_micros then
    code := 'CHANGED';
    return;
  end if;
  posted_micros := rerating_due(p_price_micros, standing.billed_micros, standing.refunded_micros,
                                standing.corrected_micros);
  if posted_micros > 0 and not r.debits then
    posted_micros := 0;
  end if;
  code := 'OK';
  if posted_micros = 0 then
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

  if posted_micros > 0 then
    outcome := charge_wallet(
      p_wallet_id, ledger_key('rerating', format('%s %s', r.id, e.seq)), request_hash, posted_micros,
      'arrears', null, p_actor, (told || jsonb_build_object(
        'originalSeq', e.seq::text, 'usage', standing.usage, 'units', 0, 'breakdown', p_breakdown,
        'alreadyBilledMicros', (p_price_micros - posted_micros)::text))::json);
    posted_seqs := array[outcome.seq];
  else
    left_micros := -posted_micros;
    for source in
      select c.key, c.seq, usage_micros(c) - coalesce(f.refunded_micros, 0) as micros
      from rerated_usage u
      join wallet_events c on c.wallet_id = u.wallet_id and c.seq = any (u.event_seqs)
        and c.type in ('charge', 'accrual')
      left join usage_refunds f on f.wallet_id = c.wallet_id and f.original_seq = c.seq
      where u.wallet_id = e.wallet_id and u.original_seq = e.seq
      union all
      select case when h.id is null then e.key else (
          select placed.key from wallet_events placed
          where placed.wallet_id = h.wallet_id and placed.detail ->> 'holdId' = h.id::text
            and placed.key in (ledger_key('usage:' || h.usage_type, h.reference_id),
                               ledger_key('hold', h.reference_id))
        ) end, e.seq, left_micros
      order by seq desc
    loop
      part := least(left_micros, source.micros);
      continue when part = 0;
      outcome := refund_usage(
        p_wallet_id, ledger_key('rerating', format('%s %s %s', r.id, e.seq, source.seq)),
        request_hash, source.key, source.key, standing.usage ->> 'type', part, p_actor, told);
      exit when outcome.code <> 'OK';
      left_micros := left_micros - part;
      posted_seqs := posted_seqs || outcome.seq;
      if source.seq = e.seq then
        of_original := -part;
      end if;
    end loop;
  end if;
  if outcome.code <> 'OK' then
    if cardinality(posted_seqs) > 1 then
      raise exception 'a correction of event % was refused half way: %', e.seq, outcome.code;
    end if;
    code := outcome.code;
    posted_micros := 0;
    return;
  end if;
  insert into rerated_usage (wallet_id, original_seq, rerating_id, price_micros, posted_micros,
                             of_original_micros, event_seqs)
  values (e.wallet_id, e.seq, r.id, p_price_micros, posted_micros, of_original, posted_seqs);
end $$;

-- Usage is charged anew when its hold was voided, so the events must say that it was.
create or replace function verify_holds(
  p_from uuid, p_to uuid, p_limit integer, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
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
    from wallet_events e
    where e.wallet_id between p_from and p_to
      -- One pass over the events, wherever a wallet's lie. Reading a detail's text costs a fifth of
      -- taking it apart.
      and case when (e.wallet_id in (select wallet_id from holding))
                 and strpos(e.detail::text, '"holdId"') > 0
            then e.detail ->> 'holdId' end is not null
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
$$;
