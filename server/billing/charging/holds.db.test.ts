import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { settleDueWallets } from '../../store/holds.ts';
import { problemsOf } from '../../store/wallets.fixtures.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createMonthWork } from '../month/month.ts';
import { createHoldSweeper } from './hold-sweeper.ts';
import {
  actor,
  callOf,
  createPricingWorld,
  type PricingWorld,
  startsAt,
} from './pricing.fixtures.ts';

const logger = createLogger('silent');

let world: PricingWorld;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

beforeEach(() => world.setNow(startsAt));

afterEach(async () => {
  expect(await world.differences()).toEqual([]);
});

function fund(wallet: WalletView, amountMicros: bigint) {
  return world.grants.grant({ wallet, amountMicros, key: randomUUID(), reason: 'test' }, actor);
}

/** $0.10, and $0.05 a minute. */
const priceOf = (seconds: number) => 100_000n + BigInt(Math.round((seconds * 50_000) / 60));

async function authorize(wallet: WalletView, seconds = 60, key: string = randomUUID()) {
  const estimate = { usage: callOf(seconds) };
  const answer = await world.holds.authorize({ wallet, key, estimate, ttlSeconds: 300 }, actor);
  expect.assert(answer.ok);
  return answer;
}

const extend = (holdId: string, seconds: number) =>
  world.holds.extend({ holdId, usageSoFar: callOf(seconds) }, actor);
const capture = (
  holdId: string,
  seconds: number | null,
  overrun: 'refuse' | 'arrears' = 'refuse',
) => {
  const usage = seconds === null ? undefined : callOf(seconds);
  return world.holds.capture({ holdId, usage, overrun }, actor);
};

describe('a hold', () => {
  it('tells how many seconds the wallet affords, and is listed until it ends', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const { holdId, ...placed } = await authorize(wallet, 60, 'call-1');
    expect(placed).toEqual({
      ok: true,
      replayed: false,
      heldMicros: 150_000n,
      expiresAt: '2026-10-05T12:05:00.000Z',
      availableMicros: 850_000n,
      // $0.90 after the connection fee, at $0.05 a minute.
      maxSeconds: 1_080,
      maxUnits: 1_080,
    });
    expect(await world.holds.list(wallet)).toMatchObject([
      { holdId, referenceId: 'call-1', heldMicros: 150_000n, placedAt: new Date(startsAt) },
    ]);
    await capture(holdId, 60);
    expect(await world.holds.list(wallet)).toEqual([]);
  });

  it.each([
    ['usage without a price', { usage: callOf(0), expected: { ok: true, heldMicros: 0n } }],
    [
      'messages',
      {
        usage: { type: 'sms', to: '+14155550132', segments: 2 } as const,
        expected: { ok: true, heldMicros: 40_000n, maxUnits: 50 },
      },
    ],
    [
      'more than there is',
      {
        usage: { type: 'fax', to: '+14155550132', pages: 7 } as const,
        expected: {
          ok: false,
          code: 'INSUFFICIENT_FUNDS',
          requiredMicros: 1_050_000n,
          availableMicros: 1_000_000n,
          shortfallMicros: 50_000n,
        },
      },
    ],
  ])('of %s is answered for', async (_what, { usage, expected }) => {
    const wallet = await world.walletWith(1_000_000n);
    const request = { wallet, key: 'k', estimate: { usage }, ttlSeconds: 60 };
    expect(await world.holds.authorize(request, actor)).toMatchObject(expected);
  });

  it('of an amount knows how far it reaches when it knows for what', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const place = (key: string, about: object) =>
      world.holds.authorize(
        { wallet, key, estimate: { amountMicros: 200_000n, ...about }, ttlSeconds: 60 },
        actor,
      );
    expect(await place('a', { type: 'call', to: '+14155550132' })).toMatchObject({
      heldMicros: 200_000n,
      maxSeconds: 1_080,
    });
    expect(await place('b', {})).not.toHaveProperty('maxUnits');
  });

  it('is placed once per key; its key with another request is refused', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const first = await authorize(wallet, 60, 'k');
    await capture(first.holdId, 60);
    expect(await authorize(wallet, 60, 'k')).toEqual({ ...first, replayed: true });
    const other = { wallet, key: 'k', estimate: { usage: callOf(61) }, ttlSeconds: 300 };
    expect(await world.holds.authorize(other, actor)).toMatchObject({
      ok: false,
      code: 'KEY_REUSED',
    });
    expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros: 850_000n, heldMicros: 0n });
  });

  it('belongs to its wallet, and is found by its id alone', async () => {
    const [wallet, another] = [
      await world.walletWith(1_000_000n),
      await world.walletWith(1_000_000n),
    ];
    const { holdId } = await authorize(wallet);
    const ask = (name: { userId: string } | undefined, id = holdId) =>
      world.holds.extend({ wallet: name, holdId: id }, actor);
    expect(await ask(undefined)).toMatchObject({ ok: true });
    expect(await ask({ userId: wallet.userId })).toMatchObject({ ok: true });
    expect(await ask({ userId: another.userId })).toEqual({ ok: false, code: 'HOLD_NOT_FOUND' });
    expect(await ask({ userId: 'nobody' })).toEqual({ ok: false, code: 'WALLET_NOT_FOUND' });
    expect(await ask(undefined, randomUUID())).toEqual({ ok: false, code: 'HOLD_NOT_FOUND' });
  });

  it('of calls bills nothing but calls', async () => {
    const { holdId } = await authorize(await world.walletWith(1_000_000n));
    const sms: Usage = { type: 'sms', to: '+14155550132' };
    await expect(world.holds.extend({ holdId, usageSoFar: sms }, actor)).rejects.toThrow(
      'usageSoFar',
    );
    await expect(
      world.holds.capture({ holdId, usage: sms, overrun: 'refuse' }, actor),
    ).rejects.toThrow('usage.type');
    await expect(capture(holdId, null)).rejects.toThrow('usage: is required');
  });
});

