import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLedgerWorld, type LedgerWorld } from '../cli/ledger.fixtures.ts';
import { EVERY_WALLET, verifyRange, walletRanges } from './ledger.ts';

/** Eleven wallets of five events. */
const WALLETS = 11;

let world: LedgerWorld;
beforeAll(async () => {
  world = await createLedgerWorld();
  await Promise.all(Array.from({ length: WALLETS }, () => world.newWallet()));
});
afterAll(() => world?.database.close());

test.each([
  { leastEvents: 10, lanes: 2, ranges: 4 },
  { leastEvents: 10, lanes: 3, ranges: 3 },
  { leastEvents: 10, lanes: 8, ranges: 5 },
  { leastEvents: 25, lanes: 4, ranges: 2 },
  { leastEvents: 100, lanes: 2, ranges: 1 },
])('$lanes connections share $ranges ranges of at least $leastEvents events', async (shared) => {
  const { owner } = world.database;
  const { leastEvents, lanes } = shared;
  const ranges = await walletRanges(owner, { atMost: 100, leastEvents, lanes });
  expect(ranges).toHaveLength(shared.ranges);

  const inOrder = ranges.toSorted((a, b) => (a.from < b.from ? -1 : 1));
  expect(inOrder[0]?.from).toBe(EVERY_WALLET.from);
  expect(inOrder.at(-1)?.to).toBe(EVERY_WALLET.to);
  const verified = await Promise.all(inOrder.map((range) => verifyRange(owner, range, 10)));
  expect(verified.reduce((sum, { wallets }) => sum + wallets, 0n)).toBe(BigInt(WALLETS));
  expect(verified.reduce((sum, { events }) => sum + events, 0n)).toBe(BigInt(WALLETS * 5));
});

test('a ledger without wallets is one range', async () => {
  const empty = await createLedgerWorld();
  try {
    const size = { atMost: 100, leastEvents: 10, lanes: 2 };
    const ranges = await walletRanges(empty.database.owner, size);
    expect(ranges).toEqual([{ ...EVERY_WALLET, events: 0n }]);
  } finally {
    await empty.database.close();
  }
});
