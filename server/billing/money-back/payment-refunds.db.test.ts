/** Refunds that are asked for here, from the wallet to Stripe and back. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Payment } from './money-back.fixtures.ts';
import {
  type RefundProcess,
  type RefundWorld,
  requestOf,
  SUPPORT,
  startRefundWorld,
  taken,
} from './payment-refunds.fixtures.ts';
import type { PaymentRefundRequest } from './payment-refunds.ts';

const REFUNDS = { pathPrefix: '/v1/refunds' };
/** The SDK asks three times. */
const EVERY_TRY = { ...REFUNDS, count: 3 };

let world: RefundWorld;
let server: RefundProcess;
let users = 0;

beforeAll(async () => {
  world = await startRefundWorld();
  server = world.process();
});
afterEach(() => world.standIn.controls.clearFaults());
afterAll(() => world?.stop());

const newUser = () => {
  users += 1;
  return `refunded-${users}`;
};
const refund = (request: PaymentRefundRequest) => server.refunds.refund(request, SUPPORT);
const balanceOf = async ({ walletId }: Payment) => (await world.stateOf(walletId)).balanceMicros;
const statusesOf = async ({ walletId }: Payment) =>
  (await world.stateOf(walletId)).refunds.map((each) => ({ ...each }));

/** The ledger's own audit finds nothing, after everything that Stripe has to say was said twice. */
async function expectSound({ walletId }: Payment): Promise<void> {
  const events = world.newEvents();
  for (const event of [...events, ...events.toReversed()]) {
    await world.deliver(event);
  }
  expect(await world.verify(walletId)).toEqual([]);
}

describe('a refund of a top-up', () => {
  it('takes the money, is made once at Stripe, and names what it was asked by', async () => {
    const payment = await world.paid(newUser(), '10');
    const answer = taken(await refund(requestOf(payment, { topUpId: payment.topUpId })));
    expect(answer).toMatchObject({
      replayed: false,
      amountMicros: 10_000_000n,
      balanceMicros: 0n,
      refunds: [{ topUpId: payment.topUpId, amountMicros: 10_000_000n, status: 'succeeded' }],
    });
    const [made, ...others] = await world.atStripe(payment);
    expect(others).toEqual([]);
    expect(made).toMatchObject({
      amount: 1_000,
      metadata: { walletRefundId: answer.refunds[0]?.refundId },
    });
    await expectSound(payment);
    expect(await world.typesOf(payment.walletId)).toEqual([
      ...['wallet_opened', 'top_up', 'payment_refund'],
    ]);
    const [event] = await world.database.app`
      select actor, detail ->> 'reason' as reason, detail ->> 'originalSeq' as "originalSeq"
      from wallet_events where wallet_id = ${payment.walletId} and type = 'payment_refund'`;
    expect(event).toEqual({ actor: 'support:test', reason: 'asked for', originalSeq: '2' });
  });

  it('may come in parts, never above what the top-up has left', async () => {
    const payment = await world.paid(newUser(), '10');
    await world.paid(payment.userId, '10');
    const { topUpId } = payment;
    for (const amountMicros of [4_000_000n, 5_000_000n]) {
      taken(await refund(requestOf(payment, { topUpId, amountMicros })));
    }
    expect(await refund(requestOf(payment, { topUpId, amountMicros: 2_000_000n }))).toEqual({
      ...{ ok: false, code: 'NOT_REFUNDABLE', refundableMicros: 1_000_000n },
    });
    taken(await refund(requestOf(payment, { topUpId })));
    expect((await world.atStripe(payment)).map(({ amount }) => amount)).toEqual([100, 500, 400]);
    expect(await balanceOf(payment)).toBe(10_000_000n);
    await expectSound(payment);
  });

  it('is refused while the bank disputes it, also as a part of all unspent money', async () => {
    const disputed = await world.paid(newUser(), '10');
    const other = await world.paid(disputed.userId, '20');
    world.standIn.controls.disputeCharge(disputed.chargeId);
    await world.deliverAll();
    expect(await refund(requestOf(disputed, { topUpId: disputed.topUpId }))).toMatchObject({
      ...{ ok: false, code: 'NOT_REFUNDABLE', refundableMicros: 0n },
    });
    const { refunds } = taken(await refund(requestOf(disputed)));
    expect(refunds).toMatchObject([{ topUpId: other.topUpId, amountMicros: 20_000_000n }]);
    await expectSound(disputed);
  });

  it('of nobody, of another wallet or of money that is spent is refused', async () => {
    const payment = await world.paid(newUser(), '10');
    const other = await world.paid(newUser(), '10');
    expect(await refund(requestOf(payment, { topUpId: other.topUpId }))).toMatchObject({
      ...{ ok: false, code: 'NOT_REFUNDABLE', refundableMicros: 0n },
    });
    const nowhere = { ...requestOf(payment), wallet: { userId: 'nobody' } };
    expect(await refund(nowhere)).toEqual({ ok: false, code: 'WALLET_NOT_FOUND' });
    expect(await world.spend(payment.walletId, 10_000_000n, payment.userId)).toBe('OK');
    expect(await refund(requestOf(payment))).toMatchObject({ code: 'NOT_REFUNDABLE' });
    expect(await world.atStripe(payment)).toEqual([]);
  });

  it('is done once for its key, and another request under the key is refused', async () => {
    const payment = await world.paid(newUser(), '10');
    const request = requestOf(payment, { amountMicros: 3_000_000n });
    const first = taken(await refund(request));
    const again = await Promise.all(Array.from({ length: 10 }, () => refund(request)));
    expect(again).toEqual(again.map(() => ({ ...first, replayed: true })));
    expect(await refund({ ...request, amountMicros: 4_000_000n })).toMatchObject({
      ...{ ok: false, code: 'KEY_REUSED', seq: first.seq },
    });
    expect(await world.atStripe(payment)).toHaveLength(1);
    await expectSound(payment);
  });

  it('has a key that no id of a refund at Stripe can take', async () => {
    const payment = await world.paid(newUser(), '10');
    const made = world.standIn.controls.refundCharge(payment.chargeId, 100);
    taken(await refund(requestOf(payment, { key: made.id, amountMicros: 2_000_000n })));
    await expectSound(payment);
    expect(await balanceOf(payment)).toBe(7_000_000n);
  });

  it('from a frozen wallet is for support to ask, not for its user', async () => {
    const payment = await world.paid(newUser(), '10');
    const status = {
      wallet: { walletId: payment.walletId },
      status: 'frozen',
      reason: 'x',
    } as const;
    await world.wallets.changeStatus(status, 'support:test');
    const byUser = { actor: `user:${payment.userId}`, whileFrozen: false };
    expect(await server.refunds.refund(requestOf(payment), byUser)).toEqual({
      ...{ ok: false, code: 'WALLET_FROZEN' },
    });
    taken(await refund(requestOf(payment)));
  });
});

