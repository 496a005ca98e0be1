import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SpendingLimit } from '../../ledger/limit-list.ts';
import type { Usage } from '../../rating/usage.ts';
import { verifyRange } from '../../store/ledger.ts';
import type { WalletView } from '../../views/wallets.ts';
import {
  actor,
  callOf,
  createPricingWorld,
  type PricingWorld,
  startsAt,
  to,
} from './pricing.fixtures.ts';

let world: PricingWorld;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

beforeEach(() => world.setNow(startsAt));

afterEach(async () => {
  expect(await world.differences()).toEqual([]);
});

/** A wallet with $100 and these limits. */
async function walletWith(
  terms: Partial<SpendingLimit>[],
  about: { timezone?: string; mode?: 'live' | 'deferred' } = {},
): Promise<WalletView> {
  const wallet = await world.walletWith(100_000_000n, about);
  await setLimits(wallet, terms);
  return wallet;
}

async function setLimits(wallet: WalletView, terms: Partial<SpendingLimit>[]) {
  return world.limits.set(wallet, terms.map(limitOf), actor);
}

function limitOf(terms: Partial<SpendingLimit>): SpendingLimit {
  return { period: 'day', amountMicros: 1_000_000n, type: null, prefix: null, ...terms };
}

/** $0.02 a segment. */
const sms = (segments: number, number = to): Usage => ({ type: 'sms', segments, to: number });

const extend = (holdId: string, usageSoFar: Usage) =>
  world.holds.extend({ holdId, usageSoFar }, actor);
const capture = (holdId: string, usage: Usage, overrun: 'refuse' | 'arrears' = 'refuse') =>
  world.holds.capture({ holdId, usage, overrun }, actor);

/** What the wallet's limits say, in their order: spent, reserved, left. */
async function standing(wallet: WalletView): Promise<[bigint, bigint, bigint][]> {
  const { limits: kept } = await world.limits.get(wallet);
  return kept.map(({ spentMicros, reservedMicros, leftMicros }) => [
    spentMicros,
    reservedMicros,
    leftMicros,
  ]);
}

