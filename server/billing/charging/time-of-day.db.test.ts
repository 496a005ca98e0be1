import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import { callRule } from '../../rating/rate.fixtures.ts';
import { actor, callOf, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

let world: PricingWorld;

beforeAll(async () => {
  world = await createPricingWorld('2026-03-01T12:00:00Z');
  await world.publish({
    rules: [
      { ...callRule, windows: [{ from: '22:00', to: '06:00', pricePerMinuteMicros: '20000' }] },
    ],
  });
  await world.setNow('2026-11-23T12:00:00Z');
});

afterAll(() => world?.database.close());

const day = 50_000n;
const night = 20_000n;

describe('usage is priced by the clock on the wall of its wallet', () => {
  it.each([
    ['Europe/Berlin', '2026-11-22T21:30:00Z', night],
    ['America/New_York', '2026-11-22T21:30:00Z', day],
    ['Asia/Tokyo', '2026-11-22T21:30:00Z', day],
    ['Asia/Tokyo', '2026-11-22T13:00:00Z', night],
    // The last second of the night, in summer time and in winter time.
    ['Europe/Berlin', '2026-03-29T03:59:59Z', night],
    ['Europe/Berlin', '2026-03-29T04:00:00Z', day],
    ['Europe/Berlin', '2026-10-25T04:59:59Z', night],
    ['Europe/Berlin', '2026-10-25T05:00:00Z', day],
  ])('of %s at %s', async (timezone, at, amountMicros) => {
    const wallet = await world.walletWith(1_000_000n, { timezone });
    const occurredAt = new Date(at);
    expect(await world.charging.quote(wallet, callOf(60), occurredAt)).toMatchObject({
      amountMicros,
    });
    const charged = await world.charge(wallet, callOf(60), { occurredAt });
    expect.assert(charged.ok);
    expect(charged).toMatchObject({ amountMicros, breakdown: { timeOfDay: { timezone } } });
    const explained = await world.explaining.explain(wallet, { seq: charged.seq });
    expect(explained).toMatchObject({
      charges: [{ matches: true, recomputedMicros: amountMicros }],
    });
  });

  it('without an instant at the moment of the charge', async () => {
    const wallet = await world.walletWith(1_000_000n);
    await world.setNow('2026-11-23T22:00:00Z');
    expect(await world.charge(wallet, callOf(60))).toMatchObject({ amountMicros: night });
    await world.setNow('2026-11-24T06:00:00Z');
    expect(await world.charge(wallet, callOf(60))).toMatchObject({ amountMicros: day });
  });
});

describe('a running call keeps the price that it began with', () => {
  it('past the end of the window, and past a new price list', async () => {
    await world.setNow('2026-11-25T05:58:00Z');
    const wallet = await world.walletWith(10_000_000n);
    const placed = await world.authorize(wallet, callOf(60));
    expect.assert(placed.ok);
    const { holdId } = placed;
    expect(placed).toMatchObject({ heldMicros: night, maxSeconds: 30_000 });

    await world.publish({ rules: [{ ...callRule, pricePerMinuteMicros: '900000' }] });
    await world.setNow('2026-11-25T06:02:00Z');
    expect(await world.holds.extend({ holdId, usageSoFar: callOf(120) }, actor)).toMatchObject({
      ok: true,
      amountSoFarMicros: 2n * night,
    });
    expect(
      await world.holds.capture({ holdId, usage: callOf(600), overrun: 'refuse' }, actor),
    ).toMatchObject({ ok: true, amountMicros: 10n * night });
    expect(await world.charge(wallet, callOf(60))).toMatchObject({ amountMicros: 900_000n });
    await world.publish({ rules: defaultRateCard.rules });
  });
});