describe('a refund of unspent money', () => {
  it('goes to what was paid last first, and the answer has each part', async () => {
    const first = await world.paid(newUser(), '10');
    const second = await world.paid(first.userId, '20');
    const third = await world.paid(first.userId, '30');
    await world.spend(first.walletId, 5_000_000n, first.userId);
    const answer = taken(await refund(requestOf(first, { amountMicros: 52_000_000n })));
    expect(answer.refunds).toMatchObject([
      { topUpId: third.topUpId, amountMicros: 30_000_000n, status: 'succeeded' },
      { topUpId: second.topUpId, amountMicros: 20_000_000n, status: 'succeeded' },
      { topUpId: first.topUpId, amountMicros: 2_000_000n, status: 'succeeded' },
    ]);
    expect(answer).toMatchObject({ amountMicros: 52_000_000n, balanceMicros: 3_000_000n });
    expect(taken(await refund(requestOf(first))).amountMicros).toBe(3_000_000n);
    await expectSound(first);
    expect(await balanceOf(first)).toBe(0n);
  });

  it('leaves promotional credit, what is held and what is owed where they are', async () => {
    const payment = await world.paid(newUser(), '10');
    const { walletId } = payment;
    const { owner } = world.database;
    await owner`select grant_credit(${walletId}, gen_random_uuid(), sha256('g'), 5000000,
      'support:test', '{}')`;
    expect((await server.refunds.of(walletId)).refundableMicros).toBe(10_000_000n);
    await owner`select charge_wallet(${walletId}, gen_random_uuid(), sha256('x'), 17000000,
      'arrears', null, 'service:test', '{}')`;
    await world.paid(payment.userId, '8');
    const { refundableMicros } = await server.refunds.of(walletId);
    expect(refundableMicros, 'of 8, 2 were owed').toBe(6_000_000n);
    expect(taken(await refund(requestOf(payment))).amountMicros).toBe(6_000_000n);
    await expectSound(payment);
  });

  it.each([
    ['JPY', '1500', 1n, 1_499, 999_999n],
    ['JPY', '1500', 499_000_000n, 1_001, 0n],
    ['KWD', '12.340', 1n, 12_330, 9_999n],
    ['KWD', '5', 4_985_000n, 10, 5_000n],
    ['EUR', '10.50', 5_005_000n, 549, 5_000n],
  ])('of %s %s, %s micros of it spent, is exact', async (currency, amount, spent, minor, left) => {
    const payment = await world.paid(newUser(), amount, currency);
    await world.spend(payment.walletId, spent, payment.userId);
    taken(await refund(requestOf(payment)));
    expect(await world.atStripe(payment)).toMatchObject([{ amount: minor }]);
    expect(await balanceOf(payment), 'no card takes less than its coin').toBe(left);
    await expectSound(payment);
  });

  it.each([
    ['JPY', '1500', 500_000n],
    ['KWD', '5', 1_000n],
    ['USD', '5', 1n],
  ])('in steps that no card knows is refused: %s', async (currency, amount, amountMicros) => {
    const payment = await world.paid(newUser(), amount, currency);
    await expect(refund(requestOf(payment, { amountMicros }))).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
  });

  it('is never above what there was: 50 at once, while usage is charged', async () => {
    const payment = await world.paid(newUser(), '10');
    const second = await world.paid(payment.userId, '10');
    const { walletId, userId } = payment;
    const refunds = Array.from({ length: 50 }, () =>
      refund(requestOf(payment, { amountMicros: 1_000_000n })),
    );
    const charges = Array.from({ length: 50 }, (_, index) =>
      world.spend(walletId, 100_000n, `${userId}-${index}`),
    );
    const answers = await Promise.all(refunds);
    const spent = (await Promise.all(charges)).filter((code) => code === 'OK').length;
    const refunded = answers.filter(({ ok }) => ok).length;
    const atStripe = [...(await world.atStripe(payment)), ...(await world.atStripe(second))];
    const sentMinor = atStripe.reduce((sum, { amount }) => sum + amount, 0);
    expect(sentMinor).toBe(refunded * 100);
    expect(await balanceOf(payment)).toBe(
      20_000_000n - BigInt(refunded) * 1_000_000n - BigInt(spent) * 100_000n,
    );
    expect(await balanceOf(payment)).toBeGreaterThanOrEqual(0n);
    expect(refunded).toBeGreaterThan(0);
    expect(spent).toBeGreaterThan(0);
    expect(refunded + spent, 'not all of them could be').toBeLessThan(100);
    await expectSound(payment);
  });
});

