-- Automatic top-ups: below a threshold of what is available, a saved card is charged without its
-- holder, within a monthly cap. A charge is reserved here before Stripe is asked, and stays reserved
-- until Stripe's truth about it is known.

alter table top_ups
  add column kind text not null default 'manual' check (kind in ('manual', 'auto'));

-- One row for each wallet that ever had it: what its user agreed to, and how it stands.
create table auto_top_ups (
  wallet_id uuid primary key references wallets (id),
  livemode boolean not null,
  status text not null check (status in ('on', 'paused', 'off')),
  -- Why it is paused or off; while it is on, why it waits.
  reason text check (reason in (
    'user', 'cap_reached', 'declined', 'cards_refused', 'no_card', 'authentication_required',
    'velocity', 'wallet_frozen', 'wallet_closed', 'dispute', 'fraud_warning', 'under_review'
  )),
  reason_detail jsonb not null default '{}',
  threshold_micros bigint not null check (threshold_micros between 0 and 1000000000000000000),
  -- restore: up to amount_micros available; add: amount_micros, or as many times that as it takes.
  mode text not null check (mode in ('restore', 'add')),
  amount_micros bigint not null check (amount_micros between 1 and 1000000000000000000),
  monthly_cap_micros bigint not null check (monthly_cap_micros between 1 and 1000000000000000000),
  -- What Stripe takes in one charge of the currency.
  min_charge_micros bigint not null check (min_charge_micros > 0),
  max_charge_micros bigint not null check (max_charge_micros >= min_charge_micros),
  charge_step_micros bigint not null check (charge_step_micros > 0),
  -- Charges in a row that no card paid.
  failures int not null default 0 check (failures >= 0),
  next_try_at timestamptz,
  -- Usage up to this event was vouched for by whoever turned it on, so it counts as no burst.
  trusted_seq bigint not null default 0,
  changed_at timestamptz not null,
  constraint auto_top_ups_restore_above_threshold
    check (mode <> 'restore' or amount_micros > threshold_micros),
  constraint auto_top_ups_rest_has_a_reason check (status = 'on' or reason is not null)
);
create index auto_top_ups_watched on auto_top_ups (wallet_id)
  include (threshold_micros, next_try_at) where status = 'on';

-- What happened to it, by whom and when. `turned_on` is the recorded consent: the version of the
-- text that was agreed to, and the terms.
create table auto_top_up_log (
  id bigint generated always as identity primary key,
  wallet_id uuid not null references auto_top_ups (wallet_id),
  at timestamptz not null,
  actor text not null check (length(actor) between 3 and 220),
  event text not null check (event in (
    'turned_on', 'turned_off', 'resumed', 'paused', 'waiting', 'charge_failed', 'charged'
  )),
  detail jsonb not null
);
create index auto_top_up_log_of_wallet on auto_top_up_log (wallet_id, id desc);
create trigger auto_top_up_log_append_only
  before update or delete or truncate on auto_top_up_log
  for each statement execute function refuse_ledger_change();

