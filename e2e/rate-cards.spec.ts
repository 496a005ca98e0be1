/** How support staff draft, fill and publish a rate card. */
import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { SUPPORT_USER } from '../server/dev/seed.ts';
import { expectAccessible } from './accessible.ts';
import { signIn, test } from './users.ts';

test.beforeEach(async ({ context }) => {
  await signIn(context, SUPPORT_USER);
});

async function beginDraft(page: Page): Promise<void> {
  await page.goto('/admin/rate-cards');
  await page.getByRole('button', { name: 'Draft from Default prices 1', exact: true }).click();
  await expect(page.getByText('A draft: it prices nothing')).toBeVisible();
}

async function importFile(page: Page, text: string): Promise<void> {
  await page
    .getByLabel('CSV file')
    .setInputFiles({ name: 'prices.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
  await page.getByRole('button', { name: 'Import' }).click();
}

test('a draft takes a rule and a file, and is published for later', async ({ page }) => {
  await beginDraft(page);
  await expectAccessible(page, 'the card');
  await page.getByRole('link', { name: 'Add a rule' }).click();
  await page.getByLabel('Prefix').fill('44');
  await page.getByLabel('Price').fill('0.0125x');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Must be a decimal amount')).toBeVisible();
  await expectAccessible(page, 'the rule that is wrong');
  await page.getByLabel('Price').fill('0.0125');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(
    page.getByRole('row', { name: /Calls to 44….*billed 60\/60.* 0\.0125/ }),
  ).toBeVisible();

  await page.getByRole('link', { name: 'Import CSV' }).click();
  await importFile(page, 'type,prefix,price_usd\nsms,49,0.03\nsms,x,0.03\n');
  await expect(page.getByRole('row', { name: /^3 prefix: / })).toBeVisible();
  await expectAccessible(page, 'the import that is wrong');
  const lines = Array.from({ length: 3_000 }, (_, index) => `sms,${44_000 + index},0.03`);
  await importFile(page, ['type,prefix,price_usd', ...lines].join('\n'));
  await expect(page.getByText('3,000 rules added, 0 changed, 0 removed.')).toBeVisible();
  await page.getByRole('link', { name: 'Back to the draft' }).click();
  await page.getByLabel('Price of a number').fill('+44 017 555 0100');
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page.getByRole('row', { name: /SMS to 44017…/ })).toBeVisible();

  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export CSV' }).click();
  const csv = await readFile(await (await download).path(), 'utf8');
  expect(csv.trim().split('\n')).toHaveLength(1 + 6 + 3_000);

  await page.getByLabel('Takes effect (UTC)').fill('2020-01-01T00:00');
  await page.getByRole('button', { name: 'Publish' }).click();
  await expect(page.getByText('effectiveFrom must be at least 60 seconds from now')).toBeVisible();
  await page.getByLabel('Takes effect (UTC)').fill('2998-01-01T00:00');
  await page.getByRole('button', { name: 'Publish' }).click();
  await expect(page.getByText('Published. Prices usage from 1 Jan 2998')).toBeVisible();
  await expect(page.getByText(/Published as version \d+ by support:support/)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Publish' })).toHaveCount(0);
});

test('a draft is thrown away', async ({ page }) => {
  await beginDraft(page);
  await expectAccessible(page, 'the draft');
  await page.getByRole('button', { name: 'Discard this draft' }).click();
  await expect(page.getByRole('heading', { name: 'Rate cards', level: 1 })).toBeVisible();
});
