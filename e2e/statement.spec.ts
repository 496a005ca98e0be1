import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import { runStatementVerify } from '../server/cli/statement-verify.ts';
import { pdfTexts } from '../server/dev/pdf-text.ts';
import { DEMO_USER, SUPPORT_USER } from '../server/dev/seed.ts';
import { eventTypes } from './money.ts';
import { closedMonth, closeMonth, MONTHLY, monthStatus } from './month.ts';
import { signIn, test } from './users.ts';

/** What the demo user's last month comes to; `server/dev/seed/stories.ts` tells what it was. */
const LAST_MONTH = {
  'Opening balance': '$9.99',
  'Promotional credit': '+$30.00',
  Usage: '-$3.545',
  Fees: '-$5.50',
  Refunds: '+$0.375',
  'Closing balance': '$31.32',
};
const LINES = [
  ['Calls', '36 min 30 s', '$1.655'],
  ['SMS', '14 segments', '$0.26'],
  ['Emails', '55 recipients', '$0.55'],
  ['Faxes', '4 pages', '$0.60'],
  ['File transfers', '6 transfers', '$0.48'],
] as const;

/** The value that stands beside a label. */
function valueBeside(page: Page, label: string) {
  return page.locator(`dt:text-is("${label}") + dd`);
}

/** The statement's own page, as text. */
async function statementText(page: Page): Promise<string> {
  await page.goto('/account/statements');
  await expect(page.getByRole('main').getByRole('row')).toHaveCount(4);
  await page
    .getByRole('main')
    .getByRole('table')
    .getByRole('row')
    .nth(1)
    .getByRole('link')
    .first()
    .click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Statement for/);
  return page.getByRole('main').innerText();
}

test('the cron closes the last month, and its statement stands in the account', async ({
  page,
  context,
}) => {
  const { period } = await closedMonth();
  await signIn(context, DEMO_USER);
  await page.goto('/account');
  const month = new Date(`${period}-01`).toLocaleDateString('en-US', {
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  });
  await page.getByRole('link', { name: month }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`Statement for ${month}`);

  for (const [label, amount] of Object.entries(LAST_MONTH)) {
    await expect(valueBeside(page, label)).toHaveText(amount);
  }
  const table = page.getByRole('table', { name: 'Usage by type' });
  await expect(table.getByRole('row')).toHaveCount(1 + LINES.length);
  for (const [type, used, cost] of LINES) {
    const row = table.getByRole('row').filter({ has: page.getByRole('rowheader', { name: type }) });
    await expect(row).toContainText(used);
    await expect(row).toContainText(cost);
  }
  const fees = page.getByRole('table', { name: 'Fees' }).getByRole('row');
  await expect(fees).toHaveCount(3);
  await expect(fees.nth(1)).toContainText('Business plan');
  await expect(fees.nth(1)).toContainText('$4.00');
  await expect(fees.last()).toContainText('+14155550198');
  await expect(fees.last()).toContainText('$1.50');

  await page.goto('/account/settings');
  await expect(page.getByRole('region', { name: 'Recurring fees' })).toContainText(
    '+14155550198, $1.50 a month',
  );
});

test('a statement is downloaded as PDF and CSV, and what was downloaded is proven offline', async ({
  page,
  context,
}, { outputDir }) => {
  await closedMonth();
  await signIn(context, DEMO_USER);
  await page.goto('/account/statements');
  const newest = page.getByRole('main').getByRole('row').nth(1);
  const saved: Record<string, string> = {};
  for (const name of ['PDF', 'CSV', 'Entries']) {
    const started = page.waitForEvent('download');
    await newest.getByRole('link', { name: new RegExp(`^${name}\\b`) }).click();
    const download = await started;
    expect(download.suggestedFilename()).toMatch(
      /^statement-\d{4}-\d\d-\d{6}(-events)?\.(pdf|csv)$/,
    );
    saved[name] = join(outputDir, download.suggestedFilename());
    await download.saveAs(saved[name]);
  }
  const { PDF = '', CSV = '', Entries = '' } = saved;
  const texts = pdfTexts(await readFile(PDF));
  expect(texts[texts.indexOf('Closing balance') + 1]).toBe(LAST_MONTH['Closing balance']);
  for (const [type, used, cost] of LINES) {
    const at = texts.indexOf(type);
    expect(texts.slice(at, at + 4)).toEqual([type, expect.stringMatching(/^\d$/), used, cost]);
  }

  let out = '';
  const write = (text: string) => {
    out += text;
  };
  const [, hash = ''] = /headHash,,,,,,,([0-9a-f]{64})/.exec(await readFile(CSV, 'utf8')) ?? [];
  const proof = await runStatementVerify([Entries, '--statement', CSV, '--hash', hash], {
    out: write,
    err: write,
  });
  expect(out).toContain('Every figure of the statement is what the events come to.');
  expect(proof).toBe(0);

  const other = await page.request.get('/account/statements/2020-01-000001/statement.pdf');
  expect(other.status()).toBe(404);
  const { error } = await other.json();
  expect(error).toEqual({
    code: 'NOT_FOUND',
    message: 'There is nothing here.',
    requestId: other.headers()['x-request-id'],
  });
});

test('closing the month twice, and many times at once, changes nothing', async ({
  page,
  context,
}) => {
  const first = await closedMonth();
  await signIn(context, DEMO_USER);
  const statement = await statementText(page);
  const events = await eventTypes('demo');
  const status = await monthStatus();

  const again = await Promise.all(Array.from({ length: 5 }, closeMonth));
  await closedMonth();

  expect(again.map(({ runId, period }) => ({ runId, period }))).toEqual(
    Array.from({ length: 5 }, () => ({ runId: first.runId, period: first.period })),
  );
  expect(await statementText(page)).toBe(statement);
  expect(await eventTypes('demo')).toEqual(events);
  expect(await monthStatus()).toEqual(status);
});

test('support sees how the run stands; to any other user there is no such page', async ({
  page,
  context,
  user,
}) => {
  const { period } = await closedMonth();
  const { wallets } = await monthStatus();
  for (const path of ['/admin', '/admin?_data=routes/admin._index']) {
    const response = await page.request.get(path);
    expect(response.status(), `${path} for ${user.id}`).toBe(404);
  }

  await signIn(context, SUPPORT_USER);
  await page.goto('/account');
  await page.getByRole('link', { name: 'Admin' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Admin' })).toBeVisible();
  await expect(valueBeside(page, 'Status')).toHaveText('Finished');
  await expect(valueBeside(page, 'Wallets total')).toHaveText(String(wallets.total));
  await expect(valueBeside(page, 'Wallets billed')).toHaveText(String(wallets.total));
  await expect(valueBeside(page, 'Wallets failed')).toHaveText('0');
  expect(wallets.total).toBeGreaterThan(0);

  await page.getByRole('button', { name: 'Close the month' }).click();
  await expect(valueBeside(page, 'Status')).toHaveText('Finished');
  expect((await monthStatus()).period).toBe(period);
});

test('without the token nobody starts the month or learns how it stands', async ({ request }) => {
  for (const authorization of ['', 'Bearer', 'Bearer wrong', 'Basic abc']) {
    const headers = { authorization };
    expect((await request.post(MONTHLY, { headers })).status()).toBe(401);
    expect((await request.get(MONTHLY, { headers })).status()).toBe(401);
  }
});
