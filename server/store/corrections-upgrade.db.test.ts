/** What was re-rated and refunded before is counted and gives credit back as if it were today. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { verifyRange } from './ledger.ts';
import { createOldDatabase, type OldDatabase } from './old-database.fixtures.ts';

let old: OldDatabase;
let database: TestDatabase;

beforeAll(async () => {
  old = await createOldDatabase('_reratings_bill_for_limits.sql');
  ({ database } = old);
});
afterAll(() => old?.close());

const report = JSON.stringify({
  usage: { type: 'call', to: '+14155550132' },
  units: 0,
  breakdown: {},
});

async function openWallet() {
  const id = randomUUID();
  await database.owner`select open_wallet(${id}, ${`user-${id}`}, 'USD', 'UTC', 'live', 'test:old')`;
  await database.owner`
    select grant_credit(${id}, ${randomUUID()}, sha256('grant'), 200, 'test:old', '{}')`;
  return id;
}

function refund(id: string, key: string) {
  return database.owner`select code from refund_usage(${id}, ${randomUUID()}, sha256('refund'),
    ${key}, ${key}, 'call', null, 'test:any', '{}')`;
}

async function rerate(id: string, originalSeq: number, billed: bigint, price: bigint) {
  const [reratingId, cardId] = [randomUUID(), defaultRateCard.id];
  await database.owner`select begin_rerating(${reratingId}, ${cardId}, '2020-01-01', '2099-01-01',
    true, 'wrong price', 'support:ada')`;
  const [posted] = await database.owner`
    select code from rerate_usage(${reratingId}, ${id}, ${originalSeq}, ${billed}, ${price}, '{}',
      'support:ada')`;
  expect(posted).toEqual({ code: 'OK' });
}

/** A hold that billed nothing was charged by a re-rating, which was refunded. */
async function countedWallet() {
  const { owner } = database;
  const [id, holdId] = [await openWallet(), randomUUID()];
  const limits = [{ period: 'day', type: 'call', amountMicros: '1000' }];
  await owner`select set_limits(${id}, ${JSON.stringify(limits)}::text::jsonb, 'test:old')`;
  await owner`select authorize_hold(${id}, ${holdId}, ${randomUUID()}, sha256('hold'), 0, 'r',
    ${defaultRateCard.id}, 'call', null, 60, 'test:old', '{}', '{}')`;
  await owner`select capture_hold(${id}, ${holdId}, ${randomUUID()}, sha256('capture'),
    ${report}::text::jsonb, 0, 'refuse', 'test:old')`;
  await rerate(id, 5, 0n, 150n);
  const [placed] = await owner<{ key: string }[]>`
    select key from wallet_events where wallet_id = ${id} and type = 'hold_placed'`;
  expect(await refund(id, placed?.key ?? '')).toEqual([{ code: 'OK' }]);
  return id;
}

/** A charge burned the credit, which came back and was spent elsewhere; then it was charged anew. */
async function chargedAnewWallet() {
  const [id, key] = [await openWallet(), randomUUID()];
  const charge = (by: string) => database.owner`
    select charge_wallet(${id}, ${by}, sha256('charge'), 200, 'refuse', null, 'test:old',
      ${report}::text::json)`;
  await charge(key);
  await rerate(id, 3, 200n, 0n);
  await charge(randomUUID());
  await rerate(id, 3, 200n, 150n);
  return { id, key };
}

test('limits count them, and credit comes back once', async () => {
  const spent = (id: string) => database.owner<{ spent: bigint }[]>`
    select spent_micros::bigint as spent from wallet_limits where wallet_id = ${id}`;
  const counted = await countedWallet();
  const { id, key } = await chargedAnewWallet();
  expect(await spent(counted)).toEqual([{ spent: 150n }]);
  await old.upgrade();
  expect(await spent(counted)).toEqual([{ spent: 0n }]);
  expect(await refund(id, key)).toEqual([{ code: 'OK' }]);
  const [wallet] = await database.owner`
    select balance_micros as balance, arrears_micros as arrears, grants_micros as grants
    from wallets where id = ${id}`;
  expect(wallet).toEqual({ balance: 0n, arrears: 0n, grants: 0n });
  for (const from of [counted, id]) {
    const { differences } = await verifyRange(database.owner, { from, to: from }, 10);
    expect(differences).toEqual([]);
  }
});
