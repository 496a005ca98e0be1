-- Refunds that are asked for here: of one top-up, or of unspent money over all that paid it.

-- One request may be carried out by several refunds, one for each top-up. Its name is its key.
alter table payment_refunds add column request_id uuid;
update payment_refunds set request_id = id where requested_by is not null;
alter table payment_refunds add constraint payment_refunds_request
  check ((request_id is null) = (requested_by is null));
create index payment_refunds_of_request on payment_refunds (wallet_id, request_id)
  where request_id is not null;

-- Whole steps of money that cards know.
create function in_card_units(p_micros bigint, p_currency text) returns bigint
language sql stable strict parallel safe as $$
  select p_micros - p_micros % card_unit_micros(p_currency)
$$;

-- What of a top-up can still go back to its card: what it credited and what is not back already or
-- taken by the bank, and nothing while the bank looks at it.
create function returnable_micros(t top_ups) returns bigint
language sql stable as $$
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
$$;

-- The wallet's own free money. Promotional credit is no part of it, and what is owed is paid first.
create function free_micros(w wallets) returns bigint
language sql stable as $$
  select in_card_units(
    greatest(0, w.balance_micros - w.held_micros - w.grants_micros - w.arrears_micros), w.currency)
$$;

create or replace function refundable_micros(w wallets, t top_ups) returns bigint
language sql stable as $$
  select least(returnable_micros(t), free_micros(w))
$$;

-- How much unspent money may go back to the cards that paid it, in a mode of Stripe's.
create function refundable_micros(w wallets, p_livemode boolean) returns bigint
language sql stable as $$
  select least(free_micros(w), coalesce((
    select sum(returnable_micros(t)) from top_ups t
    where t.wallet_id = w.id and t.status = 'succeeded' and t.livemode = p_livemode
  ), 0))::bigint
$$;

-- Takes the money of a refund of ours, once per key, before Stripe is asked for it: an amount, or
-- all that may go back (null), of one top-up or, with none named, of all, those credited last first:
-- what is spent is what was paid first. Each top-up's part is an event of its own; the last one has
-- the key, so that a replay finds the wallet as it was after all of them. The refusal says in
-- `amount_micros` how much may go back. Whoever calls has the refunds for a while to itself; then
-- the sweeper may ask Stripe too.
drop function reserve_payment_refund(uuid, uuid, bytea, uuid, bigint, text, text, jsonb);
create function reserve_payment_refund(
  p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_top_up_id uuid, p_amount_micros bigint,
  p_livemode boolean, p_while_frozen boolean, p_reason text, p_actor text, p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
end $$;

-- Takes reservations whose end nobody knows, so that no other process asks Stripe at the same time:
-- at first soon again, then ever more rarely, an hour apart at the most. Only those of one mode of
-- Stripe's: to a key of the other mode Stripe says that there is no such payment.
drop function claim_payment_refunds(int);
create function claim_payment_refunds(p_livemode boolean, p_limit int)
returns table (wallet_id uuid, id uuid)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update payment_refunds r set
    attempts = r.attempts + 1,
    next_attempt_at = clock_timestamp()
      + least(interval '1 hour', interval '2 minutes' * power(2, least(r.attempts, 6)))
  from (
    select d.wallet_id, d.id from payment_refunds d join top_ups t on t.id = d.top_up_id
    where d.status = 'reserved' and d.next_attempt_at <= clock_timestamp()
      and t.livemode = p_livemode
    order by d.next_attempt_at limit p_limit for update of d skip locked
  ) due
  where r.wallet_id = due.wallet_id and r.id = due.id
  returning r.wallet_id, r.id
$$;

-- Compares refunds and disputes of a range of wallets with their events. Only the owner may call it.
create or replace function verify_payments(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with told as (
    select e.wallet_id, e.seq, e.type, e.balance_delta_micros as delta,
      e.detail ->> 'paymentRefundId' as refund_id, e.detail ->> 'disputeId' as dispute_id,
      e.detail ->> 'outcome' as outcome, e.detail ->> 'refundRequestId' as request_id,
      e.detail ->> 'originalSeq' as original_seq
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type in (
      'payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn',
      'dispute_reinstated', 'dispute_closed')
  ), refunds as (
    select coalesce(r.wallet_id, t.wallet_id) as wallet_id, t.seq,
      coalesce(r.id::text, t.refund_id) as id, r.id is not null as is_kept,
      coalesce(r.debited_micros, 0) as kept, coalesce(t.debited, 0) as told,
      r.top_up_id, r.amount_micros, r.id = any (t.keys) as is_asked, r.requested_by,
      r.request_id::text = coalesce(t.request_id, r.id::text) as is_of_request, t.original_seq
    from (select * from payment_refunds where wallet_id between p_from and p_to) r
    full join (
      select t.wallet_id, t.refund_id, min(t.seq) as seq, -sum(t.delta) as debited,
        array_agg(e.key) as keys, max(t.request_id) as request_id,
        max(t.original_seq) as original_seq
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
      d.freezes, d.top_up_id, w.status
    from (select * from payment_disputes where wallet_id between p_from and p_to) d
    full join (
      select wallet_id, dispute_id, min(seq) as seq,
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
          or r.original_seq <> t.credited_seq::text
        then format('refund %s is not of what its top-up credited', r.id) end),
      ('PAYMENT_REFUND_UNASKED', case when r.requested_by is not null
          and (r.is_asked and r.is_of_request) is not true
        then format('refund %s was reserved by no event of its request', r.id) end)
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
      ('DISPUTE_OF_OTHER', case when t.wallet_id <> d.wallet_id or t.status <> 'succeeded'
        then format('dispute %s is not of what its top-up credited', d.id) end)
    ) as p (problem, message)
    where p.message is not null
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

grant execute on function
  card_unit_micros(text),
  in_card_units(bigint, text),
  returnable_micros(top_ups),
  free_micros(wallets),
  refundable_micros(wallets, boolean),
  reserve_payment_refund(uuid, uuid, bytea, uuid, bigint, boolean, boolean, text, text, jsonb),
  claim_payment_refunds(boolean, int)
  to wallet_app;
