/** Wallets with money, as the tests of the ledger's functions want them. */
import { randomUUID } from 'node:crypto';
import type { TestDatabase } from '../dev/test-database.ts';
import type { WalletMode } from '../ledger/events.ts';
import { ledgerKey, requestHash } from '../ledger/key.ts';
import { grantCredit } from './grants.ts';
import { verifyRange } from './ledger.ts';
import { setLimits } from './limits.ts';
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

/** Paid money, or promotional credit: for ever, or until the end of a year. */
export interface Credit {
  readonly type: 'top_up' | 'grant';
  readonly micros: bigint;
  readonly until?: number | undefined;
}

/** A wallet as a test wants it: live and without a daily limit, if nothing is said. */
export interface WalletKind {
  readonly credits: readonly Credit[];
  readonly mode?: WalletMode;
  readonly limitMicros?: bigint | null;
}

/** A wallet of this kind; its id. */
export async function walletOf(
  { app, owner }: TestDatabase,
  { credits, mode = 'live', limitMicros = null }: WalletKind,
): Promise<string> {
  const walletId = randomUUID();
  const about = { userId: `user-${walletId}`, currency: 'USD', timezone: 'UTC' };
  await openWallet(app, { walletId, ...about, mode, actor });
  for (const [place, { type, micros, until }] of credits.entries()) {
    const expiresAt = until === undefined ? null : new Date(Date.UTC(until, 11, 31));
    await owner`
      select credit_wallet(w, ${type}, ${ledgerKey(type, `funds ${place}`)},
        ${requestHash({ micros })}, ${micros}, ${actor}, null, '{}', ${expiresAt})
      from wallets w where w.id = ${walletId}`;
  }
  if (limitMicros !== null) {
    const limit = { period: 'day', amountMicros: limitMicros, type: null, prefix: null } as const;
    await setLimits(app, { walletId, limits: [limit], actor });
  }
  return walletId;
}

/** A wallet that was given this much, mostly paid money; its id. */
export function fundedWallet(
  database: TestDatabase,
  micros: bigint,
  mode: WalletMode = 'live',
  type: 'top_up' | 'grant' = 'top_up',
  limitMicros: bigint | null = null,
): Promise<string> {
  const credits = micros > 0n ? [{ type, micros }] : [];
  return walletOf(database, { credits, mode, limitMicros });
}

/** What verification finds wrong with a wallet; `sql` is the owner's. */
export async function problemsOf(sql: Sql, walletId: string): Promise<string[]> {
  const { differences } = await verifyRange(sql, { from: walletId, to: walletId }, 100);
  return differences.map(({ problem }) => problem);
}
