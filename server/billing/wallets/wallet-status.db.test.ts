import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { WalletView } from '../../views/wallets.ts';
import { actor, createPricingWorld, type PricingWorld } from '../charging/pricing.fixtures.ts';

const usage = { type: 'email' } as const;

let world: PricingWorld;
let wallet: WalletView;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

beforeEach(async () => {
  wallet = await world.walletWith(0n);
});

afterEach(async () => {
  expect(await world.differences()).toEqual([]);
});

const change = (status: WalletView['status'], reason = 'stolen card') =>
  world.wallets.changeStatus({ wallet, status, reason }, actor);
const grant = (amountMicros: bigint, key = 'fund') =>
  world.grants.grant({ wallet, amountMicros, key, reason: 'test' }, actor);
const charge = (referenceId: string) =>
  world.charging.charge({ wallet, usage, referenceId, overrun: 'arrears' }, actor);
const authorize = (key: string) =>
  world.holds.authorize({ wallet, key, estimate: { usage }, ttlSeconds: 300 }, actor);

it('a frozen wallet pays for nothing new, receives, and works again when it is unfrozen', async () => {
  await grant(1_000_000n);
  expect(await change('frozen')).toEqual({
    ok: true,
    changed: true,
    ...(await world.wallets.get(wallet)),
    status: 'frozen',
    seq: 3n,
  });
  expect(await charge('a')).toEqual({ ok: false, code: 'WALLET_FROZEN' });
  expect(await authorize('a')).toEqual({ ok: false, code: 'WALLET_FROZEN' });
  expect(await grant(1n, 'more')).toMatchObject({ ok: true });
  expect(await change('open')).toMatchObject({ changed: true, status: 'open', seq: 5n });
  expect(await charge('a')).toMatchObject({ ok: true, balanceMicros: 990_001n });
});

it('its history says who changed the status and why', async () => {
  await change('frozen', 'asked by the bank');
  const { events } = await world.wallets.events(wallet.walletId, { limit: 1 });
  expect(events).toMatchObject([
    {
      type: 'wallet_frozen',
      actor,
      balanceDeltaMicros: 0n,
      detail: { reason: 'asked by the bank' },
    },
  ]);
});

it('freezing twice, at once too, is one event', async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => change('frozen')));
  expect(answers.every((answer) => answer.ok && answer.status === 'frozen')).toBe(true);
  expect(answers.filter((answer) => answer.ok && answer.changed)).toHaveLength(1);
  expect((await world.wallets.get(wallet)).seq).toBe(2n);
});

it('no charge is taken after a freeze was answered, and each one before it is kept', async () => {
  await grant(1_000_000n);
  const charges = Array.from({ length: 60 }, (_, number) => charge(`race-${number}`));
  const frozen = await change('frozen');
  expect.assert(frozen.ok);
  const accepted = (await Promise.all(charges)).filter(({ ok }) => ok);
  const { balanceMicros } = await world.wallets.get(wallet);
  expect(balanceMicros).toBe(1_000_000n - 10_000n * BigInt(accepted.length));
  const { events } = await world.wallets.events(wallet.walletId, { limit: 1 });
  expect(events).toMatchObject([{ seq: frozen.seq, type: 'wallet_frozen' }]);
});

it('what was delivered is billed to a frozen wallet', async () => {
  await grant(1_000_000n);
  const placed = await authorize('call');
  expect.assert(placed.ok);
  await change('frozen');
  const capture = { holdId: placed.holdId, usage, overrun: 'refuse' } as const;
  expect(await world.holds.capture(capture, actor)).toMatchObject({
    ok: true,
    amountMicros: 10_000n,
  });
});

it('only an empty wallet is closed, and the refusal says what is left', async () => {
  await charge('owed');
  expect(await change('closed')).toEqual({
    ok: false,
    code: 'WALLET_NOT_EMPTY',
    balanceMicros: 0n,
    heldMicros: 0n,
    arrearsMicros: 10_000n,
    openHolds: 0,
    openSubscriptions: 0,
  });
  await grant(20_000n);
  expect(await change('closed')).toMatchObject({ balanceMicros: 10_000n, arrearsMicros: 0n });
  const placed = await authorize('call');
  expect.assert(placed.ok);
  expect(await change('closed')).toMatchObject({ heldMicros: 10_000n, openHolds: 1 });
  await world.holds.capture({ holdId: placed.holdId, usage, overrun: 'refuse' }, actor);
  expect(await change('closed', 'asked for')).toMatchObject({ ok: true, status: 'closed' });
});

it('a closed wallet takes neither charges nor promotions, and is never opened again', async () => {
  await change('closed');
  const refused = { ok: false, code: 'WALLET_CLOSED' };
  expect(await charge('a')).toEqual(refused);
  expect(await grant(1n)).toEqual(refused);
  expect(await change('open')).toEqual(refused);
  expect(await change('frozen')).toEqual(refused);
  expect(await change('closed')).toMatchObject({ ok: true, changed: false });
});

it('nobody has no wallet to freeze', async () => {
  const request = { wallet: { userId: 'nobody' }, status: 'frozen', reason: 'r' } as const;
  expect(await world.wallets.changeStatus(request, actor)).toEqual({
    ok: false,
    code: 'WALLET_NOT_FOUND',
  });
});

it('no other status exists', async () => {
  await expect(
    world.database.app`select change_wallet_status(${wallet.walletId}, 'gone', ${actor}, '{}')`,
  ).rejects.toThrow('null value');
});
