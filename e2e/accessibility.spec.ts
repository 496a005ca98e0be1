import { type ElementHandle, expect, type Page } from '@playwright/test';
import { DEMO_USER, SUPPORT_USER } from '../server/dev/seed.ts';
import { expectAccessible, expectNoSidewaysScroll, SIZES } from './accessible.ts';
import { ACCOUNT_PAGES } from './account-pages.ts';
import { balanceMicros, billingClient, grant } from './money.ts';
import { closedMonth } from './month.ts';
import { CARDS } from './stripe.ts';
import { CARD_FRAME, expectPhase, fillCard, openTopUp, payButton, payWith } from './top-up-page.ts';
import { signIn, test } from './users.ts';

/** Opens a page and waits until all of it is there, Stripe's frame included. */
async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  if (path === '/account/top-up') {
    await expect(payButton(page)).toBeEnabled();
  }
}

for (const path of ['/', '/login', '/signup', '/no-such-page']) {
  test(`axe finds nothing on ${path}, and it fits the narrowest phone`, async ({ page }) => {
    await open(page, path);
    await expectAccessible(page, path);
  });
}

test('axe finds nothing on a form that says what is wrong', async ({ page }) => {
  await open(page, '/signup');
  await page.getByRole('main').getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('Email')).toHaveAttribute('aria-invalid', 'true');
  await expectAccessible(page, 'the refused form');
});

for (const path of ACCOUNT_PAGES) {
  test(`axe finds nothing on ${path} of a new user, and it fits`, async ({ page, user }) => {
    await open(page, path);
    await expectAccessible(page, `${path} of ${user.id}`);
  });

  test(`axe finds nothing on ${path} with a history, and it fits`, async ({ page, context }) => {
    await signIn(context, DEMO_USER);
    await open(page, path);
    for (const summary of await page.locator('summary').all()) {
      await summary.click();
    }
    await expectAccessible(page, path);
  });
}

test('axe finds nothing on a statement, and it fits', async ({ page, context }) => {
  await closedMonth();
  await signIn(context, DEMO_USER);
  await page.goto('/account/statements');
  await page.getByRole('main').getByRole('table').getByRole('link').first().click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Statement for/);
  await expectAccessible(page, 'a statement');
});

test('axe finds nothing on the admin page, and it fits', async ({ page, context }) => {
  await signIn(context, SUPPORT_USER);
  await open(page, '/admin');
  await page.getByLabel('User id').fill('demo');
  await page.getByRole('button', { name: 'Find' }).click();
  await expect(page.getByRole('status')).toContainText('demo');
  await expectAccessible(page, 'the admin page');
});

test('axe finds nothing on a declined top-up and on the page that follows a paid one', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  await payWith(page, CARDS.declined);
  await expect(page.getByRole('alert')).toContainText('declined');
  await expectAccessible(page, `the declined top-up of ${user.id}`);
  await page.setViewportSize(SIZES['a desktop']);
  await payWith(page, CARDS.accepted);
  await expectPhase(page, 'Payment received');
  await expectAccessible(page, 'the followed top-up');
  await page.getByRole('link', { name: 'Receipt' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Receipt' })).toBeVisible();
  await expectAccessible(page, 'its receipt');
});

test('how a call was priced opens with the keyboard, is accessible and fits a phone', async ({
  page,
  user,
}) => {
  await grant(user.id, '987654321123456');
  const call = { duration: 5.5, to: '+14155550132', referenceId: 'x'.repeat(200) };
  const charged = await billingClient().processCommunicationBilling(user.id, 'call', call);
  expect(charged).toMatchObject({ success: true });
  await open(page, '/account/activity');
  const entry = page.locator('#event-3');
  await entry.getByText('How this was priced').focus();
  await page.keyboard.press('Enter');
  await expect(entry.getByText('$0.375, as billed')).toBeVisible();
  await expectAccessible(page, 'the price of a call');
});

test('large amounts fit the narrowest phone', async ({ page, user }) => {
  await grant(user.id, '987654321123456');
  for (const path of ['/account', '/account/activity']) {
    await open(page, path);
    await expectNoSidewaysScroll(page, path);
  }
});

test('funds are added with the keyboard alone, and each step shows where the focus is', async ({
  page,
  user,
}) => {
  await openTopUp(page);
  await fillCard(page, CARDS.accepted);
  const steps = [
    '$10',
    '$25',
    '$50',
    '$100',
    'amount',
    'number',
    'expiry',
    'cvc',
    'country',
    'save',
  ];
  await page.getByRole('button', { name: '$10', exact: true }).focus();
  for (const step of steps) {
    const focused = await focusedElement(page);
    const look = await appearance(focused);
    expect(await focused.evaluate((element) => element.id || element.textContent)).toBe(step);
    await page.keyboard.press('Tab');
    expect(await appearance(focused), `${step} shows the focus`).not.toEqual(look);
  }
  await expect(payButton(page)).toBeFocused();
  await page.keyboard.press('Enter');
  await expectPhase(page, 'Payment received');
  expect(await balanceMicros(page), user.id).toBe('25000000');
});

/** The element with the focus, also inside the frame of the card's fields. */
async function focusedElement(page: Page): Promise<ElementHandle<Element>> {
  const inPage = await page.evaluateHandle(() => document.activeElement);
  const frame = await page.locator(CARD_FRAME).elementHandle();
  const isFrame = await page.evaluate(([a, b]) => a === b, [inPage, frame] as const);
  const inFrame = isFrame
    ? await (await frame?.contentFrame())?.evaluateHandle(() => document.activeElement)
    : undefined;
  const element = (inFrame ?? inPage).asElement();
  if (element === null) {
    throw new Error('nothing has the focus');
  }
  return element;
}

/** What of an element's look may show the focus. */
async function appearance(element: ElementHandle<Element>): Promise<string[]> {
  return element.evaluate((node) => {
    const { outlineStyle, outlineColor, boxShadow } = getComputedStyle(node);
    return [outlineStyle, outlineColor, boxShadow];
  });
}
