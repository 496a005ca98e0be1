/** Links of mails that work without signing in, added when a mail is sent. */
import type { Notice } from '../../mail/notice.ts';
import type { TokenSigner } from '../accounts/signed-token.ts';
import type { RecoveryLinks } from '../auto-top-ups/recovery-links.ts';

/** The notice with the token that its link needs: the outbox holds no secret. */
export function withLinks(
  notice: Notice,
  recovery: RecoveryLinks,
  unsubscribe: TokenSigner,
): Notice {
  switch (notice.kind) {
    case 'payment_to_confirm':
      return { ...notice, token: recovery.sign(notice) };
    case 'low_balance':
      return notice.walletId === undefined
        ? notice
        : { ...notice, unsubscribeToken: unsubscribe.sign(notice.walletId) };
    default:
      return notice;
  }
}
