-- Each event of a wallet updated its row, and an update walks through the versions that those before it in the
-- same transaction left: 16,000 holds that ran out at once took 12 s to settle, 30,000 took 45 s, which is
-- more than a statement may, so that their wallet could no longer be charged. What is due updates it once.

-- `p_projects` is false for an event that another one of the same transaction follows at once.
drop function append_event(
  wallets, text, bigint, bigint, bigint, uuid, bytea, text, timestamptz, json, jsonb);
create function append_event(
  inout w wallets, p_type text, p_balance_delta_micros bigint, p_held_delta_micros bigint,
  p_arrears_delta_micros bigint, p_key uuid, p_request_hash bytea, p_actor text,
  p_occurred_at timestamptz, p_detail json, p_grants jsonb default null,
  p_projects boolean default true
) language plpgsql as $$
declare
  e wallet_events;
begin
  -- recorded_at grows with seq even when the machine's clock steps back.
  w.updated_at := greatest(ledger_now(), w.updated_at);
  w.seq := w.seq + 1;
  w.balance_micros := w.balance_micros + p_balance_delta_micros;
  w.held_micros := w.held_micros + p_held_delta_micros;
  w.arrears_micros := w.arrears_micros + p_arrears_delta_micros;
  if p_grants is not null then
    update grants g set
      left_micros = g.left_micros + case when p_type = 'usage_refund' then p.micros else -p.micros end
    from (
      -- A hold may have burned a grant in several parts, which come back together.
      select seq, sum(micros) as micros
      from jsonb_to_recordset(p_grants) as p (seq bigint, micros bigint) group by seq
    ) p
    where g.wallet_id = w.id and g.seq = p.seq;
    w.grants_micros := w.grants_micros
      + case when p_type = 'usage_refund' then 1 else -1 end * parts_total(p_grants);
  end if;

  e.wallet_id := w.id;
  e.seq := w.seq;
  e.type := p_type;
  e.balance_delta_micros := p_balance_delta_micros;
  e.held_delta_micros := p_held_delta_micros;
  e.arrears_delta_micros := p_arrears_delta_micros;
  e.balance_micros := w.balance_micros;
  e.held_micros := w.held_micros;
  e.arrears_micros := w.arrears_micros;
  e.overdraft_limit_micros := w.overdraft_limit_micros;
  e.key := p_key;
  e.request_hash := p_request_hash;
  e.actor := p_actor;
  e.occurred_at := coalesce(p_occurred_at, w.updated_at);
  e.recorded_at := w.updated_at;
  e.detail := p_detail;
  w.head_hash := event_hash(w.head_hash, e);

  insert into wallet_events (
    wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
    balance_micros, held_micros, arrears_micros, overdraft_limit_micros, key, request_hash,
    actor, occurred_at, recorded_at, detail, hash
  ) values (
    e.wallet_id, e.seq, e.type, e.balance_delta_micros, e.held_delta_micros,
    e.arrears_delta_micros, e.balance_micros, e.held_micros, e.arrears_micros,
    e.overdraft_limit_micros, e.key, e.request_hash, e.actor, e.occurred_at, e.recorded_at,
    e.detail, w.head_hash
  );

  if p_projects then
    -- A wallet's first event comes before its row, which is inserted on it.
    update wallets set
      balance_micros = w.balance_micros, held_micros = w.held_micros,
      arrears_micros = w.arrears_micros, seq = w.seq, head_hash = w.head_hash,
      grants_micros = w.grants_micros, updated_at = w.updated_at
    where id = w.id;
  end if;
  if w.limited then
    perform count_usage(w, e);
  end if;
  if strpos(p_detail::text, '"monthly"') > 0 then
    perform count_units(w, e);
  end if;
end $$;

drop function end_hold(
  wallets, holds, text, bigint, bigint, uuid, bytea, text, timestamptz, jsonb, jsonb);
create function end_hold(
  inout w wallets, h holds, p_type text, p_funded_micros bigint, p_owed_micros bigint, p_key uuid,
  p_request_hash bytea, p_actor text, p_occurred_at timestamptz, p_report jsonb, p_grants jsonb,
  p_projects boolean default true
) language plpgsql as $$
declare
  is_goodwill constant boolean := p_funded_micros = 0 and p_owed_micros = 0
    and p_report #> '{breakdown,goodwillMicros}' is not null;
begin
  if p_report is null or w.mode = 'deferred' or is_goodwill then
    w := append_event(
      w, p_type, 0, -h.held_micros, 0, p_key, p_request_hash, p_actor, p_occurred_at,
      hold_link(h)::json, p_projects => p_projects and p_report is null
    );
    if p_report is not null then
      w := append_event(
        w, case when is_goodwill then 'goodwill' else 'accrual' end, 0, p_funded_micros,
        p_owed_micros, null, null, p_actor, p_occurred_at,
        with_field((hold_link(h) || p_report)::json, 'grants', p_grants), p_grants, p_projects
      );
    end if;
  else
    w := append_event(
      w, p_type, -p_funded_micros, -h.held_micros, p_owed_micros, p_key, p_request_hash, p_actor,
      p_occurred_at, with_field((hold_link(h) || p_report)::json, 'grants', p_grants), p_grants,
      p_projects
    );
  end if;
end $$;

create or replace function settle_due(inout w wallets) language plpgsql as $$
declare
  called_at constant timestamptz := ledger_now();
  steps constant due_step[] := (select p.steps from plan_due(w, called_at) p);
  step due_step;
  is_last boolean;
  h holds;
begin
  for i in 1 .. cardinality(steps) loop
    step := steps[i];
    is_last := i = cardinality(steps);
    if step.hold_id is not null then
      select * into h from holds where id = step.hold_id;
      w := end_hold(w, h, 'hold_expired', step.funded_micros, step.owed_micros, null, null,
                    'system:expiry', step.at, h.report, step.grants, is_last);
      update holds set
        status = 'expired', held_micros = 0,
        billed_micros = step.funded_micros + step.owed_micros,
        burned = burned || coalesce(step.grants, '[]')
      where id = h.id;
    else
      w.grants_micros := w.grants_micros - step.ended_micros;
      w := append_event(
        w, 'grant_expired', -step.taken_micros, 0, 0, null, null, 'system:expiry', step.at,
        json_build_object('grantSeq', step.grant_seq::text, 'expiresAt', json_instant(step.at),
                          'endedMicros', step.ended_micros::text),
        p_projects => is_last);
      update grants set
        left_micros = left_micros - step.ended_micros,
        expired_micros = expired_micros + step.ended_micros
      where wallet_id = w.id and seq = step.grant_seq;
    end if;
  end loop;
  if w.arrears_micros > 0 then
    w := settle_arrears(w, called_at);
  end if;
  -- Credit that a hold keeps past its expiry falls due when that hold ends.
  w.next_due_at := least(
    (select min(expires_at) from holds where wallet_id = w.id and status = 'open'),
    (select min(expires_at) from grants
     where wallet_id = w.id and left_micros > 0 and expires_at > called_at),
    case when w.arrears_micros > 0 then arrears_due_at(w) end);
  update wallets set next_due_at = w.next_due_at where id = w.id;
end $$;
