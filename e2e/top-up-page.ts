/** The page that adds funds, as a person uses it. */
import { expect, type Page } from '@playwright/test';

export const CARD_FRAME = 'iframe[title="Secure payment input frame"]';

/** Opens the page and waits until it takes cards. */
export async function openTopUp(page: Page): Promise<void> {
  await page.goto('/account/top-up');
  await expect(payButton(page)).toBeEnabled();
}

export async function fillCard(page: Page, number: string): Promise<void> {
  const card = page.frameLocator(CARD_FRAME);
  await card.getByLabel('Card number').fill(number);
  await card.getByLabel('Expiration date').fill('12 / 34');
  // American Express prints four digits.
  await card.getByLabel('Security code').fill(number.startsWith('37') ? '1234' : '123');
}

export function payButton(page: Page) {
  return page.getByRole('button', { name: /^Pay/ });
}

/** Pays the amount that is chosen already, $25 unless it was changed. */
export async function payWith(page: Page, number: string): Promise<void> {
  await fillCard(page, number);
  await payButton(page).click();
}

/** The bank's question of 3-D Secure, which stands over the page. */
export function bank(page: Page) {
  return page.frameLocator('iframe[title="3D Secure 2 Test Page"]');
}

/** The heading of the page that follows a top-up. */
export async function expectPhase(
  page: Page,
  phase: 'Payment received' | 'Payment processing',
): Promise<void> {
  await expect(page).toHaveURL(/\/account\/top-up\/[0-9a-f-]{36}/);
  await expect(page.getByRole('heading', { level: 1, name: phase })).toBeVisible();
}
