/** Stripe carries out what it is asked and then does not answer in time: 20 % of 200 top-ups. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StripeWorld, startStripeWorld } from '../stripe-events/stripe-world.fixtures.ts';

const TOP_UPS = 200;
const EVERY = 5;
const AT_ONCE = 8;
/** The SDK asks three times. */
const TRIES = 3;

let world: StripeWorld;

beforeAll(async () => {
  world = await startStripeWorld({ gatewayTimeoutMs: 300 });
});
afterAll(() => world?.stop());

interface Payer {
  readonly userId: string;
  readonly amountMinor: number;
  refusedStarts: number;
}

const startOf = ({ userId, amountMinor }: Payer) =>
  world.topUps.start({
    userId,
    attemptKey: `attempt-${userId}`,
    amount: (amountMinor / 100).toFixed(2),
  });

/** A user who presses the button again until the payment form comes, and pays. */
async function payOnce(payer: Payer): Promise<void> {
  for (;;) {
    const started = await startOf(payer);
    if (started.ok) {
      await world.pay(started);
      return;
    }
    expect(started.code).toBe('PAYMENT_PROVIDER_UNAVAILABLE');
    payer.refusedStarts += 1;
  }
}

/**
 * Every answer to the creation of these users' payments is lost after Stripe carried it out, all
 * three times: no answer in time, a connection that is cut, an error.
 */
async function startLosingAnswers(unlucky: readonly Payer[]): Promise<void> {
  for (const fault of ['hang_after_commit', 'cut_after_commit', 'error_after_commit'] as const) {
    world.standIn.controls.api(fault, {
      count: (unlucky.length * TRIES) / 3,
      pathPrefix: '/v1/payment_intents',
    });
  }
  const started = await Promise.all(unlucky.map(startOf));
  for (const [index, answer] of started.entries()) {
    expect(answer).toMatchObject({ ok: false, code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
    const payer = unlucky[index];
    if (payer !== undefined) payer.refusedStarts += 1;
  }
  world.standIn.controls.clearFaults();
}

describe('when Stripe commits and then times out for 20 % of 200 top-ups', () => {
  const payers: Payer[] = Array.from({ length: TOP_UPS }, (_, index) => ({
    userId: `unsure-${index}`,
    amountMinor: 1_000 + index,
    refusedStarts: 0,
  }));
  const total = payers.reduce((sum, { amountMinor }) => sum + amountMinor, 0);

  it('each user pays once, and credits equal the payments that succeeded', {
    timeout: 120_000,
  }, async () => {
    await startLosingAnswers(payers.filter((_, index) => index % EVERY === 0));
    const queue = [...payers];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let payer = queue.shift(); payer !== undefined; payer = queue.shift()) {
          await payOnce(payer);
        }
      }),
    );
    expect(payers.filter(({ refusedStarts }) => refusedStarts > 0).length).toBeGreaterThanOrEqual(
      TOP_UPS / EVERY,
    );

    // At Stripe: one payment each, of that user's amount, and one charge that was paid.
    const intents: { id: string; amount: number; topUpId: string | undefined }[] = [];
    for await (const intent of world.stripe.paymentIntents.list({ limit: 100 })) {
      expect(intent.status).toBe('succeeded');
      intents.push({ id: intent.id, amount: intent.amount, topUpId: intent.metadata.topupId });
    }
    expect(intents).toHaveLength(TOP_UPS);
    expect(new Set(intents.map(({ topUpId }) => topUpId)).size).toBe(TOP_UPS);
    let charges = 0;
    for await (const charge of world.stripe.charges.list({ limit: 100 })) {
      charges += charge.paid ? 1 : 0;
    }
    expect(charges).toBe(TOP_UPS);

    // In the ledger: what came by webhook, and by the daily run what did not.
    for (const { id } of intents) await world.arrived(id, 'payment_intent.succeeded');
    await world.applyInbox();
    const now = new Date(Date.now() + 3_600_000);
    const reconciliation = world.reconciliation(now);
    const { day, ranges } = reconciliation.plan(now);
    for (const range of ranges) {
      expect(await reconciliation.reconcileRange({ day, ...range })).toMatchObject({
        differences: 0,
      });
    }
    const credits = await world.database.owner<{ userId: string; micros: bigint }[]>`
      select w.user_id as "userId", e.balance_delta_micros as micros
      from wallet_events e join wallets w on w.id = e.wallet_id where e.type = 'top_up'`;
    expect(credits).toHaveLength(TOP_UPS);
    expect(credits.reduce((sum, { micros }) => sum + micros, 0n)).toBe(BigInt(total) * 10_000n);
    for (const { userId, amountMinor } of payers) {
      expect(await world.balanceOf(userId)).toBe(BigInt(amountMinor) * 10_000n);
    }
  });
});
