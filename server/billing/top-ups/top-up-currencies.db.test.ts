/** Amounts of top-ups are exact in every currency, from what was typed to Stripe and the ledger. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SECRET_KEY, startTestWorld, type TestWorld } from '../../dev/stripe/test-world.ts';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { formatMicros } from '../../ledger/money.ts';
import { createLogger } from '../../log.ts';
import { openWallet } from '../../store/wallets.ts';
import { createStripeGateway } from '../../stripe/gateway.ts';
import { createStripeEvents, type StripeEvents } from '../stripe-events/stripe-events.ts';
import { CURRENCY_EXPONENTS } from '../wallets/currencies.ts';
import { createWallets, type Wallets } from '../wallets/wallets.ts';
import { createTopUps, type TopUps } from './top-ups.ts';

let database: TestDatabase;
let world: TestWorld;
let wallets: Wallets;
let topUps: TopUps;
let events: StripeEvents;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await startTestWorld();
  const sql = database.app;
  const gateway = createStripeGateway({ secretKey: SECRET_KEY, apiBase: world.standIn.url });
  wallets = createWallets(sql);
  const logger = createLogger('silent');
  topUps = createTopUps({ sql, wallets, gateway, livemode: false, logger });
  events = createStripeEvents({ sql, gateway });
});

afterAll(async () => {
  await world?.stop();
  await database?.close();
});

async function userWith(currency: string): Promise<string> {
  const userId = `payer-${randomUUID()}`;
  const wallet = { walletId: randomUUID(), userId, currency, timezone: 'UTC' };
  await openWallet(database.app, { ...wallet, mode: 'live', actor: 'system:test' });
  return userId;
}

describe('a top-up is paid and credited to the last digit', () => {
  it.each([
    ['USD', '5', 500, 5_000_000n],
    ['USD', '999.99', 99_999, 999_990_000n],
    ['EUR', '10.50', 1_050, 10_500_000n],
    ['EUR', '1000.00', 100_000, 1_000_000_000n],
    ['GBP', '5.01', 501, 5_010_000n],
    ['JPY', '500', 500, 500_000_000n],
    ['JPY', '149999', 149_999, 149_999_000_000n],
    ['KWD', '2', 2_000, 2_000_000n],
    ['KWD', '12.340', 12_340, 12_340_000n],
    ['KWD', '299.990', 299_990, 299_990_000n],
  ])('%s %s', async (currency, amount, minor, micros) => {
    const userId = await userWith(currency);
    const started = await topUps.start({ userId, attemptKey: `attempt-${userId}`, amount });
    if (!started.ok) throw new Error(started.code);
    expect(started.amountMinor).toBe(minor);
    const [intentId = ''] = started.clientSecret.split('_secret_');
    const paid = await world.stripe.paymentIntents.confirm(intentId, {
      payment_method: 'pm_card_visa',
      return_url: 'http://localhost/done',
    });
    expect(paid).toMatchObject({ amount_received: minor, currency: currency.toLowerCase() });
    expect(await events.applyPayment(intentId)).toEqual({ outcome: 'CREDITED' });
    expect(await wallets.ofUser(userId)).toMatchObject({ currency, balanceMicros: micros });
  });
});

describe('every currency of wallets has its own limits', () => {
  // The least, the most, and the nearest amounts beyond them.
  const LIMITS = {
    USD: ['5.00', '1000.00', '4.99', '1000.01'],
    EUR: ['5.00', '1000.00', '4.99', '1000.01'],
    GBP: ['5.00', '1000.00', '4.99', '1000.01'],
    CHF: ['5.00', '1000.00', '4.99', '1000.01'],
    CAD: ['5.00', '1000.00', '4.99', '1000.01'],
    AUD: ['5.00', '1000.00', '4.99', '1000.01'],
    JPY: ['500', '150000', '499', '150001'],
    KWD: ['2.000', '300.000', '1.990', '300.010'],
  } as const;

  it('and no other currency has any', () => {
    expect(Object.keys(LIMITS).sort()).toEqual(Object.keys(CURRENCY_EXPONENTS).sort());
    expect(() => topUps.limits('SEK')).toThrow(RangeError);
  });

  it.each(Object.entries(LIMITS))('%s', async (currency, [least, most, below, above]) => {
    const userId = await userWith(currency);
    const start = (amount: string) =>
      topUps.start({ userId, attemptKey: `attempt-${randomUUID()}`, amount });
    expect(await start(below)).toMatchObject({ ok: false, code: 'BELOW_MINIMUM' });
    expect(await start(above)).toMatchObject({ ok: false, code: 'ABOVE_MAXIMUM' });
    expect(await topUps.list(userId)).toEqual([]);
    expect([await start(least), await start(most)]).toMatchObject([{ ok: true }, { ok: true }]);
    const { minMicros, maxMicros, presetsMicros, exponent } = topUps.limits(currency);
    expect([minMicros, maxMicros].map((micros) => formatMicros(micros, exponent))).toEqual([
      least,
      most,
    ]);
    const started = presetsMicros.map((micros) => start(formatMicros(micros, exponent)));
    expect(
      (await Promise.all(started)).every(({ ok }) => ok),
      'all that is offered',
    ).toBe(true);
  });
});

describe('an amount that cannot be paid exactly is refused', () => {
  it.each([
    ['EUR', '10.505', 'INVALID_AMOUNT'],
    ['JPY', '500.5', 'INVALID_AMOUNT'],
    ['JPY', '500.0', 'INVALID_AMOUNT'],
    // Stripe takes currencies of three decimals in steps of ten minor units.
    ['KWD', '5.001', 'INVALID_AMOUNT'],
    ['KWD', '5.0010', 'INVALID_AMOUNT'],
  ])('%s %s: %s', async (currency, amount, code) => {
    const userId = await userWith(currency);
    const refused = await topUps.start({ userId, attemptKey: `attempt-${userId}`, amount });
    expect(refused).toMatchObject({ ok: false, code });
    expect(await topUps.list(userId)).toEqual([]);
  });
});
