-- Verification finds a refund made at Stripe, or a dispute, that was put to another payment of the same
-- wallet, and a refund that seems to be asked for by somebody else, or by nobody.

create or replace function verify_payments(
  p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with told as (
    select e.wallet_id, e.seq, e.type, e.balance_delta_micros as delta,
      e.detail ->> 'paymentRefundId' as refund_id, e.detail ->> 'disputeId' as dispute_id,
      e.detail ->> 'outcome' as outcome, e.detail ->> 'refundRequestId' as request_id,
      e.detail ->> 'originalSeq' as original_seq, e.detail ->> 'paymentIntentId' as payment
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type in (
      'payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn',
      'dispute_reinstated', 'dispute_closed')
  ), refunds as (
    select coalesce(r.wallet_id, t.wallet_id) as wallet_id, t.seq,
      coalesce(r.id::text, t.refund_id) as id, r.id is not null as is_kept,
      coalesce(r.debited_micros, 0) as kept, coalesce(t.debited, 0) as told,
      r.top_up_id, r.amount_micros, t.original_seq, t.payment,
      r.requested_by, r.request_id::text as request_id,
      case when r.id = any (t.keys) then t.actor end as told_asker,
      case when r.id = any (t.keys) then coalesce(t.request_id, r.id::text) end as told_request
    from (select * from payment_refunds where wallet_id between p_from and p_to) r
    full join (
      select t.wallet_id, t.refund_id, min(t.seq) as seq, -sum(t.delta) as debited,
        array_agg(e.key) as keys, max(t.request_id) as request_id,
        max(t.original_seq) as original_seq, max(t.payment) as payment,
        (array_agg(e.actor order by t.seq))[1] as actor
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
      d.freezes, d.top_up_id, t.payment, w.status
    from (select * from payment_disputes where wallet_id between p_from and p_to) d
    full join (
      select wallet_id, dispute_id, min(seq) as seq, max(payment) as payment,
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
          or r.original_seq <> t.credited_seq::text or r.payment <> t.payment_intent_id
        then format('refund %s is not of what its top-up credited', r.id) end),
      ('PAYMENT_REFUND_UNASKED', case when r.is_kept
          and (r.requested_by, r.request_id) is distinct from (r.told_asker, r.told_request)
        then format('refund %s has another request or asker than its events say', r.id) end)
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
      ('DISPUTE_OF_OTHER', case
        when t.wallet_id <> d.wallet_id or t.status <> 'succeeded' or d.payment <> t.payment_intent_id
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
