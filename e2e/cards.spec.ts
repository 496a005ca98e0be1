import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { balanceMicros, eventTypes } from './money.ts';
import {
  CARDS,
  clearFaults,
  customerOf,
  failCalls,
  loseWebhooks,
  paidCents,
  redeliverSuccesses,
  stripeApi,
} from './stripe.ts';
import {
  bank,
  CARD_FRAME,
  expectPhase,
  fillCard,
  openTopUp,
  payButton,
  payWith,
} from './top-up-page.ts';
import { test, type User, withDatabase } from './users.ts';
import { startedWallet } from './wallet.ts';

test.afterEach(clearFaults);

const START = '/account/payment-methods/start';

async function openCards(page: Page): Promise<void> {
  await page.goto('/account/payment-methods');
  await expect(page.getByRole('heading', { level: 1, name: 'Cards' })).toBeVisible();
}

async function openCardForm(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Add a card' }).click();
  await expect(saveButton(page)).toBeEnabled();
}

function saveButton(page: Page) {
  return page.getByRole('button', { name: 'Save card' });
}

/** Saves a card through the page, from its list to its list. */
async function addCard(page: Page, number: string): Promise<void> {
  await openCardForm(page);
  await fillCard(page, number);
  await saveButton(page).click();
}

function row(page: Page, text: string) {
  return page.getByRole('main').getByRole('listitem').filter({ hasText: text });
}

async function expectDone(page: Page, message: string): Promise<void> {
  await expect(page.getByRole('status').filter({ hasText: message })).toBeVisible();
}

/** The last digits of the cards on the page, in order. */
async function shown(page: Page): Promise<string[]> {
  const texts = await row(page, 'ending').allInnerTexts();
  return texts.map((text) => /ending (\d{4})/.exec(text)?.[1] ?? text);
}

async function savedAtStripe(user: User): Promise<string[]> {
  const customer = await customerOf(user.id);
  if (customer === null) return [];
  const { data } = await stripeApi().paymentMethods.list({ customer, limit: 100 });
  return data.map(({ card }) => card?.last4 ?? '');
}

test('a card is added, and shown at once as the default, even without any webhook', async ({
  page,
  user,
}) => {
  await loseWebhooks();
  await openCards(page);
  await expect(page.getByText('No saved cards')).toBeVisible();
  await addCard(page, CARDS.accepted);
  await expectDone(page, 'The card was saved.');
  await expect(row(page, 'Visa ending 4242')).toContainText('Default');
  await expect(row(page, 'Visa ending 4242')).toContainText('Expires 12/2034');
  await expect(page.locator(CARD_FRAME), 'the form is closed').toHaveCount(0);
  expect(await savedAtStripe(user)).toEqual(['4242']);
  expect(await eventTypes(user.id), 'nothing was charged').toEqual(['wallet_opened']);
});

test('cards are named, made the default, moved and removed', async ({ page, user }) => {
  await openCards(page);
  for (const number of [CARDS.accepted, CARDS.mastercard, CARDS.amex]) {
    await addCard(page, number);
    await expect(row(page, `ending ${number.replaceAll(' ', '').slice(-4)}`)).toBeVisible();
  }
  await expect.poll(() => shown(page)).toEqual(['4242', '4444', '0005']);

  await row(page, '0005').getByRole('button', { name: 'Make default' }).click();
  await expectDone(page, 'The order was changed.');
  await expect.poll(() => shown(page)).toEqual(['0005', '4242', '4444']);
  await expect(row(page, '0005')).toContainText('Default');

  await row(page, '4444').getByRole('button', { name: 'Move up' }).click();
  await expect.poll(() => shown(page)).toEqual(['0005', '4444', '4242']);
  await expect(row(page, '4444')).toContainText('Backup 1');

  await row(page, '4444').locator('summary', { hasText: 'Name' }).click();
  const name = row(page, '4444').getByLabel('Name of the card');
  await name.fill('4242 4242 4242 4242');
  await row(page, '4444').getByRole('button', { name: 'Save name' }).click();
  await expect(name).toHaveAccessibleDescription(/do not enter a card number/);
  await name.fill('Company card');
  await row(page, '4444').getByRole('button', { name: 'Save name' }).click();
  await expectDone(page, 'The name was changed.');
  await expect(row(page, '4444')).toContainText('Company card');

  await row(page, '0005').locator('summary', { hasText: 'Remove' }).click();
  await row(page, '0005').getByRole('button', { name: 'Yes, remove' }).click();
  await expectDone(page, 'The card was removed.');
  await expect.poll(() => shown(page)).toEqual(['4444', '4242']);
  await expect(row(page, 'Company card')).toContainText('Default');
  expect((await savedAtStripe(user)).sort()).toEqual(['4242', '4444']);
});

test('a card that the bank asks about is saved once it is confirmed', async ({ page, user }) => {
  await openCards(page);
  await addCard(page, CARDS.asksTheBank);
  const confirm = bank(page).getByRole('button', { name: 'Complete authentication' });
  await expect(confirm).toBeVisible();
  expect(await savedAtStripe(user)).toEqual([]);
  await confirm.click();
  await expectDone(page, 'The card was saved.');
  await expect(row(page, 'ending 3184')).toContainText('Default');
});

