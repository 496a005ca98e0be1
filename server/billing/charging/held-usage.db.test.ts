/** Usage that comes by two doors, live and afterwards, is billed by one. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { verifyRange } from '../../store/ledger.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createCharging } from './charging.ts';
import { createHoldSweeper } from './hold-sweeper.ts';
import { actor, callOf, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

const everyWallet = {
  from: '00000000-0000-0000-0000-000000000000',
  to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};
const fundsMicros = 10_000_000n;

let world: PricingWorld;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

afterEach(async () => {
  expect((await verifyRange(world.database.owner, everyWallet, 10)).differences).toEqual([]);
});

/** Charges of the first are written by sets, with credit and in a deferred wallet one by one. */
const kinds = ['overdraft', 'credit', 'deferred'] as const;

async function walletOf(kind: (typeof kinds)[number]): Promise<WalletView> {
  const mode = kind === 'deferred' ? 'deferred' : 'live';
  const wallet = await world.walletWith(kind === 'credit' ? fundsMicros : 0n, { mode });
  if (kind !== 'credit') {
    await world.database.owner`
      update wallets set overdraft_limit_micros = ${fundsMicros} where id = ${wallet.walletId}`;
  }
  return wallet;
}

const spentOf = async ({ walletId }: WalletView) =>
  fundsMicros - (await world.wallets.get({ walletId })).availableMicros;
const wait = (seconds: number) => world.setNow(world.now().getTime() + seconds * 1_000);

async function authorize(wallet: WalletView, key: string): Promise<string> {
  const placed = await world.authorize(wallet, callOf(60), key);
  expect.assert(placed.ok);
  return placed.holdId;
}

const capture = (holdId: string, seconds: number) =>
  world.holds.capture({ holdId, usage: callOf(seconds), overrun: 'refuse' }, actor);
const charge = (wallet: WalletView, seconds: number, referenceId: string) =>
  world.charge(wallet, callOf(seconds), { referenceId });