-- The charge behind a top-up of the kind `auto`. All states but `failed` count against the cap.
create table auto_top_up_attempts (
  top_up_id uuid primary key references top_ups (id),
  wallet_id uuid not null references auto_top_ups (wallet_id),
  -- The wallet's month whose cap it counts against.
  period billing_period not null,
  amount_micros bigint not null check (amount_micros > 0),
  state text not null default 'charging' check (state in (
    'charging', 'awaiting_user', 'canceling', 'under_review', 'succeeded', 'failed'
  )),
  -- Which of auto_top_up_tries is the newest.
  try int not null default 1 check (try >= 1),
  -- When a worker takes it up; whoever takes it moves this on.
  resume_at timestamptz not null,
  -- Answers of Stripe in a row that did not come.
  unknowns int not null default 0,
  -- Numbers the links by which its user finishes the payment; only the newest works, once.
  recovery_no int not null default 0,
  recovery_expires_at timestamptz,
  recovery_used_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index auto_top_up_attempts_in_flight on auto_top_up_attempts (wallet_id)
  where state in ('charging', 'awaiting_user', 'canceling');
create index auto_top_up_attempts_due on auto_top_up_attempts (resume_at)
  where state in ('charging', 'awaiting_user', 'canceling');
create index auto_top_up_attempts_of_month on auto_top_up_attempts (wallet_id, period);

-- Each card that was asked for a charge.
create table auto_top_up_tries (
  top_up_id uuid not null references auto_top_up_attempts (top_up_id),
  try int not null check (try >= 1),
  payment_method_id text not null,
  brand text not null,
  last4 text not null,
  asked_at timestamptz not null,
  -- Null until the card is refused.
  failure_code text,
  failure_class text check (failure_class in ('later', 'never', 'authentication', 'api')),
  primary key (top_up_id, try)
);

-- Cards that must not be asked again without their holder: lost, stolen, closed, gone, or those of
-- which Stripe says so.
create table refused_cards (
  payment_method_id text primary key,
  code text not null,
  refused_at timestamptz not null
);

-- What a wallet lacks: how much below its threshold it will be once the payments that are on their
-- way have come, and what brings it back. Both are 0 or less when it lacks nothing.
create function auto_top_up_need(
  w wallets, a auto_top_ups, out below_micros bigint, out needed_micros bigint
)
language sql stable as $$
  select a.threshold_micros - expected,
    -- A credit repays what the wallet owes first.
    case a.mode
      when 'restore' then a.amount_micros - expected + w.arrears_micros
      else a.amount_micros * greatest(1, ceil(
        (a.threshold_micros - expected + w.arrears_micros)::numeric / a.amount_micros))::bigint
    end
  from (
    select available_micros(w) + coalesce((
      select sum(t.amount_micros) from top_ups t
      where t.wallet_id = w.id and t.status = 'processing'
        and t.updated_at > ledger_now() - interval '72 hours'
    ), 0)::bigint as expected
  ) e
$$;

-- A burst to one destination: within 10 minutes at least 30 charges to numbers of the same six first
-- digits, or at least 5 that together cost p_large_micros, and more than five times what is usual:
-- the average of the wallet's earlier spans of 10 minutes in which anything was charged. Looks at
-- 5,000 events of the 10 minutes and 5,000 before them, so a busy wallet is judged as quickly.
create function usage_burst(
  p_wallet_id uuid, p_trusted_seq bigint, p_large_micros bigint,
  out prefix text, out charges bigint, out amount_micros bigint
)
language sql stable as $$
  with bounds as (
    select coalesce(seq_before(p_wallet_id, ledger_now() - interval '10 minutes'), 0) as seq
  ), read as (
    (select true as recent, e.recorded_at, e.detail, usage_micros(e) as micros, e.type
     from wallet_events e, bounds b
     where e.wallet_id = p_wallet_id and e.seq > greatest(b.seq, p_trusted_seq)
     order by e.seq desc limit 5000)
    union all
    (select false, e.recorded_at, e.detail, usage_micros(e), e.type
     from wallet_events e, bounds b
     where e.wallet_id = p_wallet_id and e.seq <= b.seq
     order by e.seq desc limit 5000)
  ), charged as (
    select r.recent, floor(extract(epoch from r.recorded_at) / 600) as span,
      left(substring(r.detail #>> '{usage,to}' from '^\+?([0-9]{5,})'), 6) as prefix,
      r.micros as amount_micros
    from read r where r.type in ('charge', 'accrual', 'hold_captured', 'hold_expired')
  ), usual as (
    select c.prefix, count(*)::numeric / s.spans as charges, sum(c.amount_micros) / s.spans as micros
    from charged c, (select count(distinct span) as spans from charged where not recent) s
    where not c.recent and c.prefix is not null group by c.prefix, s.spans
  ), now_charged as (
    select c.prefix, count(*) as charges, sum(c.amount_micros) as micros
    from charged c where c.recent and c.prefix is not null group by c.prefix
  )
  select n.prefix, n.charges, n.micros::bigint
  from now_charged n left join usual u on u.prefix = n.prefix
  where n.charges >= 30 and n.charges > 5 * coalesce(u.charges, 0)
    or n.charges >= 5 and n.micros >= p_large_micros and n.micros > 5 * coalesce(u.micros, 0)
  order by n.charges desc limit 1
$$;

-- The card that is asked next: the first in the user's order that this charge has not asked, that
-- has not run out, and that may be asked at all.
create function next_auto_top_up_card(p_user_id text, p_livemode boolean, p_top_up_id uuid)
returns saved_cards language sql stable as $$
  select c.* from saved_cards c
  where c.user_id = p_user_id and c.livemode = p_livemode
    and make_timestamptz(c.exp_year, c.exp_month, 1, 0, 0, 0, 'UTC') + interval '1 month'
      > ledger_now() - interval '1 day'
    and not exists (select from refused_cards r where r.payment_method_id = c.payment_method_id)
    and not exists (select from auto_top_up_tries y
                    where y.top_up_id = p_top_up_id and y.payment_method_id = c.payment_method_id)
  order by c.position limit 1
$$;

create function log_auto_top_up(p_wallet_id uuid, p_actor text, p_event text, p_detail jsonb)
returns void language sql as $$
  insert into auto_top_up_log (wallet_id, at, actor, event, detail)
  values (p_wallet_id, ledger_now(), p_actor, p_event, p_detail)
$$;

-- Reasons that only the support staff may set aside.
create function needs_support(p_reason text) returns boolean
language sql immutable parallel safe as $$
  select coalesce(p_reason in ('dispute', 'fraud_warning', 'under_review'), false)
$$;

-- Ends a payment that waits for its user: a worker cancels it at Stripe.
create function give_up_awaited_payment(p_wallet_id uuid) returns void
language sql as $$
  update auto_top_up_attempts set state = 'canceling', resume_at = ledger_now(),
    updated_at = ledger_now()
  where wallet_id = p_wallet_id and state = 'awaiting_user'
$$;

-- Turns it on with these terms, or changes them, and records the consent.
create function set_auto_top_up(
  p_wallet_id uuid, p_livemode boolean, p_threshold_micros bigint, p_mode text,
  p_amount_micros bigint, p_monthly_cap_micros bigint, p_min_charge_micros bigint,
  p_max_charge_micros bigint, p_charge_step_micros bigint, p_consent_version text, p_actor text
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
  if w.status <> 'open' then
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

-- Pauses it, or with the reason `user` or `wallet_closed` turns it off. False when there was nothing
-- to do. A reason that only the support staff may set aside is not replaced by a lesser one.
create function pause_auto_top_up(p_wallet_id uuid, p_reason text, p_actor text, p_detail jsonb)
returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  a auto_top_ups;
  new_status constant text := case when p_reason in ('user', 'wallet_closed')
    then 'off' else 'paused' end;
begin
  perform from wallets where id = p_wallet_id for no key update;
  select * into a from auto_top_ups where wallet_id = p_wallet_id for update;
  if not found or a.status = 'off' and not needs_support(p_reason)
     or a.status = new_status and (a.reason = p_reason or needs_support(a.reason)) then
    return false;
  end if;
  update auto_top_ups set
    status = case when a.status = 'off' then 'off' else new_status end,
    reason = case when needs_support(a.reason) and not needs_support(p_reason)
      then a.reason else p_reason end,
    reason_detail = p_detail, next_try_at = null, changed_at = ledger_now()
  where wallet_id = p_wallet_id;
  perform log_auto_top_up(
    p_wallet_id, p_actor, case new_status when 'off' then 'turned_off' else 'paused' end,
    p_detail || jsonb_build_object('reason', p_reason));
  if p_reason <> 'authentication_required' then
    perform give_up_awaited_payment(p_wallet_id);
  end if;
  return true;
end $$;

-- Goes on after a pause, with the terms that were agreed to.
create function resume_auto_top_up(p_wallet_id uuid, p_actor text, p_by_support boolean)
returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  w wallets;
  a auto_top_ups;
begin
  select * into w from wallets where id = p_wallet_id for no key update;
  select * into a from auto_top_ups where wallet_id = p_wallet_id for update;
  if a.wallet_id is null or a.status = 'off' and not (p_by_support and needs_support(a.reason)) then
    return 'OFF';
  end if;
  if w.status <> 'open' then
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

-- The wallet's current month: what is reserved of its cap or charged, and when the month ends.
create function auto_top_up_month(p_wallet_id uuid, out used_micros bigint, out ends_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select (select coalesce(sum(t.amount_micros), 0) from auto_top_up_attempts t
          where t.wallet_id = w.id and t.period = m.period and t.state <> 'failed')::bigint,
    period_ends_at(m.period, w.timezone)
  from wallets w cross join lateral (select period_of(ledger_now(), w.timezone) as period) m
  where w.id = p_wallet_id
$$;

-- Wallets to reserve a charge for.
create function wallets_to_top_up(p_livemode boolean, p_limit int) returns setof uuid
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select a.wallet_id from auto_top_ups a join wallets w on w.id = a.wallet_id
  where a.status = 'on' and a.livemode = p_livemode
    and (a.next_try_at is null or a.next_try_at <= ledger_now())
    and w.balance_micros - w.held_micros + w.overdraft_limit_micros < a.threshold_micros
    and not exists (select from auto_top_up_attempts t
                    where t.wallet_id = a.wallet_id
                      and t.state in ('charging', 'awaiting_user', 'canceling'))
  limit p_limit
$$;

-- Reserves the one charge that brings a wallet back over its threshold, and names the card that is
-- asked first. Any number of calls at once reserve one charge; what is reserved in a month never
-- exceeds its cap.
create function reserve_auto_top_up(
  p_wallet_id uuid, p_top_up_id uuid, out code text, out amount_micros bigint
)
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
    when w.status <> 'open' then 'WALLET_' || upper(w.status)
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

-- Takes charges whose outcome is open, so that no other worker does for a while. A payment that
-- nobody finished within a week is given up.
create function claim_auto_top_ups(p_livemode boolean, p_limit int) returns setof uuid
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update auto_top_up_attempts t set
    state = case t.state when 'awaiting_user' then 'canceling' else t.state end,
    resume_at = ledger_now() + interval '90 seconds'
  from (
    select d.top_up_id from auto_top_up_attempts d join auto_top_ups a on a.wallet_id = d.wallet_id
    where a.livemode = p_livemode and d.state in ('charging', 'awaiting_user', 'canceling') and d.resume_at <= ledger_now()
    order by d.resume_at limit p_limit for update of d skip locked
  ) due
  where t.top_up_id = due.top_up_id
  returning t.top_up_id
$$;

-- Stripe's answer did not come, or is not final: the charge stays reserved and is taken up again,
-- ever more rarely, ten minutes apart at the most.
create function postpone_auto_top_up(p_top_up_id uuid) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update auto_top_up_attempts set
    unknowns = unknowns + 1, updated_at = ledger_now(),
    resume_at = ledger_now()
      + least(interval '10 minutes', interval '15 seconds' * power(2, least(unknowns, 10)))
  where top_up_id = p_top_up_id and state in ('charging', 'canceling')
$$;

-- Records that a card was refused, and says how the charge stands after it: `charging` asks the
-- next card, `awaiting_user` waits for the bank's question to be answered, `canceling` wants the
-- payment canceled at Stripe, and `failed` is over. p_has_payment: Stripe made a payment of it.
-- An outcome of another try than the newest changes nothing.
create function refuse_auto_top_up(
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

  if a.status = 'on' and w.status = 'open' then
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

-- Ends a charge of which Stripe has no payment, and never will; it is not reserved any more.
create function drop_auto_top_up(p_top_up_id uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform from wallets
  where id = (select wallet_id from auto_top_up_attempts where top_up_id = p_top_up_id)
  for no key update;
  update top_ups set status = 'canceled', updated_at = clock_timestamp()
  where id = p_top_up_id and kind = 'auto' and status = 'created' and payment_intent_id is null;
  return found;
end $$;

-- What Stripe says of the payment, however it came here, is what became of the charge.
create function follow_auto_top_up() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  ended_state constant text := case new.status
    when 'succeeded' then 'succeeded' when 'quarantined' then 'under_review' else 'failed' end;
  t auto_top_up_attempts;
begin
  -- A person may have credited another amount than was asked for.
  update auto_top_up_attempts set state = ended_state, updated_at = ledger_now(),
    amount_micros = new.amount_micros
  where top_up_id = new.id and state not in ('succeeded', ended_state)
  returning * into t;
  if not found then
    return null;
  end if;
  if ended_state = 'succeeded' then
    perform log_auto_top_up(t.wallet_id, 'system:auto-top-up', 'charged',
      jsonb_build_object('topUpId', t.top_up_id, 'amountMicros', t.amount_micros::text));
    update auto_top_ups set failures = 0, next_try_at = null, changed_at = ledger_now(),
      status = case when status = 'paused' and reason = 'authentication_required'
        then 'on' else status end,
      reason = case when status = 'on' or reason = 'authentication_required'
        then null else reason end,
      reason_detail = case when status = 'on' or reason = 'authentication_required'
        then '{}' else reason_detail end
    where wallet_id = t.wallet_id;
  elsif ended_state = 'under_review' then
    perform pause_auto_top_up(t.wallet_id, 'under_review', 'system:auto-top-up',
      jsonb_build_object('topUpId', t.top_up_id));
  end if;
  return null;
end $$;
create trigger top_ups_auto_followed after update of status on top_ups
  for each row when (new.kind = 'auto' and new.status in ('succeeded', 'canceled', 'quarantined'))
  execute function follow_auto_top_up();

-- Lets the user finish the payment, once for each link.
create function use_recovery_link(
  p_top_up_id uuid, p_no int, out code text, out payment_intent_id text, out payment_method_id text
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  t auto_top_up_attempts;
begin
  perform from wallets
  where id = (select wallet_id from auto_top_up_attempts where top_up_id = p_top_up_id)
  for no key update;
  select * into t from auto_top_up_attempts where top_up_id = p_top_up_id for update;
  code := case
    when t.top_up_id is null or t.state <> 'awaiting_user' then 'OVER'
    when t.recovery_no <> p_no or t.recovery_used_at is not null then 'USED'
    when t.recovery_expires_at <= ledger_now() then 'EXPIRED'
    else 'OK'
  end;
  if code <> 'OK' then
    return;
  end if;
  update auto_top_up_attempts set recovery_used_at = ledger_now() where top_up_id = t.top_up_id;
  select p.payment_intent_id, y.payment_method_id into payment_intent_id, payment_method_id
  from top_ups p join auto_top_up_tries y on y.top_up_id = p.id and y.try = t.try
  where p.id = t.top_up_id;
end $$;

-- A new link for the payment that waits for its user; the ones before work no more. Null when no
-- payment waits.
create function renew_recovery_link(
  p_wallet_id uuid, out top_up_id uuid, out no int, out expires_at timestamptz
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform from wallets where id = p_wallet_id for no key update;
  update auto_top_up_attempts t set recovery_no = t.recovery_no + 1, recovery_used_at = null,
    recovery_expires_at = ledger_now() + interval '72 hours'
  where t.wallet_id = p_wallet_id and t.state = 'awaiting_user'
  returning t.top_up_id, t.recovery_no, t.recovery_expires_at into top_up_id, no, expires_at;
end $$;

-- A frozen wallet pauses it, a closed one turns it off; it does not go on by itself.
create function stop_auto_top_up_with_wallet() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform pause_auto_top_up(new.id, 'wallet_' || new.status, 'system:auto-top-up', '{}');
  return null;
end $$;
create trigger wallets_status_stops_auto_top_up after update of status on wallets
  for each row when (new.status <> 'open' and new.status is distinct from old.status)
  execute function stop_auto_top_up_with_wallet();

-- So does the removal of the last card. At the end of the transaction, because cards are also
-- replaced by others.
create function stop_auto_top_up_without_card() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not exists (select from saved_cards
                 where user_id = old.user_id and livemode = old.livemode) then
    perform pause_auto_top_up(a.wallet_id, 'no_card', 'system:auto-top-up', '{}')
    from auto_top_ups a join wallets w on w.id = a.wallet_id
    where w.user_id = old.user_id and a.livemode = old.livemode and a.status = 'on';
  end if;
  return null;
end $$;
create constraint trigger saved_cards_last_stops_auto_top_up after delete on saved_cards
  deferrable initially deferred
  for each row execute function stop_auto_top_up_without_card();

-- Compares automatic top-ups with the payments behind them, and with what was agreed to.
create function verify_auto_top_ups(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with consents as (
    select l.wallet_id, l.id, l.detail from auto_top_up_log l
    where l.event = 'turned_on' and l.wallet_id between p_from and p_to
  ), problems as (
    select p.wallet_id, p.credited_seq as seq, 'AUTO_TOP_UP_STATE' as problem,
      format('automatic top-up %s is %s, its charge is %s', p.id, p.status,
        coalesce(t.state, 'not recorded')) as message
    from top_ups p left join auto_top_up_attempts t on t.top_up_id = p.id
    where p.wallet_id between p_from and p_to and p.kind = 'auto'
      and (t.top_up_id is null or (t.wallet_id, t.amount_micros) <> (p.wallet_id, p.amount_micros)
           or (t.state = 'succeeded') <> (p.status = 'succeeded')
           or t.state <> 'failed' and p.status = 'canceled')
    union all
    select p.wallet_id, p.credited_seq, 'AUTO_TOP_UP_STATE',
      format('top-up %s has a charge of its own and is not automatic', p.id)
    from auto_top_up_attempts t join top_ups p on p.id = t.top_up_id and p.kind <> 'auto'
    where t.wallet_id between p_from and p_to
    union all
    select a.wallet_id, null, 'AUTO_TOP_UP_CONSENT',
      'the terms of the automatic top-up are not those that were agreed to last'
    from auto_top_ups a
    left join lateral (
      select c.detail from consents c where c.wallet_id = a.wallet_id order by c.id desc limit 1
    ) c on true
    where a.wallet_id between p_from and p_to
      and (c.detail ->> 'thresholdMicros', c.detail ->> 'mode', c.detail ->> 'amountMicros',
           c.detail ->> 'monthlyCapMicros', c.detail ->> 'livemode')
        is distinct from (a.threshold_micros::text, a.mode, a.amount_micros::text,
                          a.monthly_cap_micros::text, a.livemode::text)
    union all
    select t.wallet_id, null, 'AUTO_TOP_UP_CAP',
      format('%s was reserved in %s, more than any cap that was agreed to',
        sum(t.amount_micros), t.period)
    from auto_top_up_attempts t
    where t.wallet_id between p_from and p_to and t.state <> 'failed'
    group by t.wallet_id, t.period
    having sum(t.amount_micros) > coalesce((
      select max((c.detail ->> 'monthlyCapMicros')::bigint) from consents c
      where c.wallet_id = t.wallet_id), 0)
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

grant select on auto_top_ups, auto_top_up_log, auto_top_up_attempts, auto_top_up_tries, refused_cards
  to wallet_app;
grant execute on function
  set_auto_top_up(uuid, boolean, bigint, text, bigint, bigint, bigint, bigint, bigint, text, text),
  pause_auto_top_up(uuid, text, text, jsonb),
  resume_auto_top_up(uuid, text, boolean),
  auto_top_up_month(uuid),
  wallets_to_top_up(boolean, int),
  reserve_auto_top_up(uuid, uuid),
  claim_auto_top_ups(boolean, int),
  postpone_auto_top_up(uuid),
  refuse_auto_top_up(uuid, int, text, text, text, boolean),
  drop_auto_top_up(uuid),
  use_recovery_link(uuid, int),
  renew_recovery_link(uuid)
  to wallet_app;