describe('a limit', () => {
  it('refuses what is above what is left of it, says which it is, and lets pass what is not', async () => {
    const wallet = await walletWith([{ amountMicros: 50_000n, type: 'sms' }]);
    expect(await world.charge(wallet, sms(2))).toMatchObject({ ok: true });
    expect(await world.charge(wallet, sms(1))).toEqual({
      ok: false,
      code: 'LIMIT_EXCEEDED',
      limit: { period: 'day', type: 'sms' },
      currency: 'USD',
      limitMicros: 50_000n,
      spentMicros: 40_000n,
      reservedMicros: 0n,
      requiredMicros: 20_000n,
      leftMicros: 10_000n,
      resetsAt: '2026-10-06T00:00:00.000Z',
    });
    expect(await world.charge(wallet, callOf(600))).toMatchObject({ ok: true });
    expect(await world.limits.get(wallet)).toMatchObject({
      timezone: 'UTC',
      limits: [{ period: 'day', type: 'sms', spentMicros: 40_000n, leftMicros: 10_000n }],
    });
  });

  it('counts by the first digits of the destination, however it is written', async () => {
    const wallet = await walletWith([
      { prefix: '1', amountMicros: 300_000n },
      { prefix: '1900', amountMicros: 0n },
    ]);
    expect(await world.charge(wallet, callOf(60, 'sip:+1-415-555-0132@pbx'))).toMatchObject({
      ok: true,
    });
    for (const premium of ['+19005550101', '001 (900) 555-0101', 'tel:+1.900.555.0101']) {
      expect(await world.charge(wallet, callOf(1, premium))).toMatchObject({
        code: 'LIMIT_EXCEEDED',
        limit: { period: 'day', prefix: '1900' },
      });
    }
    expect(await world.charge(wallet, callOf(120))).toMatchObject({ limit: { prefix: '1' } });
    expect(await world.charge(wallet, callOf(120, '+4930123456'))).toMatchObject({ ok: true });
    expect(await standing(wallet)).toEqual([
      [150_000n, 0n, 150_000n],
      [0n, 0n, 0n],
    ]);
  });

  it('that is tightest is named when several leave too little', async () => {
    const wallet = await walletWith([
      { period: 'month', amountMicros: 30_000n },
      { period: 'day', amountMicros: 25_000n, type: 'sms' },
    ]);
    await world.charge(wallet, sms(1));
    expect(await world.charge(wallet, sms(1))).toMatchObject({
      limit: { period: 'day', type: 'sms' },
      leftMicros: 5_000n,
    });
  });

  it('never refuses a replay, nor what was delivered already, which it counts', async () => {
    const wallet = await walletWith([{ amountMicros: 20_000n }]);
    const first = await world.charge(wallet, sms(1), { referenceId: 'r' });
    expect(await world.charge(wallet, sms(1), { referenceId: 'r' })).toEqual({
      ...first,
      replayed: true,
    });
    expect(await world.charge(wallet, sms(2), { overrun: 'arrears' })).toMatchObject({
      ok: true,
      arrearsMicros: 0n,
    });
    expect(await standing(wallet)).toEqual([[60_000n, 0n, 0n]]);
  });

  it('comes before funds and after the rate', async () => {
    const wallet = await walletWith([{ amountMicros: 0n }]);
    expect(await world.charge(wallet, callOf(1_000_000))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    const old = { wallet, usage: sms(1), referenceId: 'r', overrun: 'refuse' as const };
    expect(
      await world.charging.charge({ ...old, occurredAt: new Date('1999-01-01T00:00:00Z') }, actor),
    ).toMatchObject({ code: 'NO_RATE' });
    expect(await world.charge(wallet, callOf(0))).toMatchObject({ ok: true, amountMicros: 0n });
  });

  it('counts what is reserved in a deferred wallet, and what is owed', async () => {
    const wallet = await walletWith([{ period: 'month', amountMicros: 110_000_000n }], {
      mode: 'deferred',
    });
    await world.charge(wallet, { type: 'fax', pages: 700, to: '+1415' }, { overrun: 'arrears' });
    expect(await standing(wallet)).toEqual([[105_000_000n, 0n, 5_000_000n]]);
  });

  it('shows in what any usage may cost', async () => {
    const wallet = await walletWith([{ amountMicros: 30_000n }, { amountMicros: 0n, type: 'fax' }]);
    await world.charge(wallet, sms(1));
    expect(await world.wallets.get(wallet)).toMatchObject({
      limited: true,
      availableMicros: 99_980_000n,
      affordableMicros: 10_000n,
    });
    await setLimits(wallet, []);
    expect(await world.wallets.get(wallet)).toMatchObject({
      limited: false,
      affordableMicros: 99_980_000n,
    });
  });
});

describe('setting limits', () => {
  it('is an event in the chain, and none when they are the same', async () => {
    const wallet = await walletWith([]);
    const terms = [{ prefix: '1900', amountMicros: 5n }, { period: 'month' as const }];
    expect(await setLimits(wallet, terms)).toMatchObject({ ok: true, changed: true, seq: 3n });
    expect(await setLimits(wallet, terms.toReversed())).toMatchObject({ changed: false, seq: 3n });
    const { events } = await world.wallets.events(wallet.walletId, { limit: 1 });
    expect(events).toMatchObject([
      {
        seq: 3n,
        type: 'limits_changed',
        balanceDeltaMicros: 0n,
        actor,
        detail: {
          limits: [
            { period: 'day', amountMicros: '5', prefix: '1900' },
            { period: 'month', amountMicros: '1000000' },
          ],
        },
      },
    ]);
  });

  it('in the middle of a window counts what was spent in it, and nothing before', async () => {
    const wallet = await walletWith([]);
    await world.charge(wallet, sms(1));
    await world.setNow('2026-10-06T09:00:00Z');
    await world.charge(wallet, sms(2));
    await world.charge(wallet, callOf(60));
    await setLimits(wallet, [{ type: 'sms' }, { period: 'month', type: 'sms' }, { prefix: '1' }]);
    expect(await standing(wallet)).toEqual([
      [190_000n, 0n, 810_000n],
      [40_000n, 0n, 960_000n],
      [60_000n, 0n, 940_000n],
    ]);
  });

  it('may be done to a frozen wallet, and not to a closed one', async () => {
    const wallet = await world.wallets.open({ userId: `user-${randomUUID()}` }, actor);
    await world.wallets.changeStatus({ wallet, status: 'frozen', reason: 'test' }, actor);
    expect(await setLimits(wallet, [{}])).toMatchObject({ ok: true });
    await world.wallets.changeStatus({ wallet, status: 'closed', reason: 'test' }, actor);
    expect(await setLimits(wallet, [])).toEqual({ ok: false, code: 'WALLET_CLOSED' });
    expect(await setLimits(wallet, [{}])).toMatchObject({ ok: true, changed: false });
  });

  it('of no wallet is refused', async () => {
    const nobody = { userId: 'nobody' };
    await expect(world.limits.set(nobody, [], actor)).rejects.toMatchObject({
      code: 'WALLET_NOT_FOUND',
    });
    await expect(world.limits.get(nobody)).rejects.toMatchObject({ code: 'WALLET_NOT_FOUND' });
  });
});

describe('a window', () => {
  it('ends at midnight of the wallet, on the day that clocks change too', async () => {
    await world.setNow('2026-10-24T21:59:59Z');
    const wallet = await walletWith([{ amountMicros: 20_000n }], { timezone: 'Europe/Berlin' });
    await world.charge(wallet, sms(1));
    expect(await world.charge(wallet, sms(1))).toMatchObject({
      resetsAt: '2026-10-24T22:00:00.000Z',
    });
    await world.setNow('2026-10-24T22:00:00Z');
    await world.charge(wallet, sms(1));
    await world.setNow('2026-10-25T22:59:59Z');
    expect(await world.charge(wallet, sms(1))).toMatchObject({
      resetsAt: '2026-10-25T23:00:00.000Z',
    });
    await world.setNow('2026-10-25T23:00:00Z');
    expect(await world.charge(wallet, sms(1))).toMatchObject({ ok: true });
    expect(await standing(wallet)).toEqual([[20_000n, 0n, 0n]]);
  });

  it('is that in which usage is recorded, whenever it happened', async () => {
    const wallet = await walletWith([{ amountMicros: 20_000n }]);
    const yesterday = new Date('2026-10-04T12:00:00Z');
    const late = { wallet, usage: sms(1), referenceId: 'r', overrun: 'refuse' as const };
    expect(await world.charging.charge({ ...late, occurredAt: yesterday }, actor)).toMatchObject({
      ok: true,
    });
    expect(await standing(wallet)).toEqual([[20_000n, 0n, 0n]]);
  });

  it('of a month outlasts the days in it', async () => {
    const wallet = await walletWith([
      { period: 'month', amountMicros: 30_000n },
      { period: 'day', amountMicros: 20_000n },
    ]);
    await world.charge(wallet, sms(1));
    await world.setNow('2026-10-31T23:59:59Z');
    expect(await world.charge(wallet, sms(1))).toMatchObject({ limit: { period: 'month' } });
    await world.setNow('2026-11-01T00:00:00Z');
    expect(await world.charge(wallet, sms(1))).toMatchObject({ ok: true });
  });
});

describe('a hold', () => {
  it('reserves of the limit, and is refused what other holds reserve', async () => {
    const wallet = await walletWith([{ amountMicros: 400_000n, type: 'call' }]);
    const first = await world.authorize(wallet, callOf(60));
    expect.assert(first.ok);
    // $0.30 after the connection fee, at $0.05 a minute.
    expect(first).toMatchObject({ heldMicros: 150_000n, maxSeconds: 360 });
    expect(await world.authorize(wallet, callOf(60), 'k')).toMatchObject({ maxSeconds: 180 });
    expect(await world.authorize(wallet, callOf(60))).toMatchObject({
      ok: false,
      code: 'LIMIT_EXCEEDED',
      reservedMicros: 300_000n,
      requiredMicros: 150_000n,
      leftMicros: 100_000n,
    });
    expect(await world.charge(wallet, callOf(60))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await world.holds.void({ holdId: first.holdId }, actor);
    expect(await world.authorize(wallet, callOf(60), 'k')).toMatchObject({
      replayed: true,
      maxSeconds: 180,
    });
    expect(await standing(wallet)).toEqual([[0n, 150_000n, 250_000n]]);
  });

  it('goes on as far as the limit allows, is warned, and is refused at its end', async () => {
    const wallet = await walletWith([{ amountMicros: 300_000n }]);
    const placed = await world.authorize(wallet, callOf(60));
    expect.assert(placed.ok);
    const { holdId } = placed;
    expect(await extend(holdId, callOf(60))).toMatchObject({
      ok: true,
      heldMicros: 300_000n,
      lowBalance: false,
      maxSeconds: 240,
    });
    expect(await extend(holdId, callOf(180))).toMatchObject({
      ok: true,
      heldMicros: 300_000n,
      lowBalance: true,
      maxSeconds: 240,
    });
    expect(await extend(holdId, callOf(240))).toMatchObject({
      ok: false,
      code: 'LIMIT_EXCEEDED',
      limit: { period: 'day' },
      spentMicros: 0n,
      reservedMicros: 0n,
      requiredMicros: 450_000n,
      leftMicros: 300_000n,
      heldMicros: 300_000n,
      amountSoFarMicros: 300_000n,
    });
    expect(await extend(holdId, callOf(300))).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      heldMicros: 350_000n,
    });
    expect(await standing(wallet)).toEqual([[0n, 350_000n, 0n]]);
    expect(await capture(holdId, callOf(300))).toMatchObject({ ok: true, amountMicros: 350_000n });
    expect(await standing(wallet)).toEqual([[350_000n, 0n, 0n]]);
  });

  it('counts against limits of a type or destination from the heartbeat that names it', async () => {
    const wallet = await walletWith([
      { amountMicros: 300_000n, type: 'call', prefix: '1900' },
      { amountMicros: 900_000n },
    ]);
    const estimate = { amountMicros: 500_000n };
    const placed = await world.holds.authorize(
      { wallet, key: 'k', estimate, ttlSeconds: 60 },
      actor,
    );
    expect.assert(placed.ok);
    expect(await standing(wallet)).toEqual([
      [0n, 500_000n, 400_000n],
      [0n, 0n, 300_000n],
    ]);
    const premium = callOf(60, '+1 900 555 0101');
    expect(await extend(placed.holdId, premium)).toMatchObject({ ok: true, maxSeconds: 480 });
    expect(await standing(wallet)).toEqual([
      [0n, 500_000n, 400_000n],
      [0n, 500_000n, 0n],
    ]);
    expect(await world.authorize(wallet, premium)).toMatchObject({ limit: { prefix: '1900' } });
  });

  it('captures what it holds; above that a limit refuses, and counts what was delivered', async () => {
    const wallet = await walletWith([{ amountMicros: 200_000n }]);
    const placed = await world.authorize(wallet, callOf(60));
    expect.assert(placed.ok);
    await setLimits(wallet, [{ amountMicros: 100_000n }]);
    expect(await capture(placed.holdId, callOf(120))).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      requiredMicros: 200_000n,
      leftMicros: 100_000n,
    });
    expect(await capture(placed.holdId, callOf(60))).toMatchObject({ ok: true });
    await setLimits(wallet, [{ amountMicros: 300_000n }]);
    const next = await world.authorize(wallet, callOf(60));
    expect.assert(next.ok);
    expect(await capture(next.holdId, callOf(120), 'arrears')).toMatchObject({ ok: true });
    expect(await standing(wallet)).toEqual([[350_000n, 0n, 0n]]);
  });

  it('bills its last heartbeat when it runs out, and that counts, looked at or not', async () => {
    const wallet = await walletWith([{ amountMicros: 400_000n, prefix: '1' }]);
    const placed = await world.authorize(wallet, callOf(60));
    expect.assert(placed.ok);
    await extend(placed.holdId, callOf(30));
    await world.setNow('2026-10-05T12:05:00Z');
    expect(await standing(wallet)).toEqual([[125_000n, 0n, 275_000n]]);
    await world.charge(wallet, sms(1));
    expect(await standing(wallet)).toEqual([[145_000n, 0n, 255_000n]]);
  });
});

