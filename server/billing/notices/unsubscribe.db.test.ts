/** One click stops the mails of low balances (RFC 8058), from the mail's headers to the outbox. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Mailbox, startMailbox } from '../../dev/mailbox/server.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { createLogger } from '../../log.ts';
import { createMailer, type Mailer } from '../../mail/mailer.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { mailBacklog } from '../../store/mail-outbox.ts';
import { createRecoveryLinks } from '../auto-top-ups/recovery-links.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createMailSender } from './mail-sender.ts';
import { withLinks } from './notice-links.ts';
import { type Alerts, alertLinks, createAlerts, createNoticeFollower } from './notices.ts';

const SECRET = 'a secret of thirty-two characters';
const APP_URL = 'https://wallet.example.com';
const links = alertLinks(SECRET);
const recovery = createRecoveryLinks(SECRET);
const logger = createLogger('silent');

let database: TestDatabase;
let mailbox: Mailbox;
let mailer: Mailer;
let alerts: Alerts;
let follower: ReturnType<typeof createNoticeFollower>;
let sender: ReturnType<typeof createMailSender>;
let userId: string;
let walletId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  mailbox = await startMailbox();
  const from = 'Wallet <wallet@example.com>';
  mailer = createMailer({ smtpUrl: mailbox.smtpUrl, from, appName: 'Wallet', appUrl: APP_URL });
  const sql = database.app;
  alerts = createAlerts({ sql, wallets: createWallets(sql), links });
  follower = createNoticeFollower({ sql, intervalMs: 1_000, logger });
  sender = createMailSender({
    sql,
    mailer,
    intervalMs: 1_000,
    logger,
    complete: (notice) => withLinks(notice, recovery, links),
  });
});

afterAll(async () => {
  mailer?.close();
  await mailbox?.stop();
  await database?.close();
});

/** A wallet with 6 dollars, which is followed. */
beforeEach(async () => {
  userId = `u_${randomUUID()}`;
  await addUser(database.owner, userId);
  ({ walletId } = await createWallets(database.app).open({ userId }, 'test:mail'));
  await move(6_000_000n);
  await follower.tick();
});

/** Credits, or with a negative amount charges, and derives what is told of it. */
async function move(micros: bigint): Promise<void> {
  await (micros > 0n
    ? database.owner`
        select credit_wallet(w, 'top_up', gen_random_uuid(), sha256('x'), ${micros}, 'test:mail',
          null, '{"topUpId": "one"}')
        from wallets w where id = ${walletId}`
    : database.owner`
        select charge_wallet(${walletId}, gen_random_uuid(), sha256('x'), ${-micros}, 'refuse', null,
          'test:mail', '{}')`);
  await follower.tick();
}

const alertsSent = async () => {
  await sender.tick();
  return mailbox
    .mails()
    .filter(({ to, subject }) => to.includes(userId) && subject.startsWith('Low'));
};

it('an alert brings a signed link without an address, and one POST to it stops the next', async () => {
  await move(-2_000_000n);
  const [mail] = await alertsSent();
  expect(mail?.isOneClick).toBe(true);
  const token = mail?.unsubscribe?.match(
    /^<?https:\/\/wallet\.example\.com\/unsubscribe\/(\S+?)>?$/,
  )?.[1];
  expect.assert(token !== undefined);
  expect(token).not.toContain('@');
  expect(token).not.toContain(userId);

  expect(await alerts.mailsOfLink(token)).toBe(true);
  expect(await alerts.stopMailsOfLink(token)).toBe(true);
  expect(await alerts.stopMailsOfLink(token), 'again').toBe(true);
  expect(await alerts.mailsOfLink(token)).toBe(false);
  expect(await alerts.get(userId)).toMatchObject({ byMail: false });
  await move(5_000_000n);
  await move(-5_000_000n);
  expect(await alertsSent()).toHaveLength(1);
  expect(await alerts.lowBalance(userId), 'the pages still say so').not.toBeNull();
});

it('an alert that waits is not sent any more', async () => {
  await move(-2_000_000n);
  expect(await mailBacklog(database.app)).toMatchObject({ waiting: expect.any(Number) });
  await alerts.stopMailsOfLink(links.sign(walletId));
  expect(await alertsSent()).toEqual([]);
});

it('receipts have no such link, and go on', async () => {
  await alerts.stopMailsOfLink(links.sign(walletId));
  await move(1_000_000n);
  await sender.tick();
  const receipts = mailbox.mails().filter(({ to }) => to.includes(userId));
  expect(receipts.length).toBeGreaterThan(0);
  expect(receipts.map(({ subject }) => subject.slice(0, 7))).toContain('Receipt');
  expect(receipts.every(({ unsubscribe, isOneClick }) => unsubscribe === null && !isOneClick)).toBe(
    true,
  );
});

it('a link that was changed, or signed for something else, stops nothing', async () => {
  const right = links.sign(walletId);
  const other = randomUUID();
  const wrong = [
    right.replace(walletId, other),
    right.slice(0, -1),
    walletId,
    '',
    alertLinks('another secret of thirty-two chars').sign(walletId),
    recovery.sign({ topUpId: walletId, no: 1 }),
  ];
  for (const token of wrong) {
    expect(await alerts.mailsOfLink(token)).toBeNull();
    expect(await alerts.stopMailsOfLink(token)).toBe(false);
  }
  expect(await alerts.get(userId)).toMatchObject({ byMail: true });
});

it('operators see how many mails wait, and for how long the oldest has', async () => {
  await sender.tick();
  expect(await mailBacklog(database.app)).toEqual({ waiting: 0, dead: 0, oldestSeconds: 0 });
  await move(1_000_000n);
  await database.owner`
    update mail_outbox set created_at = created_at - interval '90 seconds' where user_id = ${userId}`;
  const backlog = await mailBacklog(database.app);
  expect(backlog.waiting).toBe(1);
  expect(backlog.oldestSeconds).toBeGreaterThanOrEqual(90);
  expect(backlog.oldestSeconds).toBeLessThan(120);
});
