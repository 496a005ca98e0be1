-- Refunds of usage: what was billed for a charge or a hold is given back, all of it or in parts.

-- What was refunded of each original: of the event that charged, or of the one that ended a hold.
create table usage_refunds (
  wallet_id uuid not null,
  original_seq bigint not null,
  refunded_micros bigint not null check (refunded_micros > 0),
  primary key (wallet_id, original_seq),
  constraint usage_refunds_of_event foreign key (wallet_id, original_seq)
    references wallet_events (wallet_id, seq)
);
create trigger usage_refunds_never_deleted
  before delete or truncate on usage_refunds
  for each statement execute function refuse_ledger_change();

-- The events that billed a hold and have no key to be found by, and the one that ended it. A plain
-- charge has a key, so it is never in here, and its detail is not read.
create index wallet_events_of_holds on wallet_events (wallet_id, (detail ->> 'holdId'))
  where type in ('hold_captured', 'hold_expired') or key is null and type in ('charge', 'accrual');

-- What is refunded of an expired hold stays billed when it is voided later.
alter table holds drop constraint holds_bill_at_the_end;
alter table holds add constraint holds_bill_at_the_end
  check (status <> 'open' or billed_micros = 0);

-- The event that ended a hold: its original, whatever was corrected later. Internal.
create function ended_seq(h holds) returns bigint
language sql stable as $$
  select seq from wallet_events
  where wallet_id = h.wallet_id and detail ->> 'holdId' = h.id::text
    and type in ('hold_captured', 'hold_expired')
$$;

-- What was refunded of a hold. Internal.
create function refunded_micros(h holds) returns bigint
language sql stable as $$
  select coalesce((
    select r.refunded_micros from usage_refunds r
    where r.wallet_id = h.wallet_id and r.original_seq = ended_seq(h)
  ), 0)
$$;

-- Gives usage back, once per key: an amount, or all that is left (null). The original is the charge
-- of one key or else the hold that the other key placed, for this type of usage. Together the
-- refunds of an original are never above what it billed, taken or owed; the refusal says in
-- `amount_micros` how much is left. A deferred wallet's reserved usage stays to be settled: the
-- refund is money of its own, so that available is as in a live wallet. A frozen wallet may receive.
create function refund_usage(
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
  w wallets;
  h holds;
  outcome ledger_outcome;
  original bigint;
  refundable bigint;
  amount bigint;
  first_seq bigint;
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
  outcome := replay_of(w.id, p_key, p_request_hash);
  if outcome.code is not null then
    return outcome;
  end if;
  if w.status = 'closed' then
    return refusal_of('WALLET_CLOSED', w, p_amount_micros);
  end if;

  select e.seq, usage_micros(e) into original, refundable from wallet_events e
  where e.wallet_id = w.id and e.key = p_charge_key and e.type in ('charge', 'accrual');
  if not found then
    select * into h from holds where wallet_id = w.id and usage_type = p_usage_type and id = (
      select (e.detail ->> 'holdId')::uuid from wallet_events e
      where e.wallet_id = w.id and e.key = p_hold_key and e.type = 'hold_placed');
    original := ended_seq(h);
    refundable := h.billed_micros;
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
  w := give_back(w, amount, p_key, p_request_hash, p_actor, refund_detail);
  insert into usage_refunds as r (wallet_id, original_seq, refunded_micros)
  values (w.id, original, amount)
  on conflict (wallet_id, original_seq) do update set
    refunded_micros = r.refunded_micros + excluded.refunded_micros;
  return row(
    'OK', false, first_seq, amount, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, refund_detail
  )::ledger_outcome;
end $$;

-- Compares what is kept of the refunds of a range of wallets with their events, and with what was
-- billed. Only the owner may call it.
create function verify_refunds(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with told as (
    select e.wallet_id, sum(e.balance_delta_micros) as refunded_micros,
      case when e.detail ->> 'originalSeq' ~ '^[0-9]{1,18}$'
        then (e.detail ->> 'originalSeq')::bigint end as original_seq
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type = 'usage_refund'
      and e.detail ->> 'originalSeq' is not null
    group by 1, 3
  ), compared as (
    select coalesce(k.wallet_id, t.wallet_id) as wallet_id,
      coalesce(k.original_seq, t.original_seq) as original_seq,
      k.refunded_micros as kept_micros, t.refunded_micros as told_micros
    from (select * from usage_refunds where wallet_id between p_from and p_to) k
    full join told t on t.wallet_id = k.wallet_id and t.original_seq = k.original_seq
  ), problems as (
    select c.wallet_id, e.seq, p.problem, p.message
    from compared c
    left join wallet_events e on e.wallet_id = c.wallet_id and e.seq = c.original_seq
    left join holds h on e.type in ('hold_captured', 'hold_expired')
      and h.wallet_id = c.wallet_id and h.id = case
        when e.detail ->> 'holdId' ~ '^[0-9a-f-]{36}$' then (e.detail ->> 'holdId')::uuid end
    cross join lateral (values
      ('REFUND_SUM', case when c.kept_micros is distinct from c.told_micros
        then format('of event %s %s is kept as refunded; the refunds add up to %s',
          c.original_seq, coalesce(c.kept_micros::text, 'nothing'),
          coalesce(c.told_micros::text, 'nothing')) end),
      ('REFUND_ABOVE_ORIGINAL', case
        when c.told_micros > coalesce(h.billed_micros, usage_micros(e), 0)
        then format('event %s billed %s; its refunds add up to %s', c.original_seq,
          coalesce(h.billed_micros, usage_micros(e), 0), c.told_micros) end)
    ) as p (problem, message)
    where p.message is not null
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

-- From here on: functions of earlier migrations, which learn of refunds.

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
  w wallets;
  h holds;
  outcome ledger_outcome;
  final_report jsonb := p_report;
  final_micros bigint := p_amount_micros;
  billed bigint;
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
  -- Nothing was billed while the hold is open, nothing is held after it ran out. What was refunded
  -- since is not given back once more.
  billed := final_micros;
  if h.status = 'expired' then
    billed := greatest(billed, refunded_micros(h));
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
    amount_so_far_micros = final_micros, billed_micros = billed
  where id = h.id;
  return row(
    'OK', false, first_seq, abs(due), w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, posted_detail
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
  w wallets;
  h holds;
  outcome ledger_outcome;
  first_seq bigint;
  refunded bigint := 0;
  due_back bigint;
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
    w := give_back(w, due_back, p_key, p_request_hash, p_actor, voided_detail);
  else
    voided_detail := hold_link(h)::json;
    w := append_event(w, 'hold_voided', 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, null,
                      voided_detail);
  end if;
  update holds set status = 'voided', held_micros = 0, billed_micros = refunded where id = h.id;
  return row(
    'OK', false, first_seq, h.held_micros + due_back, w.balance_micros, w.held_micros,
    w.arrears_micros, available_micros(w), w.updated_at, voided_detail
  )::ledger_outcome;
end $$;

grant select on usage_refunds to wallet_app;
grant execute on function
  refund_usage(uuid, uuid, bytea, uuid, uuid, text, bigint, text, jsonb)
  to wallet_app;
