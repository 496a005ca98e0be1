-- The cards that Stripe keeps for a user, in the order in which the user wants them to be used.

-- A customer deleted at Stripe stays known, because payments that it made may still be on their
-- way; its user gets another with the next payment.
alter table stripe_customers
  add column deleted_at timestamptz,
  -- Counts the readings of the customer's cards at Stripe, and names the newest that was recorded:
  -- an older one, which took longer, says nothing any more.
  add column card_reads bigint not null default 0,
  add column card_read_recorded bigint not null default 0,
  drop constraint stripe_customers_pkey,
  drop constraint stripe_customers_stripe_customer_id_key,
  add primary key (stripe_customer_id);
create unique index stripe_customers_of_user on stripe_customers (user_id, livemode)
  where deleted_at is null;

create table saved_cards (
  payment_method_id text primary key check (length(payment_method_id) between 1 and 100),
  user_id text not null,
  livemode boolean not null,
  brand text not null check (length(brand) between 1 and 50),
  last4 text not null check (last4 ~ '^[0-9]{4}$'),
  exp_month int not null check (exp_month between 1 and 12),
  exp_year int not null check (exp_year between 2000 and 9999),
  -- What the user calls it. Whoever types the card's number here is refused.
  name text check (length(name) between 1 and 40 and name !~ '([0-9][^0-9a-zA-Z]*){10}'),
  -- 1 is the default card, the others are its backups in this order.
  position int not null check (position >= 1),
  created_at timestamptz not null default now(),
  -- Deferrable, so that it is checked at the end of a statement that moves several cards.
  constraint saved_cards_in_order unique (user_id, livemode, position) deferrable
);

-- Each setup of a card that a user began. Somebody who tries out stolen cards needs many.
create table card_setups (
  id uuid primary key,
  user_id text not null,
  livemode boolean not null,
  -- Minted by the page, so that a second click finds the setup that the first began.
  attempt_key text not null check (attempt_key ~ '^[A-Za-z0-9_-]{8,100}$'),
  created_at timestamptz not null default clock_timestamp(),
  unique (user_id, livemode, attempt_key)
);
create index card_setups_newest on card_setups (user_id, livemode, created_at desc);

-- Every change of a user's cards locks the row of the user's customer first; false when there is
-- none, and so no card.
create function lock_saved_cards(p_user_id text, p_livemode boolean) returns boolean
language plpgsql as $$
begin
  perform from stripe_customers c
  where c.user_id = p_user_id and c.livemode = p_livemode and c.deleted_at is null
  for no key update;
  return found;
end $$;

-- Gives the cards the positions 1, 2, 3 … in the order in which they are.
create function close_saved_card_gaps(p_user_id text, p_livemode boolean) returns void
language sql as $$
  update saved_cards s set position = o.position
  from (
    select payment_method_id, row_number() over (order by position)::int as position
    from saved_cards where user_id = p_user_id and livemode = p_livemode
  ) o
  where s.payment_method_id = o.payment_method_id and s.position <> o.position
$$;

-- Numbers a reading of the customer's cards, which begins after this; null when the customer is
-- unknown or deleted.
create function begin_card_read(p_customer_id text) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  update stripe_customers set card_reads = card_reads + 1
  where stripe_customer_id = p_customer_id and deleted_at is null
  returning card_reads
$$;

-- Makes the saved cards those that were read at Stripe: an array of {id, brand, last4, expMonth,
-- expYear}, the oldest first. Known cards keep their place and name, new ones come last. STALE,
-- with nothing done, when a reading that began later was recorded before.
create function record_saved_cards(p_customer_id text, p_read bigint, p_cards jsonb) returns text
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

-- Forgets a card that Stripe has removed. Readings that began before know nothing of that, and
-- count no more. False when the user has no such card.
create function remove_saved_card(p_user_id text, p_livemode boolean, p_payment_method_id text)
returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  removed boolean;
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  update stripe_customers set card_read_recorded = card_reads
  where user_id = p_user_id and livemode = p_livemode and deleted_at is null;
  delete from saved_cards
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  removed := found;
  perform close_saved_card_gaps(p_user_id, p_livemode);
  return removed;
end $$;

-- Moves a card to a position, 1 being the default; the cards between go one further. A position
-- behind the last is the last. False when the user has no such card.
create function move_saved_card(
  p_user_id text, p_livemode boolean, p_payment_method_id text, p_position int
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  old_position int;
  new_position int;
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  select position into old_position from saved_cards
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  if not found then
    return false;
  end if;
  select greatest(1, least(p_position, count(*)))::int into new_position from saved_cards
  where user_id = p_user_id and livemode = p_livemode;
  update saved_cards set position = case
    when position = old_position then new_position
    else position + sign(old_position - new_position)::int end
  where user_id = p_user_id and livemode = p_livemode
    and position between least(old_position, new_position) and greatest(old_position, new_position);
  return true;
end $$;

-- Gives a card the name that its user wants, or none. False when the user has no such card.
create function name_saved_card(
  p_user_id text, p_livemode boolean, p_payment_method_id text, p_name text
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    return false;
  end if;
  update saved_cards set name = p_name
  where user_id = p_user_id and livemode = p_livemode and payment_method_id = p_payment_method_id;
  return found;
end $$;

-- Begins the setup of a card, or finds the one that the attempt key began. Stripe's idempotency key
-- is derived from its id.
create function start_card_setup(
  p_id uuid, p_user_id text, p_livemode boolean, p_attempt_key text, out code text, out id uuid
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not lock_saved_cards(p_user_id, p_livemode) then
    code := 'NO_CUSTOMER';
    return;
  end if;
  select s.id into id from card_setups s
  where s.user_id = p_user_id and s.livemode = p_livemode and s.attempt_key = p_attempt_key;
  if found then
    code := 'OK';
    return;
  end if;
  if (select count(*) from card_setups s where s.user_id = p_user_id and s.livemode = p_livemode
      and s.created_at > clock_timestamp() - interval '1 hour') >= 20 then
    code := 'THROTTLED';
    return;
  end if;
  insert into card_setups (id, user_id, livemode, attempt_key)
  values (p_id, p_user_id, p_livemode, p_attempt_key);
  code := 'OK';
  id := p_id;
end $$;

-- Notes that a customer was deleted at Stripe, and with it its cards.
create function forget_stripe_customer(p_customer_id text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  c stripe_customers;
begin
  update stripe_customers set deleted_at = clock_timestamp()
  where stripe_customer_id = p_customer_id and deleted_at is null
  returning * into c;
  if found then
    delete from saved_cards s where s.user_id = c.user_id and s.livemode = c.livemode;
  end if;
end $$;

grant select on saved_cards, card_setups to wallet_app;
grant execute on function
  begin_card_read(text),
  record_saved_cards(text, bigint, jsonb),
  remove_saved_card(text, boolean, text),
  move_saved_card(text, boolean, text, int),
  name_saved_card(text, boolean, text, text),
  start_card_setup(uuid, text, boolean, text),
  forget_stripe_customer(text)
  to wallet_app;
