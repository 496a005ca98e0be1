/** Tokens for links that work without signing in: what they name, and a signature of it. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface TokenSigner {
  sign(named: string): string;
  /** What a token names; null when it was not signed with this secret for this purpose. */
  read(token: string): string | null;
}

const SIGNATURE = /^(.+)\.([A-Za-z0-9_-]{43})$/;

/** `secret` is the session secret: the purpose is part of what is signed. */
export function tokenSigner(secret: string, purpose: string): TokenSigner {
  const signatureOf = (named: string) =>
    createHmac('sha256', secret).update(`${purpose}\n${named}`).digest('base64url');
  return {
    sign: (named) => `${named}.${signatureOf(named)}`,
    read(token) {
      const [, named, signature] = SIGNATURE.exec(token) ?? [];
      if (named === undefined || signature === undefined) {
        return null;
      }
      // Compared as written: the last letter has bits that decoding drops, so others would do.
      return timingSafeEqual(Buffer.from(signature), Buffer.from(signatureOf(named)))
        ? named
        : null;
    },
  };
}
