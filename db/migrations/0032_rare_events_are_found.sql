-- Most events are usage. All others are found by their type, without reading the usage between them:
-- verification looks for one kind after the other. The predicate costs a charge a fraction of a
-- microsecond, and takes the place of that of the limits' own index.
create index wallet_events_rare on wallet_events (wallet_id, type, seq)
  where type <> all (array['charge', 'accrual', 'hold_placed', 'hold_extended', 'hold_captured']);

drop index wallet_events_limits;

create or replace function verify_refunds(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
  returns record
  language sql
  stable
  set jit to 'off'
as $$
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

create or replace function verify_holds(p_from uuid, p_to uuid, p_limit integer, OUT found bigint, OUT differences jsonb)
  returns record
  language sql
  stable
  set jit to 'off'
as $$
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
          (k.status <> 'open', k.reference_id, k.rate_card_id::text, k.placed_at, k.ahead_micros,
           json_instant(k.expires_at))
          <> (t.ended, t.reference_id, t.rate_card_id, t.placed_at, t.ahead_micros, t.expires_at)
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
