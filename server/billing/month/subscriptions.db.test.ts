import { beforeEach, describe, expect, it } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
  WHOLE_RANGE,
} from '../../dev/month-scenario.ts';
import { fenceRange } from '../../store/month.ts';
import { problemsOf } from '../../store/wallets.fixtures.ts';
import { createSubscriptions, type NewSubscription, type Subscriptions } from './subscriptions.ts';

const actor = 'test:fees';
let scenario: MonthScenario;
let subscriptions: Subscriptions;

beforeEach(async () => {
  scenario = await createMonthScenario();
  subscriptions = createSubscriptions(scenario.db.app);
  return () => scenario.db.close();
});

/** Adds a plan of 31 a month, at that time and from then on. */
async function subscribe(at: string, wallet: TestWallet, change: Partial<NewSubscription> = {}) {
  await scenario.db.setClock(at);
  const answer = await subscriptions.add(
    {
      wallet: { walletId: wallet.id },
      key: 'plan',
      kind: 'plan',
      description: 'Team plan',
      monthlyMicros: 31_000_000n,
      ...change,
    },
    actor,
  );
  if (!answer.ok) throw new Error(answer.code);
  return answer.subscriptionId;
}

async function end(at: string, wallet: TestWallet, subscriptionId: string) {
  await scenario.db.setClock(at);
  return subscriptions.end({ wallet: { walletId: wallet.id }, subscriptionId }, actor);
}

/** The wallet's fees as the ledger has them: the month, what was taken and what is owed. */
async function feesOf({ id }: TestWallet): Promise<string[]> {
  const rows = await scenario.db.app<{ fee: string }[]>`
    select concat_ws(' ', detail ->> 'period', detail ->> 'description', -balance_delta_micros,
      arrears_delta_micros) as fee
    from wallet_events where wallet_id = ${id} and type = 'fee' order by seq`;
  return rows.map(({ fee }) => fee);
}

