import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { verifyRange } from '../../store/ledger.ts';
import { unitsThisMonth } from '../../store/monthly-units.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createCharging } from '../charging/charging.ts';
import { actor, createPricingWorld, type PricingWorld, to } from '../charging/pricing.fixtures.ts';

let world: PricingWorld;
let wallet: WalletView;

const rules = defaultRateCard.rules.map((rule) =>
  rule.type === 'sms'
    ? { ...rule, monthlyTiers: [{ aboveUnits: 10, pricePerUnitMicros: '15000' }] }
    : rule,
);

beforeAll(async () => {
  world = await createPricingWorld('2026-11-02T12:00:00Z');
  await world.publish({ rules });
});

afterAll(() => world?.database.close());

beforeEach(async () => {
  wallet = await world.walletWith(10_000_000n);
});

const sms = (segments: number): Usage => ({ type: 'sms', to, segments });
const counted = async () =>
  (await unitsThisMonth(world.database.app, wallet.walletId))['sms/sms-any'];
const priceOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => (first + index < 10 ? 20_000n : 15_000n)).reduce(
    (sum, micros) => sum + micros,
    0n,
  );

describe('charges by what was used this month', () => {
  it('are as quoted, one after the other, over the end of a tier', async () => {
    let before = 0;
    for (const segments of [4, 5, 3, 2]) {
      const quoted = await world.charging.quote(wallet, sms(segments));
      const charged = await world.charge(wallet, sms(segments));
      expect.assert(quoted.ok && charged.ok);
      expect(charged.amountMicros).toBe(priceOf(before, segments));
      expect(quoted.amountMicros).toBe(charged.amountMicros);
      expect(quoted.breakdown).toEqual(charged.breakdown);
      const explained = await world.explaining.explain(wallet, { seq: charged.seq });
      expect(explained).toMatchObject({ charges: [{ matches: true }] });
      before += segments;
    }
    expect(await counted()).toBe(14);
  });

  it('count in the month that they are recorded in, whatever the clock says a moment later', async () => {
    const charged = await world.charge(wallet, sms(4));
    expect.assert(charged.ok);
    await world.database.setClock('2026-12-01T00:00:00Z');
    const { owner } = world.database;
    await owner`select count_units(w, e) from wallets w join wallet_events e on e.wallet_id = w.id
      where w.id = ${wallet.walletId} and e.seq = ${charged.seq}`;
    const [row] = await owner`select month_starts_at as month, units from monthly_units
      where wallet_id = ${wallet.walletId}`;
    // Counted a second time, in the same month.
    expect(row).toEqual({ month: new Date('2026-11-01T00:00:00Z'), units: 8n });
    await owner`update monthly_units set units = 4 where wallet_id = ${wallet.walletId}`;
    await world.setNow(world.now().getTime());
  });

  it.each([1, 3])(
    'cost together what one would, when %i servers charge 60 at once',
    async (servers) => {
      const { database, rateCards, now } = world;
      const chargings = Array.from({ length: servers }, () =>
        createCharging({ sql: database.app, rateCards, now }),
      );
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          chargings[index % servers]?.charge(
            {
              wallet: { walletId: wallet.walletId },
              usage: sms(1),
              referenceId: `${index}`,
              overrun: 'refuse',
            },
            actor,
          ),
        ),
      );
      const amounts = answers.map((answer) => (answer?.ok ? answer.amountMicros : 0n));
      expect(amounts.reduce((sum, micros) => sum + micros, 0n)).toBe(priceOf(0, 60));
      expect(await counted()).toBe(60);
    },
  );

  it('of a batch each have their own verdict, and what is refused is not counted', async () => {
    const poor = await world.walletWith(priceOf(0, 11));
    const item = (segments: number, referenceId: string) => {
      return { wallet: poor, usage: sms(segments), referenceId, overrun: 'refuse' as const };
    };
    const answers = await world.charging.chargeBatch(
      [item(8, 'a'), item(9, 'b'), item(3, 'c'), item(8, 'a'), item(1, 'd')],
      actor,
    );
    expect(answers).toMatchObject([
      { ok: true, amountMicros: priceOf(0, 8) },
      { ok: false, code: 'INSUFFICIENT_FUNDS', requiredMicros: priceOf(8, 9) },
      { ok: true, amountMicros: priceOf(8, 3), availableMicros: 0n },
      { ok: true, replayed: true, amountMicros: priceOf(0, 8) },
      { ok: false, code: 'INSUFFICIENT_FUNDS' },
    ]);
  });

  it('of a wallet without money are each refused, however many come at once', async () => {
    const poor = await world.walletWith(0n);
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => world.charge(poor, sms(1))),
    );
    expect(new Set(answers.map((answer) => answer.ok || answer.code))).toEqual(
      new Set(['INSUFFICIENT_FUNDS']),
    );
  });

  it('are replayed with their first price', async () => {
    const once = { referenceId: 'once' };
    const first = await world.charge(wallet, sms(9), once);
    await world.charge(wallet, sms(9));
    expect(await world.charge(wallet, sms(9), once)).toEqual({ ...first, replayed: true });
  });

  it('stay counted when they are refunded', async () => {
    await world.charge(wallet, sms(10), { referenceId: 'back' });
    await world.refunds.refund(
      { wallet, type: 'sms', referenceId: 'back', key: randomUUID(), reason: 'test' },
      actor,
    );
    expect(await world.charge(wallet, sms(1))).toMatchObject({ amountMicros: 15_000n });
  });

  it('begin anew in the next month of the wallet, in which late usage counts too', async () => {
    const tokyo = await world.walletWith(10_000_000n, { timezone: 'Asia/Tokyo' });
    await world.charge(tokyo, sms(20));
    const occurredAt = world.now();
    await world.setNow('2026-11-30T14:59:59Z');
    expect(await world.charge(tokyo, sms(1))).toMatchObject({ amountMicros: 15_000n });
    await world.setNow('2026-11-30T15:00:00Z');
    expect(await world.charge(tokyo, sms(1), { occurredAt })).toMatchObject({
      amountMicros: 20_000n,
      breakdown: { price: { monthly: { unitsBefore: 0 } } },
    });
  });
});

