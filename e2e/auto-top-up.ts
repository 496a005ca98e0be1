/** A user's saved card and usage, made without the pages that are not under test. */
import { randomUUID } from 'node:crypto';
import { expect, type Page } from '@playwright/test';
import { beginCardRead, recordSavedCards } from '../server/store/saved-cards.ts';
import { saveStripeCustomer } from '../server/store/top-ups.ts';
import { billingClient } from './money.ts';
import { stripeApi } from './stripe.ts';
import { type User, withDatabase } from './users.ts';

/** Saves a test card of Stripe for the user, by its `pm_card_…` name. */
export async function saveCard(user: User, name: string): Promise<void> {
  const stripe = stripeApi();
  const { id: customerId } = await stripe.customers.create({ metadata: { userId: user.id } });
  const { id, card } = await stripe.paymentMethods.attach(name, { customer: customerId });
  if (!card) {
    throw new Error(`${name} is no card`);
  }
  const { brand, last4, exp_month: expMonth, exp_year: expYear } = card;
  await withDatabase(async (sql) => {
    await saveStripeCustomer(sql, { userId: user.id, livemode: false, customerId });
    const read = await beginCardRead(sql, customerId);
    await recordSavedCards(sql, customerId, read ?? 0n, [{ id, brand, last4, expMonth, expYear }]);
  });
}

/** Charges email to so many recipients, $0.01 each. */
export async function sendEmail(user: User, recipients: number): Promise<void> {
  const charged = await billingClient().usage.charge.mutate({
    userId: user.id,
    usage: { type: 'email', recipients },
    referenceId: randomUUID(),
  });
  expect(charged.ok).toBe(true);
}

/** Turns it on as it is offered: below $10 restore $25, at the most $100 a month. */
export async function turnOn(page: Page): Promise<void> {
  await page.goto('/account/auto-top-up');
  await page.getByRole('checkbox').check();
  await page.getByRole('button', { name: 'Turn on' }).click();
  await expect(page.getByRole('status')).toContainText('saved');
}
