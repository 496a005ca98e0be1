import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { balanceMicros, billingClient, eventTypes } from './money.ts';
import { CARDS, clearFaults, loseWebhooks, paidCents, redeliverSuccesses } from './stripe.ts';
import { bank, expectPhase, fillCard, openTopUp, payButton, payWith } from './top-up-page.ts';
import { newEmail, submitCredentials, test, type User } from './users.ts';
import { startedWallet } from './wallet.ts';

test.afterEach(clearFaults);

const START = '/account/top-up/start';

async function expectNothingPaid(page: Page, user: User): Promise<void> {
  expect(await balanceMicros(page)).toBe('0');
  expect(await eventTypes(user.id)).toEqual(['wallet_opened']);
  expect(await paidCents(user.id)).toEqual([]);
}

async function expectPaidOnce(page: Page, user: User): Promise<void> {
  expect(await balanceMicros(page)).toBe('25000000');
  expect(await eventTypes(user.id)).toEqual(['wallet_opened', 'top_up']);
  expect(await paidCents(user.id)).toEqual([2500]);
}

test('a new user adds $25 by card and finds it in the balance and in the activity', async ({
  page,
}) => {
  await page.goto('/signup');
  await submitCredentials(page, { email: newEmail(), password: 'four plain words together' });
  await expect(page).toHaveURL('/account');
  await expect(page.getByTestId('available-balance')).toHaveText('$0.00');

  await page.getByRole('link', { name: 'Add funds' }).click();
  await page.getByRole('button', { name: '$25', exact: true }).click();
  await payWith(page, CARDS.accepted);

  await expectPhase(page, 'Payment received');
  await expect(page.getByTestId('available-balance')).toHaveText('$25.00');
  await page.getByRole('link', { name: 'See it in your activity' }).click();
  const entry = page.getByRole('listitem').filter({ hasText: 'Top-up by card' });
  await expect(entry).toContainText('+$25.00');
  await expect(entry).toContainText('Balance $25.00');
});

for (const { currency, tooFine, amount, shown, minor, micros } of [
  {
    currency: 'EUR',
    tooFine: '10.505',
    amount: '10.50',
    shown: '€10.50',
    minor: 1_050,
    micros: '10500000',
  },
  {
    currency: 'GBP',
    tooFine: '5.011',
    amount: '5.01',
    shown: '£5.01',
    minor: 501,
    micros: '5010000',
  },
  {
    currency: 'JPY',
    tooFine: '2500.5',
    amount: '2501',
    shown: '¥2,501',
    minor: 2_501,
    micros: '2501000000',
  },
  {
    currency: 'KWD',
    tooFine: '12.345',
    amount: '12.340',
    shown: 'KWD 12.340',
    minor: 12_340,
    micros: '12340000',
  },
]) {
  test(`${currency} is exact from what is typed to the balance, or refused`, async ({
    page,
    user,
  }) => {
    await billingClient().wallets.open.mutate({ userId: user.id, currency });
    await openTopUp(page);
    const field = page.getByLabel('Amount');
    await field.fill(tooFine);
    await payWith(page, CARDS.accepted);
    await expect(field).toHaveAttribute('aria-invalid', 'true');
    expect(await paidCents(user.id)).toEqual([]);

    await field.fill(amount);
    await payButton(page).click();
    await expectPhase(page, 'Payment received');
    await expect(page.getByTestId('available-balance')).toHaveText(shown);
    expect(await balanceMicros(page)).toBe(micros);
    expect(await paidCents(user.id), 'in minor units').toEqual([minor]);
  });
}

test('only the webhook credits: the page that follows never does', async ({ page, user }) => {
  await loseWebhooks();
  await openTopUp(page);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment processing');

  let reads = 0;
  page.on('response', (response) => {
    if (response.url().includes('_data=') && response.ok()) reads += 1;
  });
  await expect.poll(() => reads, 'the page keeps asking').toBeGreaterThan(1);
  await expectPhase(page, 'Payment processing');
  expect(await balanceMicros(page)).toBe('0');
  expect(await paidCents(user.id)).toEqual([2500]);

  await redeliverSuccesses(user.id);
  await expectPhase(page, 'Payment received');
  await redeliverSuccesses(user.id);
  await expectPaidOnce(page, user);
});

test('a return from the bank before the webhook shows processing, then the credit', async ({
  page,
  user,
}) => {
  await loseWebhooks();
  await openTopUp(page);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment processing');
  const { pathname } = new URL(page.url());

  await page.goto(
    `${pathname}?payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2&redirect_status=succeeded`,
  );
  await expectPhase(page, 'Payment processing');
  expect(page.url(), 'the secret is gone from the address').not.toContain('secret');

  await redeliverSuccesses(user.id);
  await expectPhase(page, 'Payment received');
  await expectPaidOnce(page, user);
});

for (const [card, message] of [
  ['declined', 'Your card was declined.'],
  ['insufficientFunds', 'Your card has insufficient funds.'],
] as const) {
  test(`a card that is refused (${message}) changes nothing, and another pays once`, async ({
    page,
    user,
  }) => {
    await openTopUp(page);
    await payWith(page, CARDS[card]);
    await expect(page.getByRole('alert').filter({ hasText: message })).toBeInViewport();
    await expectNothingPaid(page, user);

    await payWith(page, CARDS.accepted);
    await expectPhase(page, 'Payment received');
    await expectPaidOnce(page, user);
  });
}

