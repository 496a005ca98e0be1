/** Unspent money goes back to the card, asked for by its user and by support. */
import { expect, type Page } from '@playwright/test';
import { SUPPORT_USER } from '../server/dev/seed.ts';
import { expectAccessible } from './accessible.ts';
import { balanceMicros, billingClient, eventTypes } from './money.ts';
import { CARDS, clearFaults, failRefund, refundsOf } from './stripe.ts';
import { expectPhase, openTopUp, payWith } from './top-up-page.ts';
import { signIn, test } from './users.ts';

test.afterEach(clearFaults);

/** $25, paid by card and credited. */
async function paid(page: Page): Promise<void> {
  await openTopUp(page);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
}

const refundButton = (page: Page) => page.getByRole('button', { name: 'Refund', exact: true });

test('a user sends unspent money back to the card, and gets it again when the bank refuses it', async ({
  page,
  user,
}) => {
  await page.goto('/account/refund');
  await expect(page.getByText('Nothing can go back to a card now')).toBeVisible();
  await paid(page);
  await page.goto('/account/top-up');
  await page.getByRole('link', { name: 'Refund unspent money' }).click();
  await expect(page.getByLabel('Amount in USD')).toHaveValue('25.00');
  await expectAccessible(page, 'the refund form');

  await page.getByLabel('Amount in USD').fill('25.01');
  await refundButton(page).click();
  await expect(page.getByRole('checkbox')).toHaveAccessibleDescription(/Confirm/);
  const amount = page.getByLabel('Amount in USD');
  await expect(amount).toHaveAccessibleDescription(/At most 25\.00 USD can go back now/);
  await page.getByRole('checkbox').check();
  await expectAccessible(page, 'the refused refund');
  expect(await balanceMicros(page)).toBe('25000000');

  await page.getByLabel('Amount in USD').fill('10');
  await refundButton(page).dblclick();
  const row = page.getByRole('row').filter({ hasText: '$10.00' });
  await expect(row).toContainText('Sent');
  await expect(page.getByRole('checkbox'), 'the next one is not confirmed').not.toBeChecked();
  await expect(page.getByLabel('Amount in USD')).toHaveValue('15.00');
  await expectAccessible(page, 'the refund');
  expect(await balanceMicros(page)).toBe('15000000');
  const [refund, ...others] = await refundsOf(user.id);
  expect(refund?.amount).toBe(1_000);
  expect(others).toEqual([]);

  await failRefund(refund?.id ?? '');
  await expect(async () => {
    await page.goto('/account/refund');
    await expect(row).toContainText('Not accepted', { timeout: 1_000 });
  }).toPass();
  expect(await balanceMicros(page)).toBe('25000000');
  expect((await eventTypes(user.id)).slice(-2)).toEqual([
    ...['payment_refund', 'payment_refund_failed'],
  ]);
  await page.goto('/account/activity');
  await expect(page.getByText('Refund to your card failed')).toBeVisible();
});

test('support refunds a part of a top-up with a reason, also without scripts', async ({
  page,
  user,
  browser,
}) => {
  await paid(page);
  const { walletId } = await billingClient().wallets.get.query({ userId: user.id });
  const context = await browser.newContext({ javaScriptEnabled: false });
  await signIn(context, SUPPORT_USER);
  const desk = await context.newPage();
  await desk.goto('/admin');
  await desk.getByLabel('User id or email').fill(user.email);
  await desk.getByRole('button', { name: 'Find' }).click();
  await desk.getByRole('status').getByRole('link').click();
  await desk.getByRole('link', { name: 'Refund to the card' }).click();
  await expect(desk).toHaveURL(`/admin/wallets/${walletId}/refund`);

  await desk.getByLabel('What to refund').selectOption({ index: 1 });
  await desk.getByLabel('Amount in USD').fill('5.5');
  await refundButton(desk).click();
  await expect(desk.getByLabel('Why')).toHaveAccessibleDescription(/Say why/);
  await expect(desk.getByRole('checkbox')).toHaveAccessibleDescription(/Confirm/);
  expect(await refundsOf(user.id), 'nothing goes back unconfirmed').toEqual([]);

  // What was chosen and typed is still there.
  await desk.getByLabel('Why').fill('Paid twice');
  await desk.getByRole('checkbox').check();
  await refundButton(desk).click();
  const row = desk.getByRole('row').filter({ hasText: 'Paid twice' });
  await expect(row).toContainText('Succeeded');
  await expect(row).toContainText('support:');
  await expect(row).toContainText('$5.50');
  expect((await refundsOf(user.id)).map(({ amount }) => amount)).toEqual([550]);
  await context.close();

  await signIn(page.context(), SUPPORT_USER);
  await page.goto(`/admin/wallets/${walletId}/refund`);
  await expectAccessible(page, "support's refund page");
});

test('to a user who is not of the support staff its page does not exist', async ({ page }) => {
  await page.goto('/');
  const path = '/admin/wallets/00000000-0000-4000-8000-000000000000/refund';
  expect((await page.goto(path))?.status()).toBe(404);
});
