import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../dev/test-database.ts';
import { EVERY_WALLET, rebuildRange, verifyRange } from './ledger.ts';
import { createOldDatabase, type OldDatabase } from './old-database.fixtures.ts';

let old: OldDatabase;
let database: TestDatabase;

beforeAll(async () => {
  old = await createOldDatabase('_grants.sql');
  ({ database } = old);
});

afterAll(() => old?.close());

interface OldWallet {
  grant(amountMicros: bigint): Promise<void>;
  topUp(amountMicros: bigint): Promise<void>;
  charge(amountMicros: bigint): Promise<void>;
  /** A hold that is captured for so much. */
  capture(amountMicros: bigint): Promise<void>;
  left(): Promise<{ seq: bigint; left: bigint; granted: bigint; expiresAt: Date | null }[]>;
  readonly id: string;
}

/** Writes events as the functions of that time did. */
async function oldWallet(mode: 'live' | 'deferred'): Promise<OldWallet> {
  const sql = database.owner;
  const id = crypto.randomUUID();
  await sql`select open_wallet(${id}, ${`user-${id}`}, 'USD', 'UTC', ${mode}, 'test:old')`;
  const credit = async (type: string, amountMicros: bigint) => {
    await sql`
      select credit_wallet(w, ${type}, gen_random_uuid(), sha256('credit'), ${amountMicros},
        'test:old', null, '{}')
      from wallets w where id = ${id}`;
  };
  return {
    id,
    grant: (amountMicros) => credit('grant', amountMicros),
    topUp: (amountMicros) => credit('top_up', amountMicros),
    charge: async (amountMicros) => {
      await sql`select charge_wallet(${id}, gen_random_uuid(), sha256('charge'), ${amountMicros},
        'arrears', null, 'test:old', '{}')`;
    },
    capture: async (amountMicros) => {
      const holdId = crypto.randomUUID();
      await sql`select authorize_hold(${id}, ${holdId}, gen_random_uuid(), sha256('hold'),
        ${amountMicros}, 'old', gen_random_uuid(), 'call', null, 60, 'test:old', '{}')`;
      await sql`select capture_hold(${id}, ${holdId}, gen_random_uuid(), sha256('capture'),
        '{"usage": {"type": "call"}, "units": 1}', ${amountMicros}, 'refuse', 'test:old')`;
    },
    left: () => sql`
      select seq, left_micros as left, granted_micros as granted, expires_at as "expiresAt"
      from grants where wallet_id = ${id} order by seq`,
  };
}

test('credit that was granted before is counted, oldest first, and followed from then on', async () => {
  const live = await oldWallet('live');
  await live.grant(10n);
  await live.charge(4n);
  await live.grant(10n);
  await live.topUp(100n);
  await live.capture(9n);

  const owing = await oldWallet('live');
  await owing.grant(5n);
  await owing.charge(20n);
  await owing.topUp(17n);
  await owing.grant(5n);
  await owing.charge(3n);

  const deferred = await oldWallet('deferred');
  await deferred.grant(10n);
  await deferred.charge(6n);

  const without = await oldWallet('live');
  await without.topUp(5n);

  await old.upgrade();

  const never = { expiresAt: null };
  expect(await live.left()).toEqual([
    { seq: 2n, granted: 10n, left: 0n, ...never },
    { seq: 4n, granted: 10n, left: 7n, ...never },
  ]);
  expect(await owing.left()).toEqual([
    { seq: 2n, granted: 5n, left: 0n, ...never },
    { seq: 6n, granted: 5n, left: 2n, ...never },
  ]);
  expect(await deferred.left()).toEqual([{ seq: 2n, granted: 10n, left: 4n, ...never }]);
  expect(await without.left()).toEqual([]);
  await expectSound();

  await live.charge(5n);
  await deferred.charge(5n);
  expect((await live.left()).map(({ left }) => left)).toEqual([0n, 2n]);
  expect((await deferred.left()).map(({ left }) => left)).toEqual([0n]);
  await expectSound();
  await database.owner`update grants set left_micros = 1 where wallet_id = ${deferred.id}`;
  expect(await problems()).toEqual(['GRANT_SUM']);
  await rebuildRange(database.owner, EVERY_WALLET, true);
  await expectSound();
});

async function problems(): Promise<string[]> {
  const { differences } = await verifyRange(database.owner, EVERY_WALLET, 100);
  return differences
    .map(({ problem }) => problem)
    .filter((problem) => problem !== 'EVENT_WITHOUT_TOP_UP');
}

async function expectSound(): Promise<void> {
  expect(await problems()).toEqual([]);
  expect((await rebuildRange(database.owner, EVERY_WALLET, false)).differences).toEqual([]);
}
