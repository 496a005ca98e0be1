/** Which charges automatic top-ups make, and that they never make another. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { reserveAutoTopUp } from '../../store/auto-top-ups.ts';
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

const dollars = (amount: number) => BigInt(amount) * 1_000_000n;

/** $10 that the user is paying by hand. */
async function startPayment(user: AutoTopUpUser): Promise<void> {
  const { walletId } = await user.wallet();
  await world.database.owner`
    insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor,
                         livemode, status, updated_at)
    values (gen_random_uuid(), ${walletId}, 'on-its-way', 'USD', 10000000, 1000, false,
            'processing', ledger_now())`;
}

describe('below the threshold', () => {
  it('one charge restores the target, and the ledger credits it', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    expect(await user.turnOn()).toEqual({ ok: true });
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
    expect((await user.wallet()).availableMicros).toBe(dollars(25));
    await user.use(dollars(15));
    await world.work();
    expect(await user.paidCents(), 'exactly the threshold is enough').toEqual([2_500]);
    await user.use(1n);
    await world.work();
    // A whole cent up, so that the target is reached.
    expect(await user.paidCents()).toEqual([2_500, 1_501]);
    expect((await user.settings()).usedMicros).toBe(40_010_000n);
  });

  it('an added amount is charged as many times as it takes, in one charge', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.use(dollars(12));
    expect((await user.wallet()).arrearsMicros).toBe(dollars(12));
    await user.turnOn({ mode: 'add', amount: '10' });
    await world.work();
    expect(await user.paidCents(), '12 owed and 10 wanted').toEqual([3_000]);
    expect((await user.wallet()).availableMicros).toBe(dollars(18));
  });

  it.each([
    {
      currency: 'JPY',
      terms: { threshold: '1000', amount: '2500', monthlyCap: '100000' },
      usedMicros: 1_500_000_001n,
      charged: ['1501 jpy', '2500 jpy'],
      creditedMicros: 4_001_000_000n,
    },
    {
      currency: 'KWD',
      terms: { threshold: '10', amount: '25.010', monthlyCap: '100000' },
      usedMicros: 15_010_001n,
      charged: ['15020 kwd', '25010 kwd'],
      creditedMicros: 40_030_000n,
    },
  ])('in $currency a charge is of whole steps that Stripe takes', async (each) => {
    const { currency, terms, usedMicros, charged, creditedMicros } = each;
    const user = await AutoTopUpUser.with(world, ['pm_card_visa'], { currency });
    expect(await user.turnOn(terms)).toEqual({ ok: true });
    await world.work();
    await user.use(usedMicros);
    await world.work();
    const { data } = await world.stripe.charges.list({ customer: user.customerId });
    expect(data.map((charge) => `${charge.amount} ${charge.currency}`)).toEqual(charged);
    expect((await user.wallet()).balanceMicros).toBe(creditedMicros - usedMicros);
  });

  it('what is on its way counts', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await startPayment(user);
    await user.turnOn();
    await world.work();
    expect(await user.paidCents()).toEqual([]);
  });

  it('wallets that wait for a payment do not stand in the way of others', async () => {
    const waiting = await Promise.all(
      Array.from({ length: 20 }, () => AutoTopUpUser.with(world, ['pm_card_visa'])),
    );
    for (const user of waiting) {
      await user.turnOn();
      await startPayment(user);
    }
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
  });

  it('a call under a key that another call uses is no refusal, and nothing is released', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    const { walletId } = await user.wallet();
    const topUpId = randomUUID();
    await reserveAutoTopUp(world.database.app, walletId, topUpId);
    await world.stripe.paymentIntents.create(
      {
        amount: 700,
        currency: 'usd',
        confirm: true,
        off_session: true,
        customer: user.customerId,
        payment_method: user.cards[0] ?? '',
      },
      { idempotencyKey: `auto_top_up_${topUpId}_1` },
    );
    await world.charging.resume(topUpId);
    expect((await user.newest()).state).toBe('charging');
    expect((await user.settings()).usedMicros).toBe(dollars(25));
  });

  it('fifty triggers at once make one charge', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    const { walletId } = await user.wallet();
    const codes = await Promise.all(
      Array.from({ length: 50 }, () => world.charging.topUp(walletId)),
    );
    expect(codes.filter((code) => code === 'RESERVED')).toHaveLength(1);
    expect(await user.paidCents()).toEqual([2_500]);
    expect((await user.wallet()).availableMicros).toBe(dollars(25));
  });

  it('nothing is charged without consent to the very text', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    for (const consentVersion of [null, '2020-01-01']) {
      expect(await user.turnOn({ consentVersion })).toEqual({
        ok: false,
        problems: { consent: expect.stringContaining('Agree') },
      });
    }
    expect(await user.turnOn({ consentVersion: null, amount: '1', monthlyCap: 'x' })).toEqual({
      ok: false,
      problems: {
        amount: expect.stringContaining('Restore to'),
        monthlyCap: expect.any(String),
        consent: expect.any(String),
      },
    });
    await world.work();
    expect(await user.paidCents()).toEqual([]);
    await user.turnOn();
    const { walletId } = await user.wallet();
    const [consent] = await world.database.app<{ actor: string; at: Date; detail: object }[]>`
      select actor, at, detail from auto_top_up_log where wallet_id = ${walletId}`;
    expect(consent).toEqual({
      actor: `user:${user.userId}`,
      at: new Date('2026-10-05T12:00:00Z'),
      detail: {
        consentVersion: '2026-11-23',
        currency: 'USD',
        livemode: false,
        thresholdMicros: '10000000',
        mode: 'restore',
        amountMicros: '25000000',
        monthlyCapMicros: '100000000',
      },
    });
  });

  it('nothing is charged once it is off, or its wallet is frozen', async () => {
    const off = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await off.turnOn();
    await world.autoTopUps.turnOff(off.userId);
    const frozen = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await frozen.turnOn();
    const { walletId } = await frozen.wallet();
    await world.database.app`
      select change_wallet_status(${walletId}, 'frozen', 'test:auto', '{"reason": "a test"}')`;
    await world.work();
    expect(await off.paidCents()).toEqual([]);
    expect(await frozen.paidCents()).toEqual([]);
    expect(await off.settings()).toMatchObject({ status: 'off', reason: 'user' });
    expect(await frozen.settings()).toMatchObject({ status: 'paused', reason: 'wallet_frozen' });
  });
});

