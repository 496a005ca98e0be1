/** Wallets with money, as the tests of the ledger's functions want them. */
import { randomUUID } from 'node:crypto';
import { ledgerKey, requestHash } from '../ledger/key.ts';
import { grantCredit } from './charges.ts';
import { verifyRange } from './ledger.ts';
import type { Sql } from './sql.ts';
import { openWallet } from './wallets.ts';

export const actor = 'service:test';

/** Under which key a write comes, and with which request. */
export function identity(reference: string) {
  return { key: ledgerKey('test', reference), requestHash: requestHash({ reference }) };
}

/** A wallet in dollars that was given this much; its id. */
export async function walletWith(sql: Sql, amountMicros: bigint): Promise<string> {
  const walletId = randomUUID();
  const about = { userId: `user-${walletId}`, currency: 'USD', timezone: 'UTC' };
  await openWallet(sql, { walletId, ...about, mode: 'live', actor });
  await grantCredit(sql, { walletId, ...identity('grant'), amountMicros, actor, detail: {} });
  return walletId;
}

/** What verification finds wrong with a wallet; `sql` is the owner's. */
export async function problemsOf(sql: Sql, walletId: string): Promise<string[]> {
  const { differences } = await verifyRange(sql, { from: walletId, to: walletId }, 100);
  return differences.map(({ problem }) => problem);
}
