/** Refunds and disputes are exact in currencies without decimals and with three. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MoneyBackWorld, type Payment, startMoneyBackWorld } from './money-back.fixtures.ts';

let world: MoneyBackWorld;
let users = 0;

beforeAll(async () => {
  world = await startMoneyBackWorld();
});
afterAll(() => world?.stop());

async function paid(currency: string, amount: string): Promise<Payment> {
  users += 1;
  const userId = `abroad-${users}`;
  await world.wallets.open({ userId, currency }, 'service:test');
  const payment = await world.pay(userId, amount);
  await world.deliverAll();
  return payment;
}

describe.each([
  { currency: 'JPY', amount: '1000', minor: 301, micros: 301_000_000n, paidMicros: 1_000_000_000n },
  { currency: 'KWD', amount: '5.000', minor: 1_230, micros: 1_230_000n, paidMicros: 5_000_000n },
])('in $currency', ({ currency, amount, minor, micros, paidMicros }) => {
  it('a refund of a part takes that part, and gives it back when it fails', async () => {
    const payment = await paid(currency, amount);
    const { id } = world.standIn.controls.refundCharge(payment.chargeId, minor);
    await world.deliverAll();
    expect((await world.stateOf(payment.walletId)).balanceMicros).toBe(paidMicros - micros);
    const topUp = await world.topUps.get(payment.userId, payment.topUpId);
    expect(topUp).toMatchObject({ currency, refundedMicros: micros });
    world.standIn.controls.failRefund(id);
    await world.deliverAll();
    expect((await world.stateOf(payment.walletId)).balanceMicros).toBe(paidMicros);
    expect(await world.verify(payment.walletId)).toEqual([]);
  });

  it('a dispute takes the whole payment, and gives it back when it is won', async () => {
    const payment = await paid(currency, amount);
    const { id } = world.standIn.controls.disputeCharge(payment.chargeId);
    await world.deliverAll();
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      balanceMicros: 0n,
      disputes: [{ withdrawnMicros: paidMicros }],
    });
    world.standIn.controls.closeDispute(id, 'won');
    await world.deliverAll();
    expect((await world.stateOf(payment.walletId)).balanceMicros).toBe(paidMicros);
    expect(await world.verify(payment.walletId)).toEqual([]);
  });
});
