/** A ledger with wallets in it, and the command that is run on it. */
import { randomUUID } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { EnvSource } from '../env.ts';
import { chargeWallet } from '../store/charges.ts';
import { grantCredit } from '../store/grants.ts';
import { actor, identity } from '../store/wallets.fixtures.ts';
import { openWallet } from '../store/wallets.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runLedger } from './ledger.ts';

export interface LedgerWorld {
  readonly database: TestDatabase;
  /** Runs `npm run ledger`, by default on this ledger. */
  ledger(args: string[], source?: EnvSource): Promise<Said>;
  /** A wallet with five events: opened, granted, charged into arrears, granted, arrears repaid. */
  newWallet(currency?: 'USD' | 'JPY'): Promise<string>;
  /** Changes the ledger as somebody could who owns the machine: with all guards switched off. */
  tamper(statement: string): Promise<void>;
}

export async function createLedgerWorld(): Promise<LedgerWorld> {
  const database = await createTestDatabase();
  const { app, owner, appUrl, ownerUrl } = database;
  return {
    database,

    ledger(args, source = { DATABASE_URL: appUrl, DATABASE_OWNER_URL: ownerUrl }) {
      return captured((output) => runLedger(args, source, output));
    },

    async newWallet(currency = 'USD') {
      const walletId = randomUUID();
      const common = { walletId, actor };
      await openWallet(app, {
        ...common,
        userId: `user-${walletId}`,
        currency,
        timezone: 'UTC',
        mode: 'live',
      });
      const detail = { note: 'a "quoted", näme\nwith lines', units: 1 };
      await grantCredit(app, {
        ...common,
        ...identity('1'),
        amountMicros: 1_000_000n,
        detail,
      });
      await chargeWallet(app, {
        ...common,
        ...identity('2'),
        amountMicros: 1_375_001n,
        overrun: 'arrears',
        occurredAt: new Date('2026-01-31T23:59:59.999Z'),
        detail,
      });
      await grantCredit(app, {
        ...common,
        ...identity('3'),
        amountMicros: 2_000_000n,
        detail,
      });
      return walletId;
    },

    async tamper(statement) {
      await owner.unsafe(`set local session_replication_role = replica; ${statement}`);
    },
  };
}
