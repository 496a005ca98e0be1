-- What people are told: an outbox of mails, and alerts at low balances. Whoever moves money knows
-- nothing of either: notices are derived afterwards from the events, wallet by wallet and in their
-- order, in one transaction with the cursor that says how far. So none is lost and none is derived
-- twice, however many processes follow.

create table mail_outbox (
  id uuid primary key default gen_random_uuid(),
  -- The address is read when the mail is sent, and never kept here.
  user_id text not null,
  kind text not null check (kind ~ '^[a-z][a-z_]{2,39}$'),
  -- Kind, wallet and cause: what somebody was told of once is not told again.
  dedupe_key text not null unique check (length(dedupe_key) between 3 and 250),
  -- What the text needs, and no secret.
  payload jsonb not null check (jsonb_typeof(payload) = 'object'),
  status text not null default 'waiting' check (status in ('waiting', 'sent', 'dead')),
  attempts int not null default 0,
  -- While a process sends it, the end of that process's lease.
  next_attempt_at timestamptz not null default clock_timestamp(),
  -- The transport's code: its words may repeat the address.
  last_error text check (length(last_error) <= 60),
  created_at timestamptz not null default clock_timestamp(),
  give_up_at timestamptz not null default clock_timestamp() + interval '3 days',
  finished_at timestamptz,
  constraint mail_outbox_finished check ((finished_at is null) = (status = 'waiting'))
);
create index mail_outbox_due on mail_outbox (next_attempt_at) where status = 'waiting';
create index mail_outbox_dead on mail_outbox (created_at) where status = 'dead';

-- How far each wallet's events have been looked at, and whether its user wants alerts by mail.
create table notice_cursors (
  wallet_id uuid primary key references wallets (id),
  seq bigint not null check (seq >= 0),
  -- The newest of those events that added to the balance; 0 for none.
  credited_seq bigint not null default 0,
  alert_by_mail boolean not null default true
) with (fillfactor = 70);

create table balance_alerts (
  wallet_id uuid not null references notice_cursors (wallet_id),
  threshold_micros bigint not null
    check (threshold_micros between 1 and 1000000000000000),
  -- Whether what is available was less, as of the cursor.
  below boolean not null,
  -- When it last fell below; null when it has not been above yet.
  since timestamptz,
  -- The event that a mail told of last.
  told_seq bigint,
  told_at timestamptz,
  primary key (wallet_id, threshold_micros),
  constraint balance_alerts_told_of_event check ((told_seq is null) = (told_at is null))
) with (fillfactor = 70);

-- Alerts that a wallet starts with: 5 and 1 units, or what is about as much of the currency.
create function default_alerts(p_exponent int) returns bigint[]
language sql immutable parallel safe as $$
  select case p_exponent
    when 0 then '{500000000,100000000}'::bigint[]
    when 3 then '{1500000,300000}'::bigint[]
    else '{5000000,1000000}'::bigint[]
  end
$$;

-- Begins to follow wallets that nobody follows yet, from their first event on.
create function follow_wallets(p_wallet_ids uuid[]) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with followed as (
    insert into notice_cursors (wallet_id, seq)
    select w.id, 0 from wallets w where w.id = any (p_wallet_ids) order by w.id
    on conflict do nothing returning wallet_id
  )
  insert into balance_alerts (wallet_id, threshold_micros, below)
  select f.wallet_id, t.micros, true
  from followed f
  join wallets w on w.id = f.wallet_id
  join currencies c on c.code = w.currency
  cross join unnest(default_alerts(c.exponent)) as t (micros)
$$;

-- What there is before this migration is no news.
insert into notice_cursors (wallet_id, seq, credited_seq) select id, seq, seq from wallets;
insert into balance_alerts (wallet_id, threshold_micros, below)
select w.id, t.micros, available_micros(w) < t.micros
from wallets w
join currencies c on c.code = w.currency
cross join unnest(default_alerts(c.exponent)) as t (micros);

-- Puts a notice for the wallet's user into the outbox, once for its kind and cause. A wallet whose
-- user has no account here has nobody to tell: the host product's own users are its to tell.
create function enqueue_notice(p_wallet_id uuid, p_kind text, p_cause text, p_payload jsonb)
returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into mail_outbox (user_id, kind, dedupe_key, payload)
  select w.user_id, p_kind, concat_ws(':', p_kind, w.id, p_cause),
    jsonb_strip_nulls(p_payload) || jsonb_build_object(
      'currency', w.currency, 'exponent', c.exponent, 'timezone', w.timezone
    )
  from wallets w join currencies c on c.code = w.currency
  where w.id = p_wallet_id and exists (select from users u where u.id = w.user_id)
  on conflict (dedupe_key) do nothing
