/** Refunds, disputes and warnings of fraud, from Stripe's events to the ledger. */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { changeWalletStatus } from '../../store/wallet-status.ts';
import { type MoneyBackWorld, type Payment, startMoneyBackWorld } from './money-back.fixtures.ts';

let world: MoneyBackWorld;
let users = 0;
let userId: string;

beforeAll(async () => {
  world = await startMoneyBackWorld();
});
afterAll(() => world?.stop());

const newUser = () => {
  users += 1;
  userId = `payer-${users}`;
  return userId;
};

/** Ten dollars, paid and credited. */
async function paid(card?: string): Promise<Payment> {
  const payment = await world.pay(newUser(), '10', card);
  await world.deliverAll();
  return payment;
}

const balanceOf = async ({ walletId }: Payment) => (await world.stateOf(walletId)).balanceMicros;

async function typesOf({ walletId }: Payment): Promise<string[]> {
  const rows = await world.database.app<{ type: string }[]>`
    select type from wallet_events where wallet_id = ${walletId} and seq > 2 order by seq`;
  return rows.map(({ type }) => type);
}

describe('a refund made at Stripe', () => {
  it('is debited once, however often and by whatever event it is told', async () => {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    const events = world.newEvents();
    expect(events.map(({ type }) => type)).toEqual(['refund.created', 'charge.refunded']);
    for (const event of [...events.toReversed(), ...events]) {
      await world.deliver(event);
    }
    expect(await balanceOf(payment)).toBe(7_000_000n);
    expect(await typesOf(payment)).toEqual(['payment_refund']);
    expect(await world.verify(payment.walletId)).toEqual([]);
  });

  it('is debited by its own amount, though a charge counts all of its refunds', async () => {
    const payment = await paid();
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    world.standIn.controls.refundCharge(payment.chargeId, 200);
    const cumulative = world.newEvents().filter(({ type }) => type === 'charge.refunded');
    for (const event of cumulative) {
      await world.deliver(event);
    }
    expect(await balanceOf(payment)).toBe(5_000_000n);
  });

  it('that fails is credited back once', async () => {
    const payment = await paid();
    const refund = world.standIn.controls.refundCharge(payment.chargeId);
    await world.deliverAll();
    expect(await balanceOf(payment)).toBe(0n);
    world.standIn.controls.failRefund(refund.id);
    await world.deliverAll();
    expect(await balanceOf(payment)).toBe(10_000_000n);
    expect(await typesOf(payment)).toEqual(['payment_refund', 'payment_refund_failed']);
  });

  it('takes what was spent, too: the balance goes below zero', async () => {
    const payment = await paid();
    await world.database.owner`
      select charge_wallet(${payment.walletId}, gen_random_uuid(), sha256('x'), 4000000, 'refuse',
        null, 'service:test', '{}')`;
    world.standIn.controls.refundCharge(payment.chargeId);
    await world.deliverAll();
    expect(await balanceOf(payment)).toBe(-4_000_000n);
    expect(await world.verify(payment.walletId)).toEqual([]);
  });

  it('that is told before its payment credits the payment first', async () => {
    const payment = await world.pay(newUser(), '10');
    const before = world.newEvents();
    world.standIn.controls.refundCharge(payment.chargeId, 400);
    await world.deliverAll();
    expect(await balanceOf(payment)).toBe(6_000_000n);
    for (const event of before) {
      await world.deliver(event);
    }
    expect(await balanceOf(payment)).toBe(6_000_000n);
  });

  it('of a payment that is none of ours is ignored', async () => {
    const intent = await world.stripe.paymentIntents.create({
      amount: 500,
      currency: 'usd',
      confirm: true,
      payment_method: 'pm_card_visa',
      return_url: 'http://localhost/done',
      automatic_payment_methods: { enabled: true },
    });
    await world.stripe.refunds.create({ payment_intent: intent.id });
    expect(new Set(await world.deliverAll())).toEqual(new Set(['not a top-up', 'moves no money']));
  });

  it('of a payment in quarantine takes nothing from the wallet', async () => {
    const payment = await world.pay(newUser(), '10');
    await world.database.owner`
      update top_ups set amount_minor = 999 where id = ${payment.topUpId}`;
    world.standIn.controls.refundCharge(payment.chargeId);
    const outcomes = await world.deliverAll();
    expect(outcomes).toContain('the payment is in quarantine');
    expect(await world.stateOf(payment.walletId)).toMatchObject({ balanceMicros: 0n, refunds: [] });
  });
});

