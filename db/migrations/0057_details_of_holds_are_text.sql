-- write_holds again: an event's detail is put together as text instead of being taken apart and written
-- anew, which was a quarter of the work; the answer to what is new leaves out what its caller knows; and
-- holds of wallets with promotional credit or of deferred ones are placed by sets, too.

drop function write_holds(
  text[], uuid[], boolean[], uuid[], uuid[], bytea[], bigint[], text[], jsonb[], text[], uuid[],
  jsonb[], text[], text[], integer[], text[]);

-- Writes `authorize` and `capture` of many holds in one transaction, and answers each. Callers and
-- wallets' names were known from memory, so a revoked key (KEY_REVOKED) and a user who has got a
-- second wallet (CURRENCY_REQUIRED, of `p_alone`) are refused here. `p_details` is what is said of
-- the usage that a hold is for, or the report that it is captured with, and `p_usage_types` of which
-- type that is. What is new and plain is answered without its detail, but with the instant at which a
-- hold that is placed runs out.
create function write_holds(
  p_kinds text[],
  p_wallet_ids uuid[],
  p_alone boolean[],
  p_hold_ids uuid[],
  p_keys uuid[],
  p_request_hashes bytea[],
  p_amounts_micros bigint[],
  p_actors text[],
  p_details json[],
  p_reference_ids text[],
  p_rate_card_ids uuid[],
  p_pricings jsonb[],
  p_usage_types text[],
  p_destinations text[],
  p_ttls_seconds integer[],
  p_overruns text[]
) returns table (
  ord int, code text, replayed boolean, seq bigint, amount_micros bigint, balance_micros bigint,
  held_micros bigint, arrears_micros bigint, available_micros bigint, recorded_at timestamptz,
  detail json, expires_at timestamptz
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
-- A plan that is made once does not know how long the arrays are, and perhaps no holds yet. So rows are
-- found by look-ups (`limit 1`), or by `= any (array[…])`, which no plan can do but by an index.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  now_at timestamptz;
  -- Nearly always null, as are the others.
  revoked_actors text[];
  revoked_ords bigint[];
  ambiguous_ords bigint[];
  sequential_ords bigint[];
  apart_ords bigint[];
  one record;
  outcome ledger_outcome;
begin
  perform from wallets where id = any (p_wallet_ids) order by id for no key update;
  now_at := ledger_now();

  -- From here on, each statement sees what the locks' former holders have committed.
  select array_agg('api_key:' || id) into revoked_actors from api_keys
  where revoked_at is not null and id = any (
    select substr(a.actor, 9) from (select distinct actor from unnest(p_actors) a(actor)) a);

  with asked as materialized (
    select c.ord, c.wallet_id, c.hold_id, c.key, coalesce(k.usage_key, c.key) as event_key,
      coalesce(c.actor = any (revoked_actors), false) as revoked,
      coalesce(c.alone, false)
        and exists (select from wallets x where x.user_id = w.user_id and x.id <> w.id) as ambiguous,
      -- Not `in`: whoever looks for one whole key is sure to find it by the index of keys.
      exists (select from wallet_events e where e.wallet_id = c.wallet_id and e.key = c.key)
        or exists (select from wallet_events e
                   where e.wallet_id = c.wallet_id and e.key = k.usage_key) as known,
      w.balance_micros - w.held_micros + w.overdraft_limit_micros as available,
      case c.kind when 'authorize' then c.amount else greatest(c.amount - h.held_micros, 0) end
        as needed,
      coalesce(
        w.status = 'open' and not w.limited and coalesce(w.next_due_at > now_at, true)
        and c.key is not null and c.request is not null and c.said is not null
        and c.amount between 0 and 1000000000000000000
        and case c.kind
          when 'authorize' then
            c.ttl between 10 and 86400 and not c.pricing ?| array['goodwill', 'unitsThisMonth']
          when 'capture' then
            w.mode = 'live' and w.grants_micros = 0 and w.arrears_micros <= 2000000000000000000
            and h.status = 'open' and coalesce(h.usage_type = c.usage_type, true)
            and c.overrun in ('refuse', 'arrears')
            and strpos(c.said::text, '"goodwillMicros"') = 0
            and strpos(c.said::text, '"monthly"') = 0
        end, false) as plain
    from unnest(p_kinds, p_wallet_ids, p_alone, p_hold_ids, p_keys, p_request_hashes,
                p_amounts_micros, p_actors, p_details, p_reference_ids, p_pricings, p_usage_types,
                p_ttls_seconds, p_overruns)
      with ordinality
      c(kind, wallet_id, alone, hold_id, key, request, amount, actor, said, reference, pricing,
        usage_type, ttl, overrun, ord)
    cross join lateral (
      -- ledger_key, written out: it is not inlined.
      select encode(substring(sha256(convert_to(
        'usage:' || c.usage_type || E'\n' || c.reference, 'UTF8')) for 16), 'hex')::uuid as usage_key
    ) k
    left join lateral (select * from wallets where id = c.wallet_id limit 1) w on true
    left join lateral (
      select * from holds where id = c.hold_id and wallet_id = c.wallet_id limit 1
    ) h on c.kind = 'capture'
  ), apart as (
    -- Wallets of which not everything new is accepted whatever the order, or not simply written.
    select wallet_id from asked where not known group by wallet_id
    having not bool_and(plain) or sum(needed) > max(available)
      or count(*) > least(count(distinct key), count(distinct event_key), count(distinct hold_id))
  )
  select array_agg(a.ord) filter (where a.revoked),
    array_agg(a.ord) filter (where a.ambiguous and not a.revoked),
    array_agg(a.ord) filter (where not a.ambiguous and not a.revoked
                               and (a.known or a.wallet_id in (select wallet_id from apart)))
  into revoked_ords, ambiguous_ords, sequential_ords
  from asked a;
  apart_ords := revoked_ords || ambiguous_ords || sequential_ords;

  return query
  with planned as (
    select c.*, p.*, w.head_hash, w.arrears_micros, w.overdraft_limit_micros,
      (left(c.said::text, -1) || case when c.said::text = '{}' then '' else ',' end || p.link
        || '}')::json as detail,
      greatest(now_at, w.updated_at) as recorded,
      w.seq + row_number() over own as seq,
      w.balance_micros + (sum(p.balance_delta) over own)::bigint as balance,
      w.held_micros + (sum(p.held_delta) over own)::bigint as held,
      min(p.ends_at) over own as first_end,
      lead(c.ord) over own is null as last
    from unnest(p_kinds, p_wallet_ids, p_hold_ids, p_keys, p_request_hashes, p_amounts_micros,
                p_actors, p_details, p_reference_ids, p_rate_card_ids, p_pricings, p_usage_types,
                p_destinations, p_ttls_seconds)
      with ordinality
      c(kind, wallet_id, hold_id, key, request, amount, actor, said, reference, card, pricing,
        usage_type, destination, ttl, ord)
    cross join lateral (select * from wallets where id = c.wallet_id limit 1) w
    left join lateral (select * from holds where id = c.hold_id limit 1) h on c.kind = 'capture'
    cross join lateral (
      select date_trunc('milliseconds', now_at) + make_interval(secs => c.ttl) as ends_at) t
    cross join lateral (
      select 'hold_placed' as type, 0::bigint as balance_delta, c.amount as held_delta, t.ends_at,
        -- ledger_key, as above.
        coalesce(encode(substring(sha256(convert_to(
          'usage:' || c.usage_type || E'\n' || c.reference, 'UTF8')) for 16), 'hex')::uuid, c.key)
          as event_key,
        concat('"holdId":"', c.hold_id, '","referenceId":', to_json(c.reference),
          ',"rateCardId":"', c.card, '","pricing":', c.pricing,
          ',"expiresAt":"', json_instant(t.ends_at), '"') as link
      where c.kind = 'authorize'
      union all
      select 'hold_captured', -c.amount, -h.held_micros, null, c.key,
        concat('"holdId":"', c.hold_id, '","referenceId":', to_json(h.reference_id))
      where c.kind = 'capture'
    ) p
    where apart_ords is null or c.ord <> all (apart_ords)
    window own as (partition by c.wallet_id order by c.ord rows unbounded preceding)
  ), chained as materialized (
    select p.*, chain_hash(
        p.head_hash,
        -- event_canonical, written out: a call of it for each event would build the whole row.
        concat_ws(E'\n', 'v1', p.wallet_id, p.seq, p.type, p.balance_delta, p.held_delta, '0',
          p.balance, p.held, p.arrears_micros, p.overdraft_limit_micros, p.event_key,
          encode(p.request, 'hex'), p.actor, (extract(epoch from p.recorded) * 1000000)::bigint,
          (extract(epoch from p.recorded) * 1000000)::bigint, p.detail)
      ) over (partition by p.wallet_id order by p.ord rows unbounded preceding) as hash
    from planned p
  ), written as (
    insert into wallet_events (
      wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
      balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
      actor, occurred_at, recorded_at, detail, hash
    )
    select wallet_id, seq, type, balance_delta, held_delta, 0, balance, held, arrears_micros,
      overdraft_limit_micros, event_key, request, actor, recorded, recorded, detail, hash
    from chained
  ), projected as (
    update wallets w set
      balance_micros = c.balance, held_micros = c.held, seq = c.seq, head_hash = c.hash,
      updated_at = c.recorded, next_due_at = least(w.next_due_at, c.first_end)
    from chained c
    where w.id = any (array[c.wallet_id]) and c.last
  ), placed as (
    insert into holds (
      id, wallet_id, reference_id, status, rate_card_id, pricing, usage_type, destination,
      placed_micros, ahead_micros, held_micros, ttl_seconds, placed_at, expires_at
    )
    select hold_id, wallet_id, reference, 'open', card, pricing, usage_type, destination,
      amount, amount, amount, ttl, recorded, ends_at
    from chained
    where kind = 'authorize'
  ), captured as (
    update holds h set
      status = 'captured', held_micros = 0, usage_type = c.usage_type,
      report = c.said::jsonb, units_so_far = (c.said ->> 'units')::bigint,
      amount_so_far_micros = c.amount, billed_micros = c.amount
    from chained c
    where h.id = any (array[c.hold_id]) and c.kind = 'capture'
  )
  select c.ord::int, 'OK', false, c.seq, c.amount, c.balance, c.held, c.arrears_micros,
    c.balance - c.held + c.overdraft_limit_micros, c.recorded, null::json, c.ends_at
  from chained c;

  if apart_ords is null then
    return;
  end if;

  for one in
    select * from unnest(p_kinds, p_wallet_ids, p_hold_ids, p_keys, p_request_hashes,
                         p_amounts_micros, p_actors, p_details, p_reference_ids, p_rate_card_ids,
                         p_pricings, p_usage_types, p_destinations, p_ttls_seconds, p_overruns)
      with ordinality
      c(kind, wallet_id, hold_id, key, request, amount, actor, said, reference, card, pricing,
        usage_type, destination, ttl, overrun, ord)
    where c.ord = any (sequential_ords)
    order by c.ord
  loop
    if one.kind = 'authorize' then
      outcome := authorize_hold(
        one.wallet_id, one.hold_id, one.key, one.request, one.amount, one.reference, one.card,
        one.usage_type, one.destination, one.ttl, one.actor, one.said::jsonb, one.pricing);
    else
      outcome := capture_hold(
        one.wallet_id, one.hold_id, one.key, one.request, one.said::jsonb, one.amount, one.overrun,
        one.actor);
    end if;
    return query select one.ord::int, outcome.*, null::timestamptz;
  end loop;

  return query
  select r.ord::int, case when r.ord = any (revoked_ords) then 'KEY_REVOKED'
                          else 'CURRENCY_REQUIRED' end, false,
    null::bigint, null::bigint, null::bigint, null::bigint, null::bigint, null::bigint,
    null::timestamptz, null::json, null::timestamptz
  from unnest(revoked_ords || ambiguous_ords) r(ord);
end $$;

grant execute on function write_holds(
  text[], uuid[], boolean[], uuid[], uuid[], bytea[], bigint[], text[], json[], text[], uuid[],
  jsonb[], text[], text[], integer[], text[]) to wallet_app;
