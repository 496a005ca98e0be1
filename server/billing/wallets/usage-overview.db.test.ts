import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { RateCardJson } from '../../rating/rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import { verifyRange } from '../../store/ledger.ts';
import { deriveNotices } from '../../store/notices.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createCharging } from '../charging/charging.ts';
import { createHolds } from '../charging/holds.ts';
import { createSubscriptions } from '../month/subscriptions.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createUsageOverview } from './usage-overview.ts';
import { createWallets } from './wallets.ts';

let database: TestDatabase;
let world: ReturnType<typeof createWorld>;

beforeAll(async () => {
  database = await createTestDatabase();
  world = createWorld();
});

afterAll(() => database?.close());

function createWorld() {
  const sql = database.app;
  let now = new Date();
  let charges = 0;
  const rateCards = createRateCards({ sql, nowMs: () => now.getTime() });
  const charging = createCharging({ sql, rateCards, now: () => now });
  const holds = createHolds({ sql, rateCards, now: () => now });
  const wallets = createWallets(sql);
  const overview = createUsageOverview({ sql, rateCards });
  const subscriptions = createSubscriptions(sql);
  const at = async (iso: string) => {
    now = new Date(iso);
    await database.setClock(iso);
  };
  return {
    at,
    async open(userId: string, iso: string, timezone = 'UTC'): Promise<WalletView> {
      await at(iso);
      return wallets.open({ userId, timezone }, 'system:test');
    },
    async charge(wallet: WalletView, iso: string, usage: Usage): Promise<void> {
      await at(iso);
      charges += 1;
      const answer = await charging.charge(
        { wallet, usage, referenceId: `r${charges}`, overrun: 'arrears' },
        'system:test',
      );
      expect(answer).toMatchObject({ ok: true });
    },
    async grant({ walletId }: WalletView, amountMicros: bigint): Promise<void> {
      await sql`select grant_credit(${walletId}, gen_random_uuid(), sha256('g'), ${amountMicros},
        'system:test', '{}')`;
    },
    async subscribe(wallet: WalletView, monthlyMicros: bigint, endsAt?: Date): Promise<void> {
      const terms = { kind: 'plan', description: 'Plan', monthlyMicros, endsAt } as const;
      const request = { wallet, key: `${wallet.userId}${monthlyMicros}`, ...terms };
      expect(await subscriptions.add(request, 'system:test')).toMatchObject({ ok: true });
    },
    async publish(card: RateCardJson): Promise<void> {
      await rateCards.publish(card, 'system:test');
    },
    async hold(wallet: WalletView, amountMicros: bigint): Promise<void> {
      const request = { wallet, key: 'held', estimate: { amountMicros }, ttlSeconds: 300 };
      expect(await holds.authorize(request, 'system:test')).toMatchObject({ ok: true });
    },
    async overviewOf({ walletId }: WalletView) {
      return overview.overview(await wallets.get({ walletId }));
    },
  };
}

const email = (recipients = 1): Usage => ({ type: 'email', recipients });

