-- A reading of a customer's cards that was overtaken by a later one has nothing to add, for the
-- later one knows all that it knows. One that was under way when a card was removed here is another
-- matter: it may know of other changes, so it has to be made again.
alter table stripe_customers add column card_read_void bigint not null default 0;

-- Makes the saved cards those that were read at Stripe: an array of {id, brand, last4, expMonth,
-- expYear}, the oldest first. Known cards keep their place and name, new ones come last. STALE:
-- nothing had to be done, because a reading that began later was recorded. VOID: nothing was done,
-- because a card was removed meanwhile; the cards have to be read again.
create or replace function record_saved_cards(p_customer_id text, p_read bigint, p_cards jsonb)
returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  c stripe_customers;
begin
  select * into c from stripe_customers
  where stripe_customer_id = p_customer_id and deleted_at is null for no key update;
  if not found then
    return 'NO_CUSTOMER';
  end if;
  if p_read <= c.card_read_recorded then
    return 'STALE';
  end if;
  if p_read <= c.card_read_void then
    return 'VOID';
  end if;
  update stripe_customers set card_read_recorded = p_read where stripe_customer_id = p_customer_id;
  delete from saved_cards s
  where s.user_id = c.user_id and s.livemode = c.livemode
    and not exists (
      select from jsonb_array_elements(p_cards) card where card ->> 'id' = s.payment_method_id
    );
  insert into saved_cards (
    payment_method_id, user_id, livemode, brand, last4, exp_month, exp_year, position
  )
  select card ->> 'id', c.user_id, c.livemode, card ->> 'brand', card ->> 'last4',
    (card ->> 'expMonth')::int, (card ->> 'expYear')::int,
    ord + (select coalesce(max(s.position), 0) from saved_cards s
           where s.user_id = c.user_id and s.livemode = c.livemode)
  from jsonb_array_elements(p_cards) with ordinality as cards (card, ord)
  on conflict (payment_method_id) do update set
    brand = excluded.brand, last4 = excluded.last4, exp_month = excluded.exp_month,
    exp_year = excluded.exp_year
  where (saved_cards.user_id, saved_cards.livemode) = (excluded.user_id, excluded.livemode);
  perform close_saved_card_gaps(c.user_id, c.livemode);
  return 'OK';
end $$;

-- Forgets a card that Stripe has removed. Readings that began before may not know of that, and are
-- void. False when the user has no such card.
create or replace function remove_saved_card(
  p_user_id text, p_livemode boolean, p_payment_method_id text
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  removed boolean;
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  update stripe_customers set card_read_void = card_reads
  where user_id = p_user_id and livemode = p_livemode and deleted_at is null;
  delete from saved_cards
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  removed := found;
  perform close_saved_card_gaps(p_user_id, p_livemode);
  return removed;
end $$;

-- As before, and the customer's id stays too: it is what an event about a card is replayed by.
create or replace function trim_stripe_payloads(p_before timestamptz, p_limit int) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with old as (
    select event_id from stripe_inbox
    where trimmed_at is null and status in ('applied', 'ignored') and finished_at < p_before
    order by finished_at limit p_limit for update skip locked
  ), trimmed as (
    update stripe_inbox i set
      trimmed_at = clock_timestamp(),
      payload = jsonb_strip_nulls(jsonb_build_object(
        'id', i.event_id, 'type', i.type, 'created', i.payload -> 'created',
        'data', jsonb_build_object('object', jsonb_build_object(
          'id', i.object_id, 'customer', coalesce(
            i.payload #>> '{data,object,customer}',
            i.payload #>> '{data,previous_attributes,customer}')))))
    from old where i.event_id = old.event_id
    returning i.event_id
  )
  select count(*) from trimmed
$$;
