/** Users and their sessions, as pages see them. */

export interface SessionUser {
  id: string;
  email: string;
  role: 'user' | 'support';
}

export type SignIn =
  | { ok: true; user: SessionUser; setCookie: string }
  | {
      ok: false;
      code: 'INVALID_CREDENTIALS' | 'EMAIL_TAKEN' | 'WEAK_PASSWORD' | 'INVALID_EMAIL' | 'THROTTLED';
      message: string;
      retryAfterSeconds?: number;
    };

/** Signing up, in and out. */
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
    ip: string;
  }): Promise<SignIn>;
}