test('a card that is refused or not confirmed is not saved, and another is', async ({
  page,
  user,
}) => {
  await openCards(page);
  await addCard(page, CARDS.declined);
  await expect(page.getByRole('alert').filter({ hasText: 'was declined' })).toBeVisible();

  await fillCard(page, CARDS.asksTheBank);
  await saveButton(page).click();
  await bank(page).getByRole('button', { name: 'Fail authentication' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'was not saved' })).toBeVisible();
  expect(await savedAtStripe(user)).toEqual([]);

  await fillCard(page, CARDS.accepted);
  await saveButton(page).click();
  await expectDone(page, 'The card was saved.');
  expect(await savedAtStripe(user)).toEqual(['4242']);
});

test('a return from the bank leaves no secret in the address', async ({ page, user }) => {
  const secret = 'setup_intent=seti_1&setup_intent_client_secret=seti_1_secret_2';
  await page.goto(`/account/payment-methods?${secret}&redirect_status=failed`);
  await expect(page.getByRole('alert').filter({ hasText: 'did not confirm' })).toBeVisible();
  expect(page.url(), `of ${user.id}`).not.toContain('secret');
  await page.goto(`/account/payment-methods?${secret}&redirect_status=succeeded`);
  await expectDone(page, 'The card was saved.');
  expect(page.url()).not.toContain('secret');
});

test('two presses of Save save the card once', async ({ page, user }) => {
  let starts = 0;
  page.on('request', (request) => {
    if (request.url().endsWith(START)) starts += 1;
  });
  await openCards(page);
  await openCardForm(page);
  await fillCard(page, CARDS.accepted);
  await saveButton(page).dblclick();
  await expectDone(page, 'The card was saved.');
  expect(starts).toBe(1);
  expect(await savedAtStripe(user)).toEqual(['4242']);
});

test('a card that Stripe does not remove stays, and is removed at the next try', async ({
  page,
  user,
}) => {
  await openCards(page);
  await addCard(page, CARDS.accepted);
  await expectDone(page, 'The card was saved.');
  await failCalls('/v1/payment_methods', 3);
  await row(page, '4242').locator('summary', { hasText: 'Remove' }).click();
  await row(page, '4242').getByRole('button', { name: 'Yes, remove' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'did not remove' })).toBeVisible();
  await expect(row(page, '4242')).toBeVisible();

  await clearFaults();
  await row(page, '4242').getByRole('button', { name: 'Yes, remove' }).click();
  await expectDone(page, 'The card was removed.');
  expect(await savedAtStripe(user)).toEqual([]);
});

test('cards that expire soon or have expired say so', async ({ page, user }) => {
  await openCards(page);
  for (const number of [CARDS.accepted, CARDS.mastercard]) {
    await addCard(page, number);
    await expect(row(page, number.slice(-4))).toBeVisible();
  }
  const customer = (await customerOf(user.id)) ?? '';
  const { data } = await stripeApi().paymentMethods.list({ customer });
  const now = new Date();
  for (const { id, card } of data) {
    // The end of this month is at most 31 days away, that of the last month is past.
    const month = new Date(now.getFullYear(), now.getMonth() - (card?.last4 === '4444' ? 1 : 0));
    await stripeApi().paymentMethods.update(id, {
      card: { exp_month: month.getMonth() + 1, exp_year: month.getFullYear() },
    });
  }
  await openCards(page);
  await expect(row(page, '4242')).toContainText('Expires soon');
  await expect(row(page, '4444')).toContainText('Expired');
});

test('a card saved while paying is offered and pays the next time, without typing it', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  const form = page.frameLocator(CARD_FRAME);
  await form.getByLabel('Save payment details for future purchases').check();
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');

  await openTopUp(page);
  await expect(form.getByLabel('VISA ending in 4242, expires 12/34')).toBeChecked();
  await expect(page.getByRole('main')).toContainText('Your latest top-ups');
  // Twice: two presses pay once with a saved card, too.
  await payButton(page).dblclick();
  await expectPhase(page, 'Payment received');
  expect(await paidCents(user.id)).toEqual([2500, 2500]);
  expect(await balanceMicros(page)).toBe('50000000');
  expect(await savedAtStripe(user)).toEqual(['4242']);
  await openCards(page);
  await expect(row(page, 'ending 4242')).toContainText('Default');
});

test('a card from the page of the cards pays a top-up, and so does a new one that is not kept', async ({
  page,
  user,
}) => {
  await openCards(page);
  await addCard(page, CARDS.mastercard);
  await expectDone(page, 'The card was saved.');
  await openTopUp(page);
  await payButton(page).click();
  await expectPhase(page, 'Payment received');

  await openTopUp(page);
  await page.frameLocator(CARD_FRAME).getByLabel('New card').check();
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  expect(await paidCents(user.id)).toEqual([2500, 2500]);
  expect(await savedAtStripe(user)).toEqual(['4444']);
});