describe('the fee of a month', () => {
  it('is posted when the month is closed, once, and stands by name on the next statement', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    await scenario.grant('2026-08-01T00:00:00Z', wallet, 100_000_000n);
    await subscribe('2026-08-01T00:00:00Z', wallet);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    await scenario.run('2026-09-02T02:00:00Z', '2026-08');
    expect(await feesOf(wallet)).toEqual(['2026-08 Team plan 31000000 0']);

    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    const [september, august] = await scenario.statements.list(wallet.userId);
    expect(august).toMatchObject({ period: '2026-08', feesMicros: 0n });
    expect(september).toMatchObject({ period: '2026-09', feesMicros: -31_000_000n });
    if (!september) throw new Error('no statement');
    expect(await scenario.statements.fees(september)).toEqual([
      {
        kind: 'plan',
        description: 'Team plan',
        period: '2026-08',
        from: new Date('2026-08-01T00:00:00Z'),
        to: new Date('2026-09-01T00:00:00Z'),
        amountMicros: 31_000_000n,
      },
    ]);
    expect(await problemsOf(scenario.db.owner, wallet.id)).toEqual([]);
  });

  it('is prorated to the days from its start to its end, in the wallet’s own zone', async () => {
    const east = await scenario.open('2026-08-01T00:00:00Z', { timezone: 'Pacific/Kiritimati' });
    const west = await scenario.open('2026-08-02T00:00:00Z', { timezone: 'Pacific/Pago_Pago' });
    // Noon of the 16th here and there: half of August is left.
    await subscribe('2026-08-15T22:00:00Z', east);
    await subscribe('2026-08-16T23:00:00Z', west);
    await end(
      '2026-08-31T00:00:00Z',
      east,
      await subscribe('2026-08-20T10:00:00Z', east, { key: 'x', description: 'Number' }),
    );
    await scenario.run('2026-09-02T00:00:00Z', '2026-08');
    expect(await feesOf(west)).toEqual(['2026-08 Team plan 0 15500000']);
    // From the beginning of the 21st to 14:00 of the 31st.
    expect(await feesOf(east)).toEqual([
      '2026-08 Team plan 0 15500000',
      `2026-08 Number 0 ${(31_000_000 * (10 * 24 + 14)) / (31 * 24)}`.replace(/\.\d+/, ''),
    ]);
  });

  it.each([
    ['February', 'UTC', '2027-02-15T00:00:00Z', '2027-03-01T00:00:00Z', 14, 28],
    ['February of a leap year', 'UTC', '2028-02-15T00:00:00Z', '2028-03-01T00:00:00Z', 15, 29],
    ['the 31st', 'UTC', '2027-07-31T00:00:00Z', '2027-08-01T00:00:00Z', 1, 31],
    // An hour is left out, and comes twice, on the last Sunday of these.
    ['March', 'Europe/Berlin', '2027-03-27T23:00:00Z', '2027-03-31T22:00:00Z', 95, 743],
    ['October', 'Europe/Berlin', '2027-10-30T22:00:00Z', '2027-10-31T23:00:00Z', 25, 745],
  ])('of %s in %s from %s is its part of the month', async (_, timezone, from, to, part, whole) => {
    const wallet = await scenario.open(from, { timezone });
    await subscribe(from, wallet);
    await scenario.run(to, from.slice(0, 7));
    expect(await feesOf(wallet)).toEqual([
      `${from.slice(0, 7)} Team plan 0 ${Math.round((31_000_000 * part) / whole)}`,
    ]);
  });

  it('comes after the fees of months that were missed, oldest first', async () => {
    const wallet = await scenario.open('2026-06-10T00:00:00Z', { mode: 'deferred' });
    await scenario.grant('2026-06-11T00:00:00Z', wallet, 40_000_000n);
    await subscribe('2026-06-16T00:00:00Z', wallet, { monthlyMicros: 30_000_000n });
    await scenario.run('2026-09-10T00:00:00Z', '2026-08');
    expect(await feesOf(wallet)).toEqual([
      '2026-06 Team plan 15000000 0',
      '2026-07 Team plan 25000000 5000000',
      '2026-08 Team plan 0 30000000',
    ]);
    expect(await problemsOf(scenario.db.owner, wallet.id)).toEqual([]);
  });

  it('is posted to a frozen wallet too', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    await subscribe('2026-08-01T00:00:00Z', wallet);
    await scenario.db.app`select change_wallet_status(${wallet.id}, 'frozen', ${actor}, '{}')`;
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    expect(await feesOf(wallet)).toEqual(['2026-08 Team plan 0 31000000']);
  });

  it('is posted once when several runs close the month at once', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    await subscribe('2026-08-01T00:00:00Z', wallet);
    const runId = await scenario.request('2026-09-01T02:00:00Z', '2026-08');
    await Promise.all(Array.from({ length: 5 }, () => scenario.runPlan(runId, '2026-08')));
    expect(await feesOf(wallet)).toHaveLength(1);
  });
});

describe('a subscription', () => {
  it('is added once per key, and the same key with other terms is refused', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    const id = await subscribe('2026-08-03T00:00:00Z', wallet);
    expect(await subscribe('2026-08-04T00:00:00Z', wallet)).toBe(id);
    await expect(subscribe('2026-08-04T00:00:00Z', wallet, { monthlyMicros: 1n })).rejects.toThrow(
      'KEY_REUSED',
    );
    const { subscriptions: listed } = await subscriptions.list({ walletId: wallet.id });
    expect(listed).toMatchObject([
      { subscriptionId: id, startsAt: new Date('2026-08-03T00:00:00Z'), endsAt: null },
    ]);
  });

  it('that ends before it starts never costs anything', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    const startsAt = new Date('2026-09-15T00:00:00Z');
    await end(
      '2026-08-20T00:00:00Z',
      wallet,
      await subscribe('2026-08-01T00:00:00Z', wallet, { startsAt }),
    );
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    expect(await feesOf(wallet)).toEqual([]);
    expect(await problemsOf(scenario.db.owner, wallet.id)).toEqual([]);
  });

  it('cannot get into a month that is being closed', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    const runId = await scenario.request('2026-09-01T00:00:00Z', '2026-08');
    await scenario.month.planMonth(runId, null);
    await fenceRange(scenario.db.app, { runId, period: '2026-08', ...WHOLE_RANGE }, null);
    // Another server's clock is behind: there the month still goes on.
    await expect(subscribe('2026-08-31T23:59:59Z', wallet)).rejects.toThrow('MONTH_CLOSED');
  });
});

