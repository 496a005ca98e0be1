-- What a wallet still owes when its month is closed is to be paid in time: a demand has dates, and
-- when the last one passes the wallet is suspended, which is to be frozen for its arrears. Each date
-- falls due like a hold's end: whoever touches the wallet next finds it, and a late sweeper changes
-- nothing. Paying all ends the demand, and the suspension, in the operation that pays.

alter table wallet_events drop constraint wallet_events_type_check;
alter table wallet_events add constraint wallet_events_type_check check (
  type = any (array[
    'wallet_opened', 'top_up', 'grant', 'charge', 'accrual', 'accrual_settled', 'arrears_repaid',
    'hold_placed', 'hold_extended', 'hold_captured', 'hold_voided', 'hold_expired',
    'usage_refund', 'wallet_frozen', 'wallet_unfrozen', 'wallet_closed', 'grant_expired',
    'payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn',
    'dispute_reinstated', 'dispute_closed', 'limits_changed', 'goodwill', 'subscription_added',
    'subscription_ended', 'fee', 'arrears_demanded'
  ])
);

-- How long an operator waits.
create table arrears_terms (
  only_row boolean primary key default true check (only_row),
  -- From the closing of the month to the suspension.
  grace interval not null default interval '7 days'
    check (grace between interval '0' and interval '365 days'),
  -- The reminder comes so long before the suspension.
  remind_before interval not null default interval '2 days' check (remind_before >= interval '0'),
  -- The first notice waits so long where an automatic top-up may pay first.
  notice_delay interval not null default interval '1 hour' check (notice_delay >= interval '0')
);
insert into arrears_terms default values;

-- Demands that are open.
create table wallet_arrears (
  wallet_id uuid primary key references wallets,
  -- The event that made it.
  demanded_seq bigint not null,
  -- When its user is to be told, and reminded; null when that is done or came to nothing.
  notify_at timestamptz,
  remind_at timestamptz,
  suspend_at timestamptz not null,
  -- It keeps the wallet frozen.
  suspends boolean not null default false,
  foreign key (wallet_id, demanded_seq) references wallet_events (wallet_id, seq)
);

-- Whether arrears that were not paid in time keep the wallet frozen.
create function is_suspended(w wallets) returns boolean
language sql stable as $$
  select w.status = 'frozen' and exists (
    select from wallet_arrears a where a.wallet_id = w.id and a.suspends)
$$;

-- Whether payments into the wallet can be begun: a suspended one waits for nothing else.
create function takes_payments(w wallets) returns boolean
language sql stable as $$
  select w.status = 'open' or is_suspended(w)
$$;

-- The next date of the wallet's demand. Internal.
create function arrears_due_at(w wallets) returns timestamptz
language sql stable as $$
  select least(a.notify_at, a.remind_at, case when w.status = 'open' then a.suspend_at end)
  from wallet_arrears a where a.wallet_id = w.id
$$;

-- Freezing sets a demand's dates aside; they are due again when the wallet opens.
create function note_arrears_dates() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  new.next_due_at := least(new.next_due_at, arrears_due_at(new));
  return new;
end $$;
create trigger wallets_open_to_arrears_dates
  before update of status on wallets
  for each row when (new.status = 'open' and old.status <> 'open')
  execute function note_arrears_dates();

-- Tells the wallet's user of its demand. Internal.
create function tell_of_arrears(w wallets, p_kind text, a wallet_arrears) returns void
language sql as $$
  select enqueue_notice(w.id, p_kind, a.demanded_seq::text, jsonb_build_object(
    'at', ledger_now(), 'arrearsMicros', w.arrears_micros::text, 'suspendAt', a.suspend_at))
$$;

-- Does what is due of the demand on a locked wallet: of several notices only the last. Internal.
create function settle_arrears(inout w wallets, p_at timestamptz)
language plpgsql as $$
declare
  a wallet_arrears;
