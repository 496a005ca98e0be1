import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { createLogger } from '../../log.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { type ChargeWrite, chargeWallet } from '../../store/charges.ts';
import { recordTopUpAttempt, startTopUp } from '../../store/top-ups.ts';
import type { WalletView } from '../../views/wallets.ts';
import {
  actor,
  createPricingWorld,
  type PricingWorld,
  startsAt,
} from '../charging/pricing.fixtures.ts';
import { type Alerts, alertLinks, createAlerts, createNoticeFollower } from './notices.ts';

const logger = createLogger('silent');

let world: PricingWorld;
let alerts: Alerts;
let follower: ReturnType<typeof createNoticeFollower>;

beforeAll(async () => {
  world = await createPricingWorld();
  const { wallets, database } = world;
  const sql = database.app;
  alerts = createAlerts({ sql, wallets, links: alertLinks('a secret of thirty-two characters') });
  follower = createNoticeFollower({ sql, intervalMs: 1_000, logger });
});

afterAll(() => world?.database.close());

beforeEach(() => world.setNow(startsAt));

afterEach(async () => {
  // Whatever a test did, following again finds nothing new to tell.
  await follower.tick();
  const [before] = await world.database.owner`select count(*) as n from mail_outbox`;
  await world.database.owner`select derive_notices(array(select id from wallets))`;
  const [after] = await world.database.owner`select count(*) as n from mail_outbox`;
  expect(after).toEqual(before);
});

/** A wallet whose user has an account, followed already. */
async function walletWith(amountMicros: bigint, currency = 'USD'): Promise<WalletView> {
  const id = `u_${randomUUID()}`;
  await addUser(world.database.owner, id);
  const wallet = await world.wallets.open({ userId: id, currency }, actor);
  await fund(wallet, amountMicros);
  await follower.tick();
  return wallet;
}

const fund = (wallet: WalletView, amountMicros: bigint) =>
  world.grants.grant({ wallet, amountMicros, key: randomUUID(), reason: 'test' }, actor);

function chargeOf({ walletId }: WalletView, amountMicros: bigint): ChargeWrite {
  const reference = randomUUID();
  return {
    walletId,
    key: ledgerKey('usage:sms', reference),
    requestHash: requestHash({ reference }),
    amountMicros,
    overrun: 'refuse',
    occurredAt: null,
    actor,
    detail: { reference },
  };
}

async function spend(wallet: WalletView, amountMicros: bigint): Promise<void> {
  const { code } = await chargeWallet(world.database.app, chargeOf(wallet, amountMicros));
  expect(code).toBe('OK');
}

interface Told {
  kind: string;
  payload: Record<string, unknown>;
}

async function toldTo({ userId }: WalletView): Promise<Told[]> {
  return world.database.owner<Told[]>`
    select kind, payload from mail_outbox where user_id = ${userId} order by created_at, id`;
}

/** Thresholds that each mail about a low balance named, in units. */
async function alertsTo(wallet: WalletView): Promise<string[][]> {
  const told = await toldTo(wallet);
  return told
    .filter(({ kind }) => kind === 'low_balance')
    .map(({ payload }) => payload.thresholdsMicros as string[]);
}

