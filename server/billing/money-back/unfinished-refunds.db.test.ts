/** Refunds that Stripe has taken and not finished, of whose end no webhook tells. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createMetrics } from '../../http/operations.ts';
import { unfinishedRefunds } from '../../store/payment-refunds.ts';
import { inboxSummary } from '../../store/stripe-inbox.ts';
import type { Payment } from './money-back.fixtures.ts';
import {
  type RefundProcess,
  type RefundWorld,
  requestOf,
  SUPPORT,
  startRefundWorld,
  taken,
} from './payment-refunds.fixtures.ts';

let world: RefundWorld;
let server: RefundProcess;
let payment: Payment;
let users = 0;

beforeAll(async () => {
  world = await startRefundWorld();
  server = world.process();
});
afterAll(() => world?.stop());

/** A payment of 10 by a card to which refunds take days. */
beforeEach(async () => {
  users += 1;
  const userId = `slow-${users}`;
  await world.wallets.open({ userId }, SUPPORT.actor);
  payment = await world.pay(userId, '10', 'pm_card_pendingRefund');
  await world.deliverAll();
});

const refund = async () => taken(await server.refunds.refund(requestOf(payment), SUPPORT));
const statusOf = async () => {
  const [row] = await world.database.app<{ status: string; minutes: number }[]>`
    select status, extract(epoch from next_attempt_at - clock_timestamp())::float8 / 60 as minutes
    from payment_refunds where wallet_id = ${payment.walletId}`;
  expect.assert(row !== undefined);
  return row;
};
const balance = async () => (await world.stateOf(payment.walletId)).balanceMicros;

it('a refund that has reached the card is known by the next sweep', async () => {
  expect((await refund()).refunds).toMatchObject([{ status: 'pending' }]);
  await server.sweep();
  expect(await statusOf()).toMatchObject({ status: 'succeeded' });
  await server.sweep();
  await world.deliverAll();
  expect(await balance()).toBe(0n);
  expect(await world.verify(payment.walletId)).toEqual([]);
});

it('one that the bank has sent back is in the wallet again, once, whatever is told later', async () => {
  await refund();
  const [made] = await world.atStripe(payment);
  world.standIn.controls.failRefund(made?.id ?? '');
  await server.sweep();
  expect(await statusOf()).toMatchObject({ status: 'failed' });
  expect(await balance()).toBe(10_000_000n);
  await server.sweep();
  await world.deliverAll();
  expect(await balance()).toBe(10_000_000n);
  expect(await world.verify(payment.walletId)).toEqual([]);
});

it('is read after an hour, then ever more seldom, and at least once a day', async () => {
  await refund();
  const revoked = world.process({ secretKey: 'sk_test_revoked' });
  const minutes: number[] = [];
  for (let sweep = 0; sweep < 7; sweep += 1) {
    await revoked.sweep();
    minutes.push(Math.round((await statusOf()).minutes));
  }
  expect(minutes).toEqual([60, 120, 240, 480, 960, 1_440, 1_440]);
  expect(await statusOf()).toMatchObject({ status: 'pending' });
});

it('is counted among the metrics by how it stands, with the age of the oldest', async () => {
  // All that was told before is delivered with this payment.
  const other = await world.paid('unanswered', '10');
  await refund();
  const answer = taken(await world.dying.refund(requestOf(other), SUPPORT));
  expect(answer.refunds).toMatchObject([{ status: 'reserved' }]);
  await world.database.owner`
    update payment_refunds set created_at = created_at - interval '1 hour'
    where wallet_id = ${other.walletId}`;
  const metrics = createMetrics({
    inbox: () => inboxSummary(world.database.app),
    openDifferences: async () => 0,
    mail: async () => ({ waiting: 0, dead: 0, oldestSeconds: 0 }),
    refunds: () => unfinishedRefunds(world.database.app),
  });
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('payment_r'));
  expect(lines).toEqual([
    expect.stringMatching(/^payment_refunds_oldest_seconds\{status="pending"\} \d/),
    'payment_refunds_oldest_seconds{status="requires_action"} 0',
    expect.stringMatching(/^payment_refunds_oldest_seconds\{status="reserved"\} 36\d\d/),
    'payment_refunds_unfinished{status="pending"} 1',
    'payment_refunds_unfinished{status="requires_action"} 0',
    'payment_refunds_unfinished{status="reserved"} 1',
  ]);
});
