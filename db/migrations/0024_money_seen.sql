-- A warning of fraud pauses automatic top-up, and a top-up that was charged automatically says so.

-- Remembers a warning of a card network, and the first time pauses the automatic top-up of the wallet:
-- support decides whether it goes on. False when the payment credited nothing.
create or replace function record_fraud_warning(
  p_warning_id text, p_payment_intent_id text, p_fraud_type text, p_actionable boolean,
  p_created_at timestamptz
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  locked record;
  t top_ups;
begin
  select * into locked from lock_payment(p_payment_intent_id);
  t := locked.t;
  if t.status is distinct from 'succeeded' then
    return false;
  end if;
  insert into payment_fraud_warnings (
    wallet_id, warning_id, top_up_id, fraud_type, actionable, created_at
  ) values (
    t.wallet_id, p_warning_id, t.id, p_fraud_type, p_actionable, p_created_at
  ) on conflict (warning_id) do nothing;
  if found then
    perform pause_auto_top_up(t.wallet_id, 'fraud_warning', 'stripe:' || p_warning_id,
      jsonb_build_object('warningId', p_warning_id, 'topUpId', t.id));
  else
    update payment_fraud_warnings set actionable = actionable and p_actionable
    where warning_id = p_warning_id;
  end if;
  return true;
end $$;

-- Credits a succeeded payment once, after checking it against the top-up that asked for it. What
-- does not match is quarantined, with what Stripe says of it: the money is Stripe's fact, the credit
-- is a person's decision. What is in quarantine stays with that person, whatever comes later.
create or replace function apply_top_up(
  p_payment_intent_id text, p_top_up_id uuid, p_customer_id text, p_currency text,
  p_amount_received_minor bigint, p_livemode boolean, p_actor text, p_occurred_at timestamptz,
  out code text, out reason text, out seq bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  t top_ups;
  w wallets;
  q stripe_quarantine;
  outcome ledger_outcome;
begin
  -- The wallet is locked before its top-up, as everywhere.
  select w2.* into w from wallets w2
  where w2.id = (select wallet_id from top_ups where id = p_top_up_id) for no key update;
  select * into t from top_ups where id = p_top_up_id for update;
  reason := case
    when t.id is null then 'no top-up asked for this payment'
    when t.payment_intent_id <> p_payment_intent_id then 'another payment belongs to this top-up'
    when t.livemode <> p_livemode then 'livemode differs'
    when t.currency <> p_currency then 'currency differs'
    when t.amount_minor <> p_amount_received_minor then 'amount differs'
    when not exists (
      select from stripe_customers c
      where c.user_id = w.user_id and c.livemode = p_livemode
        and c.stripe_customer_id = p_customer_id
    ) then 'customer differs'
  end;
  if t.status = 'succeeded' and t.payment_intent_id = p_payment_intent_id then
    code := 'ALREADY_CREDITED';
    seq := t.credited_seq;
    reason := null;
    return;
  end if;
  select * into q from stripe_quarantine where payment_intent_id = p_payment_intent_id;
  if q.resolution = 'credited' then
    code := 'ALREADY_CREDITED';
    seq := q.credited_seq;
    reason := null;
    return;
  end if;
  reason := coalesce(q.reason, reason);
  if reason is not null then
    if q.resolution is null then
      insert into stripe_quarantine (
        payment_intent_id, top_up_id, reason, customer_id, currency, amount_minor, livemode
      ) values (
        p_payment_intent_id, t.id, reason, p_customer_id, p_currency, p_amount_received_minor,
        p_livemode
      ) on conflict do nothing;
      update top_ups set status = 'quarantined', updated_at = clock_timestamp()
      where id = t.id and status <> 'succeeded'
        and coalesce(payment_intent_id, p_payment_intent_id) = p_payment_intent_id;
    end if;
    code := 'QUARANTINED';
    return;
  end if;

  outcome := credit_wallet(
    w, 'top_up', ledger_key('top_up', p_payment_intent_id),
    sha256(convert_to(t.id || E'\n' || t.amount_micros, 'UTF8')),
    t.amount_micros, p_actor, p_occurred_at,
    json_strip_nulls(json_build_object(
      'topUpId', t.id, 'paymentIntentId', p_payment_intent_id,
      'automatic', nullif(t.kind = 'auto', false)))
  );
  if outcome.code <> 'OK' then
    -- Nothing is recorded, so the event stays in the inbox with this as its error.
    raise exception 'payment % cannot be credited: %', p_payment_intent_id, outcome.code;
  end if;
  update top_ups set
    status = 'succeeded', payment_intent_id = p_payment_intent_id, credited_seq = outcome.seq,
    failure_code = null, failure_message = null, updated_at = clock_timestamp()
  where id = t.id;
  code := 'CREDITED';
  seq := outcome.seq;
end $$;
