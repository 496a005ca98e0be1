-- Usage that was priced wrongly is priced again by another card, and the differences are posted.
create table reratings (
  id uuid primary key,
  card_id uuid not null references rate_cards (id),
  -- The usage of these instants, the last one excluded.
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  -- Whether what should have cost more is charged.
  debits boolean not null,
  reason text not null,
  created_at timestamptz not null default ledger_now(),
  created_by text not null
);
create trigger reratings_append_only before update or delete or truncate on reratings
  for each statement execute function refuse_ledger_change();

-- What a re-rating posted for one charge or hold, named by the event that billed it.
create table rerated_usage (
  wallet_id uuid not null,
  original_seq bigint not null,
  rerating_id uuid not null references reratings (id),
  price_micros bigint not null check (price_micros >= 0),
  -- What it charged; negative for what it gave back.
  posted_micros bigint not null,
  -- The part of it that was given back of the original itself.
  of_original_micros bigint not null check (of_original_micros <= 0),
  event_seqs bigint[] not null,
  primary key (wallet_id, original_seq, rerating_id),
  constraint rerated_usage_of_event foreign key (wallet_id, original_seq)
    references wallet_events (wallet_id, seq)
);
create index rerated_usage_by_rerating on rerated_usage (rerating_id, wallet_id, original_seq);
create trigger rerated_usage_append_only before update or delete or truncate on rerated_usage
  for each statement execute function refuse_ledger_change();

-- What an event billed that can be priced again: a charge by itself, or a hold that ended with usage.
-- `refunded_micros` is what was refunded otherwise than by re-ratings, `corrected_micros` what these
-- posted. Null for any other event.
create function usage_standing(
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
      and h.id = (e.detail ->> 'holdId')::uuid and h.report is not null
  ) o (priced_at, usage, billed_micros)
  cross join (
    select coalesce(sum(u.posted_micros), 0)::bigint as posted_micros,
      coalesce(sum(u.of_original_micros), 0)::bigint as of_original_micros
    from rerated_usage u where u.wallet_id = e.wallet_id and u.original_seq = e.seq
  ) c
$$;

-- Usage of a span of time in a currency, of one user or (null) of all, by wallet and event behind a place. What was used
-- is recorded then or later, but for five minutes by which a caller's clock may run ahead.
create function usage_page(
  p_currency text, p_user_id text, p_from timestamptz, p_to timestamptz, p_after_wallet_id uuid,
  p_after_seq bigint, p_limit int
) returns table (
  wallet_id uuid, user_id text, timezone text, seq bigint, priced_at timestamptz, usage jsonb,
  billed_micros bigint, refunded_micros bigint, corrected_micros bigint
)
language sql stable as $$
  select w.id, w.user_id, w.timezone, u.*
  from wallets w
  cross join lateral (
    select e.seq, s.*
    from wallet_events e cross join lateral usage_standing(e) s
    where e.wallet_id = w.id
      and e.seq > greatest(seq_before(w.id, p_from - interval '5 minutes'),
                           case when w.id = p_after_wallet_id then p_after_seq else 0 end)
      and e.type in ('charge', 'accrual', 'hold_captured', 'hold_expired')
      and s.priced_at >= p_from and s.priced_at < p_to
    order by e.seq limit p_limit
  ) u
  where w.currency = p_currency and w.id >= p_after_wallet_id
    and (p_user_id is null or w.user_id = p_user_id)
    and w.updated_at >= p_from - interval '5 minutes'
  order by w.id, u.seq limit p_limit
$$;

-- What is to be posted so that usage has cost what it should: of what was refunded, that part of the
-- price is not asked for either. Rounded half up, once.
create function rerating_due(
  p_price_micros bigint, p_billed_micros bigint, p_refunded_micros bigint, p_corrected_micros bigint
) returns bigint
language sql immutable parallel safe as $$
  select (case when p_billed_micros = 0 then p_price_micros
          else round(p_price_micros::numeric * (p_billed_micros - p_refunded_micros) / p_billed_micros)
          end)::bigint - (p_billed_micros - p_refunded_micros + p_corrected_micros)
$$;

-- Begins a re-rating. The same again goes on with it.
create function begin_rerating(
  p_id uuid, p_card_id uuid, p_from timestamptz, p_to timestamptz, p_debits boolean, p_reason text,
  p_actor text
) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not exists (select from rate_cards where id = p_card_id) then
    return 'NOT_FOUND';
  end if;
  insert into reratings (id, card_id, starts_at, ends_at, debits, reason, created_by)
  values (p_id, p_card_id, p_from, p_to, p_debits, p_reason, p_actor)
  on conflict do nothing;
  return case when exists (
    select from reratings r
    where (r.id, r.card_id, r.starts_at, r.ends_at, r.debits, r.reason)
        = (p_id, p_card_id, p_from, p_to, p_debits, p_reason)
  ) then 'OK' else 'KEY_REUSED' end;
end $$;

