import { createHash, randomBytes } from 'node:crypto';

/** 256 random bits in base64url. */
const TOKEN = /^[\w-]{43}$/;

/** A new session's token, for the cookie alone. */
export function newSessionToken(): string {
  return randomBytes(32).toString('base64url');
}

/** What the database keeps of a token. It is random throughout, so one plain hash is enough. */
export function hashSessionToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

export interface SessionCookie {
  /** The token in a `Cookie` header, or null. */
  read(cookieHeader: string | null): string | null;
  /** The `Set-Cookie` value that gives the browser a token for so long. */
  give(token: string, maxAgeSeconds: number): string;
  /** The `Set-Cookie` value that takes it away. */
  clear(): string;
}

/**
 * The cookie that carries a session. Over HTTPS its `__Host-` name makes browsers insist that this
 * host itself set it, securely and for every path; plain HTTP cannot have that name.
 * @see https://httpwg.org/specs/rfc6265.html and draft-ietf-httpbis-rfc6265bis, section 4.1.3
 */
export function createSessionCookie(options: { readonly secure: boolean }): SessionCookie {
  const name = options.secure ? '__Host-session' : 'session';
  const attributes = `Path=/; HttpOnly; SameSite=Lax${options.secure ? '; Secure' : ''}`;
  return {
    read(cookieHeader) {
      const pairs = (cookieHeader ?? '').split(';').map((pair) => pair.trim());
      const value = pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
      return value !== undefined && TOKEN.test(value) ? value : null;
    },
    give: (token, maxAgeSeconds) => `${name}=${token}; Max-Age=${maxAgeSeconds}; ${attributes}`,
    clear: () => `${name}=; Max-Age=0; ${attributes}`,
  };
}
