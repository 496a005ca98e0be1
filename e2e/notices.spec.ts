import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { expectAccessible } from './accessible.ts';
import { mailAbout, mailboxUrl, mailsTo } from './mailbox.ts';
import { billingClient, grant } from './money.ts';
import { CARDS } from './stripe.ts';
import { expectPhase, openTopUp, payWith } from './top-up-page.ts';
import { test } from './users.ts';
import { startedWallet } from './wallet.ts';

/** A fax costs $0.15 a page. */
async function sendFax(userId: string, pages: number): Promise<void> {
  const fax = { pages, to: '+442079460018', referenceId: crypto.randomUUID() };
  const charged = await billingClient().processCommunicationBilling(userId, 'fax', fax);
  expect(charged).toMatchObject({ success: true });
}

const banner = (page: Page) => page.getByRole('region', { name: 'Low balance' });

/** Opens the overview until the banner says what is expected: alerts are seconds behind. */
async function expectBanner(page: Page, text: string): Promise<void> {
  await expect(async () => {
    await page.goto('/account');
    await expect(banner(page)).toContainText(text, { timeout: 500 });
  }).toPass();
}

test('a payment brings a receipt by mail, whose link opens the receipt to print', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  const mail = await mailAbout(user.email, /^Receipt/);
  expect(mail.subject).toBe('Receipt: $25.00 added to your wallet');
  expect(mail.unsubscribe).toBeNull();

  const [link = ''] = /https?:\S+\/receipt/.exec(mail.text) ?? [];
  await page.goto(link);
  await expect(page.getByRole('heading', { level: 1, name: 'Receipt' })).toBeVisible();
  await expect(page.getByRole('main')).toContainText('$25.00');
  await expect(page.getByRole('main')).toContainText(user.email);
  await expect(page.getByRole('button', { name: 'Print' })).toBeVisible();

  const receipts = (await mailsTo(user.email)).filter(({ subject }) => /^Receipt/.test(subject));
  expect(receipts).toHaveLength(1);
});

test('a payment that failed is told of by mail, and nobody gets a receipt for it', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  await payWith(page, CARDS.declined);
  await expect(page.getByRole('alert')).toContainText('declined');
  const mail = await mailAbout(user.email, /failed$/);
  expect(mail.text).toContain('Your card was declined');
  const [link = ''] = /https?:\S+\/account\/top-up\/\S+/.exec(mail.text) ?? [];
  const topUpId = link.split('/').at(-1) ?? '';
  expect((await page.goto(`/account/top-ups/${topUpId}/receipt`))?.status()).toBe(404);
  expect((await page.goto(link))?.status()).toBe(200);
});

test('a balance that falls below an alert is shown on the pages and mailed, once', async ({
  page,
  user,
}) => {
  await grant(user.id, '6000000');
  await page.goto('/account');
  await expect(banner(page)).toBeHidden();

  await sendFax(user.id, 10);
  await expectBanner(page, '$4.50 is available, less than the $5.00');
  const mail = await mailAbout(user.email, /^Low balance/);
  expect(mail.subject).toBe('Low balance: less than $5.00 available');
  expect(mail.text).toContain('$4.50 was left');
  expect(mail.unsubscribe).toContain('/unsubscribe/');
  await sendFax(user.id, 1);
  await page.goto('/account/activity');
  await expect(banner(page)).toContainText('$4.35');
  await banner(page).getByRole('link', { name: 'change your alerts' }).click();
  await expect(page).toHaveURL('/account/settings#alerts');

  await sendFax(user.id, 25);
  await expectBanner(page, '$0.60 is available, less than the $1.00');
  await mailAbout(user.email, /less than \$1\.00/);
  expect(await mailsTo(user.email)).toHaveLength(2);
});