describe("the usage of a wallet's month", () => {
  it('sums up by type, dearest first, what was used since the month began where the wallet is', async () => {
    const wallet = await world.open('auckland', '2026-10-30T00:00:00Z', 'Pacific/Auckland');
    await world.charge(wallet, '2026-10-31T10:59:59Z', email());
    await world.charge(wallet, '2026-10-31T11:00:00Z', email());
    await world.charge(wallet, '2026-11-15T00:00:00Z', email(3));
    await world.charge(wallet, '2026-11-15T00:00:00Z', { type: 'fax', pages: 2, to: '+649300' });
    const { period, today, lines, days, spentMicros } = await world.overviewOf(wallet);
    expect({ period, today, spentMicros }).toEqual({
      period: '2026-11',
      today: '2026-11-15',
      spentMicros: 340_000n,
    });
    expect(lines).toEqual([
      { type: 'fax', count: 1, units: 2, amountMicros: 300_000n },
      { type: 'email', count: 2, units: 4, amountMicros: 40_000n },
    ]);
    expect(days).toEqual([
      { day: '2026-11-01', type: 'email', count: 1, units: 1, amountMicros: 10_000n },
      { day: '2026-11-15', type: 'email', count: 1, units: 3, amountMicros: 30_000n },
      { day: '2026-11-15', type: 'fax', count: 1, units: 2, amountMicros: 300_000n },
    ]);
  });

  it('is the same wherever the days that are kept end, and what is kept is verified', async () => {
    const wallet = await world.open('followed', '2026-10-20T00:00:00Z');
    const { walletId } = wallet;
    for (const day of ['2026-10-28', '2026-11-02', '2026-11-02', '2026-11-03']) {
      await world.charge(wallet, `${day}T12:00:00Z`, email(2));
    }
    const before = await world.overviewOf(wallet);
    expect(before.spentMicros).toBe(60_000n);
    await deriveNotices(database.app, [walletId]);
    expect(await world.overviewOf(wallet)).toEqual(before);
    const kept = await database.app`
      select day::text, count from usage_days where wallet_id = ${walletId} order by day`;
    expect(kept).toEqual([
      { day: '2026-10-28', count: 1n },
      { day: '2026-11-02', count: 2n },
      { day: '2026-11-03', count: 1n },
    ]);
    await world.charge(wallet, '2026-11-03T13:00:00Z', email(2));
    const after = await world.overviewOf(wallet);
    expect(after.spentMicros).toBe(80_000n);
    await deriveNotices(database.app, [walletId]);
    expect(await world.overviewOf(wallet)).toEqual(after);

    const verify = () => verifyRange(database.owner, { from: walletId, to: walletId }, 10);
    expect(await verify()).toMatchObject({ found: 0n, differences: [] });
    for (const change of [
      database.owner`update usage_days set micros = micros + 1
        where wallet_id = ${walletId} and day = '2026-11-02'`,
      database.owner`delete from usage_days where wallet_id = ${walletId} and day = '2026-10-28'`,
      database.owner`insert into usage_days values (${walletId}, '2026-11-04', 'call', 1, 1, 1)`,
    ]) {
      await change;
    }
    const { found, differences } = await verify();
    expect(found).toBe(3n);
    expect(differences).toEqual([
      {
        walletId,
        seq: null,
        problem: 'USAGE_DAY',
        message: 'email of 2026-10-28 is not what the events of that day come to',
      },
      expect.objectContaining({ message: expect.stringMatching(/^email of 2026-11-02/) }),
      expect.objectContaining({ message: expect.stringMatching(/^call of 2026-11-04/) }),
    ]);
  });

  it('of a month adds up to the lines of its statement', async () => {
    const wallet = await world.open('stated', '2026-10-20T00:00:00Z', 'Asia/Kathmandu');
    await world.grant(wallet, 50_000_000n);
    for (const iso of ['2026-10-31T18:14:59Z', '2026-10-31T18:15:00Z', '2026-11-30T18:14:59Z']) {
      await world.charge(wallet, iso, { type: 'call', durationSeconds: 61, to: '+9771' });
    }
    const { lines } = await world.overviewOf(wallet);
    await world.at('2026-12-01T00:00:00Z');
    await database.owner`
      select close_wallets(array[${wallet.walletId}::uuid], '2026-11', ledger_now())`;
    const [statement] = await database.app<{ lines: { amountMicros: string }[] }[]>`
      select lines from statements where wallet_id = ${wallet.walletId} and period = '2026-11'`;
    expect(lines.map((line) => ({ ...line, amountMicros: `${line.amountMicros}` }))).toEqual(
      statement?.lines,
    );
    expect(lines).toMatchObject([{ type: 'call', count: 2, units: 122 }]);
  });
});

