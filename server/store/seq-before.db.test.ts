import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { grantCredit } from './charges.ts';
import { actor, identity, walletWith } from './wallets.fixtures.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.close());

/** Times between events: none, even ones, and bursts with long silence between them. */
const gapsMs = fc.array(fc.constantFrom(0, 1, 2, 1_000, 1_000, 1_000, 3_600_000, 2_000_000_000), {
  minLength: 1,
  maxLength: 40,
});

it('an instant is found between the events before and after it, however they are spread', async () => {
  const sql = database.app;
  await fc.assert(
    fc.asyncProperty(gapsMs, async (gaps) => {
      let nowMs = Date.parse('2026-01-31T23:00:00Z');
      await database.setClock(new Date(nowMs).toISOString());
      const walletId = await walletWith(sql, 1n);
      for (const [index, gapMs] of gaps.entries()) {
        nowMs += gapMs;
        await database.setClock(new Date(nowMs).toISOString());
        const names = identity(`grant ${index}`);
        await grantCredit(sql, { walletId, ...names, amountMicros: 1n, actor, detail: {} });
      }
      const found = await sql<{ at: Date; found: bigint; counted: bigint }[]>`
        select at, seq_before(${walletId}, at) as found, (
            select count(*) from wallet_events where wallet_id = ${walletId} and recorded_at < at
          ) as counted
        from (
          select distinct recorded_at + by as at
          from wallet_events cross join unnest('{-1 day,-1 us,0,1 us,400 ms,1 day}'::interval[]) by
          where wallet_id = ${walletId}
        ) instants`;
      expect(found.length).toBeGreaterThan(5);
      expect(found.filter((row) => row.found !== row.counted)).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

it('an instant before the wallet, or in a wallet that is not there, has no event before it', async () => {
  const walletId = await walletWith(database.app, 1n);
  const [row] = await database.app`
    select seq_before(${walletId}, '-infinity') as never, seq_before(${walletId}, 'infinity') as always,
      seq_before(gen_random_uuid(), now()) as nowhere`;
  expect(row).toEqual({ never: 0n, always: 2n, nowhere: 0n });
});