begin
  select * into a from wallet_arrears where wallet_id = w.id;
  if a.suspend_at <= p_at then
    if w.status = 'open' then
      update wallet_arrears set suspends = true where wallet_id = w.id;
      w := append_event(
        w, 'wallet_frozen', 0, 0, 0, null, null, 'system:arrears', a.suspend_at,
        json_build_object('reason', 'What is owed was not paid in time'));
      w.status := 'frozen';
      update wallets set status = w.status where id = w.id;
      perform tell_of_arrears(w, 'wallet_suspended', a);
    end if;
    update wallet_arrears set notify_at = null, remind_at = null where wallet_id = w.id;
  elsif a.remind_at <= p_at then
    update wallet_arrears set notify_at = null, remind_at = null where wallet_id = w.id;
    perform tell_of_arrears(w, 'arrears_reminder', a);
  elsif a.notify_at <= p_at then
    update wallet_arrears set notify_at = null where wallet_id = w.id;
    perform tell_of_arrears(w, 'arrears_due', a);
  end if;
end $$;

-- Ends the demand of a locked wallet that owes nothing any more. Internal.
create function end_arrears(inout w wallets)
language plpgsql as $$
declare
  was_suspended constant boolean := is_suspended(w);
  a wallet_arrears;
begin
  delete from wallet_arrears where wallet_id = w.id returning * into a;
  if was_suspended and not exists (
    select from payment_disputes where wallet_id = w.id and freezes
  ) then
    w := append_event(
      w, 'wallet_unfrozen', 0, 0, 0, null, null, 'system:arrears', null,
      json_build_object('reason', 'What was owed is paid'));
    w.status := 'open';
    update wallets set status = w.status where id = w.id;
    perform tell_of_arrears(w, 'wallet_resumed', a);
  end if;
end $$;

-- Demands what a locked wallet owes as its month is closed. Internal.
create function demand_arrears(inout w wallets, p_period billing_period)
language plpgsql as $$
declare
  terms arrears_terms;
  suspend_at timestamptz;
begin
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  select * into terms from arrears_terms;
  suspend_at := date_trunc('milliseconds', ledger_now()) + terms.grace;
  w := append_event(
    w, 'arrears_demanded', 0, 0, 0, ledger_key('arrears', p_period),
    sha256(convert_to(w.id || E'\n' || p_period || E'\n' || w.arrears_micros, 'UTF8')),
    'system:month', null, json_build_object(
      'period', p_period, 'arrearsMicros', w.arrears_micros::text,
      'suspendAt', json_instant(suspend_at)));
  insert into wallet_arrears (wallet_id, demanded_seq, notify_at, remind_at, suspend_at)
  values (
    w.id, w.seq,
    ledger_now() + case when exists (
      select from auto_top_ups where wallet_id = w.id and status = 'on'
    ) then terms.notice_delay else interval '0' end,
    suspend_at - terms.remind_before, suspend_at);
  w.next_due_at := least(w.next_due_at, arrears_due_at(w));
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $$;

-- Wallets whose arrears are to be demanded when the period is closed. Internal.
create function undemanded_arrears(p_wallet_ids uuid[], p_period billing_period)
returns setof wallets
language sql stable as $$
  select w.* from wallets w
  where w.id = any (p_wallet_ids) and w.arrears_micros > 0
    and not exists (select from wallet_arrears a where a.wallet_id = w.id)
    and not exists (
      select from wallet_events e
      where e.wallet_id = w.id and e.key = ledger_key('arrears', p_period))
$$;

-- From here on: functions of earlier migrations, which learn of demands.

create or replace function contra_account(p_type text) returns text
language sql immutable parallel safe strict as $$
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
    when 'fee' then 'income:fees'
    when 'arrears_repaid' then 'assets:receivable'
    -- These move no money.
    when 'wallet_opened' then 'equity:opening'
    when 'wallet_frozen' then 'equity:opening'
    when 'wallet_unfrozen' then 'equity:opening'
    when 'wallet_closed' then 'equity:opening'
    when 'dispute_opened' then 'equity:opening'
    when 'dispute_closed' then 'equity:opening'
    when 'limits_changed' then 'equity:opening'
    when 'arrears_demanded' then 'equity:opening'
    when 'subscription_added' then 'equity:opening'
    when 'subscription_ended' then 'equity:opening'
  end
