-- A refund of usage reaches what re-ratings charged for it, too, and a hold that bills less than when
-- it was re-rated does not keep that charge.

-- A row may also be there for what an original's re-ratings burned, before anything came back.
alter table usage_refunds
  drop constraint usage_refunds_refunded_micros_check,
  add check (refunded_micros >= 0),
  -- The part of it that gave back what re-ratings had charged, or that re-ratings gave back.
  add of_correction_micros bigint not null default 0,
  -- The promotional credit that a charge and its re-ratings still burn; null while that is what the
  -- charge says. A hold keeps its own.
  add burned jsonb;

-- Of refunds that re-ratings made, all was their own.
update usage_refunds u set of_correction_micros = (
  select coalesce(sum(e.balance_delta_micros), 0) from wallet_events e
  where e.wallet_id = u.wallet_id and e.type = 'usage_refund'
    and e.detail ->> 'originalSeq' = u.original_seq::text and e.detail -> 'rerating' is not null)
where u.wallet_id in (select wallet_id from rerated_usage);

-- The credit that re-ratings burned goes behind that of their original.
create function burned_by_charge(e wallet_events) returns jsonb
language sql stable as $$
  select still_burned(
    coalesce(e.detail::jsonb -> 'grants', '[]'),
    usage_micros(e) - coalesce((
      select r.refunded_micros from usage_refunds r
      where r.wallet_id = e.wallet_id and r.original_seq = e.seq), 0))
$$;

do $$
declare
  debit record;
begin
  for debit in
    select o.wallet_id, o.seq, o.type, o.detail ->> 'holdId' as hold_id, burned_by_charge(o) as burned,
      burned_by_charge(d) as burned_later
    from rerated_usage u
    join wallet_events o on o.wallet_id = u.wallet_id and o.seq = u.original_seq
    join wallet_events d on d.wallet_id = u.wallet_id and d.seq = any (u.event_seqs)
      and d.type in ('charge', 'accrual')
    where json_typeof(d.detail -> 'grants') = 'array' or json_typeof(o.detail -> 'grants') = 'array'
    order by d.wallet_id, d.seq
  loop
    if debit.type in ('charge', 'accrual') then
      insert into usage_refunds as r (wallet_id, original_seq, refunded_micros, burned)
      values (debit.wallet_id, debit.seq, 0, debit.burned || debit.burned_later)
      on conflict (wallet_id, original_seq) do update set
        burned = coalesce(r.burned, debit.burned) || debit.burned_later;
    else
      update holds set burned = burned || debit.burned_later where id = debit.hold_id::uuid;
    end if;
  end loop;
end $$;

-- What became of an original since it billed: what was refunded of its bill, what re-ratings charged
-- beyond what came back of that (negative for what they gave back), and the credit that it burns, where
-- that is kept.
create function original_standing(
  p_wallet_id uuid, p_seq bigint,
  out refunded_micros bigint, out corrected_micros bigint, out burned jsonb
)
language sql stable as $$
  select coalesce(u.refunded_micros - u.of_correction_micros, 0),
    c.micros - coalesce(u.of_correction_micros, 0), u.burned
  from (
    -- Long ago what re-ratings charged was given back as such, and not as their original's.
    select coalesce(sum(r.posted_micros - r.of_original_micros), 0)::bigint as micros
    from rerated_usage r where r.wallet_id = p_wallet_id and r.original_seq = p_seq
  ) c
  left join usage_refunds u on u.wallet_id = p_wallet_id and u.original_seq = p_seq
$$;

create or replace function usage_standing(
  e wallet_events, out priced_at timestamptz, out usage jsonb, out billed_micros bigint,
  out refunded_micros bigint, out corrected_micros bigint
)
language sql stable as $$
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
$$;

-- Gives back so much of an original, of which so much is paid and these grants are burned;
-- p_correction_micros is the part that re-ratings had charged. `h` is the hold that it ended, if any.
create function give_back_of(
  inout w wallets, h holds, p_original_seq bigint, p_paid_micros bigint, p_burned jsonb,
  p_amount_micros bigint, p_correction_micros bigint, p_key uuid, p_request_hash bytea,
  p_actor text, p_detail jsonb, p_at timestamptz
)
language plpgsql as $$
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
end $$;

-- The event that ended a hold, and what became of it since; of an open hold, nothing.
create function end_of(
  h holds, out seq bigint, out refunded_micros bigint, out corrected_micros bigint
)
language sql stable as $$
  select e.seq, s.refunded_micros, s.corrected_micros
  from ended_seq(h) as e (seq) cross join lateral original_standing(h.wallet_id, e.seq) s
$$;

-- What re-ratings charged for a hold beyond the share that stays when it bills so much: what of its
-- bill stays, of what was charged for it, rounded down.
create function overcharged_micros(
  h holds, p_billed_micros bigint, p_refunded_micros bigint, p_corrected_micros bigint
) returns bigint
language sql immutable parallel safe as $$
  select greatest(0, p_corrected_micros - coalesce(div(
    p_corrected_micros::numeric * (p_billed_micros - p_refunded_micros),
    nullif(h.billed_micros - p_refunded_micros, 0)), 0))::bigint
$$;

-- Gives so much of that back: before all else that ends the hold, so that the answer is of the wallet
-- after it.
create function give_overcharge_back(
  inout w wallets, h holds, p_original_seq bigint, p_paid_micros bigint, p_amount_micros bigint,
  p_actor text, p_at timestamptz
)
language plpgsql as $$
begin
  if p_amount_micros > 0 then
    w := give_back_of(
      w, h, p_original_seq, p_paid_micros, h.burned, p_amount_micros, p_amount_micros, null, null,
      p_actor, jsonb_build_object('type', h.usage_type, 'referenceId', h.reference_id,
        'correctionMicros', p_amount_micros::text), p_at);
  end if;
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
end $$;

create or replace function capture_hold(
  p_wallet_id uuid, p_hold_id uuid, p_key uuid, p_request_hash bytea, p_report jsonb,
  p_amount_micros bigint, p_overrun text, p_actor text
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
end $$;

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
end $$;

create or replace function rerate_usage(
  p_rerating_id uuid, p_wallet_id uuid, p_original_seq bigint, p_billed_micros bigint,
  p_price_micros bigint, p_breakdown jsonb, p_actor text, out code text, out posted_micros bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
    elsif burns <> '[]' then
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
end $$;

create or replace function verify_refunds(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
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
$$;

create or replace function verify_grants(
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
$$;

grant execute on function original_standing(uuid, bigint) to wallet_app;
drop function refunded_micros(holds);
drop function burned_by_charge(wallet_events);
