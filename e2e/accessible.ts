/** What every page is held to. */
import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';

/** The screens on which every page must serve. */
export const SIZES = {
  'a phone': { width: 390, height: 844 },
  'a desktop': { width: 1280, height: 800 },
};
const NARROWEST = { width: 320, height: 640 };

/** Axe finds nothing on either screen, and nothing is wider than the narrowest phone. */
export async function expectAccessible(page: Page, what: string): Promise<void> {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations, `${what} on ${size}`).toEqual([]);
  }
  await expectNoSidewaysScroll(page, what);
}

export async function expectNoSidewaysScroll(page: Page, what: string): Promise<void> {
  await page.setViewportSize(NARROWEST);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width, `${what} fits the narrowest phone`).toBeLessThanOrEqual(NARROWEST.width);
}