test('a saved card that the bank asks about pays nothing until it is confirmed, then once', async ({
  page,
  user,
}) => {
  await openCards(page);
  await addCard(page, CARDS.asksTheBank);
  await bank(page).getByRole('button', { name: 'Complete authentication' }).click();
  await expectDone(page, 'The card was saved.');
  await openTopUp(page);
  await payButton(page).click();
  await bank(page).getByRole('button', { name: 'Fail authentication' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'Nothing was charged' })).toBeVisible();
  expect(await paidCents(user.id)).toEqual([]);

  await payButton(page).click();
  await bank(page).getByRole('button', { name: 'Complete authentication' }).click();
  await expectPhase(page, 'Payment received');
  expect(await balanceMicros(page)).toBe('25000000');
  expect(await paidCents(user.id)).toEqual([2500]);
});

test('a saved card without funds pays nothing, and another one pays once', async ({
  page,
  user,
}) => {
  await openCards(page);
  await addCard(page, CARDS.failsWhenCharged);
  await expectDone(page, 'The card was saved.');
  await openTopUp(page);
  await payButton(page).click();
  await expect(page.getByRole('alert').filter({ hasText: 'was declined' })).toBeVisible();
  expect(await paidCents(user.id)).toEqual([]);

  const form = page.frameLocator(CARD_FRAME);
  await form.getByLabel('New card').check();
  await form.getByLabel('Save payment details for future purchases').check();
  await payWith(page, CARDS.insufficientFunds);
  await expect(page.getByRole('alert').filter({ hasText: 'insufficient funds' })).toBeVisible();
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  expect(await balanceMicros(page)).toBe('25000000');
  expect(await paidCents(user.id)).toEqual([2500]);
});

test('a reload while a payment with a saved card is pending never pays twice', async ({
  page,
  user,
}) => {
  await openCards(page);
  await addCard(page, CARDS.accepted);
  await expectDone(page, 'The card was saved.');
  await loseWebhooks();
  await openTopUp(page);
  await payButton(page).click();
  await expectPhase(page, 'Payment processing');
  await page.reload();
  await expectPhase(page, 'Payment processing');

  await page.goto('/account/top-up');
  const latest = page.getByRole('listitem').filter({ hasText: '$25.00' });
  await expect(latest).toHaveCount(1);
  await expect(latest).toContainText('Processing');
  await expect(latest).toContainText('added to your balance when Stripe confirms it');
  expect(await balanceMicros(page)).toBe('0');
  await redeliverSuccesses(user.id);
  await expect.poll(() => balanceMicros(page)).toBe('25000000');
  await page.reload();
  await expect(latest).toContainText('Received');
  expect(await paidCents(user.id)).toEqual([2500]);
});

test('a failed top-up is listed with why it failed', async ({ page, user }) => {
  await openTopUp(page);
  await payWith(page, CARDS.insufficientFunds);
  await expect(page.getByRole('alert').filter({ hasText: 'insufficient funds' })).toBeVisible();
  const latest = page.getByRole('listitem').filter({ hasText: '$25.00' });
  await expect
    .poll(async () => {
      await page.reload();
      return (await latest.innerText()).replaceAll(/\s+/g, ' ');
    }, `of ${user.id}`)
    .toMatch(/Failed.*insufficient funds\. Nothing was charged\./);
});

test('Stripe mails a receipt to the address of the account', async ({ page, user }) => {
  await openTopUp(page);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  const { data } = await stripeApi().paymentIntents.list({
    customer: (await customerOf(user.id)) ?? '',
  });
  expect(data.map(({ receipt_email }) => receipt_email)).toEqual([user.email]);
});

test('no card number or client secret of a saved card reaches an address, the log or the database', async ({
  page,
  user,
}) => {
  const { url, logPath } = startedWallet();
  const addresses: string[] = [];
  page.on('request', (request) => {
    if (request.url().startsWith(url)) addresses.push(request.url());
  });
  await openCards(page);
  const started = page.waitForResponse((response) => response.url().endsWith(START));
  await addCard(page, CARDS.accepted);
  const { clientSecret }: { clientSecret: string } = await (await started).json();
  await expectDone(page, 'The card was saved.');
  const rows = await withDatabase(
    (sql) => sql`
      select to_jsonb(c) as row from saved_cards c where user_id = ${user.id}
      union all select to_jsonb(s) from card_setups s where user_id = ${user.id}
      union all select payload from stripe_inbox where payload::text like '%pm_%'`,
  );
  expect(rows.length).toBeGreaterThan(2);
  const places = {
    addresses: addresses.join('\n'),
    log: await readFile(logPath, 'utf8'),
    database: JSON.stringify(rows),
  };
  for (const [place, text] of Object.entries(places)) {
    expect(text, `card number in ${place}`).not.toContain(CARDS.accepted);
    expect(text, `card number in ${place}`).not.toContain(CARDS.accepted.replaceAll(' ', ''));
  }
  expect(places.addresses).not.toContain(clientSecret);
  expect(places.log).not.toContain(clientSecret);
});
