/** How support staff draft, fill and publish a rate card. */
import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { SUPPORT_USER } from '../server/dev/seed.ts';
import { expectAccessible } from './accessible.ts';
import { billingClient, grant } from './money.ts';
import { newUser, signIn, test } from './users.ts';

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
  await page.getByLabel('Prefix', { exact: true }).fill('44');
  await page.getByLabel('Price', { exact: true }).fill('0.0125x');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Must be digits with at most one point')).toBeVisible();
  await expectAccessible(page, 'the rule that is wrong');
  await page.getByLabel('Price', { exact: true }).fill('0.0125');
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
  await page.getByRole('button', { name: 'Find its price' }).click();
  await expect(page.getByRole('row', { name: /SMS to 44017…/ })).toBeVisible();
  expect(new URL(page.url()).search).not.toContain('555');

  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export CSV' }).click();
  const csv = await readFile(await (await download).path(), 'utf8');
  expect(csv.trim().split('\n')).toHaveLength(1 + 6 + 3_000);

  await page.getByLabel('Takes effect (UTC)').fill('2020-01-01T00:00');
  await page.getByRole('button', { name: 'Publish' }).click();
  await expect(page.getByLabel('Takes effect (UTC)')).toHaveAccessibleDescription(/in the past/);
  const confirmation = page.getByLabel(/can never be changed/);
  await expect(confirmation).toHaveAccessibleDescription('Confirm what is published.');
  await confirmation.check();
  await page.getByLabel('Takes effect (UTC)').fill('2998-01-01T00:00');
  await expect(page.getByLabel(/^3,006 rules, in USD, price usage from 1 Jan 2998/)).toBeChecked();
  await page.getByRole('button', { name: 'Publish' }).click();
  await expect(page.getByText('Published. Prices usage from 1 Jan 2998')).toBeVisible();
  await expect(page.getByText(/Published as version \d+ by support:support/)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Publish' })).toHaveCount(0);
});

test("a customer's first own card is begun at their wallet, and found there", async ({ page }) => {
  const { id: userId } = await newUser();
  const { walletId } = await billingClient().wallets.open.mutate({ userId });
  await page.goto(`/admin/wallets/${walletId}`);
  await page.getByRole('link', { name: 'Own prices' }).click();
  await expect(page.getByText('The general prices apply.')).toBeVisible();
  await expectAccessible(page, 'no own prices');
  await page.getByRole('button', { name: 'Begin a card of their own' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`Prices of ${userId}`);
  await page.getByRole('link', { name: 'Add a rule' }).click();
  await page.getByLabel('Prefix', { exact: true }).fill('44');
  await page.getByLabel('Price', { exact: true }).fill('0.0125');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('row', { name: /Calls to 44…/ })).toContainText('0.0125');

  await page.goto(`/admin/wallets/${walletId}/prices`);
  await expect(page.getByText(`only for ${userId}`)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Begin a card of their own' })).toHaveCount(0);
  await page.setViewportSize({ width: 390, height: 900 });
  await expectAccessible(page, 'own prices');
  await page.getByRole('link', { name: `Prices of ${userId}` }).click();
  await page.getByLabel('Takes effect (UTC)').fill('2998-01-01T00:00');
  await page.getByLabel(/can never be changed/).check();
  await page.getByRole('button', { name: 'Publish' }).click();
  await expect(page.getByText('Published as version 1 by support:support')).toBeVisible();
});

test('a draft is thrown away once that is confirmed', async ({ page }) => {
  await beginDraft(page);
  await expectAccessible(page, 'the draft');
  await page.getByRole('button', { name: 'Discard this draft' }).click();
  await expect(page.getByText('Confirm that the draft is to go.')).toBeVisible();
  await page.getByLabel(/^Throw away its/).check();
  await page.getByRole('button', { name: 'Discard this draft' }).click();
  await expect(page.getByRole('heading', { name: 'Rate cards', level: 1 })).toBeVisible();
});

test('a draft is rehearsed on a past month, and past prices are corrected once', async ({
  page,
}) => {
  const { id: userId } = await newUser();
  await grant(userId, '1000000');
  const usage = { type: 'sms', to: '+442079460018', segments: 5 } as const;
  await billingClient().usage.charge.mutate({ userId, usage, referenceId: 'e2e' });
  await beginDraft(page);
  await page.getByRole('link', { name: 'SMS to anywhere' }).click();
  await page.getByLabel('Price', { exact: true }).fill('0.015');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('link', { name: 'Rehearse' }).click();
  await page.getByLabel('Month (UTC)').fill(new Date().toISOString().slice(0, 7));
  await page.getByRole('button', { name: 'Rehearse' }).click();
  await expect(page.getByRole('listitem').filter({ hasText: userId })).toContainText('-$0.025');
  await expectAccessible(page, 'the rehearsal');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Every customer as CSV' }).click();
  const csv = await readFile(await (await download).path(), 'utf8');
  expect(csv).toContain(`${userId},`);

  await page.getByRole('link', { name: 'Back to the card' }).click();
  await page.getByLabel('Takes effect (UTC)').fill('2998-06-01T00:00');
  await page.getByLabel(/can never be changed/).check();
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByRole('link', { name: 'Correct past prices' }).click();
  await page.getByLabel('From (UTC)').fill(minutesFromNow(-10));
  await page.getByLabel('To (UTC)').fill(minutesFromNow(10));
  await page.getByRole('button', { name: 'Preview' }).click();
  await expect(page.getByRole('listitem').filter({ hasText: userId })).toContainText('-$0.025');
  await page.getByRole('button', { name: 'Post the differences' }).click();
  await expect(page.getByText('Say why')).toBeVisible();
  await expectAccessible(page, 'the correction');
  await page.getByLabel('Reason').fill('The price was wrong');
  await page.getByRole('button', { name: 'Post the differences' }).click();
  await expect(page.getByRole('heading', { name: 'Posted', exact: true })).toBeVisible();
  expect((await billingClient().wallets.get.query({ userId })).balanceMicros).toBe('925000');
});

test('a user finds what applies: prices to anywhere, and to a destination', async ({
  page,
  user,
}) => {
  await page.goto('/account/prices');
  await expect(page.getByText('$0.05 a minute + $0.10 to connect')).toBeVisible();
  await page.getByLabel('Or a country').selectOption({ label: 'United Kingdom' });
  await page.getByRole('button', { name: 'Look up' }).click();
  await expect(page.getByRole('region', { name: 'Prices to United Kingdom' })).toContainText('SMS');
  await page.getByLabel('Number or its beginning').fill('+44 20 7946 0000');
  await page.getByLabel('Or a country').selectOption('');
  await page.getByRole('button', { name: 'Look up' }).click();
  await expect(page.getByRole('region', { name: /^Prices to / })).toContainText('SMS');
  expect(page.url()).not.toContain('7946');
  await expectAccessible(page, `the prices of ${user.id}`);
});

/** As a `datetime-local` input takes it, in UTC. */
function minutesFromNow(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString().slice(0, 16);
}
