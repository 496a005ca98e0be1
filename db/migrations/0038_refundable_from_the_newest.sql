-- How much unspent money may go back is asked of the newest top-ups, until it is found: a wallet that
-- has been topped up thousands of times has little left of all but the last of them.
create or replace function refundable_micros(w wallets, p_livemode boolean) returns bigint
language plpgsql stable as $$
declare
  free constant bigint := free_micros(w);
  returnable bigint := 0;
  t top_ups;
begin
  for t in
    select * from top_ups
    where wallet_id = w.id and status = 'succeeded' and livemode = p_livemode
    order by credited_seq desc
  loop
    exit when returnable >= free;
    returnable := returnable + returnable_micros(t);
  end loop;
  return least(free, returnable);
end $$;
