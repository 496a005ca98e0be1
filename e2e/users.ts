/** A user of its own for each test, made in the database: signing up is throttled by address. */
import { randomUUID } from 'node:crypto';
import { type BrowserContext, test as base, expect, type Page } from '@playwright/test';
import { ensureUser } from '../server/billing/accounts/accounts.ts';
import { connect, type Sql } from '../server/store/sql.ts';
import { startedWallet, variable } from './wallet.ts';

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

export interface User extends Credentials {
  readonly id: string;
}

const PASSWORD = 'four plain words together';

export const test = base.extend<{
  /** A new user with an empty wallet, signed in wherever this test's `page` goes. */
  user: User;
}>({
  user: async ({ context }, use) => {
    const user = await newUser();
    await signIn(context, user);
    await use(user);
  },
});

/** An email address that nobody has. */
export function newEmail(): string {
  return `${randomUUID()}@example.com`;
}

export async function newUser(): Promise<User> {
  const user = { id: `browser-${randomUUID()}`, email: newEmail(), password: PASSWORD };
  await withDatabase((sql) => ensureUser(sql, { ...user, role: 'user' }));
  return user;
}

/** Signs in without the form, for tests of what comes after it. */
export async function signIn(
  context: BrowserContext,
  { email, password }: Credentials,
): Promise<void> {
  const { url } = startedWallet();
  const response = await context.request.post('/login', {
    form: { email, password },
    headers: { origin: url },
    maxRedirects: 0,
  });
  expect(response.status(), 'signed in').toBe(302);
}

/** Fills the form of the page that signs in or up, and sends it. */
export async function submitCredentials(page: Page, { email, password }: Credentials) {
  const main = page.getByRole('main');
  await main.getByLabel('Email').fill(email);
  await main.getByLabel('Password').fill(password);
  await main.getByRole('button').click();
}

/** The database of the server under test, as its owner. */
export async function withDatabase<Result>(use: (sql: Sql) => Promise<Result>): Promise<Result> {
  const sql = connect(variable('DATABASE_URL'), { max: 1 });
  try {
    return await use(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
