/** Accounts of users: signing up, signing in, and the sessions that follow. */
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  type AttemptKind,
  deleteEnded,
  deleteSession,
  findSession,
  findUser,
  insertSession,
  insertUser,
  insertUserWithRole,
  renewSession,
  replacePassword,
} from '../../store/accounts.ts';
import type { Sql } from '../../store/sql.ts';
import type { AccountServices, SessionUser, SignIn } from '../../views/accounts.ts';
import { type Attempt, type AttemptLimit, createAttempts } from './attempts.ts';
import { hashPassword, passwordMatches, passwordProblem } from './passwords.ts';
import { randomBase32 } from './random-ids.ts';
import { createSessionCookie, hashSessionToken, newSessionToken } from './session-cookie.ts';

const DAY_SECONDS = 24 * 60 * 60;
const SESSION_LIMITS = { idleSeconds: 14 * DAY_SECONDS, absoluteSeconds: 90 * DAY_SECONDS };
/** A session's end is moved at most this often, so that reading a page rarely writes. */
const RENEW_AFTER_SECONDS = 60 * 60;

const emailSchema = z.string().trim().max(254).pipe(z.email());

export interface AccountsOptions {
  readonly sql: Sql;
  /** Keys the hashes under which attempts are counted. */
  readonly sessionSecret: string;
  /** Where people reach this program: over HTTPS the session's cookie is a `__Host-` one. */
  readonly appUrl: string;
  /** Opens the wallet of a new user; when it fails, the first visit opens it. */
  readonly openWallet: (userId: string) => Promise<unknown>;
  readonly logger: Logger;
  readonly attemptLimits?: Readonly<Record<AttemptKind, AttemptLimit>>;
}

interface Credentials {
  readonly email: string;
  readonly password: string;
  readonly ip: string;
  /** The request's `Cookie` header: the session that it names ends when the new one starts. */
  readonly cookieHeader?: string | null | undefined;
}

export interface Accounts extends AccountServices {
  signUp(input: Credentials): Promise<SignIn>;
  signIn(input: Credentials): Promise<SignIn>;
  /**
   * The user whom the request's cookie names. `setCookie`, when not null, is the `Set-Cookie`
   * value that keeps the cookie as long as the session, whose end has moved.
   */
  session(
    cookieHeader: string | null,
  ): Promise<{ user: SessionUser; setCookie: string | null } | null>;
  /** Deletes ended sessions and counts of attempts; call it every hour or so. */
  prune(): Promise<{ sessions: number; windows: number }>;
}

type Refusal = Extract<SignIn, { ok: false }>;

/** The refusal for these problems, or null when there are none. */
function refusalFor(problems: Refusal['problems']): Refusal | null {
  return Object.keys(problems).length === 0 ? null : { ok: false, problems };
}

const WRONG_CREDENTIALS: Refusal = {
  ok: false,
  message: 'The email or the password is wrong.',
  problems: {},
};

/** What is wrong with what is no email address. */
function emailProblem(typed: string): string {
  return typed.trim() === '' ? 'Enter your email address.' : 'This is not an email address.';
}

function throttled(...attempts: Attempt[]): Refusal | null {
  const retryAfterSeconds = Math.max(...attempts.map((attempt) => attempt.retryAfterSeconds ?? 0));
  if (retryAfterSeconds === 0) return null;
  const minutes = Math.ceil(retryAfterSeconds / 60);
  const message = `Too many attempts. Try again in ${minutes} minute${minutes === 1 ? '' : 's'}.`;
  return { ok: false, message, problems: {}, retryAfterSeconds };
}

