/** Links by which a user finishes a payment that their bank asked about. */
import { tokenSigner } from '../accounts/signed-token.ts';

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

const NAMED = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,8})$/;

export function createRecoveryLinks(secret: string): RecoveryLinks {
  const signer = tokenSigner(secret, 'auto-top-up-recovery');
  return {
    sign: ({ topUpId, no }) => signer.sign(`${topUpId}.${no}`),
    read(token) {
      const [, topUpId, no] = NAMED.exec(signer.read(token) ?? '') ?? [];
      return topUpId === undefined || no === undefined ? null : { topUpId, no: Number(no) };
    },
  };
}
