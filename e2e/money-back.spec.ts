/** A refund and a dispute, from the presses in the stand-in's page to what the user sees. */
import { expect, type Page } from '@playwright/test';
import { sendEmail } from './auto-top-up.ts';
import { mailAbout } from './mailbox.ts';
import { CARDS, customerOf, stripeApi } from './stripe.ts';
import { expectPhase, openTopUp, payWith } from './top-up-page.ts';
import { test, type User } from './users.ts';
import { startedWallet } from './wallet.ts';

/** Pays $25 and waits for its credit; the payment intent. */
async function pay(page: Page, user: User): Promise<string> {
  await openTopUp(page);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  const { data } = await stripeApi().paymentIntents.list({
    customer: (await customerOf(user.id)) ?? '',
  });
  return data[0]?.id ?? '';
}

/** Presses a button beside the payment on the stand-in's page. */
async function press(page: Page, paymentIntentId: string, button: string): Promise<void> {
  await page.goto(startedWallet().stripeUrl);
  const row = page.getByRole('row').filter({ hasText: paymentIntentId });
  await row.getByRole('button', { name: button }).click();
  await expect(page.getByRole('heading', { name: 'Stripe stand-in' })).toBeVisible();
}

/** Opens a page until it says so: Stripe's word comes a moment after the press. */
async function expectOn(page: Page, path: string, text: string): Promise<void> {
  await expect(async () => {
    await page.goto(path);
    await expect(page.getByRole('main').getByText(text).first()).toBeVisible({ timeout: 1_000 });
  }).toPass();
}

test('a refund is seen in the balance, the activity, the top-ups, the receipt and by mail', async ({
  page,
  user,
}) => {
  const payment = await pay(page, user);
  await press(page, payment, 'Refund this');

  await expectOn(page, '/account/activity', 'Refund to your card');
  await expect(page.getByRole('main')).toContainText('-$25.00');
  await expect(page.getByRole('main')).toContainText('Balance $0.00');
  await page.goto('/account/top-up');
  const latest = page.getByRole('region', { name: 'Your latest top-ups' });
  await expect(latest).toContainText('Refunded');
  await expect(latest).toContainText('$25.00 was refunded to the card.');
  await latest.getByRole('link').click();
  await expect(page.getByRole('main')).toContainText('$25.00 was refunded to the card.');
  await page.getByRole('link', { name: 'Receipt' }).click();
  await expect(page.getByText('Refunded to the card')).toBeVisible();

  const mail = await mailAbout(user.email, /^Refund/);
  expect(mail.subject).toBe('Refund of $25.00 to your card');
});

test('a dispute freezes the wallet and says why; winning it gives everything back', async ({
  page,
  user,
}) => {
  const payment = await pay(page, user);
  await press(page, payment, 'Dispute this');

  await expectOn(page, '/account', 'Your wallet is frozen');
  await expect(page.getByRole('main')).toContainText('disputes a payment of $25.00');
  await expectOn(page, '/account/activity', 'Disputed payment taken back by your bank');
  await expect(page.getByText('Payment disputed with your bank')).toBeVisible();
  await expect(page.getByRole('main')).toContainText('Balance $0.00');
  await page.goto('/account/top-up');
  await expect(page.getByText('has taken $25.00 until it is decided')).toBeVisible();
  await expect(page.getByText('It cannot be topped up for now.')).toBeVisible();
  expect((await mailAbout(user.email, /disputed$/)).text).toContain('nothing can be spent');

  await press(page, payment, 'Dispute won');
  await expectOn(page, '/account/activity', 'Wallet unfrozen');
  await expect(page.getByText('Disputed payment returned')).toBeVisible();
  await page.goto('/account');
  await expect(page.getByText('Your wallet is frozen')).toHaveCount(0);
  await expect(page.getByRole('main')).toContainText('$25.00');
  expect((await mailAbout(user.email, /has ended$/)).text).toContain('stands');
});

test('a dispute that is lost after the money was spent leaves the balance below zero', async ({
  page,
  user,
}) => {
  const payment = await pay(page, user);
  await sendEmail(user, 1_000);
  await press(page, payment, 'Dispute this');
  await expectOn(page, '/account', 'Your balance is below zero');
  await expect(page.getByRole('main')).toContainText('-$10.00');
  await press(page, payment, 'Dispute lost');
  await expectOn(page, '/account', 'contact support to use your wallet again');
  await expect(page.getByText('Your balance is below zero')).toBeVisible();
  await expect(page.getByRole('main')).toContainText('-$10.00');
  await page.goto('/account/top-up');
  await expect(page.getByText('Taken back', { exact: true })).toBeVisible();
  expect((await mailAbout(user.email, /has ended$/)).text).toContain('below zero');
});
