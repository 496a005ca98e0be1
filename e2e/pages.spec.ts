import { expect, test } from '@playwright/test';
import { DEMO_USER } from '../server/dev/seed.ts';
import { submitCredentials } from './users.ts';

test('a visitor finds the way from the first page into the demo account', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('main').getByRole('link', { name: 'Sign in' }).click();
  await expect(page).toHaveURL('/login');
  await expect(page.getByText(DEMO_USER.email)).toBeVisible();

  await submitCredentials(page, DEMO_USER);
  await expect(page).toHaveURL('/account');
  await expect(page.getByTestId('available-balance')).toHaveText(/^\$\d/);
});

test('an address that leads nowhere says so, and offers a way on', async ({ page }) => {
  const response = await page.goto('/no-such-page');
  expect(response?.status()).toBe(404);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.getByRole('main').getByRole('link').first()).toBeVisible();
});