describe('a running call', () => {
  it('reserves ahead of what it has used, is warned, and is refused when funds end', async () => {
    const wallet = await world.walletWith(300_000n);
    const { holdId } = await authorize(wallet, 60);
    expect(await extend(holdId, 60)).toMatchObject({
      ok: true,
      heldMicros: 300_000n,
      lowBalance: false,
      maxSeconds: 240,
    });
    expect(await extend(holdId, 120)).toMatchObject({ ok: true, lowBalance: true });
    const last = await extend(holdId, 240);
    expect(last).toMatchObject({
      ok: false,
      code: 'INSUFFICIENT_FUNDS',
      heldMicros: 300_000n,
      maxSeconds: 240,
      requiredMicros: 150_000n,
      shortfallMicros: 150_000n,
    });
    await fund(wallet, 1_000_000n);
    expect(await extend(holdId, 240)).toMatchObject({ ok: true, heldMicros: 450_000n });
  });

  it('keeps the prices that it began with', async () => {
    const wallet = await world.wallets.open({ userId: 'prices', currency: 'EUR' }, actor);
    await fund(wallet, 1_000_000n);
    await publishInEuros(1, '100000');
    await publishInEuros(2, '900000');
    const { holdId } = await authorize(wallet, 60);
    await world.wait(61);
    expect(await world.charging.quote(wallet, callOf(60))).toMatchObject({
      amountMicros: 950_000n,
    });
    expect(await extend(holdId, 60)).toMatchObject({ amountSoFarMicros: 150_000n });
    expect(await capture(holdId, 120)).toMatchObject({
      amountMicros: 200_000n,
      breakdown: { rateCardVersion: 1 },
    });
  });

  /** A card takes effect a minute after it is published; of the first one that is waited for. */
  async function publishInEuros(version: number, connectionFeeMicros: string): Promise<void> {
    const effectiveFrom = new Date(world.now().getTime() + 60_000).toISOString();
    const rules = [{ ...defaultRateCard.rules[0], connectionFeeMicros }];
    const about = { id: randomUUID(), currency: 'EUR', version, effectiveFrom, rules };
    const [published] = await world.database.app`
      select code from publish_rate_card(
        ${JSON.stringify({ ...defaultRateCard, ...about })}::text::jsonb, ${actor})`;
    expect(published).toEqual({ code: 'OK' });
    await world.wait(version === 1 ? 60 : 0);
  }
});

