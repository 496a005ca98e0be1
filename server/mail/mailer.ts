/** Sends notices by SMTP. */
import { createTransport } from 'nodemailer';
import { layOut } from './layout.ts';
import type { Letter } from './letter.ts';
import type { Notice } from './notice.ts';
import { letterOf } from './texts.ts';

/** Longest waits of one delivery; a sender's lease must outlast them together. */
const CONNECT_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 20_000;

/** A file that goes with a mail, whole in memory. */
export interface Attachment {
  readonly fileName: string;
  readonly contentType: string;
  readonly content: Uint8Array;
}

export interface Mailer {
  /**
   * Hands the notice to the mail server for one address. `id` becomes the message's id, so that a
   * mail that was sent twice can be told as one. Throws a {@link DeliveryError}.
   */
  deliver(mail: {
    id: string;
    to: string;
    notice: Notice;
    attachments?: readonly Attachment[];
  }): Promise<void>;
  /** Ends the connections that are still open. */
  close(): void;
}

/** Why a mail did not leave, in codes alone: the server's own words often repeat the address. */
export class DeliveryError extends Error {
  override name = 'DeliveryError';
}

export function createMailer(options: {
  smtpUrl: string;
  from: string;
  appName: string;
  appUrl: string;
}): Mailer {
  const { appName, appUrl } = options;
  const transport = createTransport(
    {
      url: options.smtpUrl,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      dnsTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_TIMEOUT_MS,
    },
    // What is attached is in memory already; one that is read from disk or fetched would be a mistake.
    { from: options.from, disableFileAccess: true, disableUrlAccess: true },
  );
  const host = new URL(appUrl).hostname;

  /** RFC 8058 where one POST stops mails of this kind, else the page where they are set. */
  function unsubscribeHeaders({ unsubscribePath, settingsPath }: Letter): Record<string, string> {
    if (unsubscribePath !== undefined) {
      return {
        'List-Unsubscribe': `<${appUrl}${unsubscribePath}>`,
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      };
    }
    return settingsPath === null ? {} : { 'List-Unsubscribe': `<${appUrl}${settingsPath}>` };
  }

  return {
    async deliver({ id, to, notice, attachments = [] }) {
      const letter = letterOf(notice);
      try {
        await transport.sendMail({
          // An address alone: as text it could name several recipients.
          to: { name: '', address: to },
          messageId: `<${id}@${host}>`,
          headers: { 'Auto-Submitted': 'auto-generated', ...unsubscribeHeaders(letter) },
          ...layOut(letter, { appName, appUrl }),
          attachments: attachments.map(({ fileName, contentType, content }) => ({
            filename: fileName,
            contentType,
            content: Buffer.from(content),
          })),
        });
      } catch (error) {
        throw new DeliveryError(codesOf(error));
      }
    },
    close: () => transport.close(),
  };
}

function codesOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return 'UNKNOWN';
  }
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown };
  const codes = [code, responseCode].filter((part) => /^\w{2,20}$/.test(String(part ?? '')));
  return codes.length === 0 ? 'UNKNOWN' : codes.join(' ');
}
