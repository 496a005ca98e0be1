import { expect, type Page } from '@playwright/test';
import { ACCOUNT_PAGES } from './account-pages.ts';
import { billingClient, grant } from './money.ts';
import { customerOf, stripeApi } from './stripe.ts';
import { newEmail, submitCredentials, test, type User } from './users.ts';
import { startedWallet } from './wallet.ts';

async function signOut(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign out' }).click();
  // The session has ended when this page shows; a navigation of the test's own would race it.
  await expect(page).toHaveURL('/login');
}

test('someone signs up, out and in again, and no page of the account shows in between', async ({
  page,
}) => {
  const credentials = { email: newEmail(), password: 'four plain words together' };
  await page.goto('/signup');
  await submitCredentials(page, credentials);
  await expect(page).toHaveURL('/account');
  await expect(page.getByRole('banner')).toContainText(credentials.email);

  await signOut(page);
  await expect(page.getByRole('banner')).not.toContainText(credentials.email);
  await page.goto('/account');
  await expect(page).toHaveURL('/login');

  await submitCredentials(page, credentials);
  await expect(page).toHaveURL('/account');
});

test('a taken email, a weak password and a wrong password are each explained', async ({
  page,
  user,
}) => {
  await page.context().clearCookies();
  await page.goto('/signup');
  await submitCredentials(page, user);
  await expect(page.getByLabel('Email')).toHaveAccessibleDescription(/account with this email/);
  await submitCredentials(page, { email: newEmail(), password: 'short' });
  await expect(page.getByLabel('Password')).toHaveAccessibleDescription(/8 characters/);

  await page.goto('/login');
  await submitCredentials(page, { email: user.email, password: 'not the password' });
  await expect(page.getByRole('alert')).toHaveText('The email or the password is wrong.');
  await expect(page.getByLabel('Email'), 'what was typed is kept').toHaveValue(user.email);
});

test('every page of the account sends a visitor to the sign-in page', async ({ request }) => {
  for (const path of ACCOUNT_PAGES) {
    const response = await request.get(path, { maxRedirects: 0 });
    expect(response.status(), path).toBe(302);
    expect(response.headers().location, path).toBe('/login');
  }
});

test('a frozen wallet says so on the overview, and why in the activity', async ({ page, user }) => {
  await grant(user.id, '5000000');
  const { freeze, unfreeze } = billingClient().wallets;
  await freeze.mutate({ userId: user.id, reason: 'A card was reported stolen' });
  await page.goto('/account');
  await expect(page.getByText('Your wallet is frozen')).toBeVisible();
  await page.getByRole('link', { name: 'Activity', exact: true }).last().click();
  const event = page.locator('#event-3');
  await expect(event).toContainText('Wallet frozen');
  await expect(event).toContainText('A card was reported stolen');

  await unfreeze.mutate({ userId: user.id, reason: 'A new card was sent' });
  await page.goto('/account');
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible();
  await expect(page.getByText('Your wallet is frozen')).toBeHidden();
});

test('one user sees nothing of another: neither top-up nor statement', async ({ page, user }) => {
  const response = await page.request.post('/account/top-up/start', {
    form: { amount: '25.00', attemptKey: crypto.randomUUID() },
    headers: { origin: startedWallet().url },
  });
  const { topUpId }: { topUpId: string } = await response.json();
  expect((await page.goto(`/account/top-up/${topUpId}`))?.status()).toBe(200);

  await signOut(page);
  await page.goto('/signup');
  await submitCredentials(page, { email: newEmail(), password: user.password });
  await expect(page).toHaveURL('/account');
  expect((await page.goto(`/account/top-up/${topUpId}`))?.status()).toBe(404);
});

