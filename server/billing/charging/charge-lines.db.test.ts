/** Batches that follow each other on one connection, while that connection is ended again and again. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { asFault } from '../../faults.ts';
import { EVERY_WALLET, verifyRange } from '../../store/ledger.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createWallets } from '../wallets/wallets.ts';
import { type Charging, createCharging } from './charging.ts';
import { createGrants } from './grants.ts';

const actor = 'test:charge-lines';
const LINE = 'prepaid-wallet charges';
const WALLETS = 8;
const FUNDS_MICROS = 1_000_000_000n;
const CALLERS = 64;
const CHARGES_A_CALLER = 40;

let database: TestDatabase;
let lines: Sql[];

beforeAll(async () => {
  database = await createTestDatabase();
  lines = [1, 2].map(() =>
    connect(database.ownerUrl, { role: 'wallet_app', max: 1, applicationName: LINE }),
  );
});

afterAll(async () => {
  await Promise.all((lines ?? []).map((line) => line.end({ timeout: 5 })));
  await database?.close();
});

it('charges everything once, whichever batch was under way when its connection ended', {
  timeout: 120_000,
}, async () => {
  const sql = database.app;
  const rateCards = createRateCards({ sql, nowMs: Date.now });
  const charging = createCharging({ sql, lines, rateCards, now: () => new Date() });
  const walletIds: string[] = [];
  for (let index = 0; index < WALLETS; index += 1) {
    const wallet = await createWallets(sql).open({ userId: `user-${randomUUID()}` }, actor);
    const grant = { wallet, amountMicros: FUNDS_MICROS, key: 'funds', reason: 'test' };
    await createGrants({ sql }).grant(grant, actor);
    walletIds.push(wallet.walletId);
  }

  let ended = 0;
  let isDone = false;
  const ending = (async () => {
    while (!isDone) {
      const [killed] = await database.owner<{ count: number }[]>`
        select count(*)::int as count from (
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = ${LINE} and state = 'active'
          limit 1
        ) k`;
      ended += killed?.count ?? 0;
      await new Promise((done) => setTimeout(done, 40));
    }
  })();
  const repeats = await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      let failed = 0;
      for (let number = 0; number < CHARGES_A_CALLER; number += 1) {
        const walletId = walletIds[(caller + number) % WALLETS] ?? '';
        failed += await chargeUntilHeard(charging, walletId, `${caller}-${number}`);
      }
      return failed;
    }),
  ).finally(() => {
    isDone = true;
    return ending;
  });

  // Else nothing of this was tried.
  expect(ended).toBeGreaterThan(0);
  expect(Math.max(...repeats)).toBeGreaterThan(0);
  const [kept] = await database.owner<{ charges: number; keys: number; spentMicros: bigint }[]>`
    select count(*)::int as charges, count(distinct key)::int as keys,
      -sum(balance_delta_micros)::bigint as "spentMicros"
    from wallet_events where type = 'charge'`;
  expect(kept?.charges).toBe(CALLERS * CHARGES_A_CALLER);
  expect(kept?.keys).toBe(CALLERS * CHARGES_A_CALLER);
  const [left] = await database.owner<{ micros: bigint }[]>`
    select sum(balance_micros)::bigint as micros from wallets`;
  expect(left?.micros).toBe(BigInt(WALLETS) * FUNDS_MICROS - (kept?.spentMicros ?? 0n));
  expect((await verifyRange(database.owner, EVERY_WALLET, 10)).differences).toEqual([]);
});

/** Repeats a charge as a client does, and returns how often its outcome was lost. */
async function chargeUntilHeard(
  charging: Charging,
  walletId: string,
  referenceId: string,
): Promise<number> {
  for (let failed = 0; ; failed += 1) {
    try {
      const answer = await charging.charge(
        {
          wallet: { walletId },
          usage: { type: 'sms', segments: 1, to: '+14155550132' },
          referenceId,
          overrun: 'refuse',
        },
        actor,
      );
      expect(answer).toMatchObject({ ok: true });
      return failed;
    } catch (error) {
      expect(asFault(error)).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    }
  }
}
