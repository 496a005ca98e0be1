/** The outbox sent by real SMTP to the development mailbox. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Mailbox, startMailbox } from '../../dev/mailbox/server.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { createLogger } from '../../log.ts';
import { createMailer, type Mailer } from '../../mail/mailer.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { mailSummary, reviveDeadMails } from '../../store/mail-outbox.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createMailSender } from './mail-sender.ts';

let database: TestDatabase;
let mailbox: Mailbox;
let mailer: Mailer;
let logged: string[];
let email: string;
let walletId: string;

const logger = createLogger('trace', { write: (line: string) => void logged.push(line) });

const mailerTo = (smtpUrl: string) =>
  createMailer({
    smtpUrl,
    from: 'Wallet <wallet@example.com>',
    appName: 'Prepaid Wallet',
    appUrl: 'https://wallet.example.com',
  });

const sender = (deliver = mailer.deliver, leaseSeconds?: number) =>
  createMailSender({
    sql: database.app,
    mailer: { deliver },
    intervalMs: 20,
    logger,
    ...(leaseSeconds !== undefined && { leaseSeconds }),
  });

beforeAll(async () => {
  database = await createTestDatabase();
  mailbox = await startMailbox();
  mailer = mailerTo(mailbox.smtpUrl);
});

afterAll(async () => {
  mailer?.close();
  await mailbox?.stop();
  await database?.close();
});

beforeEach(async () => {
  logged = [];
  await database.owner`delete from mail_outbox`;
  const id = `u_${randomUUID()}`;
  email = `${randomUUID()}@example.org`;
  await addUser(database.owner, id, email);
  ({ walletId } = await createWallets(database.app).open({ userId: id }, 'test:mail'));
});

async function enqueue(cause = '2', kind = 'receipt'): Promise<void> {
  await database.owner`select enqueue_notice(${walletId}, ${kind}, ${cause}, ${database.owner.json({
    at: '2026-10-05T12:00:00Z',
    amountMicros: '25000000',
    topUpId: '4c0de2f3-0000-4000-8000-000000000001',
  })})`;
}

const received = () => mailbox.mails().filter(({ to }) => to === email);

/** Lets every wait of the outbox be over. */
const passTime = () =>
  database.owner`update mail_outbox set next_attempt_at = clock_timestamp()
    where status = 'waiting'`;

describe('the outbox', () => {
  it('is sent once, as text and HTML, to the address that the account has now', async () => {
    await enqueue();
    await enqueue();
    email = `moved-${email}`;
    await database.owner`update users set email = ${email}
      where id = (select user_id from wallets where id = ${walletId})`;
    await sender().tick();
    await passTime();
    await sender().tick();
    const [mail, ...others] = received();
    expect(others).toEqual([]);
    expect(mail).toMatchObject({
      from: 'wallet@example.com',
      subject: 'Receipt: $25.00 added to your wallet',
      unsubscribe: null,
    });
    for (const form of [mail?.text, mail?.html]) {
      expect(form).toContain('$25.00');
      expect(form).toContain(
        'https://wallet.example.com/account/top-ups/4c0de2f3-0000-4000-8000-000000000001/receipt',
      );
    }
    expect(await mailSummary(database.app)).toEqual({
      waiting: 0,
      failing: 0,
      sent: 1,
      dead: 0,
      lastError: null,
    });
  });

  it('is shared by several senders, each mail being sent by one', async () => {
    for (let n = 0; n < 40; n += 1) await enqueue(String(n));
    await Promise.all([sender().tick(), sender().tick(), sender().tick(), sender().tick()]);
    expect(received()).toHaveLength(40);
    expect(new Set(received().map(({ messageId }) => messageId)).size).toBe(40);
  });

  it('is sent again with the same message id when a sender died before it could say so', async () => {
    await enqueue();
    const neverBack = sender(async (mail) => {
      await mailer.deliver(mail);
      await new Promise(() => undefined);
    }, 1);
    neverBack.tick();
    await expect.poll(() => received().length).toBe(1);

    await sender().tick();
    expect(received(), 'while the lease holds, nobody else sends').toHaveLength(1);
    await passTime();
    await sender().tick();
    expect(received()).toHaveLength(2);
    expect(new Set(received().map(({ messageId }) => messageId)).size).toBe(1);
    await passTime();
    await sender().tick();
    expect(received()).toHaveLength(2);
  });

  it('waits while the mail server is away and is sent when it is back', async () => {
    const away = await startMailbox();
    const port = Number(new URL(away.smtpUrl).port);
    await away.stop();
    const shaky = mailerTo(away.smtpUrl);
    await enqueue();
    await sender(shaky.deliver).tick();
    expect(await mailSummary(database.app)).toMatchObject({
      waiting: 1,
      failing: 1,
      lastError: expect.stringMatching(/^ECONN|^ESOCKET/),
    });
    const [row] = await database.owner<{ seconds: number }[]>`
      select extract(epoch from next_attempt_at - clock_timestamp())::float8 as seconds
      from mail_outbox`;
    expect(row?.seconds).toBeGreaterThan(3);
    expect(row?.seconds).toBeLessThanOrEqual(5);

    const back = await startMailbox({ smtpPort: port });
    await passTime();
    await sender(shaky.deliver).tick();
    expect(back.mails().map(({ to }) => to)).toEqual([email]);
    expect(await mailSummary(database.app)).toMatchObject({ waiting: 0, sent: 1 });
    shaky.close();
    await back.stop();
  });

  it('gives a mail up after three days, shows it, and sends it when it is asked to', async () => {
    await enqueue();
    await sender(async () => {
      throw new Error(`550 ${email} unknown here`);
    }).tick();
    await database.owner`update mail_outbox
      set next_attempt_at = clock_timestamp(), give_up_at = clock_timestamp()`;
    await sender().tick();
    expect(received()).toEqual([]);
    expect(await mailSummary(database.app)).toMatchObject({ waiting: 0, dead: 1 });

    expect(await reviveDeadMails(database.app)).toBe(1);
    await sender().tick();
    expect(received()).toHaveLength(1);
  });

  it('keeps what it cannot read for a person, and sends the others', async () => {
    await enqueue('1', 'of_tomorrow');
    await enqueue('2');
    await sender().tick();
    expect(received()).toHaveLength(1);
    expect(await mailSummary(database.app)).toMatchObject({
      waiting: 1,
      lastError: 'UNREADABLE_NOTICE',
    });
  });

  it('tells neither the log nor the table an address, whatever the mail server says', async () => {
    await enqueue();
    const refusing = await startMailbox({ refuse: (to) => `550 no ${to} here` });
    const refused = mailerTo(refusing.smtpUrl);
    await sender(refused.deliver).tick();
    refused.close();
    await refusing.stop();
    await passTime();
    await sender().tick();
    expect(received()).toHaveLength(1);
    expect(logged.join('')).toContain('EENVELOPE 550');
    const rows = await database.owner`select * from mail_outbox`;
    for (const kept of [logged.join(''), JSON.stringify(rows, jsonSafe)]) {
      expect(kept).not.toContain(email);
      expect(kept).not.toContain(email.split('@')[0]);
    }
  });
});

function jsonSafe(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