$$;

-- The kind of notice that an event of the ledger gives rise to by itself, or null.
create function notice_kind(p_event_type text) returns text
language sql immutable parallel safe as $$
  select case p_event_type when 'top_up' then 'receipt' end
$$;

-- Derives the notices of a wallet's next events and moves its cursor, which the caller has locked.
create function derive_wallet_notices(c notice_cursors) returns void
language plpgsql as $$
declare
  -- In one transaction; what is left comes in the next one.
  events_at_once constant bigint := 10000;
  -- A balance of yesterday is no news, for example in records that were imported.
  alert_within constant interval := '24 hours';
  -- A balance that goes up and down about a threshold as holds are placed and released is told of
  -- once in that time, unless something was added to it meanwhile.
  quiet constant interval := '1 hour';
  upto bigint;
  crossing record;
  told bigint[];
begin
  select least(w.seq, c.seq + events_at_once) into upto from wallets w where w.id = c.wallet_id;
  if upto <= c.seq then
    return;
  end if;

  perform enqueue_notice(
    c.wallet_id, notice_kind(e.type), e.seq::text,
    jsonb_build_object(
      'at', e.recorded_at, 'seq', e.seq::text, 'amountMicros', abs(e.balance_delta_micros)::text,
      'topUpId', e.detail ->> 'topUpId'
    )
  )
  from wallet_events e
  where e.wallet_id = c.wallet_id and e.seq > c.seq and e.seq <= upto
    and notice_kind(e.type) is not null;

  for crossing in
    select e.seq, e.available, e.recorded_at, e.credited_seq,
      array_agg(a.threshold_micros order by a.threshold_micros) as thresholds
    from (
      -- The cursor's own event comes along as the state before the first one.
      select seq, recorded_at,
        balance_micros - held_micros + overdraft_limit_micros as available,
        lag(balance_micros - held_micros + overdraft_limit_micros) over (order by seq) as before,
        coalesce(max(seq) filter (where balance_delta_micros > 0) over (order by seq), 0)
          as credited_seq
      from wallet_events where wallet_id = c.wallet_id and seq between c.seq and upto
    ) e
    join balance_alerts a on a.wallet_id = c.wallet_id
      and (e.available < a.threshold_micros) <> (coalesce(e.before, 0) < a.threshold_micros)
    where e.seq > c.seq
    group by e.seq, e.available, e.recorded_at, e.credited_seq
    order by e.seq
  loop
    if crossing.available >= crossing.thresholds[1] then
      update balance_alerts set below = false
      where wallet_id = c.wallet_id and threshold_micros = any (crossing.thresholds);
      continue;
    end if;
    update balance_alerts set below = true, since = crossing.recorded_at
    where wallet_id = c.wallet_id and threshold_micros = any (crossing.thresholds);
    if not c.alert_by_mail or crossing.recorded_at < ledger_now() - alert_within then
      continue;
    end if;
    with told_now as (
      update balance_alerts set told_seq = crossing.seq, told_at = crossing.recorded_at
      where wallet_id = c.wallet_id and threshold_micros = any (crossing.thresholds)
        and (told_seq is null or told_at < crossing.recorded_at - quiet
             or told_seq < greatest(crossing.credited_seq, c.credited_seq))
      returning threshold_micros
    )
    select array_agg(threshold_micros order by threshold_micros) into told from told_now;
    if told is not null then
      -- One event, one mail, however many thresholds it passed.
      perform enqueue_notice(c.wallet_id, 'low_balance', crossing.seq::text, jsonb_build_object(
        'at', crossing.recorded_at, 'availableMicros', crossing.available::text,
        'thresholdsMicros', to_jsonb(told::text[])
      ));
    end if;
  end loop;

  update notice_cursors n set
    seq = upto,
    credited_seq = coalesce((
      select max(e.seq) from wallet_events e
      where e.wallet_id = c.wallet_id and e.seq > c.seq and e.seq <= upto
        and e.balance_delta_micros > 0
    ), c.credited_seq)
  where n.wallet_id = c.wallet_id;
end $$;

