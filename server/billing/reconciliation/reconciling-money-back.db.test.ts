/** Refunds and disputes of the ledger against those of Stripe, with the stand-in and a real database. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import type { DifferenceKind } from '../../store/reconciliation.ts';
import {
  type MoneyBackWorld,
  type Payment,
  startMoneyBackWorld,
} from '../money-back/money-back.fixtures.ts';
import { stripeComparisons } from './comparisons.ts';
import { createReconciliation, type Reconciliation } from './reconciling.ts';

const HOUR_MS = 3_600_000;
const logger = createLogger('silent');
let world: MoneyBackWorld;
let users = 0;

beforeAll(async () => {
  world = await startMoneyBackWorld();
});
afterAll(() => world?.stop());

const soon = (ms: number) => new Date(Date.now() + ms);
const owner = () => world.database.owner;

/** Reconciliation as of an hour from now, so that nothing is still on its way. */
function reconciliation(now = soon(HOUR_MS)): Reconciliation {
  const { gateway, events, database } = world;
  const sql = database.app;
  return createReconciliation({
    sql,
    comparisons: stripeComparisons({ sql, gateway, events, logger }),
    clock: () => now,
    logger,
  });
}

/** What is found wrong with a wallet, by kind. */
async function problemsOf(
  { walletId }: Payment,
  { settle = false, now = soon(HOUR_MS) } = {},
): Promise<string[]> {
  const found: string[] = [];
  await reconciliation(now).compare({
    range: { from: soon(-HOUR_MS), to: soon(HOUR_MS) },
    settle,
    onDifference: (kind, difference) => {
      if (difference.walletId === walletId) found.push(`${kind} ${difference.problem}`);
    },
  });
  return found;
}

/** Ten dollars, paid and credited. */
async function paid(card?: string): Promise<Payment> {
  users += 1;
  const payment = await world.pay(`compared-${users}`, '10', card);
  await world.deliverAll();
  return payment;
}

const balanceOf = async ({ walletId }: Payment) => (await world.stateOf(walletId)).balanceMicros;

/** The events of Stripe so far are lost. */
const loseEvents = () => world.newEvents();

it('what the ledger and Stripe agree on is no difference', async () => {
  const refunded = await paid();
  const failed = world.standIn.controls.refundCharge(refunded.chargeId, 300);
  world.standIn.controls.refundCharge(refunded.chargeId, 200);
  world.standIn.controls.failRefund(failed.id);
  const won = await paid();
  const dispute = world.standIn.controls.disputeCharge(won.chargeId);
  world.standIn.controls.closeDispute(dispute.id, 'won');
  const asked = await paid();
  world.standIn.controls.disputeCharge(asked.chargeId, { status: 'warning_needs_response' });
  await world.deliverAll();
  for (const payment of [refunded, won, asked]) {
    expect(await problemsOf(payment)).toEqual([]);
  }
});