$$;

create or replace function repay_arrears(
  inout w wallets, p_actor text, p_detail json, p_at timestamptz, p_expired_micros bigint
) returns wallets
language plpgsql as $$
declare
  repaid bigint := least(w.arrears_micros, w.balance_micros - w.held_micros - p_expired_micros);
  burned jsonb;
begin
  if repaid > 0 then
    burned := burn_of(w, repaid, p_at);
    w := append_event(w, 'arrears_repaid', -repaid, 0, -repaid, null, null, p_actor, null,
                      with_field(p_detail, 'grants', burned), burned);
    if w.arrears_micros = 0 then
      w := end_arrears(w);
    end if;
  end if;
end $$;

create or replace function apply_dispute(
  p_dispute_id text, p_payment_intent_id text, p_currency text, p_amount_minor bigint, p_state
  text, p_status text, p_reason text, p_withdrawn_minor bigint, p_reinstated_minor bigint, p_actor
  text, p_occurred_at timestamptz, p_detail jsonb
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
    else w.status = 'open' or is_suspended(w) or w.status = 'frozen' and exists (
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
  if old.freezes and not d.freezes and w.status = 'frozen' and not is_suspended(w) and not exists (
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

create or replace function settle_due(inout w wallets) returns wallets
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
  if w.arrears_micros > 0 then
    w := settle_arrears(w, called_at);
  end if;
  -- Credit that a hold keeps past its expiry falls due when that hold ends.
  w.next_due_at := least(
    (select min(expires_at) from holds where wallet_id = w.id and status = 'open'),
    (select min(expires_at) from grants
     where wallet_id = w.id and left_micros > 0 and expires_at > called_at),
    case when w.arrears_micros > 0 then arrears_due_at(w) end);
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $$;

create or replace function change_wallet_status(
  p_wallet_id uuid, p_status text, p_actor text, p_detail json
) returns ledger_outcome
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  outcome ledger_outcome;
  open_holds bigint;
  open_subscriptions bigint;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    outcome.code := 'WALLET_NOT_FOUND';
    return outcome;
  end if;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  if w.status = p_status and not (p_status = 'frozen' and (is_suspended(w) or exists (
    select from payment_disputes where wallet_id = w.id and freezes
  ))) then
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
    select count(*) into open_subscriptions
    from subscriptions s where s.wallet_id = w.id and owes_fees(s);
    if (w.balance_micros, w.held_micros, w.arrears_micros) <> (0, 0, 0)
       or open_holds + open_subscriptions > 0 then
      outcome := refusal_of('WALLET_NOT_EMPTY', w, 0);
      outcome.detail := json_build_object(
        'openHolds', open_holds, 'openSubscriptions', open_subscriptions);
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
  -- Who unfreezes a suspended wallet lets it owe until the next month is closed.
  if p_status = 'open' then
    delete from wallet_arrears where wallet_id = w.id and suspends;
  else
    update wallet_arrears set suspends = false where wallet_id = w.id;
  end if;
  -- Who freezes or unfreezes by hand decides for every dispute there is.
  if p_status in ('open', 'frozen') then
    update payment_disputes set freezes = false where wallet_id = w.id and freezes;
  end if;
  return row(
    'OK', false, w.seq, 0, w.balance_micros, w.held_micros, w.arrears_micros,
    available_micros(w), w.updated_at, p_detail
  )::ledger_outcome;
end $$;

create or replace function close_fenced_wallets(
  p_wallet_ids uuid[], p_period billing_period, p_fenced_at timestamptz
) returns void
language plpgsql as $$
declare
  first_month billing_period;
  month billing_period;
begin
  select min(next_statement_period(w)) into first_month
  from wallets w where w.id = any (p_wallet_ids);
  month := first_month;
  while month <= p_period loop
    perform write_statements(p_wallet_ids, month, p_fenced_at);
    month := next_period(month);
  end loop;

  -- What deferred wallets reserved is debited, and the fees of the closed months, and what is owed
  -- then is demanded: last of all, so that no lock outlives it for long.
  perform from wallets
  where id in (
    select wallet_id from unsettled_statements(p_wallet_ids, first_month, p_period)
    union select wallet_id from unposted_fees(p_wallet_ids)
    union select id from undemanded_arrears(p_wallet_ids, p_period))
  order by id for no key update;
  if found then
    month := first_month;
    while month <= p_period loop
      perform append_event(
        w, 'accrual_settled', -s.accrued_micros, -s.accrued_micros, 0,
        ledger_key('settlement', month),
        sha256(convert_to(w.id || E'\n' || month || E'\n' || s.accrued_micros, 'UTF8')),
        'system:month', null, json_build_object('period', month, 'statement', s.number)
      )
      from unsettled_statements(p_wallet_ids, month, month) s
      join wallets w on w.id = s.wallet_id;
      month := next_period(month);
    end loop;
    perform post_fees(w) from wallets w
    where w.id in (select wallet_id from unposted_fees(p_wallet_ids));
    perform demand_arrears(w, p_period) from undemanded_arrears(p_wallet_ids, p_period) w;
  end if;
end $$;

-- What is owed is part of what a top-up is to make up for, and is there although nothing below
-- zero is available.
create or replace function auto_top_up_need(
  w wallets, a auto_top_ups, out below_micros bigint, out needed_micros bigint
) returns record
language sql stable as $$
  select a.threshold_micros - expected,
    case a.mode
      when 'restore' then a.amount_micros - expected
      else a.amount_micros * greatest(1, ceil(
        (a.threshold_micros - expected)::numeric / a.amount_micros))::bigint
    end
  from (
    select available_micros(w) - w.arrears_micros + coalesce((
      select sum(t.amount_micros) from top_ups t
      where t.wallet_id = w.id and t.status = 'processing'
        and t.updated_at > ledger_now() - interval '72 hours'
    ), 0)::bigint as expected
  ) e
$$;

create or replace function wallets_to_top_up(p_livemode boolean, p_limit int) returns setof uuid
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select a.wallet_id from auto_top_ups a join wallets w on w.id = a.wallet_id
  where a.status = 'on' and a.livemode = p_livemode
    and (a.next_try_at is null or a.next_try_at <= ledger_now())
    and w.balance_micros - w.held_micros + w.overdraft_limit_micros - w.arrears_micros
      < a.threshold_micros
    and not exists (select from auto_top_up_attempts t
                    where t.wallet_id = a.wallet_id
                      and t.state in ('charging', 'awaiting_user', 'canceling'))
    and (auto_top_up_need(w, a)).below_micros > 0
  order by random() limit p_limit
$$;

-- A suspended wallet is topped up as an open one.
create or replace function reserve_auto_top_up(
  p_wallet_id uuid, p_top_up_id uuid, out code text, out amount_micros bigint
) returns record
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  lease constant interval := interval '90 seconds';
  w wallets;
  a auto_top_ups;
  card saved_cards;
  need record;
  burst record;
  this_period billing_period;
  month record;
begin
  select * into w from wallets where id = p_wallet_id;
  select * into a from auto_top_ups where wallet_id = p_wallet_id;
  if a.wallet_id is null or a.status <> 'on' then
    code := 'OFF';
    return;
  end if;
  if (auto_top_up_need(w, a)).below_micros <= 0 then
    code := 'NOT_BELOW';
    return;
  end if;
  -- Read before the lock: what has been recorded does not change, and charges need not wait.
  select * into burst from usage_burst(w.id, a.trusted_seq, a.amount_micros);

  select * into w from wallets where id = p_wallet_id for no key update;
  if w.next_due_at <= ledger_now() then
    w := settle_due(w);
  end if;
  select * into a from auto_top_ups where wallet_id = w.id for update;
  this_period := period_of(ledger_now(), w.timezone);
  need := auto_top_up_need(w, a);
  code := case
    when a.status <> 'on' then 'OFF'
    when not takes_payments(w) then 'WALLET_' || upper(w.status)
    when exists (select from auto_top_up_attempts t where t.wallet_id = w.id
                 and t.state in ('charging', 'awaiting_user', 'canceling')) then 'IN_FLIGHT'
    when a.next_try_at > ledger_now() then 'NOT_YET'
    when need.below_micros <= 0 then 'NOT_BELOW'
  end;
  if code is not null then
    return;
  end if;
  card := next_auto_top_up_card(w.user_id, a.livemode, null);
  if card.payment_method_id is null then
    code := 'NO_CARD';
    perform pause_auto_top_up(w.id, case when exists (
      select from saved_cards c where c.user_id = w.user_id and c.livemode = a.livemode
    ) then 'cards_refused' else 'no_card' end, 'system:auto-top-up', '{}');
    return;
  end if;
  if burst.prefix is not null then
    code := 'VELOCITY';
    perform pause_auto_top_up(w.id, 'velocity', 'system:auto-top-up', jsonb_build_object(
      'prefix', '+' || burst.prefix, 'charges', burst.charges,
      'amountMicros', burst.amount_micros::text));
    return;
  end if;

  month := auto_top_up_month(w.id);
  amount_micros := least(
    ceil(need.needed_micros::numeric / a.charge_step_micros)::bigint * a.charge_step_micros,
    a.max_charge_micros);
  amount_micros := greatest(amount_micros, a.min_charge_micros);
  amount_micros := least(
    amount_micros, (a.monthly_cap_micros - month.used_micros) / a.charge_step_micros * a.charge_step_micros);
  if amount_micros < a.min_charge_micros then
    code := 'CAP_REACHED';
    amount_micros := null;
    update auto_top_ups set reason = 'cap_reached', reason_detail = '{}', changed_at = ledger_now(),
      next_try_at = month.ends_at
    where wallet_id = w.id;
    perform log_auto_top_up(w.id, 'system:auto-top-up', 'waiting',
      jsonb_build_object('reason', 'cap_reached', 'period', this_period));
    return;
  end if;

  insert into top_ups (
    id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode, kind
  )
  select p_top_up_id, w.id, 'auto-' || p_top_up_id, w.currency, reserve_auto_top_up.amount_micros,
    reserve_auto_top_up.amount_micros / (10 ^ (6 - c.exponent))::bigint, a.livemode, 'auto'
  from currencies c where c.code = w.currency;
  insert into auto_top_up_attempts (
    top_up_id, wallet_id, period, amount_micros, resume_at, created_at, updated_at
  ) values (
    p_top_up_id, w.id, this_period, reserve_auto_top_up.amount_micros, ledger_now() + lease,
    ledger_now(), ledger_now()
  );
  insert into auto_top_up_tries (top_up_id, try, payment_method_id, brand, last4, asked_at)
  values (p_top_up_id, 1, card.payment_method_id, card.brand, card.last4, ledger_now());
  code := 'RESERVED';
end $$;

create or replace function refuse_auto_top_up(
  p_top_up_id uuid, p_try int, p_class text, p_code text, p_message text, p_has_payment boolean
) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  backoffs constant interval[] := array['1 hour', '6 hours', '24 hours']::interval[];
  t auto_top_up_attempts;
  w wallets;
  a auto_top_ups;
  card saved_cards;
  end_state constant text := case when p_has_payment then 'canceling' else 'failed' end;
begin
  select w2.* into w from wallets w2
  where w2.id = (select wallet_id from auto_top_up_attempts where top_up_id = p_top_up_id)
  for no key update;
  -- The top-up before its attempt, as when its status changes.
  perform from top_ups where id = p_top_up_id for update;
  select * into t from auto_top_up_attempts where top_up_id = p_top_up_id for update;
  select * into a from auto_top_ups where wallet_id = w.id for update;
  if t.state <> 'charging' or t.try <> p_try then
    return t.state;
  end if;
  update auto_top_up_tries set failure_code = p_code, failure_class = p_class
  where top_up_id = t.top_up_id and try = t.try;
  update top_ups set failure_code = p_code, failure_message = p_message,
    updated_at = clock_timestamp()
  where id = t.top_up_id;
  if p_class = 'never' then
    insert into refused_cards (payment_method_id, code, refused_at)
    select payment_method_id, p_code, ledger_now() from auto_top_up_tries
    where top_up_id = t.top_up_id and try = t.try
    on conflict do nothing;
  end if;

  if a.status = 'on' and takes_payments(w) then
    if p_class = 'authentication' and p_has_payment then
      update auto_top_up_attempts set state = 'awaiting_user', unknowns = 0, recovery_no = 1,
        recovery_expires_at = ledger_now() + interval '72 hours', recovery_used_at = null,
        resume_at = ledger_now() + interval '7 days', updated_at = ledger_now()
      where top_up_id = t.top_up_id;
      update top_ups set status = 'requires_action' where id = t.top_up_id;
      perform pause_auto_top_up(w.id, 'authentication_required', 'system:auto-top-up',
        jsonb_build_object('topUpId', t.top_up_id));
      return 'awaiting_user';
    end if;
    card := next_auto_top_up_card(w.user_id, a.livemode, t.top_up_id);
    if p_class <> 'api' and card.payment_method_id is not null then
      insert into auto_top_up_tries (top_up_id, try, payment_method_id, brand, last4, asked_at)
      values (t.top_up_id, t.try + 1, card.payment_method_id, card.brand, card.last4, ledger_now());
      update auto_top_up_attempts set try = t.try + 1, unknowns = 0, updated_at = ledger_now(),
        resume_at = ledger_now() + interval '90 seconds'
      where top_up_id = t.top_up_id;
      return 'charging';
    end if;
  end if;

  update auto_top_up_attempts set state = end_state, unknowns = 0, updated_at = ledger_now(),
    resume_at = ledger_now() + interval '90 seconds'
  where top_up_id = t.top_up_id;
  if not p_has_payment then
    update top_ups set status = 'failed', updated_at = clock_timestamp() where id = t.top_up_id;
  end if;
  perform log_auto_top_up(w.id, 'system:auto-top-up', 'charge_failed',
    jsonb_build_object('topUpId', t.top_up_id, 'code', p_code));
  if a.status = 'on' then
    update auto_top_ups set failures = a.failures + 1, reason = 'declined',
      reason_detail = jsonb_build_object('topUpId', t.top_up_id, 'code', p_code),
      next_try_at = ledger_now() + backoffs[a.failures + 1], changed_at = ledger_now()
    where wallet_id = w.id;
    if (next_auto_top_up_card(w.user_id, a.livemode, null)).payment_method_id is null then
      perform pause_auto_top_up(w.id, 'cards_refused', 'system:auto-top-up',
        jsonb_build_object('topUpId', t.top_up_id, 'code', p_code));
    elsif a.failures >= cardinality(backoffs) then
      perform pause_auto_top_up(w.id, 'declined', 'system:auto-top-up',
        jsonb_build_object('topUpId', t.top_up_id, 'code', p_code));
    end if;
  end if;
  return end_state;
end $$;

create or replace function resume_auto_top_up(p_wallet_id uuid, p_actor text, p_by_support boolean)
returns text language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  a auto_top_ups;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  select * into a from auto_top_ups where wallet_id = p_wallet_id for update;
  if a.wallet_id is null or a.status = 'off' and not (p_by_support and needs_support(a.reason)) then
    return 'OFF';
  end if;
  if not takes_payments(w) then
    return 'WALLET_' || upper(w.status);
  end if;
  if needs_support(a.reason) and not p_by_support then
    return 'NEEDS_SUPPORT';
  end if;
  if a.status = 'paused'
     and (next_auto_top_up_card(w.user_id, a.livemode, null)).payment_method_id is null then
    return 'NO_CARD';
  end if;
  update auto_top_ups set
    status = case when a.status = 'off' then 'off' else 'on' end,
    reason = case when a.status = 'off' then 'user' end, reason_detail = '{}',
    failures = 0, next_try_at = null, trusted_seq = w.seq, changed_at = ledger_now()
  where wallet_id = w.id;
  perform log_auto_top_up(w.id, p_actor, 'resumed', '{}');
  perform give_up_awaited_payment(w.id);
  return 'OK';
end $$;

create or replace function set_auto_top_up(
  p_wallet_id uuid, p_livemode boolean, p_threshold_micros bigint, p_mode text, p_amount_micros
  bigint, p_monthly_cap_micros bigint, p_min_charge_micros bigint, p_max_charge_micros bigint,
  p_charge_step_micros bigint, p_consent_version text, p_actor text
) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  a auto_top_ups;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  if not found then
    return 'WALLET_NOT_FOUND';
  end if;
  select * into a from auto_top_ups where wallet_id = w.id;
  if not takes_payments(w) then
    return 'WALLET_' || upper(w.status);
  end if;
  if needs_support(a.reason) then
    return 'NEEDS_SUPPORT';
  end if;
  if (next_auto_top_up_card(w.user_id, p_livemode, null)).payment_method_id is null then
    return 'NO_CARD';
  end if;
  insert into auto_top_ups (
    wallet_id, livemode, status, threshold_micros, mode, amount_micros, monthly_cap_micros,
    min_charge_micros, max_charge_micros, charge_step_micros, trusted_seq, changed_at
  ) values (
    w.id, p_livemode, 'on', p_threshold_micros, p_mode, p_amount_micros, p_monthly_cap_micros,
    p_min_charge_micros, p_max_charge_micros, p_charge_step_micros, w.seq, ledger_now()
  )
  on conflict (wallet_id) do update set
    livemode = excluded.livemode, status = 'on', reason = null, reason_detail = '{}',
    threshold_micros = excluded.threshold_micros, mode = excluded.mode,
    amount_micros = excluded.amount_micros, monthly_cap_micros = excluded.monthly_cap_micros,
    min_charge_micros = excluded.min_charge_micros, max_charge_micros = excluded.max_charge_micros,
    charge_step_micros = excluded.charge_step_micros, failures = 0, next_try_at = null,
    trusted_seq = excluded.trusted_seq, changed_at = excluded.changed_at;
  perform log_auto_top_up(w.id, p_actor, 'turned_on', jsonb_build_object(
    'consentVersion', p_consent_version, 'currency', w.currency, 'livemode', p_livemode,
    'thresholdMicros', p_threshold_micros::text, 'mode', p_mode,
    'amountMicros', p_amount_micros::text, 'monthlyCapMicros', p_monthly_cap_micros::text));
  perform give_up_awaited_payment(w.id);
  return 'OK';
end $$;

create or replace function start_top_up(
  p_id uuid, p_wallet_id uuid, p_attempt_key text, p_amount_micros bigint, p_amount_minor bigint,
  p_livemode boolean, out code text, out top_up top_ups
) returns record
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
  if not takes_payments(w) then
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

create or replace function stop_auto_top_up_with_wallet() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if is_suspended(new) then
    return null;
  end if;
  perform pause_auto_top_up(new.id, 'wallet_' || new.status, 'system:auto-top-up', '{}');
  return null;
end $$;

-- Compares open demands with their events and wallets.
create function verify_arrears(
  p_from uuid, p_to uuid, p_limit integer, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with problems as (
    select a.wallet_id, a.demanded_seq as seq, p.problem, p.message
    from wallet_arrears a
    join wallets w on w.id = a.wallet_id
    left join wallet_events e on e.wallet_id = a.wallet_id and e.seq = a.demanded_seq
    cross join lateral (values
      ('ARREARS_DEMAND', case
        when e.type is distinct from 'arrears_demanded'
          or (e.detail ->> 'suspendAt')::timestamptz <> a.suspend_at
        then 'what is owed was not demanded by its event as it is kept' end),
      ('ARREARS_PAID', case when w.arrears_micros = 0
        then 'what is owed is demanded, and nothing is owed' end),
      ('ARREARS_FREEZE', case when a.suspends and w.status <> 'frozen'
        then format('the wallet is suspended and stands as %s', w.status) end)
    ) as p (problem, message)
    where a.wallet_id between p_from and p_to and p.message is not null
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

grant select on arrears_terms, wallet_arrears to wallet_app;
grant execute on function is_suspended(wallets) to wallet_app;