/** Sign-up, sign-in and sessions, which are kept in the database. */
export function createAccounts(options: AccountsOptions): Accounts {
  const { sql, logger, openWallet } = options;
  const cookie = createSessionCookie({ secure: new URL(options.appUrl).protocol === 'https:' });
  const attempt = createAttempts({
    sql,
    sessionSecret: options.sessionSecret,
    ...(options.attemptLimits ? { limits: options.attemptLimits } : {}),
  });

  function newSession(cookieHeader?: string | null) {
    const token = newSessionToken();
    const old = cookie.read(cookieHeader ?? null);
    return {
      setCookie: cookie.give(token, SESSION_LIMITS.idleSeconds),
      row: {
        idHash: hashSessionToken(token),
        idleSeconds: SESSION_LIMITS.idleSeconds,
        replacesIdHash: old === null ? null : hashSessionToken(old),
      },
    };
  }

  /** Counts one check of a password; `forgive` it, and the failures before it, when it was right. */
  async function attemptPassword(email: string, ip: string) {
    const byIp = await attempt('sign_in_ip', ip);
    const byEmail = await attempt('sign_in_email', email);
    const forgive = () => Promise.all([byIp.takeBack(), byEmail.forgive()]);
    return { refused: throttled(byIp, byEmail), forgive };
  }

  return {
    async signUp({ email: typed, password, ip, cookieHeader }) {
      const email = emailSchema.safeParse(typed);
      const weakness = passwordProblem(password, typed.trim());
      if (!email.success || weakness !== null) {
        return {
          ok: false,
          problems: {
            ...(!email.success && { email: emailProblem(typed) }),
            ...(weakness !== null && { password: weakness }),
          },
        };
      }
      const refused = throttled(await attempt('sign_up_ip', ip));
      if (refused) return refused;

      const id = `u_${randomBase32(26)}`;
      const passwordHash = await hashPassword(password);
      const session = newSession(cookieHeader);
      const user = await insertUser(sql, { id, email: email.data, passwordHash }, session.row);
      if (!user) {
        const taken = 'There is an account with this email already. Sign in instead.';
        return { ok: false, problems: { email: taken } };
      }
      try {
        await openWallet(user.id);
      } catch (error) {
        logger.warn({ err: error, userId: user.id }, 'wallet not opened at sign-up');
      }
      return { ok: true, user, setCookie: session.setCookie };
    },

    async signIn({ email: typed, password, ip, cookieHeader }) {
      const empty = refusalFor({
        ...(typed.trim() === '' && { email: emailProblem(typed) }),
        ...(password === '' && { password: 'Enter your password.' }),
      });
      if (empty) return empty;
      const { refused, forgive } = await attemptPassword(typed, ip);
      if (refused) return refused;

      const email = emailSchema.safeParse(typed);
      const found = email.success ? await findUser(sql, { email: email.data }) : null;
      const matches = await passwordMatches(found?.passwordHash, password);
      const session = newSession(cookieHeader);
      if (!found || !matches || !(await insertSession(sql, found, session.row))) {
        return WRONG_CREDENTIALS;
      }
      await forgive();
      const { passwordHash: _, ...user } = found;
      return { ok: true, user, setCookie: session.setCookie };
    },

    async signOut(cookieHeader) {
      const token = cookie.read(cookieHeader);
      if (token) await deleteSession(sql, hashSessionToken(token));
      return cookie.clear();
    },

    async changePassword({ userId, currentPassword, newPassword, repeatedPassword, ip }) {
      const found = await findUser(sql, { id: userId });
      if (!found) return WRONG_CREDENTIALS;
      const weakness = passwordProblem(newPassword, found.email);
      const others: Refusal['problems'] = {
        ...(weakness !== null && { newPassword: weakness }),
        ...(newPassword !== repeatedPassword && {
          repeatedPassword: 'This is not the same as the new password.',
        }),
      };
      const wrong = (currentPassword: string): Refusal => ({
        ok: false,
        problems: { currentPassword, ...others },
      });
      if (currentPassword === '') return wrong('Enter your current password.');
      const { refused, forgive } = await attemptPassword(found.email, ip);
      if (refused) return refused;

      const matches = await passwordMatches(found.passwordHash, currentPassword);
      if (!matches) return wrong('The current password is wrong.');
      const refusal = refusalFor(others);
      if (refusal) {
        await forgive();
        return refusal;
      }
      const session = newSession();
      const newHash = await hashPassword(newPassword);
      if (!(await replacePassword(sql, found, newHash, session.row))) {
        return wrong('The current password is wrong.');
      }
      await forgive();
      const { passwordHash: _, ...user } = found;
      return { ok: true, user, setCookie: session.setCookie };
    },

    async session(cookieHeader) {
      const token = cookie.read(cookieHeader);
      if (!token) return null;
      const idHash = hashSessionToken(token);
      const found = await findSession(sql, idHash);
      if (!found) return null;
      const { idleForSeconds, ...user } = found;
      if (idleForSeconds < RENEW_AFTER_SECONDS) return { user, setCookie: null };
      const secondsLeft = await renewSession(sql, idHash, SESSION_LIMITS);
      if (secondsLeft === null) return null;
      return { user, setCookie: cookie.give(token, secondsLeft) };
    },

    prune: () => deleteEnded(sql),
  };
}

/**
 * Makes sure that a user of this id is there, as the schema's owner: for demo data and for support
 * staff. One that is there keeps its password and role.
 */
export async function ensureUser(
  sql: Sql,
  user: SessionUser & { readonly password: string },
): Promise<void> {
  const { password, ...row } = user;
  await insertUserWithRole(sql, { ...row, passwordHash: await hashPassword(password) });
}