test('alerts are edited, refused where they are no amounts, and switched off by mail', async ({
  page,
  user,
}) => {
  await grant(user.id, '20000000');
  await page.goto('/account/settings');
  await expect(page.getByLabel('Alert 1 (USD)')).toHaveValue('5.00');
  await expect(page.getByLabel('Alert 2 (USD)')).toHaveValue('1.00');

  await page.getByLabel('Alert 1 (USD)').fill('ten');
  await page.getByRole('button', { name: 'Save alerts' }).click();
  await expect(page.getByLabel('Alert 1 (USD)')).toHaveAccessibleDescription(/in digits/);
  await expect(page.getByLabel('Alert 1 (USD)'), 'what was typed is kept').toHaveValue('ten');

  await page.getByLabel('Alert 1 (USD)').fill('12.5');
  await page.getByLabel('Alert 2 (USD)').fill('');
  await page.getByLabel('Tell me by mail, too').uncheck();
  await page.getByRole('button', { name: 'Save alerts' }).click();
  await expect(page.getByRole('status')).toHaveText('Your alerts were saved.');
  await expect(page.getByLabel('Alert 1 (USD)')).toHaveValue('12.50');
  await expect(page.getByLabel('Alert 2 (USD)')).toHaveValue('');
  await expect(page.getByLabel('Tell me by mail, too')).not.toBeChecked();

  await sendFax(user.id, 60);
  await expectBanner(page, '$11.00 is available, less than the $12.50');
  expect(await mailsTo(user.email)).toEqual([]);
});

test('mails of low balances are stopped by a press, or by one click in the mail program', async ({
  page,
  user,
  request,
}) => {
  await grant(user.id, '6000000');
  await sendFax(user.id, 10);
  const mail = await mailAbout(user.email, /^Low balance/);
  expect(mail.isOneClick).toBe(true);
  const link = mail.unsubscribe?.replace(/^<|>$/g, '') ?? '';
  await page.goto(link);
  await expectAccessible(page, 'the page that stops mails');
  await expect(page.getByRole('button', { name: 'Stop these mails' })).toBeVisible();

  const oneClick = { form: { 'List-Unsubscribe': 'One-Click' } };
  expect((await request.post(`${link}x`, oneClick)).status(), 'a link that was changed').toBe(404);
  await page.reload();
  await page.getByRole('button', { name: 'Stop these mails' }).click();
  await expect(page.getByRole('status')).toContainText('No alerts of a low balance are mailed');
  await page.goto('/account/settings');
  await expect(page.getByLabel('Tell me by mail, too')).not.toBeChecked();
  await page.getByLabel('Tell me by mail, too').check();
  await page.getByRole('button', { name: 'Save alerts' }).click();
  await expect(page.getByRole('status')).toHaveText('Your alerts were saved.');
  // A mail program sends neither cookie nor origin.
  expect((await request.post(link, oneClick)).status()).toBe(200);
  await page.reload();
  await expect(page.getByLabel('Tell me by mail, too')).not.toBeChecked();
});

test('a developer reads the mails on a page, in both forms', async ({ page, user }) => {
  await grant(user.id, '6000000');
  await sendFax(user.id, 10);
  const mail = await mailAbout(user.email, /^Low balance/);
  await page.goto(mailboxUrl());
  const row = page.getByRole('row').filter({ hasText: user.email });
  await row.getByRole('link', { name: mail.subject }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(mail.subject);
  await expect(page.locator('pre')).toContainText('$4.50 was left');
  const form = page.frameLocator('iframe[title="The mail as HTML"]');
  await expect(form.getByText('$4.50 was left')).toBeVisible();
  await expect(form.getByRole('link', { name: 'Add funds' })).toHaveAttribute(
    'href',
    `${startedWallet().url}/account/top-up`,
  );

  const log = await readFile(startedWallet().logPath, 'utf8');
  expect(log, 'no address in the log').not.toContain(user.email);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('alerts are edited', async ({ page, user }) => {
    await grant(user.id, '20000000');
    await page.goto('/account/settings');
    await page.getByLabel('Alert 3 (USD)').fill('15');
    await page.getByRole('button', { name: 'Save alerts' }).click();
    await expect(page.getByRole('status')).toHaveText('Your alerts were saved.');
    await expect(page.getByLabel('Alert 1 (USD)')).toHaveValue('15.00');
  });
});