describe('the overview', () => {
  it('of a wallet on its first day has nothing to say of the future', async () => {
    const wallet = await world.open('new', '2026-11-05T08:00:00Z');
    expect(await world.overviewOf(wallet)).toMatchObject({
      lines: [],
      days: [],
      spentMicros: 0n,
      forecast: { kind: 'no_usage' },
      reach: [
        { type: 'call', units: 0 },
        { type: 'sms', units: 0 },
      ],
    });
    await world.charge(wallet, '2026-11-05T09:00:00Z', email(5));
    expect((await world.overviewOf(wallet)).forecast).toEqual({ kind: 'too_early' });
  });

  it('looks back over the turn of the month, and says how long the money lasts', async () => {
    const wallet = await world.open('steady', '2026-10-01T00:00:00Z');
    await world.grant(wallet, 20_000_000n);
    // 1.40 in the 14 days from 22 October, and more before, which does not count.
    await world.charge(wallet, '2026-10-21T23:59:59Z', email(100));
    await world.charge(wallet, '2026-10-22T00:00:00Z', email(70));
    await world.charge(wallet, '2026-11-03T00:00:00Z', email(70));
    await world.at('2026-11-05T00:00:00Z');
    const { spentMicros, forecast, reach } = await world.overviewOf(wallet);
    expect(spentMicros).toBe(700_000n);
    expect(forecast).toMatchObject({ kind: 'rate', perDayMicros: 53_846n });
    await world.at('2026-11-04T12:00:00Z');
    expect((await world.overviewOf(wallet)).forecast).toEqual({
      kind: 'rate',
      // 1.40 in 13.5 days.
      perDayMicros: 103_703n,
      monthUsageMicros: 700_000n + 2_748_148n,
      runsOutAt: new Date('2027-04-23T05:08:34.285Z'),
      daysLeft: 169,
    });
    // 17.60: a long call takes 0.10 and 0.05 a minute, an SMS 0.02.
    expect(reach).toEqual([
      { type: 'call', units: 21_000 },
      { type: 'sms', units: 880 },
    ]);
  });

  it('adds the fees that closing the month will post, to the micro', async () => {
    const wallet = await world.open('subscribed', '2026-10-10T07:30:00Z', 'Europe/Berlin');
    await world.grant(wallet, 50_000_000n);
    await world.subscribe(wallet, 9_990_000n);
    await world.subscribe(wallet, 1_000_001n, new Date('2026-10-20T12:00:00Z'));
    await world.charge(wallet, '2026-10-12T12:00:00Z', email(100));
    const { feesMicros, forecast } = await world.overviewOf(wallet);
    expect(forecast).toMatchObject({ kind: 'rate', runsOutAt: expect.any(Date) });
    await world.at('2026-11-01T02:00:00Z');
    // Until the month is closed, its fees are still to come, and are not the next one's.
    expect(await world.overviewOf(wallet)).toMatchObject({ feesMicros: 9_990_000n });
    await database.owner`
      select close_wallets(array[${wallet.walletId}::uuid], '2026-10', ledger_now())`;
    const [posted] = await database.app`
      select -sum(balance_delta_micros)::bigint as micros from wallet_events
      where wallet_id = ${wallet.walletId} and type = 'fee'`;
    expect(posted).toEqual({ micros: feesMicros });
    expect(await world.overviewOf(wallet)).toMatchObject({ feesMicros: 9_990_000n });
  });

  it('sells units at the tier that the month has come to', async () => {
    const wallet = await world.open('tiered', '2026-11-02T00:00:00Z');
    const sms = defaultRateCard.rules.find(({ type }) => type === 'sms');
    expect.assert(sms?.type === 'sms');
    await world.publish({
      ...defaultRateCard,
      id: randomUUID(),
      userId: 'tiered',
      effectiveFrom: '2026-11-02T01:00:00.000Z',
      rules: [{ ...sms, monthlyTiers: [{ aboveUnits: 100, pricePerUnitMicros: '10000' }] }],
    });
    await world.grant(wallet, 3_000_000n);
    await world.charge(wallet, '2026-11-03T00:00:00Z', { type: 'sms', to: '+1415', segments: 60 });
    const reach = async () => (await world.overviewOf(wallet)).reach;
    // 1.80: of that 40 at 0.02, and the rest at 0.01.
    expect(await reach()).toContainEqual({ type: 'sms', units: 140 });
    await world.at('2026-12-01T00:00:00Z');
    expect(await reach()).toContainEqual({ type: 'sms', units: 90 });
  });

  it('counts what is held as not available', async () => {
    const wallet = await world.open('holding', '2026-11-01T00:00:00Z');
    await world.grant(wallet, 1_000_000n);
    await world.hold(wallet, 600_000n);
    const { reach } = await world.overviewOf(wallet);
    expect(reach).toContainEqual({ type: 'sms', units: 20 });
  });
});