describe('a refund', () => {
  it('only at Stripe is a difference, until the daily run has debited it once', async () => {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    loseEvents();
    expect(await problemsOf(payment, { now: new Date() }), 'it may be on its way').toEqual([]);
    expect(await problemsOf(payment)).toEqual(['refund not_debited']);
    expect(await balanceOf(payment)).toBe(10_000_000n);
    expect(await problemsOf(payment, { settle: true })).toEqual([]);
    expect(await problemsOf(payment, { settle: true })).toEqual([]);
    expect(await balanceOf(payment)).toBe(7_000_000n);
  });

  it('only in the ledger is a difference', async () => {
    const payment = await paid();
    await owner()`
      insert into payment_refunds (
        wallet_id, id, top_up_id, stripe_refund_id, amount_micros, debited_micros, status
      ) values (
        ${payment.walletId}, gen_random_uuid(), ${payment.topUpId}, ${`re_none_${users}`}, 1000000,
        1000000, 'succeeded')`;
    expect(await problemsOf(payment, { settle: true })).toEqual(['refund unknown_at_stripe']);
  });

  it('reserved here that never reached Stripe is a difference, one that Stripe refused is none', async () => {
    const payment = await paid();
    const reserve = (status: string, debited: number) => owner()`
      insert into payment_refunds (
        wallet_id, id, top_up_id, amount_micros, debited_micros, status
      ) values (
        ${payment.walletId}, gen_random_uuid(), ${payment.topUpId}, 1000000, ${debited}, ${status})`;
    await reserve('failed', 0);
    expect(await problemsOf(payment)).toEqual([]);
    await reserve('reserved', 1_000_000);
    expect(await problemsOf(payment)).toEqual(['refund unknown_at_stripe']);
  });

  it.each([
    [{ amount_micros: 2_000_000, debited_micros: 2_000_000 }, 'amount_differs'],
    [{ status: 'failed', debited_micros: 0 }, 'wrongly_returned'],
    [{ status: 'pending' }, 'state_differs'],
  ])('kept as %j is a difference', async (change, problem) => {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    await world.deliverAll();
    await owner()`update payment_refunds set ${owner()(change)}
      where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual([`refund ${problem}`]);
  });

  it('that failed unheard is given back by the daily run', async () => {
    const payment = await paid();
    const { id } = world.standIn.controls.refundCharge(payment.chargeId, 300);
    await world.deliverAll();
    world.standIn.controls.failRefund(id);
    loseEvents();
    expect(await problemsOf(payment)).toEqual(['refund not_returned']);
    expect(await problemsOf(payment, { settle: true })).toEqual([]);
    expect(await balanceOf(payment)).toBe(10_000_000n);
  });

  it('of another product of the same account is none of ours', async () => {
    const { id } = await world.stripe.paymentIntents.create({
      amount: 500,
      currency: 'usd',
      confirm: true,
      payment_method: 'pm_card_visa',
      return_url: 'http://localhost/done',
      automatic_payment_methods: { enabled: true },
    });
    const refund = await world.stripe.refunds.create({ payment_intent: id });
    const objects: string[] = [];
    await reconciliation().compare({
      range: { from: soon(-HOUR_MS), to: soon(HOUR_MS) },
      settle: true,
      onDifference: (_kind, { objectId }) => {
        objects.push(objectId);
      },
    });
    expect(objects).not.toContain(refund.id);
  });
});

describe('a dispute', () => {
  it('only at Stripe freezes and takes nothing until the daily run has heard of it', async () => {
    const payment = await paid();
    world.standIn.controls.disputeCharge(payment.chargeId);
    loseEvents();
    expect(await problemsOf(payment)).toEqual(['dispute not_recorded']);
    expect(await problemsOf(payment, { settle: true })).toEqual([]);
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      status: 'frozen',
      balanceMicros: 0n,
    });
  });

  it('only in the ledger is a difference', async () => {
    const payment = await paid();
    await owner()`
      insert into payment_disputes (
        wallet_id, dispute_id, top_up_id, amount_micros, state, status, freezes
      ) values (
        ${payment.walletId}, ${`du_none_${users}`}, ${payment.topUpId}, 1000000, 'open',
        'needs_response', false)`;
    expect(await problemsOf(payment)).toEqual(['dispute unknown_at_stripe']);
  });

  it('whose withdrawal is missing is debited by the daily run', async () => {
    const payment = await paid();
    const inquiry = world.standIn.controls.disputeCharge(payment.chargeId, {
      status: 'warning_needs_response',
    });
    await world.deliverAll();
    world.standIn.controls.escalateInquiry(inquiry.id);
    loseEvents();
    expect(await problemsOf(payment)).toEqual([
      'dispute withdrawal_missing',
      'dispute state_differs',
    ]);
    expect(await problemsOf(payment, { settle: true })).toEqual([]);
    expect(await balanceOf(payment)).toBe(0n);
  });

  it('that was won unheard gives back by the daily run', async () => {
    const payment = await paid();
    const { id } = world.standIn.controls.disputeCharge(payment.chargeId);
    await world.deliverAll();
    world.standIn.controls.closeDispute(id, 'won');
    loseEvents();
    expect(await problemsOf(payment)).toEqual([
      'dispute reinstatement_missing',
      'dispute state_differs',
    ]);
    expect(await problemsOf(payment, { settle: true })).toEqual([]);
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      status: 'open',
      balanceMicros: 10_000_000n,
    });
  });

  it.each([
    [{ amount_micros: 9_000_000 }, ['amount_differs']],
    [{ withdrawn_micros: 11_000_000 }, ['withdrawal_unknown']],
    [{ withdrawn_micros: 0 }, ['withdrawal_missing']],
    [{ reinstated_micros: 1_000_000 }, ['reinstatement_unknown']],
    [{ state: 'won' }, ['state_differs']],
  ])('kept with %j is a difference', async (change, problems) => {
    const payment = await paid();
    world.standIn.controls.disputeCharge(payment.chargeId);
    await world.deliverAll();
    await owner()`update payment_disputes set ${owner()(change)}
      where wallet_id = ${payment.walletId}`;
    expect(await problemsOf(payment)).toEqual(problems.map((problem) => `dispute ${problem}`));
  });
});

describe('the daily run', () => {
  it('tells of each difference once, and looks at disputes longer than at payments', async () => {
    const payment = await paid();
    const { id } = world.standIn.controls.refundCharge(payment.chargeId, 300);
    loseEvents();
    await problemsOf(payment);
    await problemsOf(payment);
    const rows = await owner()<{ kind: DifferenceKind }[]>`
      select kind from reconciliation_differences where object_id = ${id} and resolved_at is null`;
    expect(rows).toEqual([{ kind: 'refund' }]);

    const { ranges } = reconciliation().plan(new Date('2026-11-23T03:30:00Z'));
    expect(ranges).toHaveLength(37);
    expect(ranges[0]).toEqual({ from: '2026-10-19T00:00:00.000Z', to: '2026-10-20T00:00:00.000Z' });
    expect(ranges.at(-2)?.to).toBe('2026-11-24T00:00:00.000Z');
    expect(ranges.at(-1)).toEqual({
      from: '2026-05-07T00:00:00.000Z',
      to: '2026-10-19T00:00:00.000Z',
      kinds: ['dispute'],
    });
  });

  it('leaves what it was not asked to compare', async () => {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    loseEvents();
    const day = { day: '2026-11-23', from: soon(-HOUR_MS).toISOString() };
    const range = { ...day, to: soon(HOUR_MS).toISOString() };
    await reconciliation().reconcileRange({ ...range, kinds: ['dispute'] });
    expect(await balanceOf(payment)).toBe(10_000_000n);
    await reconciliation().reconcileRange(range);
    expect(await balanceOf(payment)).toBe(7_000_000n);
  });
});
