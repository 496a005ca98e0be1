-- charge_many decided usage whose hold was voided after the new charges of its wallet, so that another of
-- a batch was refused, when money ran short, than the order of its items says. Now such a wallet's charges
-- are taken one after the other. The rest of the function is as it was.
create or replace function charge_many(
  p_wallet_ids uuid[],
  p_alone boolean[],
  p_keys uuid[],
  p_request_hashes bytea[],
  p_amounts_micros bigint[],
  p_overruns text[],
  p_occurred_at timestamptz[],
  p_actors text[],
  -- A line of JSON for each charge.
  p_details text,
  p_apart bigint[] default null
) returns table (
  ord int, code text, replayed boolean, seq bigint, amount_micros bigint, balance_micros bigint,
  held_micros bigint, arrears_micros bigint, available_micros bigint, recorded_at timestamptz,
  detail json
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
-- A plan that is made once does not know how long the arrays are, and would read all wallets.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  now_at timestamptz;
  -- Nearly always null, which costs a charge nothing.
  revoked_actors text[];
  ambiguous_wallets uuid[];
  known_ords bigint[];
  voided_wallets uuid[];
  sequential_wallets uuid[];
  burning_wallets uuid[];
  details json[] := string_to_array(p_details, E'\n')::json[];
begin
  perform from wallets where id = any (p_wallet_ids) order by id for no key update;
  now_at := ledger_now();

  -- From here on, each statement sees what the locks' former holders have committed.
  select array_agg('api_key:' || id) into revoked_actors from api_keys
  where revoked_at is not null and id = any (
    select substr(a.actor, 9) from (select distinct actor from unnest(p_actors) a(actor)) a);

  select array_agg(w.id) into ambiguous_wallets from wallets w
  where w.id = any (p_wallet_ids)
    and exists (select from wallets o where o.user_id = w.user_id and o.id <> w.id);

  -- What is known may be charged nevertheless: usage whose hold was voided.
  select array_agg(c.ord), array_agg(c.wallet_id) filter (
    where e.type = 'hold_placed'
      and exists (select from holds h where h.id = (e.detail ->> 'holdId')::uuid and h.status = 'voided'))
  into known_ords, voided_wallets
  from unnest(p_wallet_ids, p_keys) with ordinality c(wallet_id, key, ord)
  join wallet_events e on e.wallet_id = c.wallet_id and e.key = c.key;

  -- Wallets of which not every new charge is accepted whatever the order, or not simply debited; and
  -- those of the others that spend promotional credit.
  select array_agg(c.wallet_id) filter (where c.is_sequential),
    array_agg(c.wallet_id) filter (where c.is_sequential is not true and c.has_credit)
  into sequential_wallets, burning_wallets
  from (
    select c.wallet_id, w.grants_micros > 0 as has_credit,
      w.id is null or not c.priced or c.apart or w.status <> 'open' or w.next_due_at <= now_at
      or w.limited or c.wallet_id = any (voided_wallets)
      -- charge_wallet takes no more charges then, not even of nothing.
      or w.arrears_micros > 2000000000000000000
      or w.balance_micros - w.held_micros + w.overdraft_limit_micros < c.total
      -- Then some of its charges may be refused; it is as rare as they are.
      or w.grants_micros > 0 and (revoked_actors is not null or ambiguous_wallets is not null)
      as is_sequential
    from (
      select c.wallet_id, sum(c.amount) as total,
        bool_and(coalesce(c.amount between 0 and 1000000000000000000, false)) as priced,
        bool_or(c.ord = any (p_apart)) as apart
      from unnest(p_wallet_ids, p_amounts_micros) with ordinality c(wallet_id, amount, ord)
      where known_ords is null or c.ord <> all (known_ords)
      group by c.wallet_id
    ) c
    left join wallets w on w.id = c.wallet_id
  ) c;

  if burning_wallets is not null then
    details := burn_together(
      burning_wallets, p_wallet_ids, p_amounts_micros, known_ords, details, now_at);
  end if;

  return query
  with charged as (
    select c.*, w.head_hash, w.arrears_micros, w.overdraft_limit_micros,
      w.seq + row_number() over own as seq,
      -- Usage in deferred mode stays in the balance, and is held until its month is closed.
      case when w.mode = 'live' then 'charge' else 'accrual' end as type,
      case when w.mode = 'live' then -c.amount else 0 end as balance_delta,
      case when w.mode = 'live' then 0 else c.amount end as held_delta,
      w.balance_micros - case when w.mode = 'live' then (sum(c.amount) over own)::bigint else 0 end
        as balance,
      w.held_micros + case when w.mode = 'live' then 0 else (sum(c.amount) over own)::bigint end
        as held,
      lead(c.ord) over own is null as last,
      greatest(now_at, w.updated_at) as recorded,
      coalesce(c.occurred_at, greatest(now_at, w.updated_at)) as occurred
    from unnest(p_wallet_ids, p_alone, p_keys, p_request_hashes, p_amounts_micros, p_occurred_at,
                p_actors, details)
      with ordinality
      c(wallet_id, alone, key, request, amount, occurred_at, actor, detail, ord)
    join wallets w on w.id = c.wallet_id
    where (known_ords is null or c.ord <> all (known_ords))
      and (sequential_wallets is null or c.wallet_id <> all (sequential_wallets))
      and (revoked_actors is null or c.actor <> all (revoked_actors))
      and (ambiguous_wallets is null or not c.alone or c.wallet_id <> all (ambiguous_wallets))
    window own as (partition by c.wallet_id order by c.ord rows unbounded preceding)
  ), chained as materialized (
    select c.*, chain_hash(
        c.head_hash,
        -- event_canonical, written out: a call of it for each event would build the whole row.
        concat_ws(E'\n', 'v1', c.wallet_id, c.seq, c.type, c.balance_delta, c.held_delta, '0',
          c.balance, c.held, c.arrears_micros, c.overdraft_limit_micros, c.key,
          encode(c.request, 'hex'), c.actor, (extract(epoch from c.occurred) * 1000000)::bigint,
          (extract(epoch from c.recorded) * 1000000)::bigint, c.detail)
      ) over (partition by c.wallet_id order by c.ord rows unbounded preceding) as hash
    from charged c
  ), written as (
    insert into wallet_events (
      wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
      balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
      actor, occurred_at, recorded_at, detail, hash
    )
    select c.wallet_id, c.seq, c.type, c.balance_delta, c.held_delta, 0, c.balance, c.held,
      c.arrears_micros, c.overdraft_limit_micros, c.key, c.request, c.actor, c.occurred,
      c.recorded, c.detail, c.hash
    from chained c
  ), projected as (
    update wallets w set
      balance_micros = c.balance, held_micros = c.held, seq = c.seq, head_hash = c.hash,
      updated_at = c.recorded
    from chained c
    where w.id = c.wallet_id and c.last
  )
  select c.ord::int, 'OK', false, c.seq, c.amount, c.balance, c.held, c.arrears_micros,
    c.balance - c.held + c.overdraft_limit_micros, c.recorded, null::json
  from chained c;

  if revoked_actors is null and ambiguous_wallets is null and known_ords is null
     and sequential_wallets is null then
    return;
  end if;

  -- A revoked key's and an ambiguous name's charges are refused; the others take their turn.
  return query
  select c.ord::int, o.*
  from unnest(p_wallet_ids, p_alone, p_keys, p_request_hashes, p_amounts_micros, p_overruns,
              p_occurred_at, p_actors, details)
    with ordinality
    c(wallet_id, alone, key, request, amount, overrun, occurred_at, actor, detail, ord)
  cross join lateral charge_wallet(
    c.wallet_id, c.key, c.request, c.amount, c.overrun, c.occurred_at, c.actor, c.detail) o
  where (c.ord = any (known_ords) or c.wallet_id = any (sequential_wallets))
    and (revoked_actors is null or c.actor <> all (revoked_actors))
    and (ambiguous_wallets is null or not c.alone or c.wallet_id <> all (ambiguous_wallets))
  order by c.wallet_id, c.ord;

  return query
  select c.ord::int, case when c.revoked then 'KEY_REVOKED' else 'CURRENCY_REQUIRED' end, false,
    null::bigint, null::bigint, null::bigint, null::bigint, null::bigint, null::bigint,
    null::timestamptz, null::json
  from (
    select c.ord, coalesce(c.actor = any (revoked_actors), false) as revoked,
      coalesce(c.alone and c.wallet_id = any (ambiguous_wallets), false) as ambiguous
    from unnest(p_wallet_ids, p_alone, p_actors) with ordinality c(wallet_id, alone, actor, ord)
  ) c
  where c.revoked or c.ambiguous;
end $$;
