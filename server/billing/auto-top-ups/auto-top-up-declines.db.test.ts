/** What automatic top-ups do when a card is refused, and when the bank asks its holder. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CardBehaviour } from '../../dev/stripe/cards.ts';
import { EVERY_WALLET, verifyRange } from '../../store/ledger.ts';
import { AutoTopUpUser, type AutoTopUpWorld, startAutoTopUpWorld } from './auto-top-up.fixtures.ts';

let world: AutoTopUpWorld;

beforeAll(async () => {
  world = await startAutoTopUpWorld('2026-10-05T12:00:00Z');
});

afterAll(() => world?.close());

beforeEach(async () => {
  await world.setClock('2026-10-05T12:00:00Z');
  world.standIn.controls.clearFaults();
});

afterEach(async () => {
  expect((await verifyRange(world.database.owner, EVERY_WALLET, 5)).differences).toEqual([]);
});

const DECLINING = 'pm_card_chargeCustomerFail';

describe('a declined card', () => {
  it('gives way to the backup card, in one payment', async () => {
    const user = await AutoTopUpUser.with(world, [DECLINING, 'pm_card_visa']);
    await user.turnOn();
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
    const intents = await world.stripe.paymentIntents.list({ customer: user.customerId });
    expect(intents.data).toHaveLength(1);
    const [attempt] = await user.attempts();
    expect(attempt).toMatchObject({
      state: 'succeeded',
      tries: [
        { last4: '0341', failureCode: 'generic_decline' },
        { last4: '4242', failureCode: null },
      ],
    });
    expect(await user.settings()).toMatchObject({ status: 'on', reason: null });
  });

  it('is tried again after an hour, six and a day, and then no more', async () => {
    const user = await AutoTopUpUser.with(world, [DECLINING]);
    await user.turnOn();
    await world.work();
    const waits = [1, 6, 24];
    for (const [index, hours] of waits.entries()) {
      expect(await user.asked()).toBe(index + 1);
      const { status, reason, nextTryAt, usedMicros } = await user.settings();
      expect({ status, reason, usedMicros }).toEqual({
        status: 'on',
        reason: 'declined',
        usedMicros: 0n,
      });
      await world.work();
      expect(await user.asked(), 'not before it is time').toBe(index + 1);
      await world.pass({ hours });
      expect(nextTryAt).toEqual(
        (await world.database.owner<{ at: Date }[]>`select ledger_now() as at`)[0]?.at,
      );
      await world.work();
    }
    expect(await user.settings()).toMatchObject({ status: 'paused', reason: 'declined' });
    await world.pass({ hours: 1_000 });
    await world.work();
    expect(await user.asked()).toBe(4);
    const intents = await world.stripe.paymentIntents.list({ customer: user.customerId });
    expect(new Set(intents.data.map(({ status }) => status)), 'none can still be paid').toEqual(
      new Set(['canceled']),
    );
  });

  it('that was declined for want of money pays the next time, and all is well again', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.declineNext('insufficient_funds');
    await world.work();
    expect(await user.settings()).toMatchObject({ status: 'on', reason: 'declined' });
    await world.pass({ hours: 1 });
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
    expect(await user.settings()).toMatchObject({ status: 'on', reason: null, nextTryAt: null });
  });

  it.each<[CardBehaviour, string]>([
    ['lost_card', 'lost_card'],
    ['stolen_card', 'stolen_card'],
    ['closed_account', 'invalid_account'],
    ['expired_card', 'expired_card'],
    ['blocked', 'fraudulent'],
  ])('%s is never asked again', async (behaviour, code) => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.declineNext(behaviour);
    await world.work();
    expect(await user.settings()).toMatchObject({ status: 'paused', reason: 'cards_refused' });
    expect((await user.attempts())[0]?.tries).toMatchObject([{ failureCode: code }]);
    expect(await world.autoTopUps.resume(user.userId)).toMatchObject({ ok: false });
    expect(await user.turnOn()).toMatchObject({ ok: false });
    await world.pass({ hours: 48 });
    await world.work();
    expect(await user.asked()).toBe(1);
    expect(await user.paidCents()).toEqual([]);
  });

  it('that is refused for good leaves the charge to the backup, now and later', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa', 'pm_card_mastercard']);
    await user.turnOn();
    world.standIn.controls.declineNext('stolen_card');
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
    await user.use(20_000_000n);
    await world.pass({ minutes: 1 });
    await world.work();
    expect((await user.attempts())[0]?.tries).toMatchObject([{ brand: 'mastercard' }]);
    expect(await user.asked()).toBe(3);
  });

  it('whose refusal was lost on the way is not asked twice', async () => {
    const user = await AutoTopUpUser.with(world, [DECLINING, 'pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.api('cut_after_commit', { count: 3 });
    await world.work();
    expect((await user.newest()).state).toBe('charging');
    await world.pass({ minutes: 2 });
    await world.work();
    expect(await user.asked(), 'each card once').toBe(2);
    expect(await user.paidCents()).toEqual([2_500]);
  });
});

describe('a card that is gone', () => {
  it('at Stripe gives way to the backup although no bank was asked', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa', 'pm_card_mastercard']);
    await user.turnOn();
    await world.stripe.paymentMethods.detach(user.cards[0] ?? '');
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
    expect(await user.asked()).toBe(1);
  });

  it('as the last pauses it at once', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    await world.stripe.paymentMethods.detach(user.cards[0] ?? '');
    await user.readCards();
    expect(await user.settings()).toMatchObject({ status: 'paused', reason: 'no_card' });
    expect(await world.autoTopUps.resume(user.userId)).toMatchObject({ ok: false });
  });
});

describe('a call that Stripe refuses', () => {
  it('counts as a failure, without any webhook, and releases what was reserved', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    await world.stripe.customers.del(user.customerId);
    await world.work();
    expect(await user.settings()).toMatchObject({
      status: 'on',
      reason: 'declined',
      usedMicros: 0n,
      nextTryAt: new Date('2026-10-05T13:00:00Z'),
    });
    expect(await user.asked()).toBe(0);
  });
});

describe('3-D Secure', () => {
  const ASKS = 'pm_card_authenticationRequired';

  /** What the browser does: confirms the payment, and passes the bank's question. */
  async function confirmOnSession(clientSecret: string, paymentMethod: string): Promise<string> {
    const [intentId = ''] = clientSecret.split('_secret_');
    const asked = await world.stripe.paymentIntents.confirm(intentId, {
      payment_method: paymentMethod,
      use_stripe_sdk: true,
      return_url: 'http://127.0.0.1/done',
    });
    expect(asked.status).toBe('requires_action');
    const answered = await fetch(`${world.standIn.url}/endive/three-d-secure`, {
      method: 'POST',
      body: new URLSearchParams({
        intent: intentId,
        client_secret: clientSecret,
        outcome: 'complete',
      }),
    });
    expect(answered.ok).toBe(true);
    return intentId;
  }

  it('demanded off-session pauses it; the link finishes the same payment, and it goes on', async () => {
    const user = await AutoTopUpUser.with(world, [ASKS]);
    await user.turnOn();
    await world.work();
    expect(await user.settings()).toMatchObject({
      status: 'paused',
      reason: 'authentication_required',
      usedMicros: 25_000_000n,
    });
    await world.pass({ hours: 30 });
    await world.work();
    expect(await user.asked(), 'the bank is not asked again and again').toBe(1);

    const token = await world.autoTopUps.renewRecovery(user.userId);
    expect(await world.autoTopUps.findRecovery(token ?? '')).toMatchObject({
      state: 'open',
      amountMicros: 25_000_000n,
      card: { last4: '3184' },
    });
    const started = await world.autoTopUps.startRecovery(token ?? '');
    if (!started.ok) {
      throw new Error(started.message);
    }
    expect(started.paymentMethodId).toBe(user.cards[0]);
    const intentId = await confirmOnSession(started.clientSecret, started.paymentMethodId);
    await world.events.applyPayment(intentId);
    expect(await user.paidCents()).toEqual([2_500]);
    expect((await user.wallet()).availableMicros).toBe(25_000_000n);
    expect(await user.settings()).toMatchObject({ status: 'on', reason: null });
    expect(await world.autoTopUps.findRecovery(token ?? '')).toMatchObject({ state: 'paid' });
  });

  it('a link is signed, works once, and not after three days', async () => {
    const user = await AutoTopUpUser.with(world, [ASKS]);
    await user.turnOn();
    await world.work();
    const first = (await world.autoTopUps.renewRecovery(user.userId)) ?? '';
    const forged = `${first.slice(0, -1)}${first.endsWith('A') ? 'B' : 'A'}`;
    for (const wrong of [forged, '', first.replace('.', '.1'), `${first}x`]) {
      expect(await world.autoTopUps.findRecovery(wrong)).toBeNull();
      expect(await world.autoTopUps.startRecovery(wrong)).toMatchObject({ ok: false });
    }
    const uses = await Promise.all(
      Array.from({ length: 5 }, () => world.autoTopUps.startRecovery(first)),
    );
    expect(uses.filter(({ ok }) => ok)).toHaveLength(1);
    expect(await world.autoTopUps.findRecovery(first)).toMatchObject({ state: 'used' });

    const second = (await world.autoTopUps.renewRecovery(user.userId)) ?? '';
    const third = (await world.autoTopUps.renewRecovery(user.userId)) ?? '';
    expect(await world.autoTopUps.findRecovery(second)).toMatchObject({ state: 'used' });
    await world.pass({ hours: 72 });
    expect(await world.autoTopUps.findRecovery(third)).toMatchObject({ state: 'expired' });
    expect(await world.autoTopUps.startRecovery(third)).toMatchObject({ ok: false });
  });

  it('that nobody answers is given up when it is turned off, and releases what was reserved', async () => {
    const user = await AutoTopUpUser.with(world, [ASKS]);
    await user.turnOn();
    await world.work();
    const token = (await world.autoTopUps.renewRecovery(user.userId)) ?? '';
    await world.autoTopUps.turnOff(user.userId);
    await world.work();
    expect(await world.autoTopUps.findRecovery(token)).toMatchObject({ state: 'over' });
    expect(await user.settings()).toMatchObject({ status: 'off', usedMicros: 0n });
    const intents = await world.stripe.paymentIntents.list({ customer: user.customerId });
    expect(intents.data.map(({ status }) => status)).toEqual(['canceled']);
  });

  it('that nobody answers for a week is given up', async () => {
    const user = await AutoTopUpUser.with(world, [ASKS]);
    await user.turnOn();
    await world.work();
    await world.pass({ hours: 7 * 24 });
    await world.work();
    expect((await user.newest()).state).toBe('failed');
    expect(await user.settings()).toMatchObject({ status: 'paused' });
  });
});

describe('support', () => {
  it('alone sets aside a dispute or a warning of fraud', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    const { walletId } = await user.wallet();
    for (const reason of ['dispute', 'fraud_warning']) {
      await world.database.app`
        select pause_auto_top_up(${walletId}, ${reason}, 'stripe:test', '{}')`;
      await world.autoTopUps.turnOff(user.userId);
      expect(await user.turnOn(), reason).toMatchObject({ ok: false });
      expect(await world.autoTopUps.resume(user.userId), reason).toMatchObject({ ok: false });
      await world.work();
      expect(await user.paidCents()).toEqual([]);
      await world.database.app`select resume_auto_top_up(${walletId}, 'user:support', true)`;
      expect(await user.turnOn(), 'after support').toEqual({ ok: true });
    }
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
  });
});
