-- Checks of the whole ledger, by ranges of wallet ids (both ends belong to the range), so that
-- memory stays bounded however many wallets there are. Each range is one statement, therefore one
-- moment of the ledger, also while its wallets are in use. Only the owner may call them.

-- Replays the events of a range: sequence, running totals, times and the chain of hashes; then
-- compares the wallets and the statements that stand on them. `differences` lists the first
-- p_limit of the `found`.
create function verify_wallets(
  p_from uuid, p_to uuid, p_limit int,
  out wallets bigint, out events bigint, out found bigint, out differences jsonb
)
language sql stable set jit = off as $$
  with linked as (
    select e.wallet_id, e.seq, e.balance_delta_micros, e.held_delta_micros, e.arrears_delta_micros,
      e.seq <> coalesce(lag(e.seq) over chain, 0) + 1
        or e.seq = 1 and e.type <> 'wallet_opened' as out_of_sequence,
      e.balance_micros - e.balance_delta_micros <> coalesce(lag(e.balance_micros) over chain, 0)
        or e.held_micros - e.held_delta_micros <> coalesce(lag(e.held_micros) over chain, 0)
        or e.arrears_micros - e.arrears_delta_micros <> coalesce(lag(e.arrears_micros) over chain, 0)
        as wrong_total,
      e.recorded_at < lag(e.recorded_at) over chain as back_in_time,
      e.hash <> event_hash(lag(e.hash) over chain, e) as wrong_hash
    from wallet_events e
    where e.wallet_id between p_from and p_to
    window chain as (partition by e.wallet_id order by e.seq)
  ), replayed as (
    select l.wallet_id, count(*) as events, max(l.seq) as seq,
      sum(l.balance_delta_micros) as balance_micros, sum(l.held_delta_micros) as held_micros,
      sum(l.arrears_delta_micros) as arrears_micros,
      array_agg(l.seq order by l.seq) filter (where l.out_of_sequence) as out_of_sequence,
      array_agg(l.seq order by l.seq) filter (where l.wrong_total) as wrong_total,
      array_agg(l.seq order by l.seq) filter (where l.back_in_time) as back_in_time,
      array_agg(l.seq order by l.seq) filter (where l.wrong_hash) as wrong_hash
    from linked l group by l.wallet_id
  ), compared as (
    select coalesce(r.wallet_id, w.id) as wallet_id, r.wallet_id is not null as has_events,
      w.id is not null as has_wallet, r.events,
      r.out_of_sequence, r.wrong_total, r.back_in_time, r.wrong_hash,
      case when w.seq <> r.seq
        then format('the wallet stands on event %s, its last event is %s', w.seq, r.seq) end
        as wrong_seq,
      case when (w.balance_micros, w.held_micros, w.arrears_micros)
             <> (r.balance_micros, r.held_micros, r.arrears_micros)
        then format('the wallet says balance %s, held %s, arrears %s; its events add up to %s, %s, %s',
          w.balance_micros, w.held_micros, w.arrears_micros,
          r.balance_micros, r.held_micros, r.arrears_micros) end as wrong_sum,
      case when w.head_hash <> head.hash
        then 'the wallet''s hash is not that of its last event' end as wrong_head,
      case when w.currency <> opening.detail ->> 'currency'
        then format('the wallet is in %s, it was opened in %s', w.currency,
          opening.detail ->> 'currency') end as wrong_currency
    from replayed r
    full join (select * from wallets where id between p_from and p_to) w on w.id = r.wallet_id
    left join wallet_events head on head.wallet_id = r.wallet_id and head.seq = r.seq
    left join wallet_events opening on opening.wallet_id = r.wallet_id and opening.seq = 1
  ), problems as (
    select c.wallet_id, null::bigint as seq, p.problem, p.message
    from compared c
    cross join lateral (values
      ('WALLET_WITHOUT_EVENTS', case when not c.has_events then 'the wallet has no events' end),
      ('EVENTS_WITHOUT_WALLET',
       case when not c.has_wallet then format('%s events belong to no wallet', c.events) end),
      ('WALLET_SEQUENCE', c.wrong_seq),
      ('WALLET_SUM', c.wrong_sum),
      ('WALLET_HASH', c.wrong_head),
      ('WALLET_CURRENCY', c.wrong_currency)
    ) as p (problem, message)
    where p.message is not null
    union all
    select c.wallet_id, s.seq, p.problem, p.message
    from compared c
    cross join lateral (values
      ('EVENT_SEQUENCE', 'does not follow the event before it', c.out_of_sequence),
      ('EVENT_TOTAL', 'its balance, held or arrears is not the total before it plus its change',
       c.wrong_total),
      ('EVENT_TIME', 'was recorded before the event before it', c.back_in_time),
      ('EVENT_HASH', 'its hash is not that of its content and the hash before it', c.wrong_hash)
    ) as p (problem, message, seqs)
    cross join lateral unnest(p.seqs) as s (seq)
    union all
    select s.wallet_id, s.to_seq, 'STATEMENT_HASH',
      format('statement %s of %s was closed on another event', s.number, s.period)
    from statements s
    left join wallet_events e on e.wallet_id = s.wallet_id and e.seq = s.to_seq
    where s.wallet_id between p_from and p_to and e.hash is distinct from s.head_hash
  )
  select (select count(*) filter (where has_wallet) from compared),
    (select coalesce(sum(events), 0)::bigint from compared),
    (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq nulls last, l.problem), '[]')
     from (select * from problems order by wallet_id, seq nulls last, problem limit p_limit) l)