describe('the monthly cap', () => {
  it('is used to the last cent, never exceeded, and new in the next month', async () => {
    const timezone = 'America/New_York';
    const user = await AutoTopUpUser.with(world, ['pm_card_visa'], { timezone });
    await user.turnOn({ monthlyCap: '32' });
    await world.work();
    await user.use(dollars(25));
    await world.work();
    expect(await user.paidCents(), 'what is left of the cap').toEqual([2_500, 700]);
    await user.use(dollars(7));
    await world.work();
    expect(await user.paidCents()).toEqual([2_500, 700]);
    expect(await user.settings()).toMatchObject({
      status: 'on',
      reason: 'cap_reached',
      usedMicros: dollars(32),
      nextTryAt: new Date('2026-11-01T04:00:00Z'),
    });
    await world.setClock('2026-11-01T03:59:59Z');
    await world.work();
    expect(await user.paidCents()).toHaveLength(2);
    await world.setClock('2026-11-01T04:00:00Z');
    await world.work();
    expect(await user.paidCents()).toEqual([2_500, 700, 2_500]);
    expect(await user.settings()).toMatchObject({ reason: null, usedMicros: dollars(25) });
  });

  it('holds while outcomes are unknown: what may have been charged stays reserved', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn({ monthlyCap: '25' });
    world.standIn.controls.api('cut_after_commit', { count: 3, pathPrefix: '/v1/payment_intents' });
    await world.work();
    expect((await user.newest()).state).toBe('charging');
    expect((await user.settings()).usedMicros).toBe(dollars(25));
    const { walletId } = await user.wallet();
    expect(await world.charging.topUp(walletId)).toBe('IN_FLIGHT');
    await world.pass({ minutes: 2 });
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
    expect((await user.wallet()).availableMicros).toBe(dollars(25));
  });
});

describe('the monthly cap, with fifty triggers at once and unknown outcomes', () => {
  const faults = ['cut_after_commit', 'error_before_commit', 'error_after_commit'] as const;

  it('is used to the last cent and never exceeded', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn({ monthlyCap: '60' });
    const { walletId } = await user.wallet();
    const fiftyTriggers = async () => {
      const codes = await Promise.all(
        Array.from({ length: 50 }, () => world.charging.topUp(walletId)),
      );
      return codes.filter((code) => code === 'RESERVED').length;
    };
    for (const fault of [...faults, ...faults]) {
      const isCapLeft = (await user.settings()).usedMicros < dollars(60);
      // The SDK asks three times.
      world.standIn.controls.api(fault, { count: 3, pathPrefix: '/v1/payment_intents' });
      expect(await fiftyTriggers()).toBe(isCapLeft ? 1 : 0);
      expect((await user.newest()).state).toBe(isCapLeft ? 'charging' : 'succeeded');
      expect(await fiftyTriggers(), 'while the outcome is unknown').toBe(0);
      expect((await user.settings()).usedMicros).toBeLessThanOrEqual(dollars(60));
      world.standIn.controls.clearFaults();
      await world.pass({ minutes: 2 });
      await world.work();
      await user.use(dollars(20));
    }
    expect(await user.paidCents()).toEqual([2_500, 2_000, 1_500]);
    expect(await user.settings()).toMatchObject({ reason: 'cap_reached', usedMicros: dollars(60) });
    const { balanceMicros, arrearsMicros } = await user.wallet();
    expect(balanceMicros - arrearsMicros, 'six times 20 used').toBe(dollars(60 - 120));
  });
});

