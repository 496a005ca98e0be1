/** The wallet as the server answers for it, and charges to it as a service makes them. */
import { expect, type Page } from '@playwright/test';
import { type BillingClient, createBillingClient } from '../server/client/client.ts';
import { startedWallet, variable } from './wallet.ts';

/** The typed client, with the demo API key. */
export function billingClient(): BillingClient {
  return createBillingClient({ url: startedWallet().url, apiKey: variable('WALLET_API_KEY') });
}

/** What `GET /api/wallet` answers to the user who is signed in on the page. */
export async function balanceMicros(page: Page): Promise<string> {
  const response = await page.request.get('/api/wallet');
  expect(response.ok(), 'wallet answered').toBe(true);
  const { balanceMicros: balance }: { balanceMicros: string } = await response.json();
  return balance;
}

/** How many events the user's wallet has, by type. */
export async function eventTypes(userId: string): Promise<string[]> {
  const { events } = await billingClient().wallets.events.query({ userId });
  return events.map(({ type }) => type).reverse();
}

/** Gives the user promotional credit, and a wallet if there is none yet. */
export async function grant(userId: string, amountMicros: string): Promise<void> {
  const { wallets } = billingClient();
  await wallets.open.mutate({ userId });
  await wallets.grant.mutate({ userId, amountMicros, key: 'test', reason: 'For a test' });
}
