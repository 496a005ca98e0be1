import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EVERY_WALLET, verifyRange } from '../../store/ledger.ts';
import type { WalletView } from '../../views/wallets.ts';
import {
  actor,
  callOf,
  createPricingWorld,
  type PricingWorld,
  startsAt,
} from './pricing.fixtures.ts';
import type { RefundRequest } from './refunds.ts';

let world: PricingWorld;
let wallet: WalletView;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

beforeEach(async () => {
  await world.setNow(startsAt);
  wallet = await world.walletWith(1_000_000n);
});

afterEach(async () => {
  expect(await problems()).toEqual([]);
});

async function problems(): Promise<string[]> {
  const { differences, found } = await verifyRange(world.database.owner, EVERY_WALLET, 10);
  expect(found).toBe(BigInt(differences.length));
  return differences.map(({ seq, problem }) => `${seq} ${problem}`);
}

/** $0.10, and $0.05 a minute: 60 seconds are 150,000 micros. */
function charge(of: WalletView, seconds: number, overrun: 'refuse' | 'arrears' = 'refuse') {
  const usage = callOf(seconds);
  return world.charging.charge({ wallet: of, usage, referenceId: 'call-1', overrun }, actor);
}

function refund(change: Partial<RefundRequest> = {}) {
  const request = { wallet, type: 'call', referenceId: 'call-1', key: 'r1', reason: 'bad line' };
  return world.refunds.refund({ ...request, ...change } as RefundRequest, actor);
}

describe('a refund of a charge', () => {
  it('gives back all that is left, once per key, and is linked to its original', async () => {
    const charged = await charge(wallet, 60);
    expect.assert(charged.ok);
    const first = await refund();
    expect(first).toEqual({
      ok: true,
      replayed: false,
      seq: 4n,
      originalSeq: charged.seq,
      amountMicros: 150_000n,
      balanceMicros: 1_000_000n,
      availableMicros: 1_000_000n,
      arrearsMicros: 0n,
    });
    expect(await refund()).toEqual({ ...first, replayed: true });
    expect(await refund({ key: 'r2' })).toEqual({
      ok: false,
      code: 'NOT_REFUNDABLE',
      refundableMicros: 0n,
    });
    const { events } = await world.wallets.events(wallet.walletId, { limit: 1 });
    expect(events).toMatchObject([
      {
        type: 'usage_refund',
        actor,
        detail: { originalSeq: '3', type: 'call', referenceId: 'call-1', reason: 'bad line' },
      },
    ]);
  });

  it('in parts is never more than the original in total', async () => {
    await charge(wallet, 60);
    expect(await refund({ amountMicros: 100_000n })).toMatchObject({ amountMicros: 100_000n });
    expect(await refund({ key: 'r2', amountMicros: 50_001n })).toEqual({
      ok: false,
      code: 'NOT_REFUNDABLE',
      refundableMicros: 50_000n,
    });
    // A refusal is not remembered, so its key is free.
    expect(await refund({ key: 'r2', amountMicros: 50_000n })).toMatchObject({ ok: true });
  });

  it('by many at once gives back the original and no micro more', async () => {
    await charge(wallet, 60);
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, number) =>
        refund({ key: `many-${number}`, amountMicros: 20_000n }),
      ),
    );
    expect(answers.filter(({ ok }) => ok)).toHaveLength(7);
    expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros: 990_000n });
    expect(await refund()).toMatchObject({ amountMicros: 10_000n });
  });

  it('with one key from 40 connections is one refund', async () => {
    await charge(wallet, 60);
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => refund({ amountMicros: 20_000n })),
    );
    expect(answers.filter((answer) => answer.ok && !answer.replayed)).toHaveLength(1);
    expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros: 870_000n });
  });

  it('refuses its key for another amount, original or reason', async () => {
    await charge(wallet, 60);
    await refund({ amountMicros: 20_000n });
    for (const change of [
      { amountMicros: 20_001n },
      { amountMicros: undefined },
      { amountMicros: 20_000n, referenceId: 'call-2' },
      { amountMicros: 20_000n, reason: 'another' },
    ]) {
      expect(await refund(change)).toEqual({ ok: false, code: 'KEY_REUSED', seq: 4n });
    }
  });

  it.each([
    ['another reference', { referenceId: 'call-2' }],
    ['another type', { type: 'fax' }],
  ] as const)('finds nothing under %s', async (_what, change) => {
    await charge(wallet, 60);
    expect(await refund(change)).toMatchObject({ code: 'NOT_REFUNDABLE', refundableMicros: 0n });
  });

  it('finds nothing in another wallet, and no wallet of nobody', async () => {
    await charge(wallet, 60);
    const other = await world.walletWith(1n);
    expect(await refund({ wallet: other })).toMatchObject({ code: 'NOT_REFUNDABLE' });
    expect(await refund({ wallet: { userId: 'nobody' } })).toEqual({
      ok: false,
      code: 'WALLET_NOT_FOUND',
    });
  });

  it('that was owed repays the arrears first', async () => {
    // 20 minutes: $1.10 of $1.00.
    await charge(wallet, 1_200, 'arrears');
    expect(await world.moneyOf(wallet)).toMatchObject({
      balanceMicros: 0n,
      arrearsMicros: 100_000n,
    });
    expect(await refund({ amountMicros: 150_000n })).toMatchObject({
      ok: true,
      balanceMicros: 50_000n,
      arrearsMicros: 0n,
    });
  });

  it('leaves as much available in a deferred wallet as in a live one', async () => {
    const deferred = await world.walletWith(1_000_000n, { mode: 'deferred' });
    await charge(wallet, 60);
    await charge(deferred, 60);
    const change = { amountMicros: 100_000n };
    expect(await refund(change)).toMatchObject({ availableMicros: 950_000n });
    expect(await refund({ ...change, wallet: deferred })).toMatchObject({
      availableMicros: 950_000n,
    });
    expect(await world.moneyOf(deferred)).toMatchObject({
      balanceMicros: 1_100_000n,
      heldMicros: 150_000n,
    });
  });
});