-- Posts the difference for one charge or hold, once for each re-rating. What is given back comes first
-- out of what earlier re-ratings charged for it, the newest first, then out of the original.
-- CHANGED: a late record has changed the usage since its price was looked up.
create function rerate_usage(
  p_rerating_id uuid, p_wallet_id uuid, p_original_seq bigint, p_billed_micros bigint,
  p_price_micros bigint, p_breakdown jsonb, p_actor text, out code text, out posted_micros bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  r reratings;
  e wallet_events;
  h holds;
  standing record;
  request_hash constant bytea := sha256(convert_to(
    format('rerating %s %s %s', p_rerating_id, p_original_seq, p_price_micros), 'UTF8'));
  told jsonb;
  outcome ledger_outcome;
  source record;
  part bigint;
  left_micros bigint;
  of_original bigint := 0;
  posted_seqs bigint[] := '{}';
begin
  select * into strict r from reratings where id = p_rerating_id;
  perform from wallets where id = p_wallet_id for no key update;
  select u.posted_micros into posted_micros from rerated_usage u
  where u.wallet_id = p_wallet_id and u.original_seq = p_original_seq
    and u.rerating_id = p_rerating_id;
  if found then
    code := 'OK';
    return;
  end if;

  select * into strict e from wallet_events where wallet_id = p_wallet_id and seq = p_original_seq;
  standing := usage_standing(e);
  if standing.billed_micros is distinct from p_billed_micros then
    code := 'CHANGED';
    return;
  end if;
  posted_micros := rerating_due(p_price_micros, standing.billed_micros, standing.refunded_micros,
                                standing.corrected_micros);
  if posted_micros > 0 and not r.debits then
    posted_micros := 0;
  end if;
  code := 'OK';
  if posted_micros = 0 then
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

  if posted_micros > 0 then
    outcome := charge_wallet(
      p_wallet_id, ledger_key('rerating', format('%s %s', r.id, e.seq)), request_hash, posted_micros,
      'arrears', null, p_actor, (told || jsonb_build_object(
        'originalSeq', e.seq::text, 'usage', standing.usage, 'units', 0, 'breakdown', p_breakdown,
        'alreadyBilledMicros', (p_price_micros - posted_micros)::text))::json);
    posted_seqs := array[outcome.seq];
  else
    left_micros := -posted_micros;
    for source in
      select c.key, c.seq, usage_micros(c) - coalesce(f.refunded_micros, 0) as micros
      from rerated_usage u
      join wallet_events c on c.wallet_id = u.wallet_id and c.seq = any (u.event_seqs)
        and c.type in ('charge', 'accrual')
      left join usage_refunds f on f.wallet_id = c.wallet_id and f.original_seq = c.seq
      where u.wallet_id = e.wallet_id and u.original_seq = e.seq
      union all
      select case when h.id is null then e.key else ledger_key('hold', h.reference_id) end, e.seq,
        left_micros
      order by seq desc
    loop
      part := least(left_micros, source.micros);
      continue when part = 0;
      outcome := refund_usage(
        p_wallet_id, ledger_key('rerating', format('%s %s %s', r.id, e.seq, source.seq)),
        request_hash, source.key, source.key, standing.usage ->> 'type', part, p_actor, told);
      exit when outcome.code <> 'OK';
      left_micros := left_micros - part;
      posted_seqs := posted_seqs || outcome.seq;
      if source.seq = e.seq then
        of_original := -part;
      end if;
    end loop;
  end if;
  if outcome.code <> 'OK' then
    if cardinality(posted_seqs) > 1 then
      raise exception 'a correction of event % was refused half way: %', e.seq, outcome.code;
    end if;
    code := outcome.code;
    posted_micros := 0;
    return;
  end if;
  insert into rerated_usage (wallet_id, original_seq, rerating_id, price_micros, posted_micros,
                             of_original_micros, event_seqs)
  values (e.wallet_id, e.seq, r.id, p_price_micros, posted_micros, of_original, posted_seqs);
end $$;

-- What re-ratings say that they posted, against the events that they posted.
create function verify_reratings(p_from uuid, p_to uuid, p_limit int, out found bigint, out differences jsonb)
language sql stable set jit = off as $$
  with problems as (
    select u.wallet_id, u.original_seq as seq, 'RERATING_SUM' as problem,
      format('re-rating %s says that it posted %s for event %s; its events say %s', u.rerating_id,
        u.posted_micros, u.original_seq, coalesce(p.posted_micros, 0)) as message
    from rerated_usage u
    cross join lateral (
      select sum(usage_micros(e)) as posted_micros,
        sum(usage_micros(e)) filter (
          where e.type = 'usage_refund' and e.detail ->> 'originalSeq' = u.original_seq::text
        ) as of_original_micros
      from wallet_events e
      where e.wallet_id = u.wallet_id and e.seq = any (u.event_seqs)
        and e.detail #>> '{rerating,id}' = u.rerating_id::text
    ) p
    where u.wallet_id between p_from and p_to
      and (u.posted_micros, u.of_original_micros)
        is distinct from (coalesce(p.posted_micros, 0), coalesce(p.of_original_micros, 0))
    union all
    select e.wallet_id, e.seq, 'RERATING_UNKNOWN', 'it corrects usage, and no re-rating says so'
    from wallet_events e
    where e.wallet_id between p_from and p_to and e.type = 'usage_refund'
      and e.detail -> 'rerating' is not null and not exists (
        select from rerated_usage u
        where u.rerating_id::text = e.detail #>> '{rerating,id}' and u.wallet_id = e.wallet_id
          and e.seq = any (u.event_seqs))
  )
  select (select count(*) from problems),
    (select coalesce(jsonb_agg(jsonb_build_object(
        'walletId', l.wallet_id, 'seq', l.seq::text, 'problem', l.problem, 'message', l.message
      ) order by l.wallet_id, l.seq, l.problem), '[]')
     from (select * from problems order by wallet_id, seq, problem limit p_limit) l)
$$;

grant select on reratings, rerated_usage to wallet_app;
grant execute on function
  usage_standing(wallet_events), usage_page(text, text, timestamptz, timestamptz, uuid, bigint, int),
  rerating_due(bigint, bigint, bigint, bigint),
  begin_rerating(uuid, uuid, timestamptz, timestamptz, boolean, text, text),
  rerate_usage(uuid, uuid, bigint, bigint, bigint, jsonb, text)
  to wallet_app;
