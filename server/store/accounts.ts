/** Users, their sessions and the counters of attempts. Each function is one statement. */
import type { SessionUser } from '../views/accounts.ts';
import { only, type Sql } from './sql.ts';

export type StoredUser = SessionUser & { passwordHash: string };

/** What a new session is made of. Times are lengths: the database's clock decides the instants. */
export interface NewSession {
  /** SHA-256 of the token in the cookie. */
  readonly idHash: Uint8Array;
  readonly idleSeconds: number;
  /** The session that the same browser had before, which ends; null when there is none. */
  readonly replacesIdHash: Uint8Array | null;
}

const userColumns = (sql: Sql) => sql`u.id, u.email, u.role`;

/** Adds a user with its first session; null when somebody has the email already. */
export async function insertUser(
  sql: Sql,
  user: { readonly id: string; readonly email: string; readonly passwordHash: string },
  session: NewSession,
): Promise<SessionUser | null> {
  const [row] = await sql<SessionUser[]>`
    with u as (
      insert into users (id, email, password_hash)
      values (${user.id}, ${user.email}, ${user.passwordHash})
      on conflict (lower(email)) do nothing
      returning id, email, role
    ), ${beginSession(sql, session)}
    select ${userColumns(sql)} from u`;
  return row ?? null;
}

/** Adds a user of a given id and role unless the id is there; only the schema's owner may. */
export async function insertUserWithRole(sql: Sql, user: StoredUser): Promise<void> {
  await sql`
    insert into users (id, email, password_hash, role)
    values (${user.id}, ${user.email}, ${user.passwordHash}, ${user.role})
    on conflict (id) do nothing`;
}

/** Sets the role of the user with this email, as the schema's owner; false when there is none. */
export async function setUserRole(
  sql: Sql,
  email: string,
  role: 'user' | 'support',
): Promise<boolean> {
  const rows = await sql`
    update users set role = ${role} where lower(email) = lower(${email}) returning id`;
  return rows.length === 1;
}

export async function findUser(
  sql: Sql,
  by: { readonly id: string } | { readonly email: string },
): Promise<StoredUser | null> {
  const condition = 'id' in by ? sql`u.id = ${by.id}` : sql`lower(u.email) = lower(${by.email})`;
  const [row] = await sql<StoredUser[]>`
    select ${userColumns(sql)}, u.password_hash as "passwordHash" from users u where ${condition}`;
  return row ?? null;
}

/** Starts a session; false when the password is no longer the one that was checked. */
export async function insertSession(
  sql: Sql,
  user: { readonly id: string; readonly passwordHash: string },
  session: NewSession,
): Promise<boolean> {
  // The lock makes a change of the password wait, and then see this session.
  const rows = await sql`
    with u as (
      select id from users
      where id = ${user.id} and password_hash = ${user.passwordHash} for share
    ), ${beginSession(sql, session)}
    select u.id from u`;
  return rows.length === 1;
}

/** Parts of a statement with a row source `u`: starts a session for its user, ends the old one. */
function beginSession(sql: Sql, session: NewSession) {
  return sql`
    started as (
      insert into sessions (id_hash, user_id, expires_at)
      select ${session.idHash}::bytea, u.id, now() + make_interval(secs => ${session.idleSeconds})
      from u
    ), ended as (
      delete from sessions where id_hash = ${session.replacesIdHash} and exists (select from u)
    )`;
}

/**
 * Changes the password, ends every session of the user and starts a new one; false when the
 * password is no longer the one that was checked.
 */
export async function replacePassword(
  sql: Sql,
  user: { readonly id: string; readonly passwordHash: string },
  newPasswordHash: string,
  session: Omit<NewSession, 'replacesIdHash'>,
): Promise<boolean> {
  const [row] = await sql<{ replaced: boolean }[]>`
    select replace_password(${user.id}, ${user.passwordHash}, ${newPasswordHash},
      ${session.idHash}, ${session.idleSeconds}) as replaced`;
  return row?.replaced === true;
}

export type FoundSession = SessionUser & { idleForSeconds: number };

/** The user of a session that has not ended, and how long ago it was last renewed. */
export async function findSession(sql: Sql, idHash: Uint8Array): Promise<FoundSession | null> {
  const [row] = await sql<FoundSession[]>`
    select ${userColumns(sql)},
      extract(epoch from now() - s.last_seen_at)::float8 as "idleForSeconds"
    from sessions s join users u on u.id = s.user_id
    where s.id_hash = ${idHash} and s.expires_at > now()`;
  return row ?? null;
}

/**
 * Moves a session's end away again, but never beyond its longest life; returns the seconds that
 * are left, or null when it has ended.
 */
export async function renewSession(
  sql: Sql,
  idHash: Uint8Array,
  limits: { readonly idleSeconds: number; readonly absoluteSeconds: number },
): Promise<number | null> {
  const [row] = await sql<{ secondsLeft: number }[]>`
    update sessions set last_seen_at = now(), expires_at = least(
      now() + make_interval(secs => ${limits.idleSeconds}),
      created_at + make_interval(secs => ${limits.absoluteSeconds}))
    where id_hash = ${idHash} and expires_at > now()
    returning floor(extract(epoch from expires_at - now()))::int as "secondsLeft"`;
  return row?.secondsLeft ?? null;
}

export async function deleteSession(sql: Sql, idHash: Uint8Array): Promise<void> {
  await sql`delete from sessions where id_hash = ${idHash}`;
}

export type AttemptKind = 'sign_in_email' | 'sign_in_ip' | 'sign_up_ip';

/** Counts one attempt; returns how many the window has now, and when it ends. */
export async function countAttempt(
  sql: Sql,
  attempt: { readonly keyHash: Uint8Array; readonly kind: AttemptKind },
  windowSeconds: number,
): Promise<{ attempts: number; secondsLeft: number }> {
  const [row] = await sql<{ attempts: number; secondsLeft: number }[]>`
    insert into sign_in_attempts as a (key_hash, kind, attempts, window_ends_at)
    values (${attempt.keyHash}, ${attempt.kind}, 1, now() + make_interval(secs => ${windowSeconds}))
    on conflict (key_hash) do update set
      attempts = case when a.window_ends_at > now() then least(a.attempts, 1000000) else 0 end + 1,
      window_ends_at =
        case when a.window_ends_at > now() then a.window_ends_at else excluded.window_ends_at end
    returning a.attempts, ceil(extract(epoch from a.window_ends_at - now()))::int as "secondsLeft"`;
  return only(row);
}

/** Takes back one counted attempt. */
export async function uncountAttempt(sql: Sql, keyHash: Uint8Array): Promise<void> {
  await sql`
    update sign_in_attempts set attempts = greatest(attempts - 1, 0) where key_hash = ${keyHash}`;
}

/** Forgets all attempts of a key. */
export async function clearAttempts(sql: Sql, keyHash: Uint8Array): Promise<void> {
  await sql`delete from sign_in_attempts where key_hash = ${keyHash}`;
}

/** Deletes sessions and windows of attempts that have ended; returns how many. */
export async function deleteEnded(sql: Sql): Promise<{ sessions: number; windows: number }> {
  const [row] = await sql<{ sessions: number; windows: number }[]>`
    with s as (delete from sessions where expires_at <= now() returning 1),
      a as (delete from sign_in_attempts where window_ends_at <= now() returning 1)
    select (select count(*) from s)::int as sessions, (select count(*) from a)::int as windows`;
  return row ?? { sessions: 0, windows: 0 };
}