describe('a dispute', () => {
  it('freezes the wallet and takes the money; winning gives both back', async () => {
    const payment = await paid();
    const dispute = world.standIn.controls.disputeCharge(payment.chargeId);
    await world.deliverAll();
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      status: 'frozen',
      balanceMicros: 0n,
    });
    world.standIn.controls.closeDispute(dispute.id, 'won');
    await world.deliverAll();
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      status: 'open',
      balanceMicros: 10_000_000n,
    });
    expect(await typesOf(payment)).toEqual([
      ...['dispute_opened', 'wallet_frozen', 'dispute_withdrawn'],
      ...['dispute_reinstated', 'dispute_closed', 'wallet_unfrozen'],
    ]);
    expect(await world.verify(payment.walletId)).toEqual([]);
  });

  it('that is lost stays taken, and the wallet frozen until support unfreezes it', async () => {
    const payment = await paid();
    const dispute = world.standIn.controls.disputeCharge(payment.chargeId);
    world.standIn.controls.closeDispute(dispute.id, 'lost');
    await world.deliverAll();
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      status: 'frozen',
      balanceMicros: 0n,
    });
    await changeWalletStatus(world.database.app, {
      walletId: payment.walletId,
      status: 'open',
      actor: 'support:test',
      detail: { reason: 'paid by bank transfer' },
    });
    expect((await world.stateOf(payment.walletId)).status).toBe('open');
    expect(await world.verify(payment.walletId)).toEqual([]);
  });

  it('that is an inquiry moves nothing, until the bank makes a dispute of it', async () => {
    const payment = await paid();
    const inquiry = world.standIn.controls.disputeCharge(payment.chargeId, {
      status: 'warning_needs_response',
    });
    await world.deliverAll();
    expect(await typesOf(payment)).toEqual([]);
    world.standIn.controls.escalateInquiry(inquiry.id);
    await world.deliverAll();
    expect(await world.stateOf(payment.walletId)).toMatchObject({
      status: 'frozen',
      balanceMicros: 0n,
    });
  });

  it('won unfreezes no wallet that another dispute keeps frozen', async () => {
    const first = await paid();
    const second = await world.pay(userId, '20');
    const won = world.standIn.controls.disputeCharge(first.chargeId);
    const other = world.standIn.controls.disputeCharge(second.chargeId);
    world.standIn.controls.closeDispute(won.id, 'won');
    await world.deliverAll();
    expect((await world.stateOf(first.walletId)).status).toBe('frozen');
    world.standIn.controls.closeDispute(other.id, 'won');
    await world.deliverAll();
    expect((await world.stateOf(first.walletId)).status).toBe('open');
  });

  it('won unfreezes no wallet that support froze, before it or after it', async () => {
    for (const isBefore of [true, false]) {
      const payment = await paid();
      const freeze = () =>
        changeWalletStatus(world.database.app, {
          walletId: payment.walletId,
          status: 'frozen',
          actor: 'support:test',
          detail: { reason: 'asked for' },
        });
      if (isBefore) await freeze();
      const dispute = world.standIn.controls.disputeCharge(payment.chargeId);
      await world.deliverAll();
      if (!isBefore) await freeze();
      world.standIn.controls.closeDispute(dispute.id, 'won');
      await world.deliverAll();
      expect((await world.stateOf(payment.walletId)).status).toBe('frozen');
    }
  });
});

test('a warning of fraud is remembered, and moves and freezes nothing', async () => {
  const payment = await paid();
  const warning = world.standIn.controls.warnOfFraud(payment.chargeId);
  await world.deliverAll();
  expect(await world.stateOf(payment.walletId)).toMatchObject({
    status: 'open',
    balanceMicros: 10_000_000n,
    warnings: [{ warningId: warning.id, topUpId: payment.topUpId, actionable: true }],
  });
});

describe('a top-up that its user looks at', () => {
  const backOf = async ({ userId, topUpId }: Payment) => {
    const [topUp] = await world.topUps.list(userId);
    expect(topUp).toEqual(await world.topUps.get(userId, topUpId));
    expect.assert(topUp !== undefined);
    const { refundedMicros, refundingMicros, dispute, disputedMicros } = topUp;
    return [refundedMicros, refundingMicros, dispute, disputedMicros];
  };

  it('tells what was refunded from what is on its way, and leaves out what failed', async () => {
    const payment = await paid();
    expect(await backOf(payment)).toEqual([0n, 0n, null, 0n]);
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    const failed = world.standIn.controls.refundCharge(payment.chargeId, 200);
    await world.deliverAll();
    await world.database.owner`update payment_refunds set status = 'pending'
      where stripe_refund_id = ${failed.id}`;
    expect(await backOf(payment)).toEqual([3_000_000n, 2_000_000n, null, 0n]);
    world.standIn.controls.failRefund(failed.id);
    await world.deliverAll();
    expect(await backOf(payment)).toEqual([3_000_000n, 0n, null, 0n]);
  });

  it('tells how a dispute of it stands, and of no inquiry', async () => {
    const payment = await paid();
    const inquiry = world.standIn.controls.disputeCharge(payment.chargeId, {
      status: 'warning_needs_response',
    });
    await world.deliverAll();
    expect(await backOf(payment)).toEqual([0n, 0n, null, 0n]);
    world.standIn.controls.escalateInquiry(inquiry.id);
    await world.deliverAll();
    expect(await backOf(payment)).toEqual([0n, 0n, 'open', 10_000_000n]);
    world.standIn.controls.closeDispute(inquiry.id, 'lost');
    await world.deliverAll();
    expect(await backOf(payment)).toEqual([0n, 0n, 'lost', 10_000_000n]);
  });
});