describe('the preview of a month', () => {
  it('counts the fees that closing it posts, month by month', async () => {
    const wallet = await scenario.open('2026-07-10T00:00:00Z', { timezone: 'Pacific/Auckland' });
    await subscribe('2026-07-10T00:00:00Z', wallet);
    await subscribe('2026-07-10T00:00:00Z', wallet, {
      key: 'short',
      startsAt: new Date('2026-08-05T00:00:00Z'),
      endsAt: new Date('2026-08-20T00:00:00Z'),
    });
    await subscribe('2026-07-10T00:00:00Z', wallet, {
      key: 'never',
      startsAt: new Date('2026-08-05T00:00:00Z'),
      endsAt: new Date('2026-08-05T00:00:00Z'),
    });
    await subscribe('2026-07-10T00:00:00Z', wallet, {
      key: 'later',
      startsAt: new Date('2026-09-05T00:00:00Z'),
    });
    await scenario.db.setClock('2026-09-02T00:00:00Z');

    expect(await scenario.month.preview('2026-08')).toEqual([
      { period: '2026-07', statements: 1, fees: 1 },
      { period: '2026-08', statements: 1, fees: 2 },
    ]);
    await scenario.run('2026-09-02T00:00:00Z', '2026-08');
    expect((await feesOf(wallet)).map((fee) => fee.slice(0, 7))).toEqual([
      '2026-07',
      '2026-08',
      '2026-08',
    ]);
    await scenario.db.setClock('2026-10-02T00:00:00Z');
    expect(await scenario.month.preview('2026-09')).toEqual([
      { period: '2026-09', statements: 1, fees: 2 },
    ]);
  });
});

describe('the list', () => {
  it('names what has ended too, and what is current until its end', async () => {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    const name = { walletId: wallet.id };
    const endsAt = new Date('2026-09-10T00:00:00Z');
    const ended = await subscribe('2026-08-01T00:00:00Z', wallet, { endsAt });
    const kept = await subscribe('2026-08-02T00:00:00Z', wallet, {
      key: 'number',
      kind: 'number',
      description: '+44 20 7946 0000',
    });
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    const current = async (at: string) => {
      await scenario.db.setClock(at);
      return (await subscriptions.current(wallet.id)).map(({ subscriptionId }) => subscriptionId);
    };

    expect(await current('2026-09-09T23:59:59Z')).toEqual([ended, kept]);
    expect(await current('2026-09-10T00:00:00Z')).toEqual([kept]);
    const billedTo = new Date('2026-09-01T00:00:00Z');
    expect((await subscriptions.list(name)).subscriptions).toMatchObject([
      { subscriptionId: ended, endsAt, billedTo, monthlyMicros: 31_000_000n },
      { subscriptionId: kept, endsAt: null, billedTo, kind: 'number' },
    ]);
  });
});

describe('verification finds', () => {
  async function broken(change: string): Promise<string[]> {
    const wallet = await scenario.open('2026-08-01T00:00:00Z');
    await subscribe('2026-08-01T00:00:00Z', wallet);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    await scenario.db.owner.unsafe(`set local session_replication_role = replica; ${change}`);
    return problemsOf(scenario.db.owner, wallet.id);
  }

  it('a subscription that is not as it was agreed', async () => {
    expect(await broken(`update subscriptions set description = 'Other'`)).toEqual([
      'SUBSCRIPTION_DIFFERS',
    ]);
  });

  it('a price that its fees do not follow', async () => {
    expect(await broken('update subscriptions set amount_micros = 1')).toEqual([
      'SUBSCRIPTION_DIFFERS',
      'FEE_DIFFERS',
    ]);
  });

  it('a fee that was not posted', async () => {
    expect(await broken('update subscriptions set billed_to = null')).toEqual([
      'SUBSCRIPTION_BILLED',
      'FEE_MISSING',
    ]);
  });

  it('a subscription that is gone', async () => {
    expect(await broken('delete from subscriptions')).toEqual([
      'SUBSCRIPTION_DIFFERS',
      'FEE_DIFFERS',
    ]);
  });
});
