/** What was re-rated before refunds reached it is reached by them, too, once and no more. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { verifyRange } from './ledger.ts';
import { createOldDatabase, type OldDatabase } from './old-database.fixtures.ts';

let old: OldDatabase;
let database: TestDatabase;

beforeAll(async () => {
  old = await createOldDatabase('_refunds_reach_reratings.sql');
  ({ database } = old);
});
afterAll(() => old?.close());

const usage = { type: 'sms', to: '+14155550132' };

/** A wallet with 200 of credit whose usage billed 100, as a charge or by a hold that was captured. */
async function usedWallet(by: 'charge' | 'hold') {
  const { owner } = database;
  const [id, key, holdId] = [randomUUID(), randomUUID(), randomUUID()];
  const report = JSON.stringify({ usage, units: 1, breakdown: {} });
  await owner`select open_wallet(${id}, ${`user-${id}`}, 'USD', 'UTC', 'live', 'test:old')`;
  await owner`select grant_credit(${id}, ${randomUUID()}, sha256('grant'), 200, 'test:old', '{}')`;
  if (by === 'charge') {
    await owner`select charge_wallet(${id}, ${key}, sha256('charge'), 100, 'refuse', null,
      'test:old', ${report}::text::json)`;
  } else {
    await owner`select authorize_hold(${id}, ${holdId}, ${key}, sha256('hold'), 100, 'r',
      ${defaultRateCard.id}, 'sms', null, 60, 'test:old', '{}', '{}')`;
    await owner`select capture_hold(${id}, ${holdId}, ${randomUUID()}, sha256('capture'),
      ${report}::text::jsonb, 100, 'refuse', 'test:old')`;
  }
  const [placed] = await owner<{ key: string }[]>`
    select key from wallet_events where wallet_id = ${id} and seq = 3`;
  return { id, key: placed?.key ?? '', originalSeq: by === 'charge' ? 3 : 4 };
}

async function rerate(wallet: { id: string; originalSeq: number }, priceMicros: bigint) {
  const [reratingId, cardId] = [randomUUID(), defaultRateCard.id];
  await database.owner`select begin_rerating(${reratingId}, ${cardId}, '2020-01-01', '2099-01-01',
    true, 'wrong price', 'support:ada')`;
  const [posted] = await database.owner<{ code: string }[]>`
    select code from rerate_usage(${reratingId}, ${wallet.id}, ${wallet.originalSeq}, 100,
      ${priceMicros}, '{}', 'support:ada')`;
  expect(posted?.code).toBe('OK');
}

test('charges and holds that were charged more, then less, and refunded in part', async () => {
  const wallets = [await usedWallet('charge'), await usedWallet('hold')];
  for (const wallet of wallets) {
    await rerate(wallet, 160n);
    await rerate(wallet, 130n);
  }
  await old.upgrade();
  for (const { id, key } of wallets) {
    const refund = (amountMicros: bigint | null) => database.owner<{ code: string }[]>`
      select code from refund_usage(${id}, ${randomUUID()}, sha256('refund'), ${key}, ${key}, 'sms',
        ${amountMicros}, 'test:new', '{}')`;
    const codes = [];
    for (const micros of [131n, 60n, null]) {
      codes.push(...(await refund(micros)).map(({ code }) => code));
    }
    expect(codes).toEqual(['NOT_REFUNDABLE', 'OK', 'OK']);
    const [wallet] = await database.owner`
      select balance_micros - arrears_micros as micros, grants_micros as grants
      from wallets where id = ${id}`;
    expect(wallet).toEqual({ micros: 200n, grants: 200n });
    const range = { from: id, to: id };
    expect((await verifyRange(database.owner, range, 10)).differences).toEqual([]);
  }
});
