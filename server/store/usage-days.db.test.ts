import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Charging, createCharging } from '../billing/charging/charging.ts';
import { createRateCards } from '../billing/rate-cards/rate-cards.ts';
import { createRerating } from '../billing/rate-cards/rerating.ts';
import { seedDemo } from '../dev/seed.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { rebuildRange, verifyRange } from './ledger.ts';
import { deriveNotices } from './notices.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const ACTOR = 'system:test';
const ALL = {
  from: '00000000-0000-0000-0000-000000000000',
  to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};

let db: TestDatabase;
let charging: Charging;
let walletIds: string[];

/** The demo data has refunds, corrections and deferred usage; here corrections are charged as well. */
beforeAll(async () => {
  db = await createTestDatabase();
  const { app: sql, ownerUrl } = db;
  await seedDemo({ ownerUrl, apiKey: null, now: NOW });
  await db.setClock(NOW.toISOString());
  const rateCards = createRateCards({ sql, nowMs: () => NOW.getTime() });
  charging = createCharging({ sql, rateCards, now: () => NOW });
  const cardId = randomUUID();
  const dearer = defaultRateCard.rules.map((rule) =>
    rule.type === 'email' ? { ...rule, pricePerUnitMicros: '12000' } : rule,
  );
  const card = { ...defaultRateCard, id: cardId, version: 2, rules: dearer };
  await rateCards.publish({ ...card, effectiveFrom: '2998-01-01T00:00:00Z' }, ACTOR);
  const answer = await createRerating({ sql, rateCards }).run(
    {
      id: randomUUID(),
      cardId,
      from: new Date('2026-08-01T00:00:00Z'),
      to: NOW,
      debits: true,
      reason: 'Mails were too cheap',
    },
    ACTOR,
  );
  expect(answer).toMatchObject({ ok: true, progress: { debits: expect.any(Number) } });
  const wallets = await sql<{ id: string }[]>`select id from wallets`;
  walletIds = wallets.map(({ id }) => id);
  await deriveNotices(sql, walletIds);
});
afterAll(() => db?.close());

const keptDays = () => db.owner`
  select wallet_id, day::text, usage_type, count, units, micros
  from usage_days order by wallet_id, day, usage_type`;
const verified = async () => (await verifyRange(db.owner, ALL, 10)).found;
const rebuilt = async (repair: boolean) => (await rebuildRange(db.owner, ALL, repair)).differences;

describe('the days of usage', () => {
  it('are what the events come to, corrections included', async () => {
    const corrections = await db.owner`
      select from wallet_events where type in ('charge', 'accrual')
        and detail -> 'rerating' is not null`;
    expect(corrections.length).toBeGreaterThan(10);
    expect(await verified()).toBe(0n);
    expect(await rebuilt(true)).toEqual([]);
  });

  it('are written anew where they differ, and only there', async () => {
    const before = await keptDays();
    const [first, second] = before;
    expect.assert(first !== undefined && second !== undefined);
    const walletId = first.wallet_id;
    await db.owner`update usage_days set micros = micros - 1
      where wallet_id = ${walletId} and day = ${first.day}::text::date and usage_type = ${first.usage_type}`;
    await db.owner`delete from usage_days
      where wallet_id = ${walletId} and day = ${second.day}::text::date and usage_type = ${second.usage_type}`;
    await db.owner`insert into usage_days values (${walletId}, '2026-01-01', 'fax', 1, 1, 1)`;

    expect(await verified()).toBe(3n);
    const difference = {
      walletId,
      problem: 'USAGE_DAYS_DIFFER',
      message: 'days of usage that are not what their events come to: 3',
      repaired: false,
    };
    expect(await rebuilt(false)).toEqual([difference]);
    expect(await verified()).toBe(3n);
    expect(await rebuilt(true)).toEqual([{ ...difference, repaired: true }]);
    expect(await keptDays()).toEqual(before);
    expect(await verified()).toBe(0n);
    expect(await rebuilt(true)).toEqual([]);
  });

  it('are right when usage is charged and followed while they are written anew', async () => {
    await db.owner`update usage_days set micros = micros + 1, units = units + 1`;
    let isCharging = true;
    const charged = (async () => {
      for (let index = 0; index < 30; index += 1) {
        const usage = { type: 'sms', to: '+14155550132' } as const;
        const wallet = { userId: 'demo' };
        const request = { wallet, usage, referenceId: `r${index}`, overrun: 'refuse' } as const;
        expect(await charging.charge(request, ACTOR)).toMatchObject({ ok: true });
        await deriveNotices(db.app, walletIds);
      }
    })().finally(() => {
      isCharging = false;
    });
    while (isCharging) {
      await rebuilt(true);
    }
    await charged;
    await deriveNotices(db.app, walletIds);
    expect(await rebuilt(false)).toEqual([]);
    expect(await verified()).toBe(0n);
  });
});
