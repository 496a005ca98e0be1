/** The owner of the machine can change a hold's row; verification must see what it would cost. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { extendHolds, writeHolds } from './holds.ts';
import { actor, identity, problemsOf, walletWith } from './wallets.fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

/** A wallet with one open hold, which has had a heartbeat. */
async function holdingWallet(): Promise<string> {
  const walletId = await walletWith(database.app, 100n);
  const common = { walletId, actor };
  const holdId = randomUUID();
  await writeHolds(database.app, [
    {
      kind: 'authorize',
      ...common,
      ...identity('hold'),
      holdId,
      amountMicros: 10n,
      referenceId: 'call-1',
      rateCardId: randomUUID(),
      pricing: {},
      usageType: 'call',
      destination: null,
      ttlSeconds: 300,
      detail: {},
    },
  ]);
  await extendHolds(database.app, [
    {
      ...common,
      holdId,
      report: { usage: { type: 'call' }, units: 3, breakdown: { amountMicros: '7' } },
      amountMicros: 7n,
      addMicros: 5n,
      ttlSeconds: null,
    },
  ]);
  return walletId;
}

test.each([
  ['rate card', 'set rate_card_id = gen_random_uuid()', 'HOLD_TERMS'],
  ['reference', "set reference_id = 'call-2'", 'HOLD_TERMS'],
  ['beginning', "set placed_at = placed_at - interval '1 day'", 'HOLD_TERMS'],
  ['later expiry', "set expires_at = expires_at + interval '1 day'", 'HOLD_TERMS'],
  ['reserve ahead', 'set ahead_micros = 1000', 'HOLD_TERMS'],
  ['price so far', 'set amount_so_far_micros = 6', 'HOLD_USAGE'],
  ['units so far', 'set units_so_far = 2', 'HOLD_USAGE'],
  ['usage so far', `set report = report || '{"units": 2}'`, 'HOLD_USAGE'],
  [
    'usage, forgotten',
    'set report = null, units_so_far = 0, amount_so_far_micros = 0',
    'HOLD_USAGE',
  ],
])('finds a hold of other %s than its events', async (_name, change, problem) => {
  const walletId = await holdingWallet();
  expect(await problemsOf(database.owner, walletId)).toEqual([]);
  await database.owner.unsafe(`update holds ${change} where wallet_id = '${walletId}'`);
  expect(await problemsOf(database.owner, walletId)).toEqual([problem]);
});

test('finds that a wallet’s only hold is gone, whose money would stay held for ever', async () => {
  const walletId = await holdingWallet();
  await database.owner.unsafe(`
    set local session_replication_role = replica;
    delete from holds where wallet_id = '${walletId}'`);
  expect(await problemsOf(database.owner, walletId)).toEqual(['HOLD_SUM']);
});
