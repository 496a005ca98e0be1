/** What support staff see of Stripe and decide about it. */
import { randomUUID } from 'node:crypto';
import { expect, type Page } from '@playwright/test';
import { SUPPORT_USER } from '../server/dev/seed.ts';
import { expectAccessible } from './accessible.ts';
import { billingClient } from './money.ts';
import { stripeApi } from './stripe.ts';
import { newUser, signIn, test, withDatabase } from './users.ts';

const PAID = {
  amount: 2_600,
  currency: 'usd',
  automatic_payment_methods: { enabled: true },
  confirm: true,
  payment_method: 'pm_card_visa',
  return_url: 'http://localhost/done',
  receipt_email: 'payer@example.com',
} as const;

/** A payment of $26 that claims a top-up of $25, and has reached the quarantine. */
async function quarantinedPayment() {
  const { id: userId } = await newUser();
  const { walletId } = await billingClient().wallets.open.mutate({ userId });
  const topUpId = randomUUID();
  const customer = await stripeApi().customers.create({});
  await withDatabase(async (sql) => {
    await sql`insert into stripe_customers (user_id, livemode, stripe_customer_id)
      values (${userId}, false, ${customer.id})`;
    await sql`
      insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor, livemode)
      values (${topUpId}, ${walletId}, 'attempt-x', 'USD', 25000000, 2500, false)`;
  });
  const { id, latest_charge } = await stripeApi().paymentIntents.create({
    ...PAID,
    customer: customer.id,
    metadata: { topupId: topUpId },
  });
  await expect
    .poll(() =>
      withDatabase(
        (sql) => sql`select 1 from stripe_quarantine where payment_intent_id = ${id}`,
      ).then((rows) => rows.length),
    )
    .toBe(1);
  return { userId, walletId, paymentIntentId: id, chargeId: String(latest_charge) };
}

async function balanceOf(userId: string): Promise<string> {
  return (await billingClient().wallets.get.query({ userId })).balanceMicros;
}

async function decide(page: Page, choice: string, note: string): Promise<void> {
  await page.getByRole('radio', { name: choice }).check();
  await page.getByLabel('Why').fill(note);
  await page.getByRole('button', { name: 'Decide' }).click();
}

test.beforeEach(async ({ context }) => {
  await signIn(context, SUPPORT_USER);
});

test('a payment in quarantine is credited by a person, once, with who and why', async ({
  page,
}) => {
  const { userId, paymentIntentId } = await quarantinedPayment();
  await page.goto('/admin');
  await page.getByRole('navigation', { name: 'Admin' }).getByText('Quarantine').click();
  await page.getByRole('link', { name: `Amount differs of ${paymentIntentId}` }).click();
  await expect(page.getByRole('table')).toContainText('$26.00');
  await expect(page.getByRole('table')).toContainText('$25.00');
  await expectAccessible(page, 'a payment in quarantine');

  await page.getByRole('button', { name: 'Decide' }).click();
  const decision = page.getByRole('group', { name: 'What happens to it' });
  await expect(decision).toHaveAccessibleDescription('Choose what happens to it.');
  await expect(decision).toBeFocused();
  await expect(page.getByLabel('Why')).toHaveAccessibleDescription(/Say why: it is kept/);
  await expectAccessible(page, 'the refused decision');
  expect(await balanceOf(userId)).toBe('0');

  await decide(page, 'Credit it to the wallet below', 'The invoice said 26');
  await expect(page.getByRole('heading', { name: 'Decided: credited' })).toBeVisible();
  await expect(page.getByText('The invoice said 26')).toBeVisible();
  await expect(page.getByText(/^support:/)).toBeVisible();
  expect(await balanceOf(userId)).toBe('26000000');
  await expectAccessible(page, 'a decided payment');

  await page.goto('/admin/quarantine');
  await expect(page.getByText(paymentIntentId, { exact: true })).toHaveCount(0);
  await page.getByRole('link', { name: 'Show decided' }).click();
  await expect(page.getByText(paymentIntentId, { exact: true })).toBeVisible();
  await expectAccessible(page, 'decided payments');
});

