-- Many charges in one transaction: one lock and one write of each wallet's row, one commit. Wallets
-- whose charges of this batch are all plain (priced, funded, live, nothing due) are charged by
-- sets; every other charge goes through charge_wallet, one after the other, with its own verdict.
-- The answers are those of charge_wallet either way, and so are the events.
--
-- `p_alone` says that the caller named only a user, so that the wallet must be that user's only
-- one. An actor api_key:… must be a live key: servers keep keys in memory, so it is checked here.
-- No two charges of a call have the same wallet and key.
create function charge_many(
  p_wallet_ids uuid[],
  p_alone boolean[],
  p_keys uuid[],
  p_request_hashes bytea[],
  p_amounts_micros bigint[],
  p_overruns text[],
  p_occurred_at timestamptz[],
  p_actors text[],
  p_details json[]
) returns table (
  ord int, code text, replayed boolean, seq bigint, amount_micros bigint, balance_micros bigint,
  held_micros bigint, arrears_micros bigint, available_micros bigint, recorded_at timestamptz,
  detail json
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
-- The planner does not know how long the arrays are, and at some lengths would read all wallets.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  now_at timestamptz;
  -- Charges that are not by sets: refused outright, or known by their key.
  refused_ords bigint[];
  known_ords bigint[];
  -- The events to write, in order of wallet and seq.
  ords bigint[]; wallet_ids uuid[]; seqs bigint[]; amounts bigint[]; balances bigint[];
  helds bigint[]; arrears bigint[]; overdrafts bigint[]; keys uuid[]; requests bytea[];
  actors text[]; occurred timestamptz[]; recorded timestamptz[]; details json[];
  heads bytea[]; firsts boolean[]; lasts boolean[]; canonicals text[];
  hashes bytea[] := '{}';
  chain bytea;
begin
  perform from wallets where id = any (p_wallet_ids) order by id for no key update;
  now_at := ledger_now();

  -- From here on, each statement sees what the locks' former holders have committed.
  select array_agg(c.ord) into refused_ords
  from unnest(p_wallet_ids, p_alone, p_actors) with ordinality c(wallet_id, alone, actor, ord)
  where c.alone and exists (
      select from wallets w join wallets o on o.user_id = w.user_id and o.id <> w.id
      where w.id = c.wallet_id)
    or c.actor = any (
      select 'api_key:' || k.id from api_keys k
      where k.revoked_at is not null and k.id = any (
        select substr(a.actor, 9) from (select distinct actor from unnest(p_actors) a(actor)) a));

  select array_agg(c.ord) into known_ords
  from unnest(p_wallet_ids, p_keys) with ordinality c(wallet_id, key, ord)
  join wallet_events e on e.wallet_id = c.wallet_id and e.key = c.key
  where refused_ords is null or c.ord <> all (refused_ords);

  select array_agg(e.ord), array_agg(e.wallet_id), array_agg(e.seq), array_agg(e.amount),
    array_agg(e.balance), array_agg(e.held_micros), array_agg(e.arrears_micros),
    array_agg(e.overdraft_limit_micros), array_agg(e.key), array_agg(e.request),
    array_agg(e.actor), array_agg(e.occurred), array_agg(e.recorded), array_agg(e.detail),
    array_agg(e.head_hash), array_agg(e.rank = 1), array_agg(e.rank = e.ranks),
    -- event_canonical, written out: a call of it for each event would build the whole row.
    array_agg(concat_ws(E'\n', 'v1', e.wallet_id, e.seq, 'charge', -e.amount, '0', '0',
      e.balance, e.held_micros, e.arrears_micros, e.overdraft_limit_micros, e.key,
      encode(e.request, 'hex'), e.actor, (extract(epoch from e.occurred) * 1000000)::bigint,
      (extract(epoch from e.recorded) * 1000000)::bigint, e.detail))
  into ords, wallet_ids, seqs, amounts, balances, helds, arrears, overdrafts, keys, requests,
    actors, occurred, recorded, details, heads, firsts, lasts, canonicals
  from (
    select c.*, w.head_hash, w.held_micros, w.arrears_micros, w.overdraft_limit_micros,
      w.seq + c.rank as seq, w.balance_micros - c.running::bigint as balance,
      greatest(now_at, w.updated_at) as recorded,
      coalesce(c.occurred_at, greatest(now_at, w.updated_at)) as occurred
    from (
      select c.*, row_number() over own as rank, sum(c.amount) over own as running,
        count(*) over whole as ranks, sum(c.amount) over whole as total,
        bool_and(coalesce(c.amount between 0 and 1000000000000000000, false)) over whole as priced
      from unnest(p_wallet_ids, p_keys, p_request_hashes, p_amounts_micros, p_occurred_at,
                  p_actors, p_details)
        with ordinality c(wallet_id, key, request, amount, occurred_at, actor, detail, ord)
      where (refused_ords is null or c.ord <> all (refused_ords))
        and (known_ords is null or c.ord <> all (known_ords))
      window whole as (partition by c.wallet_id),
        own as (partition by c.wallet_id order by c.ord rows unbounded preceding)
    ) c
    join wallets w on w.id = c.wallet_id
    -- Plain: these wallets' charges are all of them accepted, whatever their order.
    where c.priced and w.status = 'open' and w.mode = 'live'
      and (w.next_due_at is null or w.next_due_at > now_at)
      and w.balance_micros - w.held_micros + w.overdraft_limit_micros >= c.total
    order by c.wallet_id, c.rank
  ) e;

  if ords is not null then
    for i in 1 .. cardinality(ords) loop
      chain := sha256(case when firsts[i] then heads[i] else chain end
                      || convert_to(canonicals[i], 'UTF8'));
      hashes := hashes || chain;
    end loop;

    return query
    with written as (
      insert into wallet_events (
        wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
        balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
        actor, occurred_at, recorded_at, detail, hash
      )
      select e.wallet_id, e.seq, 'charge', -e.amount, 0, 0, e.balance, e.held, e.arrears,
        e.overdraft, e.key, e.request, e.actor, e.occurred, e.recorded, e.detail, e.hash
      from unnest(wallet_ids, seqs, amounts, balances, helds, arrears, overdrafts, keys, requests,
                  actors, occurred, recorded, details, hashes)
        e(wallet_id, seq, amount, balance, held, arrears, overdraft, key, request,
          actor, occurred, recorded, detail, hash)
    ), projected as (
      update wallets w set
        balance_micros = e.balance, seq = e.seq, head_hash = e.hash, updated_at = e.recorded
      from unnest(wallet_ids, seqs, balances, recorded, hashes, lasts)
        e(wallet_id, seq, balance, recorded, hash, last)
      where w.id = e.wallet_id and e.last
    )
    select e.ord::int, 'OK', false, e.seq, e.amount, e.balance, e.held, e.arrears,
      e.balance - e.held + e.overdraft, e.recorded, null::json
    from unnest(ords, seqs, amounts, balances, helds, arrears, overdrafts, recorded)
      e(ord, seq, amount, balance, held, arrears, overdraft, recorded);
  end if;

  if coalesce(cardinality(ords), 0) < cardinality(p_wallet_ids) then
    return query
    select c.ord::int, o.*
    from unnest(p_wallet_ids, p_keys, p_request_hashes, p_amounts_micros, p_overruns,
                p_occurred_at, p_actors, p_details)
      with ordinality c(wallet_id, key, request, amount, overrun, occurred_at, actor, detail, ord)
    cross join lateral charge_wallet(
      c.wallet_id, c.key, c.request, c.amount, c.overrun, c.occurred_at, c.actor, c.detail) o
    where (ords is null or c.ord <> all (ords))
      and (refused_ords is null or c.ord <> all (refused_ords))
    order by c.wallet_id, c.ord;

    return query
    select c.ord::int, case when c.live then 'CURRENCY_REQUIRED' else 'KEY_REVOKED' end, false,
      null::bigint, null::bigint, null::bigint, null::bigint, null::bigint, null::bigint,
      null::timestamptz, null::json
    from (
      select r.ord, not exists (select from api_keys k
        where 'api_key:' || k.id = p_actors[r.ord] and k.revoked_at is not null) as live
      from unnest(refused_ords) r(ord)
    ) c;
  end if;
end $$;

grant execute on function charge_many(
  uuid[], boolean[], uuid[], bytea[], bigint[], text[], timestamptz[], text[], json[]
) to wallet_app;
