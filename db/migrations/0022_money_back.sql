-- Money that goes back: refunds of payments to their cards, and disputes of the cardholders' banks.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (type in (
  'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
  'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired', 'usage_refund',
  'wallet_frozen', 'wallet_unfrozen', 'wallet_closed', 'grant_expired', 'payment_refund',
  'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn', 'dispute_reinstated',
  'dispute_closed', 'limits_changed'
));

-- Refunds of payments: ours, which are reserved before Stripe knows of them, and those made there.
create table payment_refunds (
  wallet_id uuid not null references wallets (id),
  -- Of ours the key of the reservation; of one made at Stripe the key of Stripe's id.
  id uuid not null,
  top_up_id uuid not null references top_ups (id),
  stripe_refund_id text unique,
  amount_micros bigint not null check (amount_micros > 0),
  -- What of it is debited now: all, or after a failure nothing.
  debited_micros bigint not null,
  -- reserved: Stripe has not answered yet. Stripe's other words for a refund are its own.
  status text not null check (status in (
    'reserved', 'pending', 'requires_action', 'succeeded', 'failed', 'canceled'
  )),
  failure_code text,
  reason text,
  -- Who asked for ours; null for one made at Stripe.
  requested_by text,
  attempts int not null default 0,
  -- While it is reserved: nobody else asks Stripe before this.
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (wallet_id, id),
  constraint payment_refunds_debit check (
    debited_micros = case when status in ('failed', 'canceled') then 0 else amount_micros end
  ),
  constraint payment_refunds_known_to_stripe check (
    stripe_refund_id is not null or status in ('reserved', 'failed')
  )
);
create index payment_refunds_of_top_up on payment_refunds (top_up_id);
create index payment_refunds_reserved on payment_refunds (next_attempt_at)
  where status = 'reserved';
create trigger payment_refunds_never_deleted
  before delete or truncate on payment_refunds
  for each statement execute function refuse_ledger_change();

-- Disputes of payments, and inquiries, which move nothing.
create table payment_disputes (
  wallet_id uuid not null references wallets (id),
  dispute_id text not null unique,
  top_up_id uuid not null references top_ups (id),
  amount_micros bigint not null check (amount_micros > 0),
  state text not null check (state in ('inquiry', 'inquiry_closed', 'open', 'lost', 'won')),
  -- Stripe's own words for it, and why the bank disputes.
  status text not null,
  reason text,
  -- All that was ever taken for it, and given back; neither goes down.
  withdrawn_micros bigint not null default 0,
  reinstated_micros bigint not null default 0 check (reinstated_micros >= 0),
  -- It keeps the wallet frozen.
  freezes boolean not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (wallet_id, dispute_id),
  check (reinstated_micros <= withdrawn_micros)
);
create index payment_disputes_of_top_up on payment_disputes (top_up_id);
create trigger payment_disputes_never_deleted
  before delete or truncate on payment_disputes
  for each statement execute function refuse_ledger_change();

-- What card networks hold to be fraud. A warning moves nothing and freezes nothing.
create table payment_fraud_warnings (
  wallet_id uuid not null references wallets (id),
  warning_id text not null unique,
  top_up_id uuid not null references top_ups (id),
  fraud_type text not null,
  -- A refund would still keep a dispute away. Once it would not, it never will.
  actionable boolean not null,
  created_at timestamptz not null,
  primary key (wallet_id, warning_id)
);

-- How far a dispute has come; it never goes back.
create function dispute_rank(p_state text) returns int
language sql immutable strict parallel safe as $$
  select array_position(array['inquiry', 'inquiry_closed', 'open', 'lost', 'won'], p_state)
$$;

-- How far a refund has come; it never goes back.
create function refund_rank(p_status text) returns int
language sql immutable strict parallel safe as $$
  select case p_status
    when 'reserved' then 0 when 'pending' then 1 when 'requires_action' then 1
    when 'succeeded' then 2 else 3 end
$$;

-- An amount in minor units of a currency; null for a currency that there is not.
create function micros_of_minor(p_amount_minor bigint, p_currency text) returns bigint
language sql stable strict parallel safe as $$
  select p_amount_minor * (10 ^ (6 - exponent))::bigint from currencies where code = p_currency
$$;

-- The smallest step of money that cards know in a currency: Stripe takes currencies of three decimals
-- in steps of ten.
create function card_unit_micros(p_currency text) returns bigint
language sql stable strict parallel safe as $$
  select (10 ^ (6 - least(exponent, 2)))::bigint from currencies where code = p_currency
$$;

-- The wallet, locked and settled, that a payment has credited, and the top-up of it; nulls when it
-- has credited none. Internal.
create function lock_payment(p_payment_intent_id text, out w wallets, out t top_ups)
language plpgsql as $$
begin
  -- The wallet is locked before its top-up is read, as everywhere.
  select w2.* into w from wallets w2
  where w2.id = (select wallet_id from top_ups where payment_intent_id = p_payment_intent_id)
  for no key update;
  select * into t from top_ups where payment_intent_id = p_payment_intent_id;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
end $$;

