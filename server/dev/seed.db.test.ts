import { afterEach, describe, expect, it } from 'vitest';
import { verifyRange } from '../store/ledger.ts';
import { seedDemo } from './seed.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

const ALL = {
  from: '00000000-0000-0000-0000-000000000000',
  to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};

let db: TestDatabase;
afterEach(() => db?.close());

async function seeded(now: string): Promise<TestDatabase> {
  db = await createTestDatabase();
  await seedDemo({ ownerUrl: db.ownerUrl, apiKey: null, now: new Date(now) });
  await db.setClock(now);
  return db;
}

/** How often each type of event is in a user's history. */
async function typesOf({ owner }: TestDatabase, userId: string): Promise<Record<string, number>> {
  const rows = await owner<{ type: string; count: number }[]>`
    select e.type, count(*)::int as count
    from wallets w join wallet_events e on e.wallet_id = w.id
    where w.user_id = ${userId} group by 1`;
  return Object.fromEntries(rows.map(({ type, count }) => [type, count]));
}

const DAYS = {
  'the first minute of a year': '2027-01-01T00:00:30Z',
  'the end of February': '2027-02-28T23:59:00Z',
  'a leap day': '2028-02-29T12:00:00Z',
  'the day on which a long month ends': '2026-10-31T08:00:00Z',
};

describe.each(Object.entries(DAYS))('the demo data of %s', (_name, now) => {
  it('shows all that a month can bring, and its ledger is sound', async () => {
    const database = await seeded(now);
    expect(await verifyRange(database.owner, ALL, 10)).toMatchObject({ found: 0n });
    expect(await typesOf(database, 'demo')).toMatchObject({
      fee: 3,
      goodwill: 2,
      grant: 3,
      subscription_added: 2,
      usage_refund: 2,
    });
    expect(await typesOf(database, 'acme')).toMatchObject({
      accrual: expect.any(Number),
      accrual_settled: 1,
      fee: 1,
    });
    expect(await typesOf(database, 'late')).toMatchObject({
      fee: 2,
      arrears_demanded: 2,
      wallet_frozen: 1,
      wallet_unfrozen: 1,
    });
    const { owner } = database;
    const [inGrace] = await owner`
      select arrears_micros > 9000000 as owes, w.status, suspends, suspend_at > ${now} as graceful
      from wallets w join wallet_arrears a on a.wallet_id = w.id where user_id = 'late'`;
    expect(inGrace).toEqual({ owes: true, status: 'open', suspends: false, graceful: true });

    const months = await owner<{ user_id: string; months: number }[]>`
      select user_id, count(*)::int as months
      from statements s join wallets w on w.id = s.wallet_id group by 1 order by 1`;
    expect(months).toEqual([
      { user_id: 'acme', months: 1 },
      { user_id: 'demo', months: 2 },
      { user_id: 'late', months: 2 },
    ]);
    const [late] = await owner`
      select count(*)::int as count from wallet_events
      where type = 'charge' and occurred_at < recorded_at - interval '1 day'`;
    expect(late).toEqual({ count: 2 });
    const [priced] = await owner`
      select bool_or(price -> 'monthly' -> 'parts' -> 1 is not null) as tiered,
        bool_or(detail #> '{breakdown,timeOfDay,window}' is not null) as "atNight"
      from wallet_events, json_extract_path(detail, 'breakdown', 'price') as price`;
    expect(priced).toEqual({ tiered: true, atNight: true });
  });
});

describe('the demo data', () => {
  it('has three versions of a customer’s own card, of which one is announced, and a draft', async () => {
    const { owner } = await seeded('2026-11-23T10:00:00Z');
    const cards = await owner`
      select version, effective_from > ledger_now() as announced from rate_cards
      where user_id = 'demo' order by version`;
    expect(cards).toEqual([
      { version: 1, announced: false },
      { version: 2, announced: false },
      { version: 3, announced: true },
    ]);
    const drafts = await owner`
      select based_on is not null as based, revision from rate_card_drafts`;
    expect(drafts).toEqual([{ based: true, revision: 2 }]);
  });

  it('is written once, and leaves the clock as it was', async () => {
    const { owner, ownerUrl } = await seeded('2026-11-23T10:00:00Z');
    await db.setClock(null);
    const [before] = await owner`select count(*) as events, max(seq) as seq from wallet_events`;
    await seedDemo({ ownerUrl, apiKey: null, now: new Date('2026-11-24T10:00:00Z') });
    const [after] = await owner`
      select count(*) as events, max(seq) as seq from wallet_events`;
    expect(after).toEqual(before);
    const [clock] = await owner`
      select ledger_now() between clock_timestamp() - interval '1 minute' and clock_timestamp()
        as runs`;
    expect(clock).toEqual({ runs: true });
  });
});