test('a call that a service charges stands in the activity with how its price came about', async ({
  page,
  user,
}) => {
  await grant(user.id, '25000000');
  const call = { duration: 5.5, to: '+14155550132', referenceId: crypto.randomUUID() };
  const client = billingClient();
  const charged = await client.processCommunicationBilling(user.id, 'call', call);
  const repeated = await client.processCommunicationBilling(user.id, 'call', call);
  expect(charged).toMatchObject({ success: true, replayed: false, amountMicros: '375000' });
  expect(repeated).toMatchObject({ success: true, replayed: true, amountMicros: '375000' });

  await page.goto('/account');
  await expect(page.getByTestId('available-balance')).toHaveText('$24.625');
  await page.getByRole('link', { name: 'All activity' }).click();
  const entry = page.getByRole('listitem').filter({ hasText: 'Call, 5 min 30 s' });
  await expect(entry).toHaveCount(1);
  await expect(entry).toContainText('-$0.375');
  await expect(entry).toContainText('Balance $24.625');
  await entry.getByText('How this was priced').click();
  for (const part of [
    '+14155550132',
    '$0.10',
    '$0.05 per minute',
    '$0.375, as billed',
    call.referenceId,
  ]) {
    await expect(entry.getByRole('definition').filter({ hasText: part }).first()).toBeVisible();
  }
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('someone signs up, signs out and signs in', async ({ page }) => {
    const credentials = { email: newEmail(), password: 'four plain words together' };
    await page.goto('/signup');
    await submitCredentials(page, credentials);
    await expect(page).toHaveURL('/account');
    await expect(page.getByTestId('available-balance')).toHaveText('$0.00');
    await signOut(page);
    await page.goto('/login');
    await submitCredentials(page, { ...credentials, password: 'not the password' });
    await expect(page.getByRole('alert')).toHaveText('The email or the password is wrong.');
    await submitCredentials(page, credentials);
    await expect(page).toHaveURL('/account');
  });

  test('the activity is read page by page, and filtered', async ({ page, user }) => {
    await grant(user.id, '25000000');
    await chargeEmails(user, 30);
    await page.goto('/account/activity');
    const entries = page.getByRole('main').getByRole('listitem').filter({ hasText: 'Balance' });
    await expect(entries).toHaveCount(25);
    await entries.first().getByText('How this was priced').click();
    await expect(entries.first().getByRole('definition').first()).toBeVisible();

    await page.getByRole('link', { name: 'Older' }).click();
    await expect(entries).toHaveCount(7);
    await expect(entries.last()).toContainText('Wallet opened');
    await expect(page.getByRole('link', { name: 'Older' })).toHaveCount(0);

    await page.getByLabel('Show').selectOption({ label: 'Credits and fees' });
    await page.getByRole('button', { name: 'Apply' }).click();
    await expect(entries).toHaveCount(1);
    await expect(entries).toContainText('Promotional credit');
  });

  test('the password is changed, and only the new one signs in', async ({ page, user }) => {
    const newPassword = 'five other plain words here';
    await page.goto('/account/settings');
    await page.getByLabel('Current password').fill(user.password);
    await page.getByLabel('New password', { exact: true }).fill(newPassword);
    await page.getByLabel('New password again').fill(newPassword);
    await page.getByRole('button', { name: 'Change password' }).click();
    await expect(page.getByRole('status')).toHaveText('Your password was changed.');

    await signOut(page);
    await page.goto('/login');
    await submitCredentials(page, user);
    await expect(page.getByRole('alert')).toHaveText('The email or the password is wrong.');
    await submitCredentials(page, { ...user, password: newPassword });
    await expect(page).toHaveURL('/account');
  });

  test('a saved card is shown and removed', async ({ page, user }) => {
    await page.request.post('/account/top-up/start', {
      form: { amount: '25.00', attemptKey: crypto.randomUUID() },
      headers: { origin: startedWallet().url },
    });
    const customer = (await customerOf(user.id)) ?? '';
    await stripeApi().paymentMethods.attach('pm_card_visa', { customer });

    await page.goto('/account/payment-methods');
    await expect(page.getByRole('listitem').filter({ hasText: 'ending 4242' })).toBeVisible();
    await page.locator('summary', { hasText: 'Remove' }).click();
    await page.getByRole('button', { name: 'Yes, remove' }).click();
    await expect(page.getByRole('status')).toHaveText('The card was removed.');
    await expect(page.getByText('ending 4242')).toHaveCount(0);
    const { data } = await stripeApi().paymentMethods.list({ customer });
    expect(data).toEqual([]);
  });

  test('the page that adds funds says why it needs JavaScript', async ({ page, user }) => {
    await page.goto('/account/top-up');
    const note = page.getByRole('main').locator('noscript p', { hasText: 'needs JavaScript' });
    await expect(note, `to ${user.id}`).toBeVisible();
  });
});

async function chargeEmails(user: User, count: number): Promise<void> {
  const items = Array.from({ length: count }, () => ({
    usage: { type: 'email' as const },
    referenceId: crypto.randomUUID(),
  }));
  const results = await billingClient().usage.chargeBatch.mutate({
    items: items.map((item) => ({ userId: user.id, ...item })),
  });
  expect(results.every(({ ok }) => ok)).toBe(true);
}
