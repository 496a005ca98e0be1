import type Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorld, type TestWorld } from './test-world.ts';

let world: TestWorld;
let stripe: Stripe;

beforeAll(async () => {
  world = await startTestWorld();
  stripe = world.stripe;
});
afterAll(() => world.stop());

async function pay(card = 'pm_card_visa'): Promise<{ intentId: string; chargeId: string }> {
  const intent = await stripe.paymentIntents.create({
    amount: 2500,
    confirm: true,
    currency: 'usd',
    payment_method: card,
    return_url: 'https://example.com/back',
  });
  return { intentId: intent.id, chargeId: String(intent.latest_charge) };
}

/** Event types since the last call, oldest first. */
async function eventsSince(count: number): Promise<string[]> {
  const events = world.standIn.controls.events(1000);
  return events
    .slice(0, events.length - count)
    .map(({ event }) => event.type)
    .reverse();
}

function eventCount(): number {
  return world.standIn.controls.events(1000).length;
}

describe('refunds', () => {
  it('give back in parts, and never more than was paid', async () => {
    const { intentId, chargeId } = await pay();
    const before = eventCount();
    const part = await stripe.refunds.create({ payment_intent: intentId, amount: 1000 });
    expect(part).toMatchObject({ amount: 1000, charge: chargeId, status: 'succeeded' });
    await expect(
      stripe.refunds.create({ payment_intent: intentId, amount: 1501 }),
    ).rejects.toMatchObject({ param: 'amount', statusCode: 400 });
    const rest = await stripe.refunds.create({ charge: chargeId });
    expect(rest.amount).toBe(1500);
    await expect(stripe.refunds.create({ charge: chargeId })).rejects.toMatchObject({
      code: 'charge_already_refunded',
    });
    expect(await stripe.charges.retrieve(chargeId)).toMatchObject({
      amount_refunded: 2500,
      refunded: true,
    });
    expect(await eventsSince(before)).toEqual([
      'refund.created',
      'charge.refunded',
      'refund.created',
      'charge.refunded',
    ]);
  });

  it('that the bank sends back count as not given', async () => {
    const { chargeId } = await pay('pm_card_refundFail');
    const refund = await stripe.refunds.create({ charge: chargeId });
    expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({
      failure_reason: 'expired_or_canceled_card',
      status: 'failed',
    });
    expect((await stripe.charges.retrieve(chargeId)).amount_refunded).toBe(0);
  });

  it('of an intent that was never paid are refused', async () => {
    const intent = await stripe.paymentIntents.create({ amount: 500, currency: 'usd' });
    await expect(stripe.refunds.create({ payment_intent: intent.id })).rejects.toMatchObject({
      code: 'payment_intent_unexpected_state',
    });
  });

  it('made in the dashboard are announced without an API request', async () => {
    const { chargeId } = await pay();
    const refund = world.standIn.controls.refundCharge(chargeId, 700);
    const [newest] = world.standIn.controls.events(1);
    expect(refund.amount).toBe(700);
    expect(newest?.event).toMatchObject({ request: null, type: 'charge.refunded' });
  });
});

describe('disputes', () => {
  it('take the money at once and give it back when won', async () => {
    const before = eventCount();
    const { chargeId } = await pay('pm_card_createDispute');
    const [dispute] = (await stripe.disputes.list({ charge: chargeId })).data;
    expect(dispute).toMatchObject({ amount: 2500, status: 'needs_response' });
    expect(dispute?.balance_transactions.map(({ amount }) => amount)).toEqual([-2500]);
    await expect(stripe.refunds.create({ charge: chargeId })).rejects.toMatchObject({
      code: 'charge_disputed',
    });
    const won = await stripe.disputes.update(dispute?.id ?? '', {
      evidence: { uncategorized_text: 'winning_evidence' },
    });
    expect(won.status).toBe('won');
    expect(won.balance_transactions.map(({ amount }) => amount)).toEqual([-2500, 2500]);
    expect((await eventsSince(before)).filter((type) => type.includes('dispute'))).toEqual([
      'charge.dispute.created',
      'charge.dispute.funds_withdrawn',
      'charge.dispute.updated',
      'charge.dispute.closed',
      'charge.dispute.funds_reinstated',
    ]);
  });

  it('that are inquiries take no money and can only be closed', async () => {
    const { chargeId } = await pay();
    const { controls } = world.standIn;
    const inquiry = controls.disputeCharge(chargeId, { status: 'warning_needs_response' });
    expect(inquiry.balance_transactions).toEqual([]);
    expect(() => controls.closeDispute(inquiry.id, 'won')).toThrow();
    expect(controls.closeDispute(inquiry.id, 'warning_closed').status).toBe('warning_closed');
  });

  it('that are accepted are lost for good', async () => {
    const { chargeId } = await pay();
    const dispute = world.standIn.controls.disputeCharge(chargeId, { amount: 1000 });
    expect((await stripe.disputes.close(dispute.id)).status).toBe('lost');
    expect(() => world.standIn.controls.closeDispute(dispute.id, 'won')).toThrow();
    expect(() => world.standIn.controls.disputeCharge(chargeId)).toThrow(/disputed already/);
  });
});
