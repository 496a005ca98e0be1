/** Refunds as people ask for them, in the words that they read. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RefundWorld, startRefundWorld } from './payment-refunds.fixtures.ts';
import { createRefundDesk } from './refund-desk.ts';

let world: RefundWorld;
let desk: ReturnType<typeof createRefundDesk>;
let closedDesk: ReturnType<typeof createRefundDesk>;
let users = 0;

beforeAll(async () => {
  world = await startRefundWorld();
  const { refunds: paymentRefunds } = world.process();
  const options = { sql: world.database.app, wallets: world.wallets, paymentRefunds };
  desk = createRefundDesk({ ...options, usersMayAsk: true });
  closedDesk = createRefundDesk({ ...options, usersMayAsk: false });
});
afterAll(() => world?.stop());

const newUser = () => {
  users += 1;
  return `asking-${users}`;
};
const key = () => randomUUID();
const confirmed = true;
const unspent = { topUpId: null, amount: '', confirmed };
const balanceOf = async (userId: string) => (await world.wallets.ofUser(userId)).balanceMicros;

describe('a user', () => {
  it('where the operator does not allow it sees nothing of refunds and cannot ask', async () => {
    const { userId } = await world.paid(newUser(), '10');
    expect(await closedDesk.ofUser(userId)).toBeNull();
    const asked = closedDesk.askByUser({ userId, amount: '10', key: key(), confirmed });
    await expect(asked).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await balanceOf(userId)).toBe(10_000_000n);
  });

  it('is shown how much may go back, asks for it once, and finds how it stands', async () => {
    const { userId, walletId } = await world.paid(newUser(), '10');
    expect(await desk.ofUser(userId)).toMatchObject({
      ...{ refundableMicros: 10_000_000n, exponent: 2, isAutoTopUpOn: false, refunds: [] },
    });
    const request = { userId, amount: ' 2.50 ', key: key(), confirmed };
    expect(await Promise.all([desk.askByUser(request), desk.askByUser(request)])).toEqual([
      ...[{ ok: true }, { ok: true }],
    ]);
    expect(await desk.ofUser(userId)).toMatchObject({
      refundableMicros: 7_500_000n,
      refunds: [{ amountMicros: 2_500_000n, status: 'succeeded', requestedBy: `user:${userId}` }],
    });
    await world.deliverAll();
    expect(await world.verify(walletId)).toEqual([]);
  });

  it.each([
    ['USD', '10', '', 'Enter an amount.'],
    ['USD', '10', '0', 'Enter more than nothing.'],
    ['USD', '10', 'ten', 'Enter the amount in digits, such as 25.'],
    ['USD', '10', '10.01', 'At most 10.00 USD can go back now.'],
    ['KWD', '10', '1.001', 'KWD is refunded in steps of 0.010.'],
    ['JPY', '1000', '1.5', 'JPY has no decimals: enter a whole amount.'],
  ])('of %s %s who asks for "%s" reads: %s', async (currency, paidAmount, amount, message) => {
    const { userId } = await world.paid(newUser(), paidAmount, currency);
    const before = await balanceOf(userId);
    expect(await desk.askByUser({ userId, amount, key: key(), confirmed })).toEqual({
      ...{ ok: false, problems: { amount: message } },
    });
    expect(await balanceOf(userId)).toBe(before);
  });

  it('turns automatic top-up off first, or a card would be charged again', async () => {
    const { userId, walletId } = await world.paid(newUser(), '10');
    await world.database.owner`
      insert into auto_top_ups (wallet_id, status, threshold_micros, mode, amount_micros,
        monthly_cap_micros, min_charge_micros, max_charge_micros, charge_step_micros, changed_at,
        livemode)
      values (${walletId}, 'on', 5000000, 'add', 10000000, 50000000, 5000000, 50000000, 10000, now(),
        false)`;
    await world.database.owner`
      insert into auto_top_up_log (wallet_id, at, event, actor, detail)
      values (${walletId}, now(), 'turned_on', ${`user:${userId}`}, '{"consentVersion":"1"}')`;
    expect(await desk.askByUser({ userId, amount: '10', key: key(), confirmed })).toMatchObject({
      ok: false,
      message: expect.stringContaining('automatic top-up off first'),
    });
    expect(await desk.ofWallet(walletId)).toMatchObject({ isAutoTopUpOn: true });
    expect(await balanceOf(userId)).toBe(10_000_000n);
  });

  it('asks ten times an hour at the most, which does not bind support', async () => {
    const { userId, walletId } = await world.paid(newUser(), '10');
    const ask = () => desk.askByUser({ userId, amount: '0.01', key: key(), confirmed });
    for (let time = 0; time < 10; time += 1) {
      expect(await ask()).toEqual({ ok: true });
    }
    expect(await ask()).toMatchObject({ ok: false, message: expect.stringContaining('last hour') });
    const bySupport = { ...unspent, walletId, reason: 'left us', key: key() };
    expect(await desk.askBySupport({ ...bySupport, actor: 'support:anna' })).toEqual({ ok: true });
  });

  it('whose wallet is frozen is sent to support, who may still refund', async () => {
    const { userId, walletId } = await world.paid(newUser(), '10');
    const frozen = { wallet: { walletId }, status: 'frozen', reason: 'asked for' } as const;
    await world.wallets.changeStatus(frozen, 'support:test');
    expect(await desk.askByUser({ userId, amount: '10', key: key(), confirmed })).toMatchObject({
      ok: false,
      message: expect.stringContaining('contact support'),
    });
    const bySupport = { ...unspent, walletId, reason: 'left us', key: key() };
    expect(await desk.askBySupport({ ...bySupport, actor: 'support:anna' })).toEqual({ ok: true });
    expect(await balanceOf(userId)).toBe(0n);
  });
});

it.each([
  ['10.01', 'At most 10.00 USD can go back now.'],
  ['ten', 'Enter the amount in digits, such as 25.'],
])(
  'everything that is wrong is told at once, and nothing goes back: %s',
  async (amount, problem) => {
    const { userId, walletId, topUpId } = await world.paid(newUser(), '10');
    const confirmation = 'Confirm that the money is to go back.';
    const refused = { key: key(), amount, confirmed: false };
    expect(await desk.askByUser({ ...refused, userId })).toEqual({
      ok: false,
      problems: { amount: problem, confirmed: confirmation },
    });
    for (const of of [topUpId, null]) {
      const asked = { ...refused, walletId, topUpId: of, reason: ' ', actor: 'support:anna' };
      expect(await desk.askBySupport(asked)).toEqual({
        ok: false,
        problems: {
          amount: problem,
          reason: 'Say why, in at most 500 characters.',
          confirmed: confirmation,
        },
      });
    }
    expect(await balanceOf(userId)).toBe(10_000_000n);
  },
);

describe('support', () => {
  it('refunds a part of one top-up, then the rest of all, with who and why', async () => {
    const first = await world.paid(newUser(), '10');
    const second = await world.paid(first.userId, '20');
    const { walletId, topUpId } = first;
    const ask = (of: string | null, amount: string) =>
      desk.askBySupport({
        ...{ walletId, topUpId: of, amount, reason: 'sold twice', key: key(), confirmed },
        actor: 'support:anna',
      });
    expect(await ask(topUpId, '4')).toEqual({ ok: true });
    expect(await ask(topUpId, '6.01')).toMatchObject({
      problems: { amount: 'At most 6.00 USD can go back now.' },
    });
    expect(await desk.ofWallet(walletId)).toMatchObject({
      refundableMicros: 26_000_000n,
      topUps: [
        { topUpId: second.topUpId, refundableMicros: 20_000_000n },
        { topUpId, refundableMicros: 6_000_000n },
      ],
      refunds: [{ reason: 'sold twice', requestedBy: 'support:anna' }],
    });
    expect(await ask(null, '')).toEqual({ ok: true });
    expect(await ask(null, '')).toMatchObject({
      problems: { amount: 'None of this can go back to a card now.' },
    });
    expect((await desk.ofWallet(walletId))?.refunds).toHaveLength(3);
    expect(await balanceOf(first.userId)).toBe(0n);
  });

  it('finds no wallet under what is no id', async () => {
    expect(await desk.ofWallet('nothing')).toBeNull();
    expect(await desk.ofWallet(randomUUID())).toBeNull();
  });
});
