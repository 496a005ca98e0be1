-- What holds keep of a grant was added up anew for each step: 8,000 holds that ran out at once beside a grant
-- that had expired took 15 s to settle, twice as many longer than a statement may.
create or replace function plan_due(
  w wallets, p_at timestamptz, out wallet wallets, out unspent grants[], out steps due_step[]
) language plpgsql stable as $$
declare
  -- Holds to come count too: they keep credit.
  open_holds constant holds[] := array(
    select h from holds h where h.wallet_id = w.id and h.status = 'open'
      and (h.expires_at <= p_at or w.grants_micros > 0)
    order by h.expires_at, h.id);
  -- The first of them that is still open.
  h_index int := 1;
  g_index int;
  step due_step;
  h holds;
  left_so_far numeric;
  -- What the holds that are still open keep, of each grant: those that were placed before it expired.
  reserved numeric[];
begin
  unspent := case when w.grants_micros > 0 then left_grants(w.id) else '{}' end;
  reserved := array(
    select coalesce((
      select sum(o.held_micros) from unnest(open_holds) o
      where u.expires_at <= p_at and o.placed_at < u.expires_at), 0)
    from unnest(unspent) with ordinality u order by u.ordinality);
  steps := '{}';
  loop
    step := null;
    left_so_far := 0;
    for i in 1 .. cardinality(unspent) loop
      exit when unspent[i].expires_at is null or unspent[i].expires_at > p_at;
      left_so_far := left_so_far + unspent[i].left_micros;
      if left_so_far > reserved[i] and unspent[i].left_micros > 0 then
        g_index := i;
        step.at := unspent[i].expires_at;
        step.grant_seq := unspent[i].seq;
        step.ended_micros := least(unspent[i].left_micros, left_so_far - reserved[i]);
        step.taken_micros := least(step.ended_micros,
                                   greatest(w.balance_micros - w.held_micros, 0));
        exit;
      end if;
    end loop;

    h := open_holds[h_index];
    if h.expires_at <= p_at and (step.at is null or h.expires_at <= step.at) then
      step := null;
      step.at := h.expires_at;
      step.hold_id := h.id;
      select b.funded_micros, b.owed_micros into step.funded_micros, step.owed_micros
      from bill_of_expiry(w, h) b;
      step.grants := burn_in_order(unspent, step.funded_micros, h.placed_at);
      w.held_micros := w.held_micros - h.held_micros;
      if w.mode = 'deferred' then
        w.held_micros := w.held_micros + step.funded_micros;
      else
        w.balance_micros := w.balance_micros - step.funded_micros;
      end if;
      w.arrears_micros := w.arrears_micros + step.owed_micros;
      for i in 1 .. cardinality(unspent) loop
        unspent[i].left_micros := unspent[i].left_micros - coalesce((
          select sum(p.micros) from jsonb_to_recordset(step.grants) as p (seq bigint, micros bigint)
          where p.seq = unspent[i].seq), 0);
        if h.placed_at < unspent[i].expires_at then
          reserved[i] := reserved[i] - h.held_micros;
        end if;
      end loop;
      w.grants_micros := w.grants_micros - coalesce(parts_total(step.grants), 0);
      h_index := h_index + 1;
    elsif step.at is not null then
      w.balance_micros := w.balance_micros - step.taken_micros;
      w.grants_micros := w.grants_micros - step.ended_micros;
      unspent[g_index].left_micros := unspent[g_index].left_micros - step.ended_micros;
      unspent[g_index].expired_micros := unspent[g_index].expired_micros + step.ended_micros;
    else
      exit;
    end if;
    steps := steps || step;
  end loop;
  wallet := w;
end $$;