describe('whatever becomes of the call to Stripe', () => {
  it.each(['hang_after_commit', 'cut_after_commit', 'error_after_commit'] as const)(
    'there is one refund and one debit: %s',
    async (fault) => {
      const payment = await world.paid(newUser(), '10');
      world.standIn.controls.api(fault, EVERY_TRY);
      const answer = taken(await refund(requestOf(payment)));
      expect(answer.refunds).toMatchObject([{ status: 'reserved' }]);
      expect(await balanceOf(payment)).toBe(0n);
      await server.sweep();
      expect(await statusesOf(payment)).toMatchObject([{ status: 'succeeded' }]);
      expect(await world.atStripe(payment)).toHaveLength(1);
      await expectSound(payment);
      expect(await balanceOf(payment)).toBe(0n);
    },
  );

  it.each(['error_before_commit', 'rate_limit'] as const)(
    'it stays taken and is asked for again: %s',
    async (fault) => {
      const payment = await world.paid(newUser(), '10');
      world.standIn.controls.api(fault, EVERY_TRY);
      const answer = taken(await refund(requestOf(payment)));
      expect(answer.refunds).toMatchObject([{ status: 'reserved' }]);
      expect(await world.atStripe(payment)).toEqual([]);
      expect(await balanceOf(payment)).toBe(0n);
      world.standIn.controls.clearFaults();
      await server.sweep();
      expect(await world.atStripe(payment)).toHaveLength(1);
      await expectSound(payment);
    },
  );

  it('a key that Stripe no longer takes leaves it taken until there is another', async () => {
    const payment = await world.paid(newUser(), '10');
    const revoked = world.process({ secretKey: 'sk_test_revoked' });
    const answer = taken(await revoked.refunds.refund(requestOf(payment), SUPPORT));
    expect(answer.refunds).toMatchObject([{ status: 'reserved' }]);
    await revoked.sweep();
    expect(await balanceOf(payment)).toBe(0n);
    await server.sweep();
    expect(await statusesOf(payment)).toMatchObject([{ status: 'succeeded' }]);
    await expectSound(payment);
  });

  it('a refusal gives the money back, once and for good', async () => {
    const payment = await world.paid(newUser(), '10');
    world.standIn.controls.api('refused', REFUNDS);
    const request = requestOf(payment, { amountMicros: 4_000_000n });
    const answer = taken(await refund(request));
    expect(answer.refunds).toMatchObject([
      { status: 'failed', failureCode: 'invalid_request_error' },
    ]);
    await server.sweep();
    expect(await balanceOf(payment)).toBe(10_000_000n);
    expect((await world.typesOf(payment.walletId)).slice(2)).toEqual([
      ...['payment_refund', 'payment_refund_failed'],
    ]);
    expect(await refund(request), 'a replay asks for nothing').toMatchObject({
      ...{ ok: true, replayed: true, refunds: [{ status: 'failed' }] },
    });
    expect(await world.atStripe(payment)).toEqual([]);
    taken(await refund(requestOf(payment, { amountMicros: 10_000_000n })));
    await expectSound(payment);
  });

  it('a part that is refused comes back alone', async () => {
    const first = await world.paid(newUser(), '10');
    const second = await world.paid(first.userId, '10');
    world.standIn.controls.api('refused', REFUNDS);
    const { refunds } = taken(await refund(requestOf(first)));
    expect(refunds).toMatchObject([
      { topUpId: second.topUpId, status: 'failed' },
      { topUpId: first.topUpId, status: 'succeeded' },
    ]);
    await expectSound(first);
    expect(await balanceOf(first)).toBe(10_000_000n);
  });

  it('a process that dies before it asks leaves it to the others, who ask once', async () => {
    const payment = await world.paid(newUser(), '10');
    await world.paid(payment.userId, '10');
    taken(await world.dying.refund(requestOf(payment), SUPPORT));
    expect(await balanceOf(payment)).toBe(0n);
    expect(await world.atStripe(payment)).toEqual([]);
    const others = Array.from({ length: 4 }, () => world.process());
    await Promise.all(others.map((other) => other.sweep()));
    expect(await statusesOf(payment)).toMatchObject([
      ...[{ status: 'succeeded' }, { status: 'succeeded' }],
    ]);
    expect(await world.atStripe(payment)).toHaveLength(1);
    await expectSound(payment);
  });

  it('what was reserved a moment ago is left to whoever reserved it', async () => {
    const payment = await world.paid(newUser(), '10');
    taken(await world.dying.refund(requestOf(payment), SUPPORT));
    const [due] = await world.database.app`
      select count(*)::int as count from claim_payment_refunds(false, 10)`;
    expect(due).toEqual({ count: 0 });
    await world.database.owner`update payment_refunds set next_attempt_at = now()
      where wallet_id = ${payment.walletId}`;
    const claim = (livemode: boolean) =>
      world.database.app`select id from claim_payment_refunds(${livemode}, 10)`;
    expect(await claim(true), "of Stripe's other mode").toHaveLength(0);
    expect(await claim(false)).toHaveLength(1);
    expect(await claim(false), 'who takes it has it alone').toHaveLength(0);
    await server.sweep();
    expect(await statusesOf(payment)).toMatchObject([{ status: 'succeeded' }]);
  });

  it('the answer does not wait for ever, and the refund is made without it', async () => {
    const payment = await world.paid(newUser(), '10');
    const hasty = world.process({ patienceMs: 50 });
    world.standIn.controls.api('hang_after_commit', { ...REFUNDS, count: 1 });
    const answer = taken(await hasty.refunds.refund(requestOf(payment), SUPPORT));
    expect(answer.refunds).toMatchObject([{ status: 'reserved' }]);
    await hasty.sweep();
    expect(await statusesOf(payment)).toMatchObject([{ status: 'succeeded' }]);
    expect(await world.atStripe(payment)).toHaveLength(1);
    await expectSound(payment);
  });
});