-- Derives the notices of these wallets' next events; leaves those out that another process is at.
-- Returns how many wallets it looked at.
create function derive_notices(p_wallet_ids uuid[]) returns int
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  c notice_cursors;
  looked_at int := 0;
begin
  perform follow_wallets(p_wallet_ids);
  for c in
    select * from notice_cursors where wallet_id = any (p_wallet_ids)
    order by wallet_id for update skip locked
  loop
    perform derive_wallet_notices(c);
    looked_at := looked_at + 1;
  end loop;
  return looked_at;
end $$;

-- Sets at which balances a wallet's user is alerted, and whether by mail. A new threshold that is
-- above what is available counts as passed already: it is shown and not told by mail.
create function set_balance_alerts(p_wallet_id uuid, p_thresholds_micros bigint[], p_by_mail boolean)
returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  c notice_cursors;
  available bigint;
begin
  if cardinality(p_thresholds_micros) > 5 then
    raise exception 'a wallet has five alerts at the most' using errcode = 'check_violation';
  end if;
  perform follow_wallets(array[p_wallet_id]);
  select * into c from notice_cursors where wallet_id = p_wallet_id for update;
  -- What happened before was to be told by the thresholds of then.
  perform derive_wallet_notices(c);
  select e.balance_micros - e.held_micros + e.overdraft_limit_micros into available
  from notice_cursors n join wallet_events e on e.wallet_id = n.wallet_id and e.seq = n.seq
  where n.wallet_id = p_wallet_id;
  delete from balance_alerts
  where wallet_id = p_wallet_id and threshold_micros <> all (p_thresholds_micros);
  insert into balance_alerts (wallet_id, threshold_micros, below, since)
  select p_wallet_id, t.micros, available < t.micros,
    case when available < t.micros then ledger_now() end
  from unnest(p_thresholds_micros) as t (micros)
  on conflict do nothing;
  update notice_cursors set alert_by_mail = p_by_mail where wallet_id = p_wallet_id;
end $$;

-- A payment that failed moves no money, so no event tells of it: its top-up does, once, however
-- many cards were tried.
create function tell_of_failed_top_up() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform enqueue_notice(new.wallet_id, 'payment_failed', new.id::text, jsonb_build_object(
    'at', clock_timestamp(), 'topUpId', new.id, 'amountMicros', new.amount_micros::text,
    'reason', new.failure_message
  ));
  return null;
end $$;
create trigger top_ups_failed after update of status on top_ups
  for each row when (new.status = 'failed' and old.status <> 'failed')
  execute function tell_of_failed_top_up();

-- Takes mails that are due, so that no other process sends them before the lease ends.
create function claim_mails(p_limit int, p_lease_seconds int)
returns table (id uuid, attempt int, kind text, payload jsonb, email text)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update mail_outbox m set
    attempts = m.attempts + 1,
    next_attempt_at = clock_timestamp() + make_interval(secs => p_lease_seconds)
  from (
    select o.id, u.email
    from mail_outbox o left join users u on u.id = o.user_id
    where o.status = 'waiting' and o.next_attempt_at <= clock_timestamp()
    order by o.next_attempt_at limit p_limit for update of o skip locked
  ) due
  where m.id = due.id
  returning m.id, m.attempts, m.kind, m.payload, due.email
$$;

-- Records that sending failed: again later, ever more rarely, until it is given up for a person to
-- look at. Another process that has taken the mail meanwhile knows better.
create function fail_mail(p_id uuid, p_attempt int, p_error text) returns text
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update mail_outbox set
    last_error = left(p_error, 60),
    status = case when give_up_at <= clock_timestamp() then 'dead' else status end,
    finished_at = case when give_up_at <= clock_timestamp() then clock_timestamp() end,
    next_attempt_at = clock_timestamp()
      + least(interval '15 minutes', interval '5 seconds' * power(2, least(p_attempt - 1, 10)))
  where id = p_id and attempts = p_attempt and status = 'waiting'
  returning status
$$;

grant select on mail_outbox, notice_cursors, balance_alerts to wallet_app;
grant update (status, next_attempt_at, give_up_at, finished_at, last_error) on mail_outbox
  to wallet_app;
grant execute on function
  follow_wallets(uuid[]),
  derive_notices(uuid[]),
  set_balance_alerts(uuid, bigint[], boolean),
  claim_mails(int, int),
  fail_mail(uuid, int, text)
  to wallet_app;
