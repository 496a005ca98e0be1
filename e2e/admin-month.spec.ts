/** Support sees a month that is stuck, why it is, and gets it done. */
import { randomUUID } from 'node:crypto';
import { expect, type Page } from '@playwright/test';
import { SUPPORT_USER } from '../server/dev/seed.ts';
import type { Sql } from '../server/store/sql.ts';
import { openWallet } from '../server/store/wallets.ts';
import { expectAccessible } from './accessible.ts';
import { closedMonth } from './month.ts';
import { signIn, test, withDatabase } from './users.ts';

/**
 * A wallet of the period which it misses, as if it had been opened then. Its clock is replaced in
 * the one transaction, and no other session sees that.
 */
async function unclosedWallet(sql: Sql, period: string): Promise<string> {
  return sql.begin(async (transaction) => {
    const [clock] = await transaction<{ definition: string }[]>`
      select pg_get_functiondef('ledger_now()'::regprocedure) as definition`;
    await transaction.unsafe(`create or replace function ledger_now() returns timestamptz
      language sql as $$ select timestamptz '${period}-15T12:00:00Z' $$`);
    const { walletId } = await openWallet(transaction as unknown as Sql, {
      walletId: randomUUID(),
      userId: `late-${randomUUID()}`,
      currency: 'USD',
      timezone: 'UTC',
      mode: 'live',
      actor: 'test:browser',
    });
    await transaction.unsafe(clock?.definition ?? '');
    await transaction`
      update billing_ranges set finished_at = null, due_at = now()
      where run_id = (select id from billing_runs where period = ${period})
        and from_wallet_id < ${walletId} and to_wallet_id >= ${walletId}`;
    return walletId;
  });
}

/** How many wallets the page counts so, read anew. */
async function counted(page: Page, label: string): Promise<string> {
  await page.reload();
  return page.locator(`dt:text-is("Wallets ${label}") + dd`).innerText();
}

test('a wallet that cannot be closed is shown with its reason, and closed when tried again', async ({
  page,
  context,
}) => {
  const { period } = await closedMonth();
  await signIn(context, SUPPORT_USER);
  await withDatabase(async (sql) => {
    const walletId = await unclosedWallet(sql, period);
    await sql.unsafe(`create trigger browser_test before insert on statements
      for each row when (new.wallet_id = '${walletId}') execute function refuse_ledger_change()`);
    try {
      await page.goto('/admin');
      await page.getByRole('link', { name: 'Month' }).click();
      await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Month of /);
      expect(await counted(page, 'pending')).toBe('1');
      await page.getByRole('button', { name: 'Close what is due' }).click();
      await expect.poll(() => counted(page, 'failed')).toBe('1');

      const failures = page.getByRole('table', { name: 'Wallets that could not be closed' });
      const failure = failures.getByRole('row').filter({ hasText: walletId });
      await expect(failure).toContainText('INSERT of statements is refused');
      await expect(failure).toContainText('again at');
      await expectAccessible(page, 'a month with a failure');
      await failure.getByRole('link').click();
      await expect(page.getByRole('region', { name: 'Recurring fees' })).toContainText('None');
    } finally {
      await sql.unsafe('drop trigger browser_test on statements');
    }
  });

  await page.goto('/admin/month');
  await page.getByRole('button', { name: 'Try again now' }).click();
  await expect.poll(() => counted(page, 'failed')).toBe('0');
  expect(await counted(page, 'pending')).toBe('0');
  await expect(page.getByText('No wallet failed')).toBeVisible();
});

test('support changes how long what is owed may wait, which says who did', async ({
  page,
  context,
}) => {
  await signIn(context, SUPPORT_USER);
  await page.goto('/admin/month');
  const terms = page.getByRole('region', { name: 'When something is owed' });
  const save = async (grace: string, reminder: string) => {
    await terms.getByLabel('Days until the suspension').fill(grace);
    await terms.getByLabel('Reminder, days before it').fill(reminder);
    await terms.getByRole('button', { name: 'Save' }).click();
  };
  await save('5', '6');
  await expect(terms.getByRole('alert')).toContainText('before the month is closed');
  await expectAccessible(page, 'terms that are refused');
  await save('14', '3');
  await expect(terms.getByRole('status')).toContainText('Saved');
  await expect(terms).toContainText(/Last changed .* by support:/);
  await page.goto('/admin/month');
  await expect(terms.getByLabel('Days until the suspension')).toHaveValue('14');
  await save('7', '2');
  await expect(terms.getByRole('status')).toContainText('Saved');
});