test('a payment that the bank asks about is credited once it is confirmed', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  await payWith(page, CARDS.asksTheBank);
  const confirm = bank(page).getByRole('button', { name: 'Complete authentication' });
  await expect(confirm).toBeVisible();
  await expectNothingPaid(page, user);

  await confirm.click();
  await expectPhase(page, 'Payment received');
  await expectPaidOnce(page, user);
});

test('a payment that the bank refuses to confirm changes nothing, and another card pays once', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  await payWith(page, CARDS.asksTheBank);
  await bank(page).getByRole('button', { name: 'Fail authentication' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'Nothing was charged' })).toBeVisible();
  await expectNothingPaid(page, user);

  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  await expectPaidOnce(page, user);
});

test('a payment that is left at the bank changes nothing', async ({ page, user }) => {
  await openTopUp(page);
  await payWith(page, CARDS.asksTheBank);
  await expect(bank(page).getByRole('button', { name: 'Complete authentication' })).toBeVisible();

  await page.goto('/account');
  await expect(page.getByTestId('available-balance')).toHaveText('$0.00');
  await expectNothingPaid(page, user);
});

test('two presses of Pay pay once', async ({ page, user }) => {
  let starts = 0;
  page.on('request', (request) => {
    if (request.url().endsWith(START)) starts += 1;
  });
  await openTopUp(page);
  await fillCard(page, CARDS.accepted);
  await payButton(page).dblclick();
  await expectPhase(page, 'Payment received');
  expect(starts).toBe(1);
  await expectPaidOnce(page, user);
});

test('a reload while the result is unknown goes on with the same payment, which is paid once', async ({
  page,
  user,
}) => {
  await loseWebhooks();
  await page.route('**/v1/payment_intents/*/confirm', async (route) => {
    await route.fetch();
    await route.abort();
  });
  await openTopUp(page);
  await page.getByRole('button', { name: '$50', exact: true }).click();
  await payWith(page, CARDS.accepted);
  await expect(page.getByRole('alert').filter({ hasText: 'not known yet' })).toBeVisible();
  expect(await paidCents(user.id)).toEqual([5000]);

  await page.unrouteAll();
  await page.reload();
  await expect(page.getByLabel('Amount'), 'the amount is kept').toHaveValue('50.00');
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment processing');
  await redeliverSuccesses(user.id);
  await expectPhase(page, 'Payment received');
  expect(await balanceMicros(page)).toBe('50000000');
  expect(await paidCents(user.id)).toEqual([5000]);
});

const WRONG_AMOUNTS = [
  ['0', /amount like 25\.00/],
  ['4.99', /least is \$5\.00/],
  ['100000', /most is \$1,000\.00/],
  ['abc', /amount like 25\.00/],
  ['25.001', /2 decimals at the most/],
] as const;

test('a wrong amount is explained at its field, and nothing is started', async ({ page, user }) => {
  const starts: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith(START)) starts.push(request.url());
  });
  await openTopUp(page);
  await fillCard(page, CARDS.accepted);
  const field = page.getByLabel('Amount');
  for (const [amount, explanation] of WRONG_AMOUNTS) {
    await field.fill(amount);
    await payButton(page).click();
    await expect(field).toHaveAccessibleDescription(explanation);
    await expect(field).toHaveAttribute('aria-invalid', 'true');
    await expect(field).toBeFocused();
  }
  expect(starts).toEqual([]);
  await expectNothingPaid(page, user);
});

test('the server refuses a wrong amount too, whatever page sends it', async ({ page, user }) => {
  for (const [amount] of WRONG_AMOUNTS) {
    const response = await page.request.post(START, {
      form: { amount, attemptKey: crypto.randomUUID() },
      headers: { origin: startedWallet().url },
    });
    expect(response.status(), amount).toBe(422);
    expect(await response.json()).toMatchObject({ ok: false, message: expect.stringMatching(/./) });
  }
  await expectNothingPaid(page, user);
});

test('no card number, client secret or email reaches an address or the log', async ({
  page,
  user,
}) => {
  const { url, logPath } = startedWallet();
  const seen: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) return;
    seen.push(request.url(), request.headers().referer ?? '');
  });
  await openTopUp(page);
  const started = page.waitForResponse((response) => response.url().endsWith(START));
  await payWith(page, CARDS.declined);
  const { clientSecret }: { clientSecret: string } = await (await started).json();
  await expect(page.getByRole('alert')).toContainText('declined');
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  const addresses = seen.join('\n');

  // The one address with a secret is Stripe's own way back from a bank.
  await page.goto(
    `${new URL(page.url()).pathname}?payment_intent=pi_1&payment_intent_client_secret=${clientSecret}`,
  );
  await expectPhase(page, 'Payment received');
  const log = await readFile(logPath, 'utf8');

  expect(addresses).toContain(START);
  expect(log).toContain(`"path":"${START}"`);
  for (const [place, text] of Object.entries({ addresses, log })) {
    for (const card of [CARDS.accepted, CARDS.declined]) {
      expect(text, `card number in ${place}`).not.toContain(card);
      expect(text, `card number in ${place}`).not.toContain(card.replaceAll(' ', ''));
    }
    expect(text, `client secret in ${place}`).not.toContain(clientSecret);
    expect(text, `email in ${place}`).not.toContain(user.email);
    expect(text, `email in ${place}`).not.toContain(encodeURIComponent(user.email));
  }
});
