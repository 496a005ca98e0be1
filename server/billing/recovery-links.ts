/** Links by which a user finishes a payment that their bank asked about. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface RecoveryToken {
  readonly topUpId: string;
  /** Only the newest number of a payment works. */
  readonly no: number;
}

export interface RecoveryLinks {
  /** The signed token of a link. That it expires and works once is kept in the database. */
  sign(token: RecoveryToken): string;
  /** What a token names; null when this program did not sign it. */
  read(token: string): RecoveryToken | null;
}

const TOKEN =
  /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})$/;

/** `secret` is the session secret: the purpose is part of what is signed. */
export function createRecoveryLinks(secret: string): RecoveryLinks {
  const signatureOf = (named: string) =>
    createHmac('sha256', secret).update(`auto-top-up-recovery\n${named}`).digest();
  return {
    sign({ topUpId, no }) {
      const named = `${topUpId}.${no}`;
      return `${named}.${signatureOf(named).toString('base64url')}`;
    },
    read(token) {
      const [, topUpId, no, signature] = TOKEN.exec(token) ?? [];
      if (topUpId === undefined || no === undefined || signature === undefined) {
        return null;
      }
      const given = Buffer.from(signature, 'base64url');
      const right = signatureOf(`${topUpId}.${no}`);
      return given.length === right.length && timingSafeEqual(given, right)
        ? { topUpId, no: Number(no) }
        : null;
    },
  };
}