describe('usage that is given back', () => {
  /** A hold that has run out and billed $0.15 of calls. */
  async function expired(wallet: WalletView): Promise<string> {
    const placed = await world.authorize(wallet, callOf(60));
    expect.assert(placed.ok);
    await extend(placed.holdId, callOf(60));
    await world.setNow('2026-10-05T12:05:00Z');
    await world.charge(wallet, sms(1));
    return placed.holdId;
  }

  it('lowers the counter of the window that it was billed in', async () => {
    const wallet = await walletWith([{ type: 'call' }, { period: 'month' }]);
    const holdId = await expired(wallet);
    expect(await standing(wallet)).toEqual([
      [150_000n, 0n, 850_000n],
      [170_000n, 0n, 830_000n],
    ]);
    expect(await capture(holdId, callOf(30))).toMatchObject({ amountMicros: 125_000n });
    expect(await standing(wallet)).toEqual([
      [125_000n, 0n, 875_000n],
      [145_000n, 0n, 855_000n],
    ]);
  });

  it('leaves a later window as it is', async () => {
    const wallet = await walletWith([{ type: 'call' }, { period: 'month' }]);
    const holdId = await expired(wallet);
    await world.setNow('2026-10-06T00:00:00Z');
    await world.charge(wallet, callOf(0));
    await world.holds.void({ holdId }, actor);
    expect(await standing(wallet)).toEqual([
      [0n, 0n, 1_000_000n],
      [20_000n, 0n, 980_000n],
    ]);
  });

  it('counts where its bill was counted, also when it names another destination', async () => {
    const wallet = await walletWith([{ prefix: '1' }, { prefix: '49' }]);
    const holdId = await expired(wallet);
    expect(await capture(holdId, callOf(0, '+4930123456'))).toMatchObject({ amountMicros: 0n });
    expect(await standing(wallet)).toEqual([
      [20_000n, 0n, 980_000n],
      [0n, 0n, 1_000_000n],
    ]);
  });
});

