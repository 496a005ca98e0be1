import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { createCharging } from './charging.ts';
import { createRateCards } from './rate-cards.ts';
import { createWallets } from './wallets.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database?.close());

describe("the usage of a wallet's month", () => {
  it('sums up by type, dearest first, what was charged since the month began where the wallet is', async () => {
    const sql = database.app;
    const wallets = createWallets(sql);
    let now = '2026-10-30T00:00:00Z';
    const rateCards = createRateCards({ sql, nowMs: Date.now });
    const charging = createCharging({ sql, rateCards, now: () => new Date(now) });
    let charges = 0;
    const at = async (instant: string, usage: Parameters<typeof charging.quote>[1]) => {
      now = instant;
      await database.setClock(instant);
      charges += 1;
      const answer = await charging.charge(
        { wallet, usage, referenceId: `r${charges}`, overrun: 'arrears' },
        'system:test',
      );
      expect(answer).toMatchObject({ ok: true });
    };
    await database.setClock(now);
    const wallet = await wallets.open(
      { userId: 'auckland', timezone: 'Pacific/Auckland' },
      'system:test',
    );
    const october = '2026-10-31T10:59:59Z';
    const november = '2026-10-31T11:00:00Z';
    await database.setClock(october);
    expect(await wallets.usageThisMonth(wallet.walletId)).toEqual([]);
    await at(october, { type: 'email' });
    await at(november, { type: 'email' });
    await at('2026-11-15T00:00:00Z', { type: 'email', recipients: 3 });
    await at('2026-11-15T00:00:00Z', { type: 'fax', pages: 2, to: '+6493000000' });
    expect(await wallets.usageThisMonth(wallet.walletId)).toEqual([
      { type: 'fax', count: 1, units: 2, amountMicros: 300_000n },
      { type: 'email', count: 2, units: 4, amountMicros: 40_000n },
    ]);
    await database.setClock(null);
  });
});
