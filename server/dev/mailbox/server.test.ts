import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createMailer } from '../../mail/mailer.ts';
import { type Mailbox, startMailbox } from './server.ts';

const notice = {
  kind: 'payment_failed',
  at: new Date('2026-10-05T12:00:00Z'),
  amountMicros: 25_000_000n,
  topUpId: 'top-up-1',
  currency: 'USD',
  exponent: 2,
  timezone: 'UTC',
  reason: '<img src=x onerror=alert(1)>',
} as const;

let directory: string;
let mailbox: Mailbox;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailbox-'));
  mailbox = await startMailbox({ directory });
});

afterEach(async () => {
  await mailbox.stop();
  await rm(directory, { recursive: true, force: true });
});

async function send(to: string): Promise<void> {
  const mailer = createMailer({
    smtpUrl: mailbox.smtpUrl,
    from: 'Wallet <wallet@example.com>',
    appName: 'Prepaid Wallet',
    appUrl: 'http://localhost:3000',
  });
  await mailer.deliver({ id: to, to, notice });
  mailer.close();
}

/** Status of a request that names this host. */
function statusFor(host: string, method = 'GET'): Promise<number | undefined> {
  return new Promise((done, fail) => {
    request(`${mailbox.url}/mails.json`, { headers: { host }, method }, (response) => {
      response.resume();
      done(response.statusCode);
    })
      .once('error', fail)
      .end();
  });
}

it('keeps the mails across restarts, for this user alone', async () => {
  await send('ann@example.org');
  await mailbox.stop();
  mailbox = await startMailbox({ directory });
  await send('bob@example.org');
  expect(mailbox.mails().map(({ to }) => to)).toEqual(['bob@example.org', 'ann@example.org']);
  const [file = ''] = await readdir(directory);
  expect((await stat(join(directory, file))).mode & 0o077).toBe(0);
});

it('shows a mail in both forms, and nothing of it as markup of the page', async () => {
  await send('ann@example.org');
  const id = mailbox.mails()[0]?.id;
  const list = await (await fetch(mailbox.url)).text();
  expect(list).toContain('ann@example.org');
  expect(list).toContain(`/mails/${id}`);
  const page = await fetch(`${mailbox.url}/mails/${id}`);
  const text = await page.text();
  expect(text).toContain('Your payment of $25.00 failed');
  expect(text).not.toContain('<img');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect((await fetch(`${mailbox.url}/mails/other`)).status).toBe(404);
});

it('answers to its own names alone, and only to be read', async () => {
  const { host, port } = new URL(mailbox.url);
  expect(await statusFor(host)).toBe(200);
  expect(await statusFor(`localhost:${port}`)).toBe(200);
  expect(await statusFor(`rebound.example:${port}`)).toBe(403);
  expect(await statusFor(host, 'POST')).toBe(405);
});