describe.each(kinds)('in a wallet (%s), usage that was authorized and', (kind) => {
  it('captured is not charged again: the same is a replay, other figures are refused', async () => {
    const wallet = await walletOf(kind);
    const holdId = await authorize(wallet, 'call-1');
    const captured = await capture(holdId, 120);
    expect.assert(captured.ok);
    const hold = { holdId, alreadyBilledMicros: 200_000n, units: 120 };
    const { breakdown, amountMicros } = captured;
    expect(await charge(wallet, 120, 'call-1')).toMatchObject({
      ...{ ok: true, replayed: true, amountMicros, breakdown, hold },
      availableMicros: fundsMicros - 200_000n,
    });
    expect(await charge(wallet, 121, 'call-1')).toMatchObject({ code: 'KEY_REUSED', hold });
    expect(await spentOf(wallet)).toBe(200_000n);
  });

  it('is still running is ended by its charge, which is its final record', async () => {
    const wallet = await walletOf(kind);
    const holdId = await authorize(wallet, 'call-1');
    const hold = { holdId, alreadyBilledMicros: 0n, units: 120 };
    expect(await charge(wallet, 120, 'call-1')).toMatchObject({
      ...{ ok: true, replayed: false, amountMicros: 200_000n, hold },
    });
    expect(await charge(wallet, 120, 'call-1')).toMatchObject({
      ...{ ok: true, replayed: true, hold: { alreadyBilledMicros: 200_000n } },
    });
    expect(await capture(holdId, 120)).toMatchObject({ ok: true, replayed: true });
    expect(await capture(holdId, 90)).toMatchObject({ code: 'HOLD_NOT_OPEN' });
    expect(await world.holds.list(wallet)).toEqual([]);
    expect(await spentOf(wallet)).toBe(200_000n);
  });

  it('ran out without a word is charged in full, and after a heartbeat by the difference', async () => {
    const wallet = await walletOf(kind);
    const silent = await authorize(wallet, 'silent');
    const told = await authorize(wallet, 'told');
    await world.holds.extend({ holdId: told, usageSoFar: callOf(60) }, actor);
    await wait(400);
    expect(await charge(wallet, 120, 'silent')).toMatchObject({
      ...{ ok: true, replayed: false, amountMicros: 200_000n },
      hold: { holdId: silent, alreadyBilledMicros: 0n },
    });
    expect(await charge(wallet, 60, 'told')).toMatchObject({
      ...{ ok: true, replayed: true, amountMicros: 150_000n },
      hold: { holdId: told, alreadyBilledMicros: 150_000n },
    });
    expect(await charge(wallet, 120, 'told')).toMatchObject({
      ...{ ok: true, replayed: false, amountMicros: 200_000n },
      hold: { holdId: told, alreadyBilledMicros: 150_000n },
    });
    expect(await spentOf(wallet)).toBe(400_000n);
  });

  it('was voided is charged after all, once, and is explained and refunded by its reference', async () => {
    const wallet = await walletOf(kind);
    await world.holds.void({ holdId: await authorize(wallet, 'call-1') }, actor);
    const charged = await charge(wallet, 120, 'call-1');
    expect.assert(charged.ok);
    expect(charged).toMatchObject({ replayed: false, amountMicros: 200_000n });
    expect(charged.hold).toBeUndefined();
    expect(await charge(wallet, 120, 'call-1')).toEqual({ ...charged, replayed: true });
    const other = await charge(wallet, 60, 'call-1');
    expect(other).toEqual({ ok: false, code: 'KEY_REUSED', seq: charged.seq });
    const name = { type: 'call', referenceId: 'call-1' } as const;
    const explained = await world.explaining.explain(wallet, name);
    expect.assert(explained.ok);
    expect(explained.charges).toMatchObject([{ seq: charged.seq, billedMicros: 200_000n }]);
    const refund = { wallet, ...name, key: 'refund-1', reason: 'test' };
    expect(await world.refunds.refund(refund, actor)).toMatchObject({
      ...{ ok: true, originalSeq: charged.seq, amountMicros: 200_000n },
    });
    expect(await spentOf(wallet)).toBe(0n);
  });

  it('charged before cannot be authorized again', async () => {
    const wallet = await walletOf(kind);
    const charged = await charge(wallet, 60, 'call-1');
    expect.assert(charged.ok);
    const refused = await world.authorize(wallet, callOf(60), 'call-1');
    expect(refused).toEqual({ ok: false, code: 'KEY_REUSED', seq: charged.seq });
    const message = { type: 'sms', to: '+14155550132', segments: 1 } as const;
    expect(await world.authorize(wallet, message, 'call-1')).toMatchObject({ ok: true });
  });

  it('is billed once in a batch of usage of every sort', async () => {
    const wallet = await walletOf(kind);
    const beside = await walletOf('overdraft');
    await capture(await authorize(wallet, 'captured'), 60);
    await authorize(wallet, 'open');
    await world.holds.void({ holdId: await authorize(wallet, 'voided') }, actor);
    const item = (of: WalletView, referenceId: string, seconds: number) => {
      const { walletId } = of;
      return {
        wallet: { walletId },
        usage: callOf(seconds),
        referenceId,
        overrun: 'refuse' as const,
      };
    };
    const items = [
      ...[item(wallet, 'new', 60), item(wallet, 'captured', 60), item(wallet, 'captured', 61)],
      ...[item(wallet, 'open', 60), item(beside, 'captured', 60), item(wallet, 'voided', 60)],
      ...[item(wallet, 'open', 60), item(wallet, 'voided', 60)],
    ];
    const answers = await world.charging.chargeBatch(items, actor);
    expect(answers.map((answer) => (answer.ok ? answer.replayed : answer.code))).toEqual([
      ...[false, true, 'KEY_REUSED', false, false, false],
      ...[true, true],
    ]);
    expect(await spentOf(wallet)).toBe(4n * 150_000n);
    expect(await spentOf(beside)).toBe(150_000n);
  });

  it('settles its hold in a batch for those that stand behind it', async () => {
    const wallet = await walletOf(kind);
    const { walletId } = wallet;
    // As long a call as the funds are for.
    const placed = await world.authorize(wallet, callOf(198 * 60), 'open');
    expect(placed).toMatchObject({ ok: true, heldMicros: fundsMicros });
    const items = ['before', 'open', 'behind', 'behind too'].map((referenceId) => ({
      ...{ wallet: { walletId }, usage: callOf(60), referenceId, overrun: 'refuse' as const },
    }));
    const answers = await world.charging.chargeBatch(items, actor);
    expect(answers.map((answer) => (answer.ok ? answer.replayed : answer.code))).toEqual([
      ...['INSUFFICIENT_FUNDS', false, false, false],
    ]);
    expect(await spentOf(wallet)).toBe(3n * 150_000n);
  });

  it('charged at the same moment bills once, whoever comes first', async () => {
    const wallet = await walletOf(kind);
    const sql = world.database.app;
    const chargings = [1, 2].map(() => {
      return createCharging({ sql, rateCards: world.rateCards, now: world.now });
    });
    const sweeper = createHoldSweeper({ sql, intervalMs: 60_000, logger: createLogger('silent') });
    const calls = Array.from({ length: 8 }, (_, number) => `call-${number}`);
    await Promise.all(
      Array.from({ length: 4 }).flatMap((_, round) =>
        calls.flatMap((referenceId) => [
          world.authorize(wallet, callOf(60), referenceId).then(async (placed) => {
            if (placed.ok && round === 1) {
              await capture(placed.holdId, 60);
            }
          }),
          chargings[round % 2]?.charge(
            { wallet, usage: callOf(60), referenceId, overrun: 'refuse' },
            actor,
          ),
        ]),
      ),
    );
    await wait(400);
    await sweeper.tick();
    expect(await spentOf(wallet)).toBe(BigInt(calls.length) * 150_000n);
  });
});

it('a hold by an amount that names its type is found, one that does not is not that of any usage', async () => {
  const wallet = await walletOf('overdraft');
  const place = (key: string, type: 'call' | undefined) =>
    world.holds.authorize(
      { wallet, key, estimate: { amountMicros: 300_000n, type }, ttlSeconds: 300 },
      actor,
    );
  for (const [key, type] of [
    ['typed', 'call'],
    ['untyped', undefined],
  ] as const) {
    const placed = await place(key, type);
    expect.assert(placed.ok);
    expect(await place(key, type)).toEqual({ ...placed, replayed: true });
    await capture(placed.holdId, 60);
  }
  expect(await charge(wallet, 60, 'typed')).toMatchObject({ ok: true, replayed: true });
  expect(await charge(wallet, 60, 'untyped')).toMatchObject({ ok: true, replayed: false });
});

it('a hold that is made to look voided is found', async () => {
  const wallet = await walletOf('overdraft');
  const holdId = await authorize(wallet, 'call-1');
  await world.holds.capture({ holdId, usage: callOf(0), overrun: 'refuse' }, actor);
  const { owner } = world.database;
  await owner`update holds set status = 'voided' where id = ${holdId}`;
  const { differences } = await verifyRange(owner, everyWallet, 10);
  expect(differences).toMatchObject([{ walletId: wallet.walletId, problem: 'HOLD_TERMS' }]);
  await owner`update holds set status = 'captured' where id = ${holdId}`;
});
