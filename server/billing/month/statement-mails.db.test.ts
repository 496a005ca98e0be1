/** Statements sent by real SMTP to the development mailbox. */
import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import { type Mailbox, startMailbox } from '../../dev/mailbox/server.ts';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
} from '../../dev/month-scenario.ts';
import { pdfTexts } from '../../dev/pdf-text.ts';
import { createLogger } from '../../log.ts';
import { createMailer, type Mailer } from '../../mail/mailer.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { createMailSender } from '../notices/mail-sender.ts';

let scenario: MonthScenario;
let mailbox: Mailbox;
let mailer: Mailer;

beforeAll(async () => {
  scenario = await createMonthScenario();
  mailbox = await startMailbox();
  mailer = createMailer({
    smtpUrl: mailbox.smtpUrl,
    from: 'Wallet <wallet@example.com>',
    appName: 'Prepaid Wallet',
    appUrl: 'https://wallet.example.com',
  });
  return async () => {
    mailer.close();
    await mailbox.stop();
    await scenario.db.close();
  };
});

/** A wallet of somebody who has an account here. */
async function customer(): Promise<TestWallet & { email: string }> {
  const wallet = await scenario.open('2026-07-10T00:00:00Z');
  const email = `${randomUUID()}@example.org`;
  await addUser(scenario.db.owner, wallet.userId, email);
  return { ...wallet, email };
}

/** Sends what waits; returns the mails to that address, oldest first. */
async function mailsTo(email: string) {
  await createMailSender({
    sql: scenario.db.app,
    mailer,
    intervalMs: 20,
    logger: createLogger('silent'),
    attach: async (notice, to) =>
      notice.kind === 'statement' ? [await scenario.statements.document(notice.number, to)] : [],
  }).tick();
  return mailbox
    .mails()
    .filter(({ to }) => to === email)
    .reverse();
}

it('a month that is closed brings its statement by mail, with the document', async () => {
  const wallet = await customer();
  await scenario.grant('2026-07-11T00:00:00Z', wallet, 10_000_000n);
  await scenario.charge('2026-07-12T00:00:00Z', wallet, 375_000n);
  await scenario.run('2026-08-01T02:00:00Z', '2026-07');
  const [mail, ...others] = await mailsTo(wallet.email);
  expect(others).toEqual([]);
  const [statement] = await scenario.statements.list(wallet.userId);
  expect.assert(mail !== undefined && statement !== undefined);
  expect(mail.subject).toBe('Your statement for July 2026');
  for (const form of [mail.text, mail.html]) {
    expect(form).toContain(statement.number);
    expect(form).toContain('$9.625');
    expect(form).toContain(statement.headHash);
    expect(form).toContain(`https://wallet.example.com/account/statements/${statement.number}`);
    expect(form).toContain('https://wallet.example.com/account/settings#statements');
  }
  expect(mail.unsubscribe).toContain('/account/settings#statements');

  const [file, ...more] = mail.attachments;
  expect(more).toEqual([]);
  expect(file).toMatchObject({
    name: `statement-${statement.number}.pdf`,
    type: 'application/pdf',
  });
  const attached = Buffer.from(file?.base64 ?? '', 'base64');
  expect(pdfTexts(attached)).toEqual(expect.arrayContaining([statement.number, wallet.email]));
  const downloaded = await scenario.statements.download({
    userId: wallet.userId,
    customer: wallet.email,
    number: statement.number,
    file: 'statement.pdf',
  });
  expect.assert(downloaded?.body instanceof Uint8Array);
  expect(attached.equals(downloaded.body)).toBe(true);
});

it('each month that is caught up brings one mail, however often it is closed', async () => {
  const wallet = await customer();
  await scenario.run('2026-10-02T00:00:00Z', '2026-09');
  await scenario.run('2026-10-02T01:00:00Z', '2026-09');
  await scenario.run('2026-10-02T02:00:00Z', '2026-08');
  const subjects = (await mailsTo(wallet.email)).map(({ subject }) => subject);
  expect(subjects.sort()).toEqual([
    'Your statement for August 2026',
    'Your statement for July 2026',
    'Your statement for September 2026',
  ]);
  expect(await mailsTo(wallet.email)).toHaveLength(3);
});

it('who turned them off gets none, until they are turned on again', async () => {
  const wallet = await customer();
  const { statements } = scenario;
  expect(await statements.sendsByMail(wallet.userId)).toBe(true);
  await statements.sendByMail(wallet.userId, false);
  expect(await statements.sendsByMail(wallet.userId)).toBe(false);
  await scenario.run('2026-11-01T02:00:00Z', '2026-10');
  expect(await mailsTo(wallet.email)).toEqual([]);
  expect(await statements.list(wallet.userId)).toHaveLength(4);
  await statements.sendByMail(wallet.userId, true);
  await scenario.run('2026-12-01T02:00:00Z', '2026-11');
  const subjects = (await mailsTo(wallet.email)).map(({ subject }) => subject);
  expect(subjects).toEqual(['Your statement for November 2026']);
});

it('a user of the host product, who has no account here, is told nothing', async () => {
  const wallet = await scenario.open('2026-07-10T00:00:00Z');
  await scenario.run('2026-12-01T03:00:00Z', '2026-11');
  const rows = await scenario.db.app`
    select from mail_outbox where user_id = ${wallet.userId}`;
  expect(rows).toHaveLength(0);
});
