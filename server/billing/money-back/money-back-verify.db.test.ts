/** What `npm run ledger -- verify` finds in rows of refunds and disputes that were changed by hand. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MoneyBackWorld, type Payment, startMoneyBackWorld } from './money-back.fixtures.ts';

let world: MoneyBackWorld;
let other: Payment;
let users = 0;

beforeAll(async () => {
  world = await startMoneyBackWorld();
  other = await paid();
});
afterAll(() => world?.stop());

/** Ten dollars, paid and credited. */
async function paid(): Promise<Payment> {
  users += 1;
  const payment = await world.pay(`verified-${users}`, '10');
  await world.deliverAll();
  return payment;
}

const problemsOf = async ({ walletId }: Payment) =>
  (await world.verify(walletId)).map((line) => line.split(':')[0]);

describe('a refund', () => {
  async function refunded(): Promise<Payment> {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    await world.deliverAll();
    expect(await problemsOf(payment)).toEqual([]);
    return payment;
  }

  it.each([
    [{ amount_micros: 2_000_000, debited_micros: 2_000_000 }, ['PAYMENT_REFUND_SUM']],
    [{ status: 'failed', debited_micros: 0 }, ['PAYMENT_REFUND_SUM']],
    [
      { amount_micros: 11_000_000, debited_micros: 11_000_000 },
      ['PAYMENT_REFUND_OF_OTHER', 'PAYMENT_REFUND_SUM'],
    ],
    [
      { requested_by: 'support:nobody', request_id: '00000000-0000-4000-8000-000000000000' },
      ['PAYMENT_REFUND_UNASKED'],
    ],
  ])('changed to %j is found', async (change, problems) => {
    const payment = await refunded();
    const { owner } = world.database;
    await owner`update payment_refunds set ${owner(change)} where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual(problems);
  });

  it("put on another wallet's top-up is found", async () => {
    const payment = await refunded();
    await world.database.owner`
      update payment_refunds set top_up_id = ${other.topUpId} where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual(['PAYMENT_REFUND_OF_OTHER']);
  });

  it('that no event tells of is found, and no row of one can be deleted', async () => {
    const payment = await paid();
    const { owner } = world.database;
    await owner`
      insert into payment_refunds (
        wallet_id, id, top_up_id, stripe_refund_id, amount_micros, debited_micros, status
      ) values (
        ${payment.walletId}, gen_random_uuid(), ${payment.topUpId}, 're_invented', 1, 1, 'succeeded')`;
    expect(await problemsOf(payment)).toEqual(['PAYMENT_REFUND_SUM']);
    for (const table of ['payment_refunds', 'payment_disputes']) {
      await expect(owner`delete from ${owner(table)}`).rejects.toThrow();
    }
  });
});

describe('a dispute', () => {
  async function disputed(): Promise<Payment> {
    const payment = await paid();
    world.standIn.controls.disputeCharge(payment.chargeId);
    await world.deliverAll();
    expect(await problemsOf(payment)).toEqual([]);
    return payment;
  }

  it.each([
    [{ withdrawn_micros: 9_000_000 }, 'DISPUTE_SUM'],
    [{ reinstated_micros: 1 }, 'DISPUTE_SUM'],
    [{ state: 'won' }, 'DISPUTE_STATE'],
    [{ state: 'inquiry' }, 'DISPUTE_STATE'],
  ])('changed to %j is found', async (change, problem) => {
    const payment = await disputed();
    const { owner } = world.database;
    await owner`update payment_disputes set ${owner(change)} where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual([problem]);
  });

  it("put on another wallet's top-up is found", async () => {
    const payment = await disputed();
    await world.database.owner`update payment_disputes set top_up_id = ${other.topUpId}
      where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual(['DISPUTE_OF_OTHER']);
  });

  it('put on another top-up of its own wallet is found', async () => {
    const { userId, chargeId } = await paid();
    const second = await world.pay(userId, '10');
    world.standIn.controls.disputeCharge(chargeId);
    await world.deliverAll();
    await world.database.owner`update payment_disputes set top_up_id = ${second.topUpId}
      where wallet_id = ${second.walletId}`;
    expect(await problemsOf(second)).toEqual(['DISPUTE_OF_OTHER']);
  });

  it('that is said to freeze a wallet which is open is found', async () => {
    const payment = await paid();
    const { id } = world.standIn.controls.disputeCharge(payment.chargeId);
    world.standIn.controls.closeDispute(id, 'won');
    await world.deliverAll();
    await world.database.owner`update payment_disputes set freezes = true
      where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual(['DISPUTE_FREEZE']);
  });
});
