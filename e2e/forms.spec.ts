/** Forms that are refused: every mistake at its field, a summary above, and nothing typed is lost. */
import { expect, type Page } from '@playwright/test';
import { expectAccessible } from './accessible.ts';
import { saveCard } from './auto-top-up.ts';
import { newEmail, test } from './users.ts';

/** The summary names every wrong field, the first of which has the focus. */
async function expectTwoWrong(page: Page, first: string, second: string): Promise<void> {
  const summary = page.getByRole('alert');
  await expect(summary).toHaveCount(1);
  await expect(summary).toContainText('2 fields are not right yet');
  await expect(summary.getByRole('link')).toHaveCount(2);
  await expect(page.getByLabel(first)).toBeFocused();
  for (const label of [first, second]) {
    await expect(page.getByLabel(label)).toHaveAttribute('aria-invalid', 'true');
  }
  // The way from the summary to a field loses nothing.
  await summary.getByRole('link').last().click();
  await expect(page.getByLabel(second)).toBeFocused();
  await expect(summary).toBeVisible();
}

test('two mistakes of a sign-up are told at once, without scripts too', async ({ browser }) => {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ javaScriptEnabled });
    const page = await context.newPage();
    await page.goto('/signup');
    await page.getByLabel('Email').fill('ann');
    await page.getByLabel('Password').fill('short');
    await page.getByRole('main').getByRole('button').click();
    await expect(page.getByLabel('Email')).toHaveAccessibleDescription(/not an email address/);
    await expect(page.getByLabel('Password')).toHaveAccessibleDescription(/8 characters/);
    await expect(page.getByLabel('Email'), 'what was typed is kept').toHaveValue('ann');
    expect(await page.content(), 'but no password').not.toContain('short');
    if (javaScriptEnabled) {
      await expectTwoWrong(page, 'Email', 'Password');
      await expectAccessible(page, 'a form with two mistakes');
    }
    await page.getByLabel('Email').fill(newEmail());
    await page.getByLabel('Password').fill('four plain words together');
    await page.getByRole('main').getByRole('button').click();
    await expect(page).toHaveURL('/account');
    await context.close();
  }
});

test('two amounts of automatic top-up that make no sense are told at once', async ({
  page,
  user,
}) => {
  await page.goto('/account/auto-top-up');
  await saveCard(user, 'pm_card_visa');
  await page.reload();
  await page.getByRole('checkbox').check();
  await page.getByLabel('Amount (USD)').fill('ten');
  await page.getByLabel('Never more than this in a month (USD)').fill('1');
  await page.getByRole('button', { name: 'Turn on' }).click();
  await expectTwoWrong(page, 'Amount (USD)', 'Never more than this in a month (USD)');
  await expect(page.getByLabel('Amount (USD)')).toHaveValue('ten');
  await expect(page.getByRole('checkbox')).toBeChecked();
  await expectAccessible(page, 'terms with two mistakes');
});
