/** Sends what waits in the outbox: at least once, and once unless a process dies in between. */
import type { Logger } from 'pino';
import { type Attachment, DeliveryError, type Mailer } from '../../mail/mailer.ts';
import { type Notice, parseNotice } from '../../mail/notice.ts';
import {
  type ClaimedMail,
  claimMails,
  giveUpOldMails,
  markMailFailed,
  markMailSent,
} from '../../store/mail-outbox.ts';
import type { Sql } from '../../store/sql.ts';
import { type Background, everyInterval } from '../background.ts';

/** Few, because all are sent at once and each takes a connection to the mail server. */
const MAILS_PER_CLAIM = 5;
/** Well above the mailer's own time limits, so that no mail is sent while its lease ends. */
const LEASE_SECONDS = 300;

/**
 * Any number of processes may run it. A mail whose sender died after handing it over goes out again
 * when its lease ends, with the same message id.
 */
export function createMailSender(options: {
  sql: Sql;
  mailer: Pick<Mailer, 'deliver'>;
  intervalMs: number;
  logger: Logger;
  leaseSeconds?: number;
  /** Adds what no outbox may hold, such as a signed link. */
  complete?: (notice: Notice) => Notice;
  /** The files that go with a notice, made as it is sent. */
  attach?: (notice: Notice, to: string) => Promise<readonly Attachment[]>;
}): Background & { tick(): Promise<number> } {
  const { sql, mailer, intervalMs, logger, leaseSeconds = LEASE_SECONDS } = options;
  const complete = options.complete ?? ((notice: Notice) => notice);
  const attach = options.attach ?? (async () => []);
  let stopping = false;

  /** Hands the mail over; what went wrong, as a code, when it could not. */
  async function deliver({ id, kind, payload, email }: ClaimedMail): Promise<string | null> {
    const notice = parseNotice(kind, payload);
    if (notice === null) {
      return 'UNREADABLE_NOTICE';
    }
    if (email === null) {
      return 'NO_ADDRESS';
    }
    try {
      const attachments = await attach(notice, email);
      await mailer.deliver({ id, to: email, notice: complete(notice), attachments });
      return null;
    } catch (error) {
      if (error instanceof DeliveryError) {
        return error.message;
      }
      logger.error({ err: error, mailId: id, kind }, 'mail not made');
      return 'UNKNOWN';
    }
  }

  async function send(mail: ClaimedMail): Promise<void> {
    const { id, kind, attempt } = mail;
    const error = await deliver(mail);
    if (error === null) {
      // When this fails, the mail goes out again after its lease: twice is better than never.
      await markMailSent(sql, id);
      return;
    }
    const status = await markMailFailed(sql, { id, attempt, error });
    logger.warn({ mailId: id, kind, attempt, code: error, status }, 'mail not sent');
  }

  /** Returns how many mails it tried. */
  async function tick(): Promise<number> {
    await giveUpOldMails(sql);
    let tried = 0;
    while (!stopping) {
      const mails = await claimMails(sql, MAILS_PER_CLAIM, leaseSeconds);
      await Promise.all(mails.map(send));
      tried += mails.length;
      if (mails.length < MAILS_PER_CLAIM) {
        break;
      }
    }
    return tried;
  }

  const passes = everyInterval(tick, intervalMs, (err) =>
    logger.warn({ err }, 'mail outbox not read'),
  );
  return {
    tick,
    start: passes.start,
    stop() {
      stopping = true;
      return passes.stop();
    },
  };
}