describe('an alert at a low balance', () => {
  it('is told once when what is available falls below a threshold, not at it', async () => {
    const wallet = await walletWith(10_000_000n);
    await spend(wallet, 5_000_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([]);
    await spend(wallet, 1n);
    await follower.tick();
    await spend(wallet, 1_000_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000']]);
    expect((await toldTo(wallet))[0]?.payload).toMatchObject({
      availableMicros: '4999999',
      currency: 'USD',
      exponent: 2,
    });
  });

  it('is armed again when the balance rises above the threshold', async () => {
    const wallet = await walletWith(6_000_000n);
    for (let round = 0; round < 3; round += 1) {
      await spend(wallet, 2_000_000n);
      await fund(wallet, 2_000_000n);
    }
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000'], ['5000000'], ['5000000']]);
    await spend(wallet, 2_000_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toHaveLength(4);
  });

  it('names all thresholds that one charge passed in one mail', async () => {
    const wallet = await walletWith(6_000_000n);
    await spend(wallet, 5_500_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['1000000', '5000000']]);
  });

  it('is told for each threshold that is passed after another', async () => {
    const wallet = await walletWith(6_000_000n);
    await spend(wallet, 2_000_000n);
    await spend(wallet, 3_500_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000'], ['1000000']]);
  });

  it('is exact under concurrent charges and followers', async () => {
    const wallet = await walletWith(10_000_000n);
    const followers = Array.from({ length: 4 }, () =>
      createNoticeFollower({ sql: world.database.app, intervalMs: 1_000, logger }),
    );
    await Promise.all([
      ...Array.from({ length: 95 }, () => spend(wallet, 100_000n)),
      ...followers.flatMap((each) => [each.tick(), each.tick(), each.tick()]),
    ]);
    await Promise.all(followers.map((each) => each.tick()));
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000'], ['1000000']]);
  });

  it('tells of a hold that takes what was available, and not of each of many holds', async () => {
    const wallet = await walletWith(6_000_000n);
    for (let round = 0; round < 3; round += 1) {
      const placed = await world.holds.authorize(
        { wallet, key: randomUUID(), estimate: { amountMicros: 2_000_000n }, ttlSeconds: 300 },
        actor,
      );
      expect.assert(placed.ok);
      await world.holds.void({ holdId: placed.holdId }, actor);
    }
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000']]);

    // Money came in since: the next fall is another matter.
    await fund(wallet, 1_000_000n);
    await spend(wallet, 3_000_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000'], ['5000000']]);
  });

  it('tells again an hour later although no money came in between', async () => {
    const wallet = await walletWith(6_000_000n);
    const placed = await world.holds.authorize(
      { wallet, key: 'long', estimate: { amountMicros: 2_000_000n }, ttlSeconds: 300 },
      actor,
    );
    expect.assert(placed.ok);
    await world.holds.void({ holdId: placed.holdId }, actor);
    await world.wait(3_600.001);
    await spend(wallet, 2_000_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toHaveLength(2);
  });

  it('is not mailed about yesterday, nor to a wallet that never had the money', async () => {
    const empty = await walletWith(1n);
    const wallet = await walletWith(6_000_000n);
    await spend(wallet, 2_000_000n);
    await world.wait(24 * 3_600 + 0.001);
    await follower.tick();
    expect([...(await toldTo(wallet)), ...(await toldTo(empty))]).toEqual([]);
    expect(await alerts.lowBalance(wallet.userId)).toMatchObject({ thresholdMicros: 5_000_000n });
    expect(await alerts.lowBalance(empty.userId)).toBeNull();
  });

  it('starts in the size of its currency', async () => {
    const yen = await walletWith(600_000_000n, 'JPY');
    const dinar = await walletWith(2_000_000n, 'KWD');
    await spend(yen, 150_000_000n);
    await spend(dinar, 600_000n);
    await follower.tick();
    expect(await alertsTo(yen)).toEqual([['500000000']]);
    expect(await alertsTo(dinar)).toEqual([['1500000']]);
  });

  it('is not kept for users of the host product, who have no account here', async () => {
    const wallet = await world.wallets.open({ userId: `host-${randomUUID()}` }, actor);
    await fund(wallet, 6_000_000n);
    await spend(wallet, 2_000_000n);
    await follower.tick();
    expect(await toldTo(wallet)).toEqual([]);
  });

  it('is found in a history longer than one pass looks at', async () => {
    const wallet = await walletWith(6_000_000n);
    for (let n = 0; n < 12; n += 1) await spend(wallet, 100_000n);
    const [found] = await world.database.owner<{ definition: string }[]>`
      select pg_get_functiondef('derive_wallet_notices(notice_cursors)'::regprocedure)
        as definition`;
    const definition = found?.definition ?? '';
    await world.database.owner.unsafe(definition.replace('bigint := 10000', 'bigint := 5'));
    const passes: number[] = [];
    for (let pass = 0; pass < 4; pass += 1) {
      await follower.tick();
      passes.push((await alertsTo(wallet)).length);
    }
    await world.database.owner.unsafe(definition);
    expect(passes).toEqual([0, 0, 1, 1]);
  });
});

describe('the alerts of a user', () => {
  it('are edited and shown highest first', async () => {
    const { userId } = await walletWith(20_000_000n);
    const saved = await alerts.save({
      userId,
      amounts: ['2', '', '10.50'],
      byMail: false,
    });
    expect(saved).toEqual({ ok: true });
    expect(await alerts.get(userId)).toEqual({
      byMail: false,
      thresholds: [
        { thresholdMicros: 10_500_000n, below: false, since: null },
        { thresholdMicros: 2_000_000n, below: false, since: null },
      ],
    });
  });

  it('are refused at the place of one that is there already', async () => {
    const { userId } = await walletWith(20_000_000n);
    expect(await alerts.save({ userId, amounts: ['2', '', '2.00'], byMail: false })).toEqual({
      ok: false,
      problems: { 2: 'This is the same as alert 1.' },
    });
  });

  it('are refused by their place when they are no amounts, and nothing is changed', async () => {
    const { userId } = await walletWith(20_000_000n);
    const before = await alerts.get(userId);
    const amounts = ['5', 'ten', '1.234', '0', '99999999999'];
    const answer = await alerts.save({ userId, amounts, byMail: true });
    expect.assert(!answer.ok);
    expect(Object.keys(answer.problems)).toEqual(['1', '2', '3', '4']);
    expect(await alerts.get(userId)).toEqual(before);
  });

  it('that are new and above what is available are shown and not mailed', async () => {
    const wallet = await walletWith(7_000_000n);
    const { userId } = wallet;
    await alerts.save({ userId, amounts: ['10'], byMail: true });
    await follower.tick();
    expect(await toldTo(wallet)).toEqual([]);
    expect(await alerts.lowBalance(userId)).toEqual({
      currency: 'USD',
      thresholdMicros: 10_000_000n,
      availableMicros: 7_000_000n,
    });
  });

  it('tell of what happened before they were changed by the thresholds of then', async () => {
    const wallet = await walletWith(6_000_000n);
    await spend(wallet, 2_000_000n);
    await alerts.save({ userId: wallet.userId, amounts: ['3'], byMail: true });
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000']]);
    await spend(wallet, 2_000_000n);
    await follower.tick();
    expect(await alertsTo(wallet)).toEqual([['5000000'], ['3000000']]);
  });

  it('send no mail when it is not wanted, and are shown all the same', async () => {
    const wallet = await walletWith(6_000_000n);
    await alerts.save({ userId: wallet.userId, amounts: ['5'], byMail: false });
    await spend(wallet, 2_000_000n);
    await follower.tick();
    expect(await toldTo(wallet)).toEqual([]);
    expect(await alerts.lowBalance(wallet.userId)).toMatchObject({ thresholdMicros: 5_000_000n });
  });

  it('are gone from the pages as soon as the balance is there again', async () => {
    const wallet = await walletWith(6_000_000n);
    await spend(wallet, 5_500_000n);
    await follower.tick();
    expect(await alerts.lowBalance(wallet.userId)).toMatchObject({ thresholdMicros: 1_000_000n });
    await fund(wallet, 2_000_000n);
    expect(await alerts.lowBalance(wallet.userId)).toMatchObject({ thresholdMicros: 5_000_000n });
    await fund(wallet, 5_000_000n);
    expect(await alerts.lowBalance(wallet.userId)).toBeNull();
  });
});

describe('a payment', () => {
  async function startedTopUp({ walletId }: WalletView) {
    const topUpId = randomUUID();
    const started = await startTopUp(world.database.app, {
      topUpId,
      walletId,
      attemptKey: `attempt-${topUpId}`,
      amountMicros: 25_000_000n,
      amountMinor: 2_500n,
      livemode: false,
    });
    expect(started.code).toBe('OK');
    return topUpId;
  }

  it('that failed is told of once, however many cards were tried', async () => {
    const wallet = await walletWith(1n);
    const topUpId = await startedTopUp(wallet);
    for (const failureMessage of ['Your card was declined.', 'Your card has expired.']) {
      for (const status of ['failed', 'created'] as const) {
        await recordTopUpAttempt(world.database.app, {
          topUpId,
          paymentIntentId: `pi_${topUpId}`,
          status,
          failureCode: 'card_declined',
          failureMessage,
        });
      }
    }
    const told = await toldTo(wallet);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({
      kind: 'payment_failed',
      payload: { topUpId, amountMicros: '25000000', reason: 'Your card was declined.' },
    });
  });

  it('that was credited brings one receipt', async () => {
    const wallet = await walletWith(1n);
    const topUpId = await startedTopUp(wallet);
    await world.database.owner`insert into stripe_customers (user_id, livemode, stripe_customer_id)
      values (${wallet.userId}, false, ${`cus_${topUpId}`})`;
    const apply = () => world.database.app`
      select code from apply_top_up(${`pi_${topUpId}`}, ${topUpId}, ${`cus_${topUpId}`}, 'USD',
        2500, false, ${actor}, ${world.now()})`;
    await Promise.all([apply(), apply()]);
    await follower.tick();
    const told = await toldTo(wallet);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({
      kind: 'receipt',
      payload: { topUpId, amountMicros: '25000000' },
    });
  });
});
