import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { chargeMany } from './charges.ts';
import { grantCredit } from './grants.ts';
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

/** Looks for instants at and around all events of a wallet, and says at which another count is right. */
async function lookAround(walletId: string): Promise<{ looked: number; wrong: unknown[] }> {
  const found = await database.app<{ found: bigint; counted: bigint }[]>`
    select at, seq_before(${walletId}, at) as found, (
        select count(*) from wallet_events where wallet_id = ${walletId} and recorded_at < at
      ) as counted
    from (
      select distinct recorded_at + by as at
      from wallet_events cross join unnest('{-1 day,-1 us,0,1 us,400 ms,1 day}'::interval[]) by
      where wallet_id = ${walletId}
    ) instants`;
  return { looked: found.length, wrong: found.filter((row) => row.found !== row.counted) };
}

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
      const { looked, wrong } = await lookAround(walletId);
      expect(looked).toBeGreaterThan(5);
      expect(wrong).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

it('an instant is found in a history of many milestones', async () => {
  const sql = database.app;
  let nowMs = Date.parse('2026-03-01T00:00:00Z');
  await database.setClock(new Date(nowMs).toISOString());
  const walletId = await walletWith(sql, 1_000n);
  for (const [batch, gapMs] of [0, 5_000, 0, 3_600_000, 1, 0, 86_400_000, 1_000].entries()) {
    nowMs += gapMs;
    await database.setClock(new Date(nowMs).toISOString());
    const charges = Array.from({ length: 30 + 43 * batch }, (_, index) => ({
      ...identity(`charge ${batch} ${index}`),
      walletId,
      alone: false,
      amountMicros: 0n,
      overrun: 'refuse' as const,
      occurredAt: null,
      actor,
      detail: {},
    }));
    await chargeMany(sql, charges);
  }
  const [history] =
    await sql`select max(seq) as last from wallet_events where wallet_id = ${walletId}`;
  expect(history?.last).toBeGreaterThan(4n * 256n);
  const { looked, wrong } = await lookAround(walletId);
  expect(looked).toBeGreaterThan(20);
  expect(wrong).toEqual([]);
});

it('an instant before the wallet, or in a wallet that is not there, has no event before it', async () => {
  const walletId = await walletWith(database.app, 1n);
  const [row] = await database.app`
    select seq_before(${walletId}, '-infinity') as never, seq_before(${walletId}, 'infinity') as always,
      seq_before(gen_random_uuid(), now()) as nowhere`;
  expect(row).toEqual({ never: 0n, always: 2n, nowhere: 0n });
});
