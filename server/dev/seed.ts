/** Demo data: customers with a history, a member of the support staff, and an API key. */
import { createHash } from 'node:crypto';
import { ensureUser } from '../billing/accounts/accounts.ts';
import { randomBase32 } from '../billing/accounts/random-ids.ts';
import { insertApiKey } from '../store/api-keys.ts';
import { connect, type Sql } from '../store/sql.ts';
import { findWallets } from '../store/wallets.ts';
import { inThePast } from './seed/past.ts';
import { tellOfCustomerInArrears, tellOfDeferredCustomer, tellOfDemoUser } from './seed/stories.ts';

export const DEMO_USER = { email: 'demo@example.com', password: 'demo-password' };
export const SUPPORT_USER = { email: 'support@example.com', password: 'support-password' };
/** A customer whose usage is deducted on the 1st, and one who owes. */
export const DEFERRED_USER = { email: 'acme@example.com', password: 'acme-password' };
export const LATE_USER = { email: 'late@example.com', password: 'late-password' };

/**
 * Writes the demo data, as the schema's owner; a second time changes nothing. The histories are
 * recorded in the past, in one transaction.
 */
export async function seedDemo(options: {
  ownerUrl: string;
  apiKey: string | null;
  now: Date;
}): Promise<void> {
  const sql = connect(options.ownerUrl, { max: 1, applicationName: 'prepaid-wallet seed' });
  try {
    if (options.apiKey !== null) {
      await ensureApiKey(sql, options.apiKey);
    }
    const [wallet] = await findWallets(sql, { userId: 'demo' });
    if (wallet === undefined) {
      await sql.begin((transaction) => seedAll(transaction as unknown as Sql, options.now));
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function seedAll(sql: Sql, now: Date): Promise<void> {
  await ensureUser(sql, { id: 'demo', role: 'user', ...DEMO_USER });
  await ensureUser(sql, { id: 'support', role: 'support', ...SUPPORT_USER });
  await ensureUser(sql, { id: 'acme', role: 'user', ...DEFERRED_USER });
  await ensureUser(sql, { id: 'late', role: 'user', ...LATE_USER });
  await inThePast(sql, now, async (past) => {
    await tellOfDemoUser(past);
    await tellOfDeferredCustomer(past);
    await tellOfCustomerInArrears(past);
  });
}

async function ensureApiKey(sql: Sql, secret: string): Promise<void> {
  const secretHash = createHash('sha256').update(secret).digest();
  const [found] = await sql`select 1 from api_keys where secret_hash = ${secretHash}`;
  if (found === undefined) {
    await insertApiKey(sql, {
      id: `key_${randomBase32(16)}`,
      name: 'Demo',
      scopes: ['all'],
      secretHash,
      prefix: secret.slice(0, 7),
      createdBy: 'system:seed',
      rateLimitPerSecond: null,
      rateLimitBurst: null,
    });
  }
}
