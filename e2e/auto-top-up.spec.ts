import { expect, type Page } from '@playwright/test';
import { saveCard, sendEmail, turnOn } from './auto-top-up.ts';
import { mailAbout } from './mailbox.ts';
import { balanceMicros, eventTypes, grant } from './money.ts';
import { paidCents } from './stripe.ts';
import { bank } from './top-up-page.ts';
import { test, type User } from './users.ts';

test('a wallet that falls below its threshold is topped up by the saved card', async ({
  page,
  user,
}) => {
  await page.goto('/account/auto-top-up');
  await expect(page.getByText('Save a card first')).toBeVisible();
  await saveCard(user, 'pm_card_visa');
  await grant(user.id, '12000000');
  await turnOn(page);
  await expect(page.getByText('Automatic top-up is on')).toBeVisible();
  expect(await paidCents(user.id), 'not yet').toEqual([]);

  await sendEmail(user, 300);
  const crossedAtMs = Date.now();
  await expect(async () => expect(await paidCents(user.id)).toEqual([1_600])).toPass();
  const tookMs = Date.now() - crossedAtMs;
  test.info().annotations.push({ type: 'threshold to charge', description: `${tookMs} ms` });

  await expect(async () => {
    await page.goto('/account/auto-top-up');
    await expect(page.getByRole('cell', { name: /^Paid/ })).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await expect(page.getByText('Visa ending 4242')).toBeVisible();
  await expect(page.getByText('$16.00').first()).toBeVisible();
  await page.goto('/account');
  await expect(page.getByTestId('available-balance')).toHaveText('$25.00');
  expect(await balanceMicros(page)).toBe('25000000');
  expect(await eventTypes(user.id)).toEqual(['wallet_opened', 'grant', 'charge', 'top_up']);
  const receipt = await mailAbout(user.email, /^Receipt/);
  expect(receipt.subject).toBe('Receipt: $16.00 added to your wallet');
});

test('terms without consent, or that make no sense, are refused by name', async ({
  page,
  user,
}) => {
  await page.goto('/account/auto-top-up');
  await saveCard(user, 'pm_card_visa');
  await page.reload();
  await page.getByRole('button', { name: 'Turn on' }).click();
  await expect(page.getByRole('alert')).toContainText('Agree');
  await page.getByRole('checkbox').check();
  await page.getByLabel(/^Amount/).fill('11');
  await page.getByRole('button', { name: 'Turn on' }).click();
  await expect(page.getByLabel(/^Amount/)).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('alert')).toContainText('at least');
});

for (const place of ['the mail', 'the page'] as const) {
  test(`a payment that the bank asks about is finished by the link of ${place}, and it goes on`, async ({
    page,
    user,
    browser,
  }) => {
    await page.goto('/account/auto-top-up');
    await saveCard(user, 'pm_card_authenticationRequired');
    await turnOn(page);
    await expect(async () => {
      await page.goto('/account/auto-top-up');
      await expect(page.getByText('Your bank wants you to confirm')).toBeVisible({
        timeout: 1_000,
      });
    }).toPass();
    expect(await paidCents(user.id)).toEqual([]);

    const link = place === 'the mail' ? await linkInMail(user) : await linkOfPage(page);
    // The link alone is enough: a browser that is not signed in.
    const stranger = await (await browser.newContext()).newPage();
    await stranger.goto(link);
    await stranger.getByRole('button', { name: 'Confirm with my bank' }).click();
    await bank(stranger).getByRole('button', { name: 'Complete authentication' }).click();
    await expect(stranger.getByRole('heading', { name: 'Payment received' })).toBeVisible();
    await stranger.context().close();
    expect(await paidCents(user.id)).toEqual([2_500]);

    await page.goto('/account/auto-top-up');
    await expect(page.getByText('Automatic top-up is on')).toBeVisible();
    await page.goto(link);
    await expect(page.getByRole('heading', { name: 'Payment received' })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Confirm with my bank' })).toHaveCount(0);
  });
}

async function linkInMail({ email }: User): Promise<string> {
  const mail = await mailAbout(email, /^Confirm your automatic top-up of \$25\.00$/);
  return /https?:\S+\/confirm-payment\S+/.exec(mail.text)?.[0] ?? '';
}

/** Asks for a link and follows it; its address. */
async function linkOfPage(page: Page): Promise<string> {
  await page.getByRole('button', { name: 'Confirm the payment' }).click();
  await expect(page.getByRole('heading', { name: 'Confirm a payment' })).toBeVisible();
  return page.url();
}