test('a payment is marked as refunded only when it was, and a wrong wallet is named', async ({
  page,
}) => {
  const { userId, paymentIntentId, chargeId } = await quarantinedPayment();
  await page.goto(`/admin/quarantine/${paymentIntentId}`);
  await decide(page, 'It was refunded at Stripe', 'Sent back');
  await expect(page.getByRole('alert')).toContainText('Stripe has not refunded all of this');

  await page.getByLabel('Wallet id').fill(randomUUID());
  await decide(page, 'Credit it to the wallet below', 'A guess');
  await expect(page.getByLabel('Wallet id')).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByText('There is no such wallet.')).toBeVisible();

  await stripeApi().refunds.create({ charge: chargeId });
  await decide(page, 'It was refunded at Stripe', 'Sent back');
  await expect(page.getByRole('heading', { name: 'Decided: refunded' })).toBeVisible();
  expect(await balanceOf(userId)).toBe('0');
});

test('the inbox is filtered, shows an event without personal data, and replays it', async ({
  page,
}) => {
  const { userId, paymentIntentId } = await quarantinedPayment();
  await page.goto('/admin');
  await page.getByRole('link', { name: 'Events' }).click();
  await expect(page.getByRole('heading', { name: 'Stripe inbox' })).toBeVisible();
  await expectAccessible(page, 'the inbox');
  await page.getByLabel('Type begins with').fill('payment_intent.succeeded');
  await page.getByLabel('Object').fill(paymentIntentId);
  await page.getByRole('button', { name: 'Apply' }).click();
  const found = page.getByRole('link', { name: /^payment_intent\.succeeded/ });
  await expect(found).toHaveCount(1);
  await found.click();
  await expect(page.getByRole('heading', { name: 'Event', exact: true })).toBeVisible();
  const main = page.getByRole('main');
  await expect(main).toContainText(paymentIntentId);
  await expect(main).toContainText('"receipt_email": "[redacted]"');
  await expect(main).not.toContainText('payer@example.com');
  await expect(main).not.toContainText('_secret_');
  await expectAccessible(page, 'an event');

  for (let time = 0; time < 2; time += 1) {
    await page.getByRole('button', { name: 'Replay' }).click();
    await expect(page.getByRole('status')).toContainText('QUARANTINED: amount differs');
  }
  expect(await balanceOf(userId)).toBe('0');
});

test('a dead event stands out with its last error, and an empty filter says so', async ({
  page,
}) => {
  const eventId = `evt_dead_${randomUUID().slice(0, 8)}`;
  await withDatabase(
    (sql) => sql`
      insert into stripe_inbox (event_id, type, object_id, livemode, payload, status, last_error,
        failures)
      values (${eventId}, 'payment_intent.succeeded', ${eventId.replace('evt', 'pi')}, false, '{}',
        'dead', 'Stripe did not answer', 7)`,
  );
  await page.goto('/admin/inbox');
  await page.getByLabel('Status').selectOption('Dead');
  await page.getByRole('button', { name: 'Apply' }).click();
  const row = page.getByRole('listitem').filter({ hasText: eventId });
  await expect(row).toContainText('Stripe did not answer (7×)');
  await row.getByRole('link').click();
  await page.getByRole('button', { name: 'Replay' }).click();
  await expect(page.getByRole('status')).toContainText('It could not be applied');
  await page.goto('/admin/inbox?object=pi_nowhere');
  await expect(page.getByText('No such event')).toBeVisible();
  await withDatabase((sql) => sql`delete from stripe_inbox where event_id = ${eventId}`);
});

test('differences between Stripe and the ledger are listed with both sides', async ({ page }) => {
  const objectId = `pi_differs_${randomUUID().slice(0, 8)}`;
  const found = [
    {
      objectId,
      problem: 'amount_differs',
      happenedAt: new Date(),
      atStripe: { status: 'succeeded', amount: '26.00 USD' },
      inLedger: { status: 'succeeded', amount: '25.00 USD' },
    },
  ];
  await withDatabase(
    (sql) => sql`select record_differences('payment', ${JSON.stringify(found)}::text::jsonb)`,
  );
  await page.goto('/admin/differences');
  const row = page.getByRole('listitem').filter({ hasText: objectId });
  await expect(row).toContainText('Credited with another amount than was paid');
  await expect(row).toContainText('amount 26.00 USD');
  await expectAccessible(page, 'differences');
  await withDatabase(
    (sql) => sql`delete from reconciliation_differences where object_id = ${objectId}`,
  );
  await page.reload();
  await expect(page.getByText(objectId)).toHaveCount(0);
});

for (const path of [
  '/admin/inbox',
  '/admin/inbox/evt_1',
  '/admin/quarantine',
  '/admin/quarantine/pi_1',
  '/admin/differences',
]) {
  test(`to a user who is not of the support staff ${path} does not exist`, async ({
    page,
    context,
  }) => {
    await signIn(context, await newUser());
    expect((await page.goto(path))?.status()).toBe(404);
  });
}