describe('what Stripe tells of a refund of ours', () => {
  it('before its answer comes moves nothing twice', async () => {
    const payment = await world.paid(newUser(), '10');
    world.standIn.controls.api('hang_after_commit', EVERY_TRY);
    taken(await refund(requestOf(payment)));
    await world.deliverAll();
    expect(await statusesOf(payment)).toMatchObject([{ status: 'succeeded' }]);
    await server.sweep();
    await expectSound(payment);
    expect((await world.typesOf(payment.walletId)).slice(2)).toEqual(['payment_refund']);
  });

  it('as failed after it had succeeded gives the money back once', async () => {
    const payment = await world.paid(newUser(), '10');
    taken(await refund(requestOf(payment)));
    await world.deliverAll();
    const [made] = await world.atStripe(payment);
    world.standIn.controls.failRefund(made?.id ?? '');
    await expectSound(payment);
    expect(await statusesOf(payment)).toMatchObject([{ status: 'failed', debitedMicros: 0n }]);
    expect(await balanceOf(payment)).toBe(10_000_000n);
    expect((await world.typesOf(payment.walletId)).slice(2)).toEqual([
      ...['payment_refund', 'payment_refund_failed'],
    ]);
    taken(await refund(requestOf(payment)));
    expect(await balanceOf(payment)).toBe(0n);
    await expectSound(payment);
  });

  it('is not taken for ours when somebody wrote our name on another refund', async () => {
    const payment = await world.paid(newUser(), '10');
    const answer = taken(
      await world.dying.refund(requestOf(payment, { amountMicros: 3_000_000n }), SUPPORT),
    );
    const walletRefundId = answer.refunds[0]?.refundId ?? '';
    for (const metadata of [{ walletRefundId }, { walletRefundId: 'no id at all' }]) {
      await world.stripe.refunds.create({
        ...{ payment_intent: payment.intentId, amount: 100, metadata },
      });
    }
    await world.deliverAll();
    await server.sweep();
    await expectSound(payment);
    expect((await world.atStripe(payment)).map(({ amount }) => amount)).toEqual([300, 100, 100]);
    expect(await balanceOf(payment)).toBe(5_000_000n);
  });
});