describe('a hold', () => {
  it('keeps the units that the month had when it began, whatever comes between', async () => {
    await world.charge(wallet, sms(8));
    const placed = await world.authorize(wallet, sms(4));
    expect.assert(placed.ok);
    expect(placed.heldMicros).toBe(priceOf(8, 4));
    await world.charge(wallet, sms(50));
    await world.publish({ rules: defaultRateCard.rules });
    const { holdId } = placed;
    const usageSoFar = sms(3);
    expect(await world.holds.extend({ holdId, usageSoFar }, actor)).toMatchObject({
      amountSoFarMicros: priceOf(8, 3),
    });
    const usage = sms(6);
    const captured = await world.holds.capture({ holdId, usage, overrun: 'refuse' }, actor);
    expect.assert(captured.ok);
    expect(captured.amountMicros).toBe(priceOf(8, 6));
    expect(await counted()).toBe(64);
    const explained = await world.explaining.explain(wallet, { seq: captured.seq });
    expect(explained).toMatchObject({ charges: [{ matches: true }] });
    await world.publish({ rules });
  });

  it('keeps them over the end of the month, too, and counts in the month in which it ends', async () => {
    await world.setNow('2027-03-31T23:58:00Z');
    await world.charge(wallet, sms(9));
    const placed = await world.authorize(wallet, sms(1));
    expect.assert(placed.ok);
    const { holdId } = placed;
    const priceOfMarch = priceOf(9, 5);
    expect(await world.holds.extend({ holdId, usageSoFar: sms(5) }, actor)).toMatchObject({
      amountSoFarMicros: priceOfMarch,
    });
    await world.setNow('2027-04-01T00:00:10Z');
    expect(await world.holds.extend({ holdId, usageSoFar: sms(5) }, actor)).toMatchObject({
      amountSoFarMicros: priceOfMarch,
    });
    const captured = await world.holds.capture({ holdId, usage: sms(5), overrun: 'refuse' }, actor);
    expect(captured).toMatchObject({ amountMicros: priceOfMarch });
    expect(await counted()).toBe(5);
  });

  it('that runs out counts what it reported, and a late record what it adds', async () => {
    const placed = await world.authorize(wallet, sms(2));
    expect.assert(placed.ok);
    const { holdId } = placed;
    await world.holds.extend({ holdId, usageSoFar: sms(5) }, actor);
    await world.setNow(world.now().getTime() + 400_000);
    await world.holds.capture({ holdId, usage: sms(7), overrun: 'refuse' }, actor);
    expect(await counted()).toBe(7);
  });
});

it('verification finds units that events do not tell of', async () => {
  const { owner } = world.database;
  const { walletId } = wallet;
  await world.charge(wallet, sms(3));
  const verified = async () =>
    (await verifyRange(owner, { from: walletId, to: walletId }, 10)).differences;
  expect(await verified()).toEqual([]);
  await owner`update monthly_units set units = 2 where wallet_id = ${walletId}`;
  expect(await verified()).toMatchObject([{ walletId, problem: 'MONTHLY_UNITS' }]);
  await owner`update monthly_units set units = 3 where wallet_id = ${walletId}`;
  await expect(owner`delete from monthly_units where wallet_id = ${walletId}`).rejects.toThrow();
});