describe('a refund of a hold', () => {
  async function hold(seconds = 60) {
    const estimate = { usage: callOf(seconds) };
    const request = { wallet, key: 'call-1', estimate, ttlSeconds: 300 };
    const answer = await world.holds.authorize(request, actor);
    expect.assert(answer.ok);
    return answer.holdId;
  }
  const capture = (holdId: string, seconds: number) =>
    world.holds.capture({ holdId, usage: callOf(seconds), overrun: 'arrears' }, actor);

  async function expiredHold(): Promise<string> {
    const holdId = await hold();
    await world.holds.extend({ holdId, usageSoFar: callOf(60) }, actor);
    await world.wait(301);
    return holdId;
  }

  it('needs one that billed something', async () => {
    await hold();
    expect(await refund()).toMatchObject({ code: 'NOT_REFUNDABLE', refundableMicros: 0n });
  });

  it.each(['live', 'deferred'] as const)('that was captured, in a %s wallet', async (mode) => {
    wallet = await world.walletWith(1_000_000n, { mode });
    await capture(await hold(), 60);
    expect(await refund({ amountMicros: 50_000n })).toMatchObject({
      ok: true,
      originalSeq: 4n,
      availableMicros: 900_000n,
    });
    expect(await refund({ key: 'r2' })).toMatchObject({ amountMicros: 100_000n });
    expect(await refund({ key: 'r3' })).toMatchObject({ code: 'NOT_REFUNDABLE' });
  });

  it.each([
    // Billed $0.15 for 60 seconds when it ran out, and $0.12 of that was refunded.
    ['posts what is above what was billed', 120, 1_000_000n - 200_000n + 120_000n],
    ['gives back what is below it', 30, 1_000_000n - 125_000n + 120_000n],
    ['gives back no more than was left to refund', 0, 1_000_000n],
  ])('that ran out; a late final record %s', async (_what, seconds, balanceMicros) => {
    const holdId = await expiredHold();
    expect(await refund({ amountMicros: 120_000n })).toMatchObject({ balanceMicros: 970_000n });
    expect(await capture(holdId, seconds)).toMatchObject({ ok: true });
    expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros });
  });

  it('that ran out and is voided late is given back once', async () => {
    const holdId = await expiredHold();
    await refund({ amountMicros: 50_000n });
    expect(await world.holds.void({ holdId }, actor)).toMatchObject({ releasedMicros: 100_000n });
    expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros: 1_000_000n });
    expect(await refund({ key: 'r2' })).toMatchObject({ code: 'NOT_REFUNDABLE' });
  });
});

describe('verification finds', () => {
  async function tampered(change: string, expected: string[]): Promise<void> {
    await charge(wallet, 60);
    await refund({ amountMicros: 20_000n });
    const id = `wallet_id = '${wallet.walletId}'`;
    const before = await world.database.owner.unsafe(`select * from usage_refunds where ${id}`);
    await world.database.owner.unsafe(
      `set local session_replication_role = replica; ${change} ${id}`,
    );
    expect(await problems()).toEqual(expected);
    await world.database.owner`
      insert into usage_refunds ${world.database.owner(before as unknown as Record<string, string>[])}
      on conflict (wallet_id, original_seq) do update set
        refunded_micros = excluded.refunded_micros`;
  }

  it('a refund that is kept as less than it was', () =>
    tampered('update usage_refunds set refunded_micros = 1 where', ['3 REFUND_SUM']));

  it('a refund that was forgotten', () =>
    tampered('delete from usage_refunds where', ['3 REFUND_SUM']));

  it('refunds above their original', async () => {
    await charge(wallet, 60);
    await refund();
    await world.database.owner.unsafe(`set local session_replication_role = replica;
      update wallet_events set balance_delta_micros = -149999
      where wallet_id = '${wallet.walletId}' and seq = 3`);
    expect(await problems()).toContain('3 REFUND_ABOVE_ORIGINAL');
    await world.database.owner.unsafe(`set local session_replication_role = replica;
      update wallet_events set balance_delta_micros = -150000
      where wallet_id = '${wallet.walletId}' and seq = 3`);
  });
});

it('the application cannot write refunds past their function, and nobody can delete one', async () => {
  await charge(wallet, 60);
  await refund();
  await expect(world.database.app`update usage_refunds set refunded_micros = 1`).rejects.toThrow(
    'permission denied',
  );
  await expect(world.database.owner`delete from usage_refunds`).rejects.toThrow('refused');
});
