/** Holds of many wallets are written together; each must be answered as if it came alone. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { requestHash } from '../ledger/key.ts';
import { extendHolds, findHolds, type HoldPlacing, voidHolds, writeHolds } from './holds.ts';
import { verifyRange } from './ledger.ts';
import { actor, identity, walletWith } from './wallets.fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

function placing(walletId: string, reference: string, amountMicros: bigint): HoldPlacing {
  return {
    kind: 'authorize',
    walletId,
    holdId: randomUUID(),
    ...identity(reference),
    amountMicros,
    referenceId: reference,
    rateCardId: randomUUID(),
    pricing: {},
    usageType: 'call',
    // What the syntax of arrays would trip over must arrive as it is.
    destination: '"4,{1}\\ ',
    ttlSeconds: 300,
    actor,
    detail: { note: 'a "quoted", {braced} \\ text' },
  };
}

test('holds that are placed together are answered in the order of asking, each by itself', async () => {
  const wallets = await Promise.all([
    walletWith(database.app, 100n),
    walletWith(database.app, 100n),
    walletWith(database.app, 100n),
  ]);
  // Against the order in which they are written, which is that of the ids.
  const [first = '', second = '', third = ''] = wallets.sort().reverse();
  const call = placing(first, 'call-1', 60n);
  const outcomes = await writeHolds(database.app, [
    call,
    placing(second, 'call-2', 100n),
    { ...call, holdId: randomUUID() },
    placing(first, 'call-3', 60n),
    { ...call, ...identity('call-1'), requestHash: requestHash({ other: true }) },
    placing(randomUUID(), 'nowhere', 1n),
    placing(third, 'call-4', 40n),
  ]);
  expect(outcomes.map(({ code, replayed }) => `${code} ${replayed}`)).toEqual([
    'OK false',
    'OK false',
    'OK true',
    'INSUFFICIENT_FUNDS false',
    'KEY_REUSED false',
    'WALLET_NOT_FOUND null',
    'OK false',
  ]);
  expect(outcomes.map(({ availableMicros }) => availableMicros)).toEqual([
    40n,
    0n,
    40n,
    40n,
    40n,
    null,
    60n,
  ]);
  const detail = { holdId: call.holdId, note: 'a "quoted", {braced} \\ text' };
  expect(outcomes[0]?.detail).toMatchObject(detail);
  expect(outcomes[2]?.detail).toEqual(outcomes[0]?.detail);
  // What is plain is answered without what its caller knows, which a replay may not.
  expect(outcomes[6]).toMatchObject({ detail: null, expiresAt: expect.any(Date) });
  const fourth = placing(third, 'call-4', 40n);
  const [again] = await writeHolds(database.app, [{ ...fourth, holdId: randomUUID() }]);
  expect(again).toMatchObject({
    replayed: true,
    detail: { note: detail.note, expiresAt: outcomes[6]?.expiresAt?.toISOString() },
    expiresAt: null,
  });
  const [hold, none] = await findHolds(database.app, [call.holdId, randomUUID()]);
  expect(hold).toMatchObject({ walletId: first, destination: call.destination });
  expect(none).toBeNull();
});

test('one hold captured and voided in one batch of each ends once', async () => {
  const walletId = await walletWith(database.app, 100n);
  const hold = placing(walletId, 'call', 60n);
  await writeHolds(database.app, [hold]);
  const { holdId } = hold;
  const breakdown = { amountMicros: '50' };
  const capture = {
    kind: 'capture' as const,
    walletId,
    holdId,
    ...identity('capture'),
    report: { usage: { type: 'call' }, units: 10, breakdown },
    amountMicros: 50n,
    overrun: 'refuse' as const,
    actor,
  };
  const captured = await writeHolds(database.app, [capture, capture]);
  expect(captured.map(({ code, replayed }) => [code, replayed])).toEqual([
    ['OK', false],
    ['OK', true],
  ]);
  const [voided] = await voidHolds(database.app, [
    { walletId, holdId, ...identity('void'), actor },
  ]);
  expect(voided?.code).toBe('HOLD_NOT_OPEN');
  const { differences } = await verifyRange(database.owner, { from: walletId, to: walletId }, 10);
  expect(differences).toEqual([]);
});

// Each update of a row walks through the versions that its transaction left of it: 30,000 would take longer
// than a statement may, and the wallet could no longer be charged.
test('holds that run out at once update their wallet once', async () => {
  const walletId = await walletWith(database.app, 1_000n);
  const holds = Array.from({ length: 40 }, (_, index) => ({
    ...placing(walletId, `call-${index}`, 20n),
    ttlSeconds: 10,
  }));
  const placed = await writeHolds(database.app, holds);
  const reporting = holds.slice(0, 5).map(({ holdId }) => ({
    walletId,
    holdId,
    actor,
    report: { usage: { type: 'call' }, units: 1, breakdown: { amountMicros: '7' } },
    amountMicros: 7n,
    addMicros: null,
    ttlSeconds: null,
  }));
  await extendHolds(database.app, reporting);
  const ends = Math.max(...placed.map(({ expiresAt }) => expiresAt?.getTime() ?? 0));
  await database.setClock(new Date(ends + 60_000).toISOString());
  const updates = await database.owner.begin(async (sql) => {
    await sql`select settle_due_wallets(10)`;
    const [row] = await sql<{ updates: bigint }[]>`
      select n_tup_upd as updates from pg_stat_xact_user_tables where relname = 'wallets'`;
    return row?.updates;
  });
  await database.setClock(null);
  // By the last of the events, and for when something is due again.
  expect(updates).toBe(2n);
  const [wallet] = await database.owner`
    select balance_micros, held_micros, next_due_at from wallets where id = ${walletId}`;
  expect(wallet).toEqual({ balance_micros: 965n, held_micros: 0n, next_due_at: null });
  const { differences } = await verifyRange(database.owner, { from: walletId, to: walletId }, 100);
  expect(differences).toEqual([]);
});