describe('an unknown outcome', () => {
  it('that Stripe carried out is found and credited, once', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.api('error_after_commit', { count: 3 });
    await world.work();
    expect((await user.newest()).state).toBe('charging');
    for (let pass = 0; pass < 3; pass += 1) {
      await world.pass({ minutes: 2 });
      await world.work();
    }
    expect(await user.paidCents()).toEqual([2_500]);
    expect((await user.newest()).state).toBe('succeeded');
    expect((await user.wallet()).availableMicros).toBe(dollars(25));
  });

  it('that Stripe did not carry out is charged later, once', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.api('error_before_commit', { count: 3 });
    await world.work();
    expect(await user.paidCents()).toEqual([]);
    await world.pass({ minutes: 2 });
    await world.work();
    expect(await user.paidCents()).toEqual([2_500]);
  });

  it('is not charged any more when it was turned off meanwhile', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.api('error_before_commit', { count: 3 });
    await world.work();
    await world.autoTopUps.turnOff(user.userId);
    await world.pass({ minutes: 2 });
    await world.work();
    expect(await user.paidCents()).toEqual([]);
    expect((await user.newest()).state).toBe('failed');
    expect((await user.settings()).usedMicros).toBe(0n);
  });

  it('of a day ago that Stripe knows nothing of was never made', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    world.standIn.controls.api('error_before_commit', { count: 3 });
    await world.work();
    const lost = await user.newest();
    await world.pass({ hours: 21 });
    await world.work();
    expect((await user.attempts()).find(({ topUpId }) => topUpId === lost.topUpId)).toMatchObject({
      state: 'failed',
    });
  });

  it('of a process that died between reserving and asking is taken up by another', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    const { walletId } = await user.wallet();
    await world.database.app`select reserve_auto_top_up(${walletId}, gen_random_uuid())`;
    await world.work();
    expect(await user.paidCents(), 'the one that reserved may still be at it').toEqual([]);
    await world.pass({ minutes: 2 });
    await Promise.all([world.work(), world.work()]);
    expect(await user.paidCents()).toEqual([2_500]);
  });
});

describe('velocity', () => {
  async function burst(user: AutoTopUpUser, to: (n: number) => string, count: number) {
    for (let n = 0; n < count; n += 1) {
      await user.use(10_000n, to(n));
    }
  }
  const premium = (n: number) => `+24155${String(n).padStart(6, '0')}`;

  it('a burst to one prefix pauses it and says where; its user can go on', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    await burst(user, premium, 30);
    await world.work();
    expect(await user.paidCents()).toEqual([]);
    expect(await user.settings()).toMatchObject({
      status: 'paused',
      reason: 'velocity',
      burst: { prefix: '+241550', charges: 30, amountMicros: 300_000n },
    });
    expect(await world.autoTopUps.resume(user.userId)).toEqual({ ok: true });
    await world.work();
    expect(await user.paidCents(), 'vouched for').toHaveLength(1);
  });

  it('few dear calls are a burst too, many to many places are none', async () => {
    const dear = await AutoTopUpUser.with(world, ['pm_card_visa']);
    const wide = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await Promise.all([dear.turnOn(), wide.turnOn()]);
    for (let n = 0; n < 5; n += 1) {
      await dear.use(dollars(5), premium(n));
    }
    await burst(wide, (n) => `+1${String(2_000_000_000 + n * 10_000_000)}`, 40);
    await world.work();
    expect(await dear.settings()).toMatchObject({ status: 'paused', reason: 'velocity' });
    expect(await wide.settings()).toMatchObject({ status: 'on' });
  });

  it('what is usual for the wallet is no burst', async () => {
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await burst(user, premium, 10);
    await world.pass({ hours: 5 });
    await burst(user, premium, 30);
    await user.turnOn();
    // Turning it on vouches for what was before; from here on, thirty more are three times the usual.
    await burst(user, premium, 30);
    await world.work();
    expect(await user.settings()).toMatchObject({ status: 'on' });
  });
});
