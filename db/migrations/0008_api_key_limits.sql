-- How much a service's key may ask for. A server counts in memory what a key asks of it.

-- Calls a second, and how many may come at once after a rest; null is no limit.
alter table api_keys
  add column rate_limit_per_second int check (rate_limit_per_second between 1 and 1000000),
  add column rate_limit_burst int check (rate_limit_burst between 1 and 10000000),
  add constraint rate_limit_is_whole
    check ((rate_limit_per_second is null) = (rate_limit_burst is null));

-- As with scopes: given with the key, and not changed by the application.
grant insert (rate_limit_per_second, rate_limit_burst) on api_keys to wallet_app;