$$;

-- What the events of a range say that their wallets are. `sound` when the events number their
-- wallet without gaps and add up to what the last of them says. Internal.
create function wallet_projections(p_from uuid, p_to uuid)
returns table (
  wallet_id uuid, events bigint, seq bigint, balance_micros bigint, held_micros bigint,
  arrears_micros bigint, head_hash bytea, recorded_at timestamptz, sound boolean
)
language sql stable as $$
  select head.wallet_id, total.events, head.seq, head.balance_micros, head.held_micros,
    head.arrears_micros, head.hash, head.recorded_at,
    total.events = head.seq
      and (total.balance_micros, total.held_micros, total.arrears_micros)
        = (head.balance_micros, head.held_micros, head.arrears_micros)
  from (
    select e.wallet_id, count(*) as events, max(e.seq) as seq,
      sum(e.balance_delta_micros) as balance_micros, sum(e.held_delta_micros) as held_micros,
      sum(e.arrears_delta_micros) as arrears_micros
    from wallet_events e where e.wallet_id between p_from and p_to group by e.wallet_id
  ) total
  join wallet_events head on head.wallet_id = total.wallet_id and head.seq = total.seq
$$;

-- Computes the wallets of a range anew from their events and, if asked to, writes those that
-- differ. A wallet whose events contradict each other or are gone is reported and left alone, and
-- events without a wallet stay so: they do not say whose they are.
create function rebuild_wallets(
  p_from uuid, p_to uuid, p_repair boolean,
  out wallets bigint, out events bigint, out differences jsonb
)
language plpgsql set jit = off as $$
declare
  d jsonb;
  repaired boolean;
begin
  with compared as (
    select p.events, coalesce(w.id, p.wallet_id) as wallet_id, w.id is not null as has_wallet,
      coalesce(p.sound, false) as sound,
      array[w.seq, w.balance_micros, w.held_micros, w.arrears_micros] as stored,
      array[p.seq, p.balance_micros, p.held_micros, p.arrears_micros] as computed,
      w.head_hash is distinct from p.head_hash as other_hash
    from wallet_projections(p_from, p_to) p
    full join (select * from wallets where id between p_from and p_to) w on w.id = p.wallet_id
  )
  select count(*) filter (where c.has_wallet), coalesce(sum(c.events), 0),
    coalesce(jsonb_agg(jsonb_build_object(
      'walletId', c.wallet_id,
      'problem', case
        when not c.has_wallet then 'EVENTS_WITHOUT_WALLET'
        when c.events is null then 'WALLET_WITHOUT_EVENTS'
        when not c.sound then 'EVENTS_CONTRADICT'
        else 'WALLET_DIFFERS' end,
      'message', format(
        'stored seq, balance, held, arrears: %s; computed: %s%s',
        case when c.has_wallet then array_to_string(c.stored, ', ') else 'no wallet' end,
        case when c.events is null then 'no events' else array_to_string(c.computed, ', ') end,
        case when c.has_wallet and c.events is not null and c.other_hash
          then '; another hash' else '' end),
      'repaired', false
    ) order by c.wallet_id) filter (where not c.sound or not c.has_wallet or c.other_hash
      or c.stored <> c.computed), '[]')
  into wallets, events, differences
  from compared c;

  if p_repair then
    for i in 0 .. jsonb_array_length(differences) - 1 loop
      d := differences -> i;
      continue when d ->> 'problem' <> 'WALLET_DIFFERS';
      -- Locked first, then computed again: the wallet may have gone on meanwhile.
      perform from wallets where id = (d ->> 'walletId')::uuid for no key update;
      update wallets w set
        seq = p.seq, balance_micros = p.balance_micros, held_micros = p.held_micros,
        arrears_micros = p.arrears_micros, head_hash = p.head_hash,
        updated_at = greatest(w.updated_at, p.recorded_at)
      from wallet_projections((d ->> 'walletId')::uuid, (d ->> 'walletId')::uuid) p
      where w.id = p.wallet_id and p.sound;
      repaired := found;
      differences := jsonb_set(differences, array[i::text, 'repaired'], to_jsonb(repaired));
    end loop;
  end if;
end $$;
