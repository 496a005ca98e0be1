/** What users are told of refunds and disputes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseNotice } from '../../mail/notice.ts';
import { letterOf } from '../../mail/texts.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { type MoneyBackWorld, type Payment, startMoneyBackWorld } from './money-back.fixtures.ts';

let world: MoneyBackWorld;
let users = 0;

beforeAll(async () => {
  world = await startMoneyBackWorld();
});
afterAll(() => world?.stop());

/** Ten dollars, paid and credited, by a user with an account. */
async function paid(): Promise<Payment> {
  users += 1;
  const id = `told-${users}`;
  await addUser(world.database.owner, id);
  const payment = await world.pay(id, '10');
  await world.deliverAll();
  return payment;
}

/** The letters to the payment's user so far, oldest first. */
async function lettersTo({ walletId }: Payment) {
  const rows = await world.database.owner<{ kind: string; payload: unknown }[]>`
    select o.kind, o.payload from mail_outbox o join wallets w on w.user_id = o.user_id
    where w.id = ${walletId} order by o.created_at, o.id`;
  return rows.map(({ kind, payload }) => {
    const notice = parseNotice(kind, payload);
    expect.assert(notice !== null);
    return letterOf(notice);
  });
}

const subjectsTo = async (payment: Payment) =>
  (await lettersTo(payment)).map(({ subject }) => subject);

describe('a user is told', () => {
  it('once of a refund that was made, however often Stripe tells of it', async () => {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    const events = world.newEvents();
    for (const event of [...events.toReversed(), ...events]) {
      await world.deliver(event);
    }
    expect(await subjectsTo(payment)).toEqual(['Refund of $3.00 to your card']);
  });

  it('that a refund did not reach the card, and that the money is in the wallet again', async () => {
    const payment = await paid();
    const refund = world.standIn.controls.refundCharge(payment.chargeId);
    await world.deliverAll();
    world.standIn.controls.failRefund(refund.id);
    await world.deliverAll();
    await world.deliverAll();
    expect(await subjectsTo(payment)).toEqual([
      'Refund of $10.00 to your card',
      'Your refund of $10.00 did not reach your card',
    ]);
  });

  it.each(['won', 'lost'] as const)('that a dispute began, and how it ended: %s', async (end) => {
    const payment = await paid();
    const dispute = world.standIn.controls.disputeCharge(payment.chargeId);
    await world.deliverAll();
    const [opened] = await lettersTo(payment);
    expect(opened?.subject).toBe('A payment of $10.00 is disputed');
    expect(opened?.paragraphs.join(' ')).toContain('nothing can be spent');
    world.standIn.controls.closeDispute(dispute.id, end);
    await world.deliverAll();
    const [, closed, ...others] = await lettersTo(payment);
    expect(others).toEqual([]);
    expect(closed?.subject).toBe('The dispute of a payment of $10.00 has ended');
    expect(closed?.paragraphs.join(' ')).toContain(
      end === 'won' ? 'in your wallet again' : 'goes back to the card',
    );
  });

  it('nothing of an inquiry', async () => {
    const payment = await paid();
    world.standIn.controls.disputeCharge(payment.chargeId, { status: 'warning_needs_response' });
    await world.deliverAll();
    expect(await lettersTo(payment)).toEqual([]);
  });
});