describe('the audit', () => {
  it.each([
    ['given to another request', 'request_id = gen_random_uuid()', 'PAYMENT_REFUND_UNASKED'],
    ['given to another top-up', 'top_up_id = $top_up', 'PAYMENT_REFUND_OF_OTHER'],
    ['asked for by somebody else', "requested_by = 'support:other'", 'PAYMENT_REFUND_UNASKED'],
    ['asked for by nobody', 'requested_by = null, request_id = null', 'PAYMENT_REFUND_UNASKED'],
  ])('finds a refund that was %s', async (_, change, problem) => {
    const payment = await world.paid(newUser(), '10');
    const other = await world.paid(payment.userId, '10');
    taken(await refund(requestOf(payment, { topUpId: payment.topUpId })));
    await expectSound(payment);
    await tamper(payment, change.replace('$top_up', `'${other.topUpId}'`));
    const [found, ...others] = await world.verify(payment.walletId);
    expect(found).toContain(problem);
    expect(others).toEqual([]);
  });

  it.each([
    ['given to another top-up', 'top_up_id = $top_up', 'PAYMENT_REFUND_OF_OTHER'],
    [
      'given to a request',
      "request_id = gen_random_uuid(), requested_by = 'support:test'",
      'PAYMENT_REFUND_UNASKED',
    ],
  ])('finds a refund made at Stripe that was %s', async (_, change, problem) => {
    const payment = await world.paid(newUser(), '10');
    const other = await world.paid(payment.userId, '10');
    await world.stripe.refunds.create({ payment_intent: payment.intentId, amount: 300 });
    await expectSound(payment);
    await tamper(payment, change.replace('$top_up', `'${other.topUpId}'`));
    expect(await world.verify(payment.walletId)).toEqual([expect.stringContaining(problem)]);
  });
});

/** What the owner of the machine may do to the wallet's refunds. */
async function tamper({ walletId }: Payment, change: string): Promise<void> {
  await world.database.owner.unsafe(
    `update payment_refunds set ${change} where wallet_id = '${walletId}'`,
  );
}