describe('a lost reply', () => {
  it('changes nothing: each operation twice, at once or late, ends in the same state', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const twice = <T>(operation: () => Promise<T>) => Promise.all([operation(), operation()]);
    const [placed, again] = await twice(() => authorize(wallet, 60, 'k'));
    const { holdId } = placed;
    expect(again.holdId).toBe(holdId);
    expect([placed.replayed, again.replayed].sort()).toEqual([false, true]);
    await twice(() => extend(holdId, 30));
    await twice(() => extend(holdId, 90));
    await extend(holdId, 30);
    const captured = await twice(() => capture(holdId, 100));
    expect(captured.map((answer) => answer.ok && answer.replayed).sort()).toEqual([false, true]);
    expect(await extend(holdId, 90)).toEqual({ ok: false, code: 'HOLD_NOT_OPEN' });
    expect(await world.holds.void({ holdId }, actor)).toEqual({ ok: false, code: 'HOLD_NOT_OPEN' });
    expect(await capture(holdId, 101)).toEqual({ ok: false, code: 'HOLD_NOT_OPEN' });
    await world.wait(86_400);
    expect(await capture(holdId, 100)).toMatchObject({ replayed: true, amountMicros: 183_333n });
    expect(await world.moneyOf(wallet)).toEqual({
      balanceMicros: 816_667n,
      heldMicros: 0n,
      availableMicros: 816_667n,
      arrearsMicros: 0n,
    });
  });

  it('of a void releases once, and what is voided stays unbilled', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const { holdId } = await authorize(wallet);
    await extend(holdId, 30);
    const first = await world.holds.void({ holdId }, actor);
    expect(first).toMatchObject({ ok: true, replayed: false, availableMicros: 1_000_000n });
    expect(await world.holds.void({ holdId }, actor)).toEqual({ ...first, replayed: true });
    expect(await capture(holdId, 30)).toEqual({ ok: false, code: 'HOLD_NOT_OPEN' });
    expect(await world.moneyOf(wallet)).toMatchObject({
      balanceMicros: 1_000_000n,
      heldMicros: 0n,
    });
  });
});

describe('a hold that ran out', () => {
  it('counts as ended for everybody at that instant, without the sweeper', async () => {
    const wallet = await world.walletWith(1_000_000n);
    const { holdId } = await authorize(wallet, 600);
    const idle = await authorize(wallet, 60);
    await extend(holdId, 60);
    await world.wait(299);
    expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros: 1_000_000n });
    await world.wait(1);
    const ended = { balanceMicros: 850_000n, heldMicros: 0n, availableMicros: 850_000n };
    expect(await world.moneyOf(wallet)).toMatchObject(ended);
    expect(await world.holds.list(wallet)).toEqual([]);
    expect(await world.typesOf(wallet)).not.toContain('hold_expired');
    const all = { wallet, usage: callOf(900), referenceId: 'r', overrun: 'refuse' } as const;
    expect(await world.charging.charge(all, actor)).toMatchObject({ ok: true, balanceMicros: 0n });
    expect((await world.typesOf(wallet)).slice(-3)).toEqual([
      'hold_expired',
      'hold_expired',
      'charge',
    ]);
    expect(await extend(idle.holdId, 1)).toEqual({ ok: false, code: 'HOLD_NOT_OPEN' });
  });

  it.each([
    ['more', 120, 'charge', 200_000n],
    ['as much', 60, 'charge', 150_000n],
    ['less', 30, 'usage_refund', 125_000n],
  ])(
    'posts only the difference to a late final record of %s',
    async (_how, seconds, type, spent) => {
      const wallet = await world.walletWith(1_000_000n);
      const { holdId } = await authorize(wallet);
      await extend(holdId, 60);
      await world.wait(300);
      const late = await capture(holdId, seconds);
      expect(late).toMatchObject({ replayed: false, amountMicros: spent });
      expect(late).toMatchObject({ alreadyBilledMicros: 150_000n });
      expect(await capture(holdId, seconds)).toEqual({ ...late, replayed: true });
      expect((await world.typesOf(wallet)).slice(-2)).toEqual(['hold_expired', type]);
      expect(await world.moneyOf(wallet)).toMatchObject({ balanceMicros: 1_000_000n - spent });
      const [used] = await world.database.app`
        select sum(count)::int as count from usage_since_day(${wallet.walletId}, '2000-01-01')`;
      expect(used).toEqual({ count: 1 });
    },
  );

  it('books what the wallet lacks as arrears, which the next credit repays', async () => {
    const wallet = await world.walletWith(150_000n);
    const { holdId } = await authorize(wallet);
    await extend(holdId, 120);
    await world.wait(300);
    expect(await world.moneyOf(wallet)).toMatchObject({
      balanceMicros: 0n,
      arrearsMicros: 50_000n,
    });
    await fund(wallet, 80_000n);
    expect(await world.moneyOf(wallet)).toMatchObject({
      balanceMicros: 30_000n,
      arrearsMicros: 0n,
    });
  });

  it('is settled in passes that end, however many of a wallet ran out at once', async () => {
    const many = await Promise.all(Array.from({ length: 3 }, () => world.walletWith(1n)));
    const none = { usage: { type: 'call', durationSeconds: 0, to: '+14155550132' } } as const;
    for (const wallet of many) {
      const name = { walletId: wallet.walletId };
      await Promise.all(
        Array.from({ length: 1_050 }, () =>
          world.holds.authorize(
            { wallet: name, key: randomUUID(), estimate: none, ttlSeconds: 10 },
            actor,
          ),
        ),
      );
    }
    await world.wait(10);
    const pass = () => settleDueWallets(world.database.app, 100);
    expect(await pass()).toMatchObject({ settled: 2 });
    expect(await pass()).toMatchObject({ settled: 1 });
    expect(await pass()).toMatchObject({ settled: 0 });
  });

  it('is settled once, however many sweepers run at once', async () => {
    const many = await Promise.all(Array.from({ length: 30 }, () => world.walletWith(1_000_000n)));
    for (const wallet of many) {
      await extend((await authorize(wallet)).holdId, 60);
    }
    await world.wait(300);
    const sweeper = createHoldSweeper({ sql: world.database.app, intervalMs: 1, logger });
    const passes = await Promise.all([sweeper.tick(), sweeper.tick(), sweeper.tick()]);
    expect(passes.reduce((sum, settled) => sum + settled, 0)).toBeGreaterThanOrEqual(many.length);
    expect(await sweeper.tick()).toBe(0);
    for (const wallet of many) {
      expect((await world.typesOf(wallet)).filter((type) => type === 'hold_expired')).toHaveLength(
        1,
      );
      expect(await world.moneyOf(wallet)).toMatchObject({
        balanceMicros: 850_000n,
        heldMicros: 0n,
      });
    }
  });
});

