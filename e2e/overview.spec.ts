import { expect } from '@playwright/test';
import { DEMO_USER, LATE_USER } from '../server/dev/seed.ts';
import { expectAccessible } from './accessible.ts';
import { billingClient, grant } from './money.ts';
import { signIn, test } from './users.ts';

test('the overview says what the month costs, how far the money goes and by what', async ({
  page,
  user,
}) => {
  await page.goto('/account');
  const main = page.getByRole('main');
  await expect(main).toContainText('Nothing used yet this month');
  await expect(main).toContainText('Nothing is left to spend');
  await expect(main).toContainText('0 s of calls, or 0 SMS');

  await grant(user.id, '9700000');
  await page.reload();
  await expect(main).toContainText('3 h 12 min of calls, or 485 SMS');
  await expect(main).toContainText('Nothing was used in the last 14 days.');

  const client = billingClient();
  const to = '+442079460018';
  const fax = { pages: 4, to, referenceId: crypto.randomUUID() };
  expect(await client.processCommunicationBilling(user.id, 'fax', fax)).toMatchObject({
    success: true,
  });
  const call = { duration: 2, to, referenceId: crypto.randomUUID() };
  expect(await client.processCommunicationBilling(user.id, 'call', call)).toMatchObject({
    success: true,
  });
  await page.reload();
  await expect(page.locator('dt:text-is("Usage so far, without monthly fees") + dd')).toHaveText(
    '$0.80',
  );
  await expect(main).toContainText('Too early to say');
  await expect(page.getByRole('img', { name: /^Cost of each day.*\$0\.80/ })).toBeVisible();
  const table = page.getByRole('table', { name: 'Usage this month' });
  await expect(table.getByRole('row').nth(1)).toContainText(/Faxes\s*4 pages\s*1 time\s*\$0\.60/);
  await expect(table.getByRole('row').nth(2)).toContainText(/Calls\s*2 min\s*1 time\s*\$0\.20/);
});

test('the demo user sees a forecast, and when the money runs out', async ({ page, context }) => {
  await signIn(context, DEMO_USER);
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await page.goto('/account');
    await expect(page.locator('dt:text-is("Forecast for the month") + dd')).toHaveText(/^about \$/);
    await expect(page.locator('dt', { hasText: 'Fees for the month' }).locator('+ dd')).toHaveText(
      '$5.50',
    );
    await expect(page.locator('dt:text-is("When your money runs out") + dd')).toHaveText(
      /^In about \d+ day/,
    );
    await expect(page.getByRole('img', { name: /^Cost of each day/ })).toBeVisible();
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBe(0);
  }
});

test('a customer who owes is told until when it can be paid', async ({ page, context }) => {
  await signIn(context, LATE_USER);
  await page.goto('/account');
  await expect(page.getByRole('main')).toContainText(
    /\$1\d\.\d+ was more than your balance\. .*Usage stops on \d+ \w+ \d{4}, \d\d:\d\d unless it is paid/,
  );
});

test('a spending limit that is reached is named wherever the money would not say why', async ({
  page,
  user,
}) => {
  await grant(user.id, '9700000');
  const client = billingClient();
  await client.wallets.setLimits.mutate({
    userId: user.id,
    limits: [{ period: 'day', amountMicros: '600000' }],
  });
  const fax = { pages: 4, to: '+442079460018', referenceId: crypto.randomUUID() };
  expect(await client.processCommunicationBilling(user.id, 'fax', fax)).toMatchObject({
    success: true,
  });
  await page.setViewportSize({ width: 390, height: 900 });
  await page.goto('/account');
  const main = page.getByRole('main');
  await expect(main).toContainText('Spending limit reached: All usage in a day');
  await expect(main).toContainText('At most $0.60, $0.60 spent.');
  await expect(main).toContainText('A spending limit leaves $0.00 of it until');
  await expect(page.locator('dt:text-is("When your money runs out") + dd')).toHaveText(
    /^A limit stops usage\s*until \d/,
  );
  await expect(main).not.toContainText('0 s of calls');
  await expectAccessible(page, 'overview with a reached limit');
});
