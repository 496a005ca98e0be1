-- People who sign in, their sessions, the counters that throttle attempts, and the keys of services.
-- No secret is stored as it was issued: passwords as argon2id, session tokens and API keys as
-- SHA-256 (they are 256 random bits, so a plain hash cannot be searched), email and network
-- addresses of attempts as HMAC-SHA-256.

create table users (
  -- `u_…` for a person who signed up; a host product's own ids are free to look otherwise.
  id text primary key check (id ~ '^[A-Za-z0-9_.:-]{1,128}$'),
  email text not null check (length(email) between 3 and 254 and email !~ '[[:space:]]'),
  password_hash text not null check (password_hash like '$argon2id$%'),
  role text not null default 'user' check (role in ('user', 'support')),
  created_at timestamptz not null default now()
);
create unique index users_email on users (lower(email));

create table sessions (
  id_hash bytea primary key check (octet_length(id_hash) = 32),
  user_id text not null references users on delete cascade,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null check (expires_at > created_at)
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

-- One row counts the attempts of one email or network address in one window of time.
create table sign_in_attempts (
  key_hash bytea primary key check (octet_length(key_hash) = 32),
  kind text not null check (kind in ('sign_in_email', 'sign_in_ip', 'sign_up_ip')),
  attempts int not null check (attempts >= 0),
  window_ends_at timestamptz not null
);
create index sign_in_attempts_window on sign_in_attempts (window_ends_at);

create table api_keys (
  id text primary key check (id ~ '^key_[a-z2-7]{16}$'),
  name text not null check (length(name) between 1 and 100),
  scopes text[] not null check (cardinality(scopes) > 0),
  secret_hash bytea not null unique check (octet_length(secret_hash) = 32),
  -- The secret's first characters, by which people tell keys apart.
  prefix text not null check (length(prefix) <= 8),
  created_by text not null check (length(created_by) between 1 and 200),
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz check (revoked_at >= created_at)
);

-- Changes a password that was checked against p_old_hash, ends every session of the user and starts
-- one; false, and nothing done, when the password is another one by now. Its statements see what
-- was committed while the first waited, so a session begun with the old password cannot survive.
create function replace_password(
  p_user_id text, p_old_hash text, p_new_hash text, p_session_hash bytea, p_idle_seconds int
) returns boolean language plpgsql as $$
begin
  update users set password_hash = p_new_hash where id = p_user_id and password_hash = p_old_hash;
  if not found then
    return false;
  end if;
  delete from sessions where user_id = p_user_id;
  insert into sessions (id_hash, user_id, expires_at)
    values (p_session_hash, p_user_id, now() + make_interval(secs => p_idle_seconds));
  return true;
end $$;

-- The application cannot make anybody support staff, nor rename a user, nor give a key other scopes.
grant select, insert (id, email, password_hash), update (password_hash) on users to wallet_app;
grant select, insert, delete, update (last_seen_at, expires_at) on sessions to wallet_app;
grant select, insert, delete, update (attempts, window_ends_at) on sign_in_attempts to wallet_app;
grant select, insert (id, name, scopes, secret_hash, prefix, created_by),
  update (last_used_at, revoked_at) on api_keys to wallet_app;
grant execute on function replace_password(text, text, text, bytea, int) to wallet_app;
