-- Promotional credit comes back once. Where all of a charge had come back, and a re-rating charged for it
-- anew without burning any credit, what came back of that brought the charge's credit back again.

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
    elsif burns <> '[]' or e.detail -> 'grants' is not null then
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

-- These charges had burned credit, and all of it had come back before they were charged for anew. What
-- they brought back too much is in the events: `verify` names it (REFUND_CREDIT).
update usage_refunds u set burned = '[]'
from wallet_events e
where u.burned is null and e.wallet_id = u.wallet_id and e.seq = u.original_seq
  and e.type in ('charge', 'accrual') and e.detail -> 'grants' is not null
  and exists (
    select from rerated_usage r
    where r.wallet_id = u.wallet_id and r.original_seq = u.original_seq and r.posted_micros > 0);
