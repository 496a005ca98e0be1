/** The mails that the server under test has sent. */
import { expect } from '@playwright/test';
import { variable } from './wallet.ts';

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly messageId: string;
  readonly unsubscribe: string | null;
  readonly isOneClick: boolean;
}

/** The page on which a developer reads them. */
export const mailboxUrl = (): string => variable('MAILBOX_URL');

/** All mails to the address, oldest first. */
export async function mailsTo(email: string): Promise<Mail[]> {
  const response = await fetch(`${mailboxUrl()}/mails.json`);
  expect(response.ok, 'the mailbox answered').toBe(true);
  const mails = (await response.json()) as Mail[];
  return mails.filter(({ to }) => to === email).reverse();
}

/** Waits for the mail with this subject. */
export async function mailAbout(email: string, subject: RegExp): Promise<Mail> {
  let found: Mail | undefined;
  await expect
    .poll(async () => {
      found = (await mailsTo(email)).find((mail) => subject.test(mail.subject));
      return found?.subject;
    }, `a mail about ${subject}`)
    .toBeDefined();
  if (found === undefined) throw new Error('no mail');
  return found;
}