-- How much of a payment may go back to its card: what it credited and what is not back already or
-- taken by the bank, never more than the wallet's own free money, of which promotional credit is no
-- part, and nothing while the bank looks at it. In whole steps of money that cards know.
create function refundable_micros(w wallets, t top_ups) returns bigint
language sql stable as $$
  select case
    when t.status <> 'succeeded' or exists (
      select from payment_disputes where top_up_id = t.id and state = 'open') then 0
    else div(greatest(0, least(
      t.amount_micros
        - coalesce((select sum(debited_micros) from payment_refunds where top_up_id = t.id), 0)
        - coalesce((select sum(withdrawn_micros - reinstated_micros) from payment_disputes
                    where top_up_id = t.id), 0),
      w.balance_micros - w.held_micros - w.grants_micros
    )), u.unit)::bigint * u.unit
  end
  from (select card_unit_micros(w.currency) as unit) u
$$;

-- Takes the money of a refund of ours, once per key, before Stripe is asked for it: an amount, or
-- all that may go back (null). The refusal says in `amount_micros` how much that is. Whoever calls
-- has the refund for a while to itself; then the sweeper may ask Stripe too.
create function reserve_payment_refund(
  p_wallet_id uuid, p_key uuid, p_request_hash bytea, p_top_up_id uuid, p_amount_micros bigint,
  p_reason text, p_actor text, p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  t top_ups;
  outcome ledger_outcome;
  refundable bigint;
  amount bigint;
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
  select * into t from top_ups where id = p_top_up_id and wallet_id = w.id;
  refundable := coalesce(refundable_micros(w, t), 0);
  amount := coalesce(p_amount_micros, refundable);
  if amount = 0 or amount > refundable then
    return refusal_of('NOT_REFUNDABLE', w, refundable);
  end if;

  refund_detail := (p_detail || jsonb_build_object('paymentRefundId', p_key))::json;
  w := append_event(w, 'payment_refund', -amount, 0, 0, p_key, p_request_hash, p_actor, null,
                    refund_detail);
  insert into payment_refunds (
    wallet_id, id, top_up_id, amount_micros, debited_micros, status, reason, requested_by,
    next_attempt_at
  ) values (
    w.id, p_key, t.id, amount, amount, 'reserved', p_reason, p_actor,
    clock_timestamp() + interval '2 minutes'
  );
  return row(
    'OK', false, w.seq, amount, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, refund_detail
  )::ledger_outcome;
end $$;

-- Credits a refund again that did not reach the card. Internal.
create function return_refund(
  inout w wallets, r payment_refunds, p_actor text, p_detail jsonb
)
language plpgsql as $$
begin
  w := append_event(
    w, 'payment_refund_failed', r.debited_micros, 0, 0, null, null, p_actor, null,
    (p_detail || jsonb_build_object('paymentRefundId', r.id))::json);
  w := repay_arrears(w, p_actor, json_build_object('bySeq', w.seq), ledger_now(), 0);
end $$;

-- Brings the ledger to what Stripe says of a refund: its amount debited, even below zero, or, when
-- it failed or was canceled, nothing. A failure is final, so what is heard late changes nothing.
-- `p_own_id` is the reservation that it was made for; one that does not fit is a refund beside it.
create function apply_payment_refund(
  p_stripe_refund_id text, p_own_id uuid, p_payment_intent_id text, p_currency text,
  p_amount_minor bigint, p_status text, p_failure_code text, p_reason text, p_actor text,
  p_occurred_at timestamptz, p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
end $$;

-- Gives the money of a reservation back: Stripe refused the refund. Nothing when Stripe has it.
create function release_payment_refund(
  p_wallet_id uuid, p_id uuid, p_failure_code text, p_actor text, p_detail jsonb
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
end $$;

-- Takes reservations whose end nobody knows, so that no other process asks Stripe at the same time:
-- at first soon again, then ever more rarely, an hour apart at the most.
create function claim_payment_refunds(p_limit int)
returns table (wallet_id uuid, id uuid, attempt int)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update payment_refunds r set
    attempts = r.attempts + 1,
    next_attempt_at = clock_timestamp()
      + least(interval '1 hour', interval '2 minutes' * power(2, least(r.attempts, 6)))
  from (
    select d.wallet_id, d.id from payment_refunds d
    where d.status = 'reserved' and d.next_attempt_at <= clock_timestamp()
    order by d.next_attempt_at limit p_limit for update skip locked
  ) due
  where r.wallet_id = due.wallet_id and r.id = due.id
  returning r.wallet_id, r.id, r.attempts
$$;

-- Brings the ledger to what a dispute is now. It freezes the wallet when it opens, and its end
-- unfreezes the wallet when the money stays here and no other dispute and no person keeps it frozen.
-- What was taken and given back only grows and a state is never left for an earlier one, so what is
-- heard late changes nothing.
create function apply_dispute(
  p_dispute_id text, p_payment_intent_id text, p_currency text, p_amount_minor bigint, p_state text,
  p_status text, p_reason text, p_withdrawn_minor bigint, p_reinstated_minor bigint, p_actor text,
  p_occurred_at timestamptz, p_detail jsonb
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
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
    else w.status = 'open' or w.status = 'frozen' and exists (
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
  if old.freezes and not d.freezes and w.status = 'frozen' and not exists (
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
end $$;

-- Remembers a warning of a card network; false when the payment credited nothing.
create function record_fraud_warning(
  p_warning_id text, p_payment_intent_id text, p_fraud_type text, p_actionable boolean,
  p_created_at timestamptz
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into payment_fraud_warnings as f (
    wallet_id, warning_id, top_up_id, fraud_type, actionable, created_at
  )
  select wallet_id, p_warning_id, id, p_fraud_type, p_actionable, p_created_at
  from top_ups where payment_intent_id = p_payment_intent_id and status = 'succeeded'
  on conflict (warning_id) do update set actionable = f.actionable and excluded.actionable;
  return found;
end $$;

-- Compares refunds and disputes of a range of wallets with their events. Only the owner may call it.
create function verify_payments(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with told as (
    select e.wallet_id, e.seq, e.type, e.balance_delta_micros as delta,
      e.detail ->> 'paymentRefundId' as refund_id, e.detail ->> 'disputeId' as dispute_id,
      e.detail ->> 'outcome' as outcome
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type in (
      'payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn',
      'dispute_reinstated', 'dispute_closed')
  ), refunds as (
    select coalesce(r.wallet_id, t.wallet_id) as wallet_id, t.seq,
      coalesce(r.id::text, t.refund_id) as id, r.id is not null as is_kept,
      coalesce(r.debited_micros, 0) as kept, coalesce(t.debited, 0) as told,
      r.top_up_id, r.amount_micros, r.id = any (t.keys) as is_asked, r.requested_by
    from (select * from payment_refunds where wallet_id between p_from and p_to) r
    full join (
      select t.wallet_id, t.refund_id, min(t.seq) as seq, -sum(t.delta) as debited,
        array_agg(e.key) as keys
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
        then format('refund %s is not of what its top-up credited', r.id) end),
      ('PAYMENT_REFUND_UNASKED', case when r.requested_by is not null and r.is_asked is not true
        then format('refund %s was reserved by no event', r.id) end)
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

-- Events that were kept for this day. From now on, not from their receipt, they are given the time
-- after which an event that cannot be applied waits for a person.
alter table stripe_inbox add column waiting_since timestamptz not null default now();
update stripe_inbox set waiting_since = received_at where status not in ('unhandled', 'ignored');
update stripe_inbox set
  status = 'waiting', outcome = null, finished_at = null, next_dispatch_at = now()
where status = 'unhandled'
  or status = 'ignored' and type = 'radar.early_fraud_warning.created';

-- From here on: functions of earlier migrations, which learn of refunds and disputes.

-- Freezes, closes or, with `open`, unfreezes a wallet. It needs no key: a wallet that has the status
-- already stays as it is and is answered as a replay, but one that a dispute froze can be frozen by
-- hand, so that no end of the dispute unfreezes it. Only an empty wallet is closed, and a closed one
-- stays closed.
create or replace function change_wallet_status(
  p_wallet_id uuid, p_status text, p_actor text, p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  open_holds bigint;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  if w.status = p_status and not (p_status = 'frozen' and exists (
    select from payment_disputes where wallet_id = w.id and freezes
  )) then
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
    if (w.balance_micros, w.held_micros, w.arrears_micros) <> (0, 0, 0) or open_holds > 0 then
      outcome := refusal_of('WALLET_NOT_EMPTY', w, 0);
      outcome.detail := json_build_object('openHolds', open_holds);
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
  -- Who freezes or unfreezes by hand decides for every dispute there is.
  if p_status in ('open', 'frozen') then
    update payment_disputes set freezes = false where wallet_id = w.id and freezes;
  end if;
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, p_detail
  )::ledger_outcome;
end $$;

-- Puts an event back in line, whatever became of it. Applying it again changes nothing that was done.
create or replace function replay_stripe_event(p_event_id text) returns boolean
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with again as (
    update stripe_inbox set
      status = 'waiting', outcome = null, finished_at = null, waiting_since = clock_timestamp(),
      next_dispatch_at = clock_timestamp() + interval '10 seconds'
    where event_id = p_event_id
    returning event_id
  )
  select exists (select from again)
$$;

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
    when 'payment_refund' then 'refunds'
    when 'payment_refund_failed' then 'refunds'
    when 'dispute_withdrawn' then 'refunds'
    when 'dispute_reinstated' then 'refunds'
    else 'other'
  end
$$;

grant select on payment_refunds, payment_disputes, payment_fraud_warnings to wallet_app;
grant execute on function
  refundable_micros(wallets, top_ups),
  reserve_payment_refund(uuid, uuid, bytea, uuid, bigint, text, text, jsonb),
  apply_payment_refund(text, uuid, text, text, bigint, text, text, text, text, timestamptz, jsonb),
  release_payment_refund(uuid, uuid, text, text, jsonb),
  claim_payment_refunds(int),
  apply_dispute(text, text, text, bigint, text, text, text, bigint, bigint, text, timestamptz, jsonb),
  record_fraud_warning(text, text, text, boolean, timestamptz)
  to wallet_app;