describe('a deferred wallet', () => {
  it('has the same available and the same debts as a live one, at every step', async () => {
    const pair = [
      await world.walletWith(500_000n),
      await world.walletWith(500_000n, { mode: 'deferred' }),
    ] as const;
    const onBoth = async <T>(operation: (wallet: WalletView) => Promise<T>) => {
      const answers = [await operation(pair[0]), await operation(pair[1])] as const;
      const [live, deferred] = [await world.moneyOf(pair[0]), await world.moneyOf(pair[1])];
      expect(deferred.availableMicros).toBe(live.availableMicros);
      expect(deferred.arrearsMicros).toBe(live.arrearsMicros);
      return answers;
    };
    const place = () => onBoth((wallet) => authorize(wallet, 60));
    const idOf = (placed: Awaited<ReturnType<typeof place>>, wallet: WalletView) =>
      placed[wallet === pair[0] ? 0 : 1].holdId;

    const first = await place();
    await onBoth((wallet) => extend(idOf(first, wallet), 60));
    await onBoth((wallet) => capture(idOf(first, wallet), 80));
    const second = await place();
    await onBoth((wallet) => extend(idOf(second, wallet), 120));
    await world.wait(300);
    await onBoth((wallet) => capture(idOf(second, wallet), 100));
    const third = await place();
    await onBoth((wallet) => capture(idOf(third, wallet), 600, 'arrears'));
    await onBoth((wallet) => fund(wallet, 2_000_000n));
    expect(await world.moneyOf(pair[1])).toMatchObject({ arrearsMicros: 0n });
  });
});

it('verification finds a hold that is not what its events say, or that nobody would settle', async () => {
  const wallet = await world.walletWith(1_000_000n);
  const { holdId } = await authorize(wallet);
  const problems = () => problemsOf(world.database.owner, wallet.walletId);
  expect(await problems()).toEqual([]);
  await world.database.owner`update holds set held_micros = held_micros + 1 where id = ${holdId}`;
  expect(await problems()).toEqual(['HOLD_SUM']);
  await world.database.owner`update holds set held_micros = held_micros - 1 where id = ${holdId}`;
  await world.database.owner`update wallets set next_due_at = null where id = ${wallet.walletId}`;
  expect(await problems()).toEqual(['HOLD_DUE']);
  await world.database.owner`
    update wallets set next_due_at = ledger_now() where id = ${wallet.walletId}`;
});

it('the application cannot write a hold past its functions, and nobody can delete one', async () => {
  const { holdId } = await authorize(await world.walletWith(1_000_000n));
  await expect(
    world.database.app`update holds set held_micros = 0 where id = ${holdId}`,
  ).rejects.toThrow('permission denied');
  await expect(world.database.owner`delete from holds where id = ${holdId}`).rejects.toThrow(
    'refused',
  );
});

