/** Users and their sessions, as pages see them. */
import type { Refused } from './refused.ts';

export interface SessionUser {
  id: string;
  email: string;
  role: 'user' | 'support';
}

export type SignIn =
  | { ok: true; user: SessionUser; setCookie: string }
  | (Refused<'email' | 'password' | 'currentPassword' | 'newPassword' | 'repeatedPassword'> & {
      /** When to come back, after too many attempts. */
      retryAfterSeconds?: number;
    });

/** Signing up, in and out. What people typed comes as they typed it. */
export interface AccountServices {
  /** Creates the user and its wallet, and signs it in. `setCookie` is the `Set-Cookie` value. */
  signUp(input: { email: string; password: string; ip: string }): Promise<SignIn>;
  signIn(input: { email: string; password: string; ip: string }): Promise<SignIn>;
  /** Ends the session that the request's cookie names; returns the `Set-Cookie` value that clears it. */
  signOut(cookieHeader: string | null): Promise<string>;
  changePassword(input: {
    userId: string;
    currentPassword: string;
    newPassword: string;
    repeatedPassword: string;
    ip: string;
  }): Promise<SignIn>;
}
