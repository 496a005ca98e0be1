/** Support finds a wallet, sees how it stands, and does what may be done with it. */
import { expect, type Page } from '@playwright/test';
import { SUPPORT_USER } from '../server/dev/seed.ts';
import { expectAccessible } from './accessible.ts';
import { saveCard, sendEmail, turnOn } from './auto-top-up.ts';
import { billingClient, grant } from './money.ts';
import { stripeApi } from './stripe.ts';
import { signIn, test, type User, withDatabase } from './users.ts';
import { startedWallet } from './wallet.ts';

/** A page on which support is signed in. */
async function supportPage(page: Page): Promise<Page> {
  const browser = page.context().browser();
  if (browser === null) throw new Error('there is no browser');
  const context = await browser.newContext({ baseURL: startedWallet().url });
  await signIn(context, SUPPORT_USER);
  return context.newPage();
}

async function openWallet(support: Page, user: User): Promise<void> {
  await support.goto('/admin');
  await support.getByLabel('User id or email').fill(user.email);
  await support.getByRole('button', { name: 'Find' }).click();
  await support.getByRole('status').getByRole('link').click();
  await expect(support.getByRole('heading', { level: 1, name: 'Wallet' })).toBeVisible();
}

test('support finds a wallet by mail, freezes it with a reason and opens it again', async ({
  page,
  user,
}) => {
  await grant(user.id, '20000000');
  const support = await supportPage(page);
  await openWallet(support, user);
  await expect(support.getByText(user.email)).toBeVisible();
  expect(support.url(), 'no address in an address').not.toContain('@');
  await expectAccessible(support, 'a wallet at the desk');

  await support.getByRole('button', { name: 'Freeze' }).click();
  await expect(support.getByLabel('Why')).toHaveAccessibleDescription(/Say why/);
  await support.getByLabel('Why').fill('Asked for by phone');
  await support.getByRole('button', { name: 'Freeze' }).click();
  await expect(support.getByRole('status')).toContainText('recorded with your name');
  await page.goto('/account');
  await expect(page.getByText('Your wallet is frozen')).toBeVisible();
  await page.goto('/account/activity');
  await expect(page.getByText('Asked for by phone')).toBeVisible();

  await support.getByLabel('Why').fill('Asked for again');
  await support.getByRole('button', { name: 'Unfreeze' }).click();
  await expect(support.getByRole('button', { name: 'Freeze', exact: true })).toBeVisible();
  expect((await billingClient().wallets.get.query({ userId: user.id })).status).toBe('open');
  await support.context().close();
});

test('support sets a spending limit; the user sees it and how it stands', async ({
  page,
  user,
}) => {
  await grant(user.id, '20000000');
  const support = await supportPage(page);
  await openWallet(support, user);
  await support.getByLabel('To numbers from').first().fill('44');
  await support.getByRole('button', { name: 'Save limits' }).click();
  await expect(support.getByText('Enter an amount.')).toBeVisible();
  await support.getByLabel('To numbers from').first().fill('');
  await support.getByLabel('Limit 1: in a').selectOption('month');
  await support.getByLabel('At most (USD)').first().fill('5');
  await support.getByRole('button', { name: 'Save limits' }).click();
  await expect(support.getByRole('status')).toContainText('Done');
  await sendEmail(user, 120);

  await page.goto('/account/settings');
  const limits = page.getByRole('region', { name: 'Spending limits' });
  await expect(limits).toContainText('All usage in a month');
  await expect(limits).toContainText('$1.20 spent');
  await expect(limits).toContainText('At most $5.00');
  await expectAccessible(page, 'settings with limits');
  await support.reload();
  await expect(support.getByLabel('At most (USD)').first()).toHaveAccessibleDescription(
    '$1.20 spent',
  );
  await support.context().close();
});

test('a warning of fraud pauses automatic top-up until support lets it go on', async ({
  page,
  user,
}) => {
  await page.goto('/account/auto-top-up');
  await saveCard(user, 'pm_card_visa');
  await turnOn(page);
  const chargeOf = async () => {
    const [row] = await withDatabase(
      (sql) => sql<{ id: string }[]>`
        select t.payment_intent_id as id from top_ups t join wallets w on w.id = t.wallet_id
        where w.user_id = ${user.id} and t.status = 'succeeded'`,
    );
    return row === undefined
      ? null
      : String((await stripeApi().paymentIntents.retrieve(row.id)).latest_charge);
  };
  await expect.poll(chargeOf).not.toBeNull();
  const warned = await fetch(`${startedWallet().stripeUrl}/_control/warn-of-fraud`, {
    method: 'POST',
    body: JSON.stringify({ charge: await chargeOf() }),
  });
  expect(warned.ok).toBe(true);
  await expect(async () => {
    await page.goto('/account/auto-top-up');
    await expect(page.getByText('reported a payment of yours as fraud')).toBeVisible({
      timeout: 1_000,
    });
  }).toPass();
  await page.goto('/account/activity');
  await expect(page.getByText('Automatic top-up by card')).toBeVisible();

  const support = await supportPage(page);
  await support.goto('/admin/disputes');
  await expectAccessible(support, 'disputes');
  await openWallet(support, user);
  await expect(support.getByText('Paused: fraud warning.')).toBeVisible();
  await expect(support.getByRole('list', { name: 'Warnings of fraud' })).toBeVisible();
  await expectAccessible(support, 'a wallet with a warning');
  await support.getByRole('button', { name: 'Resume automatic top-up' }).click();
  await expect(support.getByText('On.', { exact: true })).toBeVisible();
  await support.context().close();
});