it('statements tell of captured, expired and corrected usage once, whatever the mode', async () => {
  const pair = [
    await world.walletWith(2_000_000n),
    await world.walletWith(2_000_000n, { mode: 'deferred' }),
  ] as const;
  for (const wallet of pair) {
    const [captured, expired] = [await authorize(wallet), await authorize(wallet)];
    await authorize(wallet);
    await capture(captured.holdId, 60);
    await extend(expired.holdId, 60);
    await world.wait(300);
    await capture(expired.holdId, 120);
    await world.charging.charge(
      { wallet, usage: callOf(60), referenceId: 'r', overrun: 'refuse' },
      actor,
    );
  }
  await world.setNow(Date.parse('2026-11-02T00:00:00Z'));
  await closeMonth('2026-10');
  const lines = [{ type: 'call', count: 3, units: 240, amountMicros: '500000' }];
  expect(await statementOf(pair[0])).toEqual({
    lines,
    accrued_lines: [],
    usage_micros: -500_000n,
    accrued_micros: 0n,
  });
  expect(await statementOf(pair[1])).toEqual({
    lines: [],
    accrued_lines: lines,
    usage_micros: 0n,
    accrued_micros: 500_000n,
  });
  for (const wallet of pair) {
    expect(await world.moneyOf(wallet)).toMatchObject({
      balanceMicros: 1_500_000n,
      heldMicros: 0n,
    });
  }
});

async function statementOf({ walletId }: WalletView) {
  const [statement] = await world.database.app`
    select lines, accrued_lines, usage_micros, accrued_micros
    from statements where wallet_id = ${walletId}`;
  return statement;
}

async function closeMonth(period: string): Promise<void> {
  const month = createMonthWork({
    sql: world.database.app,
    longSql: world.database.app,
    clock: () => world.now(),
  });
  const requested = await month.request({ period, actor });
  expect.assert(requested.ok);
  const { runId } = requested;
  const { ranges } = await month.planMonth(runId, null);
  for (const range of ranges) {
    await month.closeRange({ runId, period, ...range });
  }
}

describe('200 calls at once on a wallet of $1', () => {
  it('never spend more than there was, and no second that was reported is unbilled', {
    timeout: 60_000,
  }, async () => {
    const wallet = await world.walletWith(1_000_000n);
    /** By hold, the seconds that are to be billed. */
    const delivered = new Map<string, number>();

    async function runCall(number: number): Promise<void> {
      const estimate = { usage: callOf(1) };
      const request = { wallet, key: `call-${number}`, estimate, ttlSeconds: 300 };
      let answer = await world.holds.authorize(request, actor);
      if (number % 3 === 0) {
        answer = await world.holds.authorize(request, actor);
      }
      if (!answer.ok) {
        expect(answer.code).toBe('INSUFFICIENT_FUNDS');
        return;
      }
      const { holdId } = answer;
      let seconds = 0;
      for (let goesOn = true; goesOn; ) {
        seconds += 7 + (number % 5);
        const beat = await extend(holdId, seconds);
        delivered.set(holdId, seconds);
        // Heartbeats come twice, and late ones after newer ones.
        await Promise.all([extend(holdId, seconds), extend(holdId, Math.max(seconds - 10, 0))]);
        goesOn = beat.ok && (beat.maxSeconds ?? 0) > seconds && seconds < 60 + number;
      }
      // Some callers die here: their holds run out.
      if (number % 4 !== 0) {
        seconds += 3;
        delivered.set(holdId, seconds);
        const [first, again] = await Promise.all([
          capture(holdId, seconds, 'arrears'),
          capture(holdId, seconds, 'arrears'),
        ]);
        expect([first.ok, again.ok]).toEqual([true, true]);
      }
    }
    await Promise.all(Array.from({ length: 200 }, (_, number) => runCall(number)));
    await world.wait(301);

    const { balanceMicros, heldMicros, availableMicros, arrearsMicros } =
      await world.moneyOf(wallet);
    const spentMicros = 1_000_000n - balanceMicros;
    const owedForMicros = [...delivered.values()]
      .map(priceOf)
      .reduce((sum, micros) => sum + micros, 0n);
    expect(delivered.size).toBeGreaterThan(1);
    expect(heldMicros).toBe(0n);
    expect(availableMicros).toBeGreaterThanOrEqual(0n);
    expect(spentMicros).toBeLessThanOrEqual(1_000_000n);
    expect(spentMicros + arrearsMicros).toBe(owedForMicros);
  });
});
