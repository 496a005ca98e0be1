-- A hold that ran out may be voided after it: nothing was delivered then, and its last heartbeat is not
-- usage to be priced again. Nor is what was given away as goodwill, by a hold as by a charge.

create or replace function usage_standing(
  e wallet_events, out priced_at timestamptz, out usage jsonb, out billed_micros bigint,
  out refunded_micros bigint, out corrected_micros bigint
)
language sql stable as $$
  select o.priced_at, o.usage, o.billed_micros,
    coalesce((select r.refunded_micros from usage_refunds r
              where r.wallet_id = e.wallet_id and r.original_seq = e.seq), 0) + c.of_original_micros,
    c.posted_micros
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
  cross join (
    select coalesce(sum(u.posted_micros), 0)::bigint as posted_micros,
      coalesce(sum(u.of_original_micros), 0)::bigint as of_original_micros
    from rerated_usage u where u.wallet_id = e.wallet_id and u.original_seq = e.seq
  ) c
$$;
