-- A long history is replayed in parts, by as many connections as there are: until now the wallet with the most
-- events was replayed by one of them while the others had nothing left to do.

-- The link of a wallet's chain that an event's text makes.
create function chained_hash(p_previous bytea, p_canonical text) returns bytea
language sql stable parallel safe as $$
  select sha256(coalesce(p_previous, decode(repeat('00', 32), 'hex'))
                || convert_to(p_canonical, 'UTF8'))
$$;
grant execute on function chained_hash(bytea, text) to wallet_app;

create or replace function event_hash(p_previous bytea, e wallet_events) returns bytea
language sql stable parallel safe as $$
  select chained_hash(p_previous, event_canonical(e))
$$;

-- Replays the events from the one after `p_after_seq` of the range's first wallet to `p_up_to_seq` of its last,
-- by default all of the range. The event before a part is read for what follows it, and not counted. The
-- primary key has the events in order: to sort them would be to read the whole table for each range and to
-- write what belongs to it to temporary files.
drop function replayed_wallets(uuid, uuid);
create function replayed_wallets(
  p_from uuid, p_to uuid, p_after_seq bigint default null, p_up_to_seq bigint default null
) returns setof replayed_wallet
language sql stable rows 10000 set jit = off
set enable_sort = off set enable_incremental_sort = off
set max_parallel_workers_per_gather = 0
as $$
  select l.wallet_id, count(*), max(l.seq),
    sum(l.balance_delta_micros), sum(l.held_delta_micros), sum(l.arrears_delta_micros),
    array_agg(l.seq) filter (where l.out_of_sequence),
    array_agg(l.seq) filter (where l.wrong_total),
    array_agg(l.seq) filter (where l.back_in_time),
    array_agg(l.seq) filter (where l.wrong_hash),
    array_agg(l.seq) filter (where l.mentions_hold)
  from (
    select e.wallet_id, e.seq,
      e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
      e.seq <> coalesce((e.before).seq, 0) + 1
        or e.seq = 1 and e.type <> 'wallet_opened' as out_of_sequence,
      e.balance_micros - e.balance_delta_micros <> coalesce((e.before).balance_micros, 0)
        or e.held_micros - e.held_delta_micros <> coalesce((e.before).held_micros, 0)
        or e.arrears_micros - e.arrears_delta_micros <> coalesce((e.before).arrears_micros, 0)
        as wrong_total,
      e.recorded_at < (e.before).recorded_at as back_in_time,
      e.hash <> chained_hash(e.hash_before, e.canonical) as wrong_hash,
      -- Going through the text costs a fifth of taking the detail apart.
      strpos(e.canonical, '"holdId"') > 0 as mentions_hold
    from (
      select e.wallet_id, e.seq, e.type, e.recorded_at,
        e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
        e.balance_micros, e.held_micros, e.arrears_micros,
        -- Fetched at once, for each lag() goes back for itself.
        lag(row(
          e.seq, e.balance_micros, e.held_micros, e.arrears_micros, e.recorded_at
        )::event_state) over chain as before,
        e.hash, lag(e.hash) over chain as hash_before,
        -- Written once for all that reads it, as it is half of the work.
        event_canonical(e) as canonical
      from wallet_events e
      -- Compared as rows, which the index can begin and end at.
      where (e.wallet_id, e.seq) >= (p_from, coalesce(p_after_seq, -9223372036854775808))
        and (e.wallet_id, e.seq) <= (p_to, coalesce(p_up_to_seq, 9223372036854775807))
      -- No frame to look for: lag() knows none.
      window chain as (partition by e.wallet_id order by e.seq rows current row)
    ) e
  ) l
  where (l.wallet_id, l.seq) is distinct from (p_from, p_after_seq)
  group by l.wallet_id
$$;

-- Replays a range whose first wallet's first events are replayed already: `p_parts` is what they came to.
create function replayed_after(p_from uuid, p_to uuid, p_parts replayed_wallet[])
returns setof replayed_wallet
language sql stable rows 10000 set jit = off as $$
  with rest as materialized (
    select r from replayed_wallets(p_from, p_to, (select max(p.seq) from unnest(p_parts) p)) r
  ), parts as materialized (
    select * from unnest(p_parts || array(select r from rest where (r).wallet_id = p_from))
  )
  select (r).* from rest where (r).wallet_id <> p_from
  union all
  select p_from, sum(p.events)::bigint, max(p.seq),
    sum(p.balance_micros), sum(p.held_micros), sum(p.arrears_micros),
    (select array_agg(s) from parts q, unnest(q.out_of_sequence) s),
    (select array_agg(s) from parts q, unnest(q.wrong_total) s),
    (select array_agg(s) from parts q, unnest(q.back_in_time) s),
    (select array_agg(s) from parts q, unnest(q.wrong_hash) s),
    (select array_agg(s) from parts q, unnest(q.mention_holds) s)
  from parts p
$$;