describe('many at once', () => {
  it('500 charges on a limit for 100 are 100 charges', async () => {
    const wallet = await walletWith([{ amountMicros: 2_000_000n, type: 'sms', prefix: '1' }]);
    const answers = await Promise.all(
      Array.from({ length: 500 }, () => world.charge(wallet, sms(1))),
    );
    const codes = answers.map((answer) => (answer.ok ? 'OK' : answer.code));
    expect(codes.filter((code) => code === 'OK')).toHaveLength(100);
    expect(codes.filter((code) => code === 'LIMIT_EXCEEDED')).toHaveLength(400);
    expect(await standing(wallet)).toEqual([[2_000_000n, 0n, 0n]]);
  });

  it('charges and holds together never exceed the limit', async () => {
    const wallet = await walletWith([{ amountMicros: 2_000_000n }]);
    const held: string[] = [];
    const [charged, placed] = await Promise.all([
      Promise.all(Array.from({ length: 150 }, () => world.charge(wallet, sms(1)))),
      Promise.all(Array.from({ length: 50 }, () => world.authorize(wallet, sms(2)))),
    ]);
    for (const hold of placed) {
      if (hold.ok) held.push(hold.holdId);
    }
    const taken = charged.filter(({ ok }) => ok).length;
    const [takenMicros, heldMicros] = [BigInt(taken) * 20_000n, BigInt(held.length) * 40_000n];
    const leftMicros = 2_000_000n - takenMicros - heldMicros;
    expect(await standing(wallet)).toEqual([[takenMicros, heldMicros, leftMicros]]);
    expect([0n, 20_000n]).toContain(leftMicros);
    await Promise.all(held.map((holdId) => capture(holdId, sms(1))));
    const spentMicros = BigInt(taken + held.length) * 20_000n;
    expect(await standing(wallet)).toEqual([[spentMicros, 0n, 2_000_000n - spentMicros]]);
  });
});

describe('limits that are set while charges run', () => {
  it('count every charge once, those of before, of after and of meanwhile', async () => {
    const wallet = await walletWith([]);
    await Promise.all(Array.from({ length: 50 }, () => world.charge(wallet, sms(1))));
    const charges = Array.from({ length: 150 }, () => world.charge(wallet, sms(1)));
    for (const amountMicros of [50_000_000n, 60_000_000n, 70_000_000n]) {
      await setLimits(wallet, [{ amountMicros }, { period: 'month', type: 'sms', amountMicros }]);
    }
    await Promise.all(charges);
    const [spentMicros, leftMicros] = [4_000_000n, 66_000_000n];
    expect(await standing(wallet)).toEqual([
      [spentMicros, 0n, leftMicros],
      [spentMicros, 0n, leftMicros],
    ]);
  });
});

describe('verification finds', () => {
  it.each([
    ['a counter that says less than its events', 'LIMIT_SPENT', 'set spent_micros = 0'],
    ['a counter of another window', 'LIMIT_WINDOW', "set starts_at = starts_at - interval '1 day'"],
    ['a window that is none', 'LIMIT_WINDOW', "set starts_at = starts_at - interval '1 hour'"],
    ['a limit that nobody set', 'LIMIT_LIST', 'set amount_micros = amount_micros + 1'],
  ])('%s', async (_what, problem, change) => {
    const wallet = await walletWith([{ amountMicros: 50_000n, type: 'sms', prefix: '1' }]);
    await world.charge(wallet, sms(1));
    await world.setNow('2026-10-06T12:00:00Z');
    await world.charge(wallet, sms(2));
    await tamper(wallet, `update wallet_limits ${change}`);
    expect(await problemsOf(wallet)).toContain(problem);
    await restore(wallet);
  });

  it('a limit that is gone, and a wallet that denies its limits', async () => {
    const wallet = await walletWith([{ amountMicros: 50_000n }]);
    await world.database.owner`update wallets set limited = false where id = ${wallet.walletId}`;
    expect(await problemsOf(wallet)).toEqual(['WALLET_LIMITED']);
    await world.database.owner`update wallets set limited = true where id = ${wallet.walletId}`;
    await tamper(wallet, 'delete from wallet_limits');
    expect(await problemsOf(wallet)).toEqual(['LIMIT_LIST']);
    await restore(wallet);
  });

  it('nothing to write for the application', async () => {
    const write = world.database.app`update wallet_limits set spent_micros = 0`;
    await expect(write).rejects.toThrow('permission denied');
  });

  const tamper = ({ walletId }: WalletView, statement: string) =>
    world.database.owner.unsafe(`${statement} where wallet_id = $1`, [walletId]);

  async function problemsOf({ walletId }: WalletView): Promise<string[]> {
    const range = { from: walletId, to: walletId };
    const { differences, found } = await verifyRange(world.database.owner, range, 10);
    expect(found).toBe(BigInt(differences.length));
    return differences.map(({ problem }) => problem);
  }

  /** Setting other limits computes all counters anew. */
  async function restore(wallet: WalletView): Promise<void> {
    await setLimits(wallet, [{ period: 'month' }]);
    expect(await problemsOf(wallet)).toEqual([]);
  }
});
