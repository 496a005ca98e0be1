/** Everything that moves money, on few wallets and at the same moment, across the end of a month. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { createLogger } from '../../log.ts';
import type { Usage } from '../../rating/usage.ts';
import { EVERY_WALLET, verifyRange } from '../../store/ledger.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createMonthWork } from '../month/month.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createCharging } from './charging.ts';
import { createGrants } from './grants.ts';
import { createHoldSweeper } from './hold-sweeper.ts';
import { createHolds } from './holds.ts';
import { createRefunds } from './refunds.ts';

const actor = 'test:all-at-once';
const ROUNDS = Number(process.env.ALL_AT_ONCE_ROUNDS ?? 8);
const CALLS_A_ROUND = 150;
/** Two days of eight rounds end October. */
const startMs = Date.parse('2026-10-30T06:00:00Z');

let database: TestDatabase;
let many: Sql;
let lines: Sql[];
let nowMs = startMs;

beforeAll(async () => {
  database = await createTestDatabase();
  many = connect(database.ownerUrl, { role: 'wallet_app', max: 16 });
  lines = [1, 2].map(() => connect(database.ownerUrl, { role: 'wallet_app', max: 1 }));
});

afterAll(async () => {
  await Promise.all([many, ...(lines ?? [])].map((sql) => sql?.end({ timeout: 5 })));
  await database?.close();
});

async function setNow(atMs: number): Promise<void> {
  nowMs = atMs;
  await database.setClock(new Date(atMs).toISOString());
}

function pick<T>(of: readonly T[]): T {
  const picked = of[Math.floor(Math.random() * of.length)];
  expect.assert(picked !== undefined);
  return picked;
}

const whole = (below: number) => Math.floor(Math.random() * below);
const call = (durationSeconds: number): Usage => {
  return { type: 'call', durationSeconds, to: '+14155550132' };
};

it('neither deadlocks nor loses, makes or overspends a micro, and every retry hears the first answer', {
  timeout: 60_000 + ROUNDS * 20_000,
}, async () => {
  await setNow(startMs);
  const sql = many;
  const now = () => new Date(nowMs);
  const rateCards = createRateCards({ sql, nowMs: () => nowMs });
  const wallets = createWallets(sql);
  // Two processes beside each other, each with a queue of its own, one of them with lines.
  const chargings = [undefined, lines].map((own) =>
    createCharging({ sql, rateCards, now, ...(own && { lines: own }) }),
  );
  const grants = createGrants({ sql });
  const holds = createHolds({ sql, rateCards, now });
  const refunds = createRefunds({ sql });
  const month = createMonthWork({ sql, longSql: sql, clock: now });
  const sweeper = createHoldSweeper({ sql, intervalMs: 60_000, logger: createLogger('silent') });

  const opened: WalletView[] = [];
  for (let index = 0; index < 6; index += 1) {
    const mode = index % 2 === 0 ? 'live' : 'deferred';
    const wallet = await wallets.open({ userId: `user-${randomUUID()}`, mode }, actor);
    opened.push(wallet);
    const grant = { wallet, amountMicros: 2_000_000n, key: 'opening', reason: 'test' };
    await grants.grant(grant, actor);
  }

  const placed: { holdId: string; wallet: WalletView }[] = [];
  const charged: { reference: string; wallet: WalletView }[] = [];
  /** By wallet and key, the answers that were accepted: all but `replayed` must be one. */
  const answers = new Map<string, unknown>();
  const accepted = new Map<string, number>();
  const heard = (name: string, answer: { ok: boolean; replayed?: boolean }) => {
    if (answer.ok) {
      const { replayed, ...first } = answer;
      expect(first, name).toEqual(answers.get(name) ?? first);
      answers.set(name, first);
      accepted.set(name, (accepted.get(name) ?? 0) + (replayed ? 0 : 1));
    }
  };

  let number = 0;
  const next = () => {
    number += 1;
    return number;
  };
  async function charge(): Promise<void> {
    const wallet = pick(opened);
    const items = Array.from({ length: 1 + whole(4) }, () => {
      const reference = `charge-${Math.random() < 0.3 ? whole(number + 1) : next()}`;
      // What a reference charges never changes, so that it may come again.
      const usage = call(30 * (1 + (Number(reference.slice(7)) % 4)));
      const name = pick([{ walletId: wallet.walletId }, { userId: wallet.userId }]);
      const overrun = pick(['refuse', 'refuse', 'arrears'] as const);
      return { wallet: pick([name, wallet]), usage, referenceId: reference, overrun };
    });
    const given = await pick(chargings).chargeBatch(items, actor);
    for (const [index, answer] of given.entries()) {
      const reference = items[index]?.referenceId ?? '';
      heard(`${wallet.walletId} ${reference}`, answer);
      charged.push({ reference, wallet });
    }
  }
  async function refund(): Promise<void> {
    if (charged.length === 0) return;
    const { reference, wallet } = pick(charged);
    const key = `refund-${reference}-${whole(2)}`;
    const request = { wallet, type: 'call' as const, referenceId: reference, key, reason: 'test' };
    heard(`${wallet.walletId} ${key}`, await refunds.refund(request, actor));
  }
  async function hold(): Promise<void> {
    const wallet = pick(opened);
    const key = `hold-${next()}`;
    const request = { wallet, key, estimate: { usage: call(60) }, ttlSeconds: 3_600 };
    const [answer] = await Promise.all([
      holds.authorize(request, actor),
      holds.authorize(request, actor),
    ]);
    if (answer.ok) {
      placed.push({ holdId: answer.holdId, wallet });
    }
  }
  async function onHold(): Promise<void> {
    if (placed.length === 0) return;
    const { holdId, wallet } = pick(placed);
    const usage = call(60 * (1 + whole(4)));
    const choice = whole(6);
    if (choice < 3) {
      await holds.extend({ holdId, usageSoFar: usage }, actor);
    } else if (choice < 5) {
      const overrun = pick(['refuse', 'arrears'] as const);
      heard(
        `capture ${holdId} ${wallet.walletId}`,
        await holds.capture({ holdId, usage, overrun }, actor),
      );
    } else {
      heard(`void ${holdId} ${wallet.walletId}`, await holds.void({ holdId }, actor));
    }
  }
  async function grant(): Promise<void> {
    const expiresAt = new Date(nowMs + 3_600_000 * (1 + whole(12)));
    const key = `grant-${next()}`;
    const request = {
      wallet: pick(opened),
      amountMicros: 300_000n,
      key,
      reason: 'test',
      expiresAt,
    };
    await grants.grant(request, actor);
  }
  async function changeStatus(): Promise<void> {
    const wallet = pick(opened);
    await wallets.changeStatus({ wallet, status: 'frozen', reason: 'test' }, actor);
    await wallets.changeStatus({ wallet, status: 'open', reason: 'test' }, actor);
  }
  async function closeMonth(): Promise<void> {
    const requested = await month.request({ period: '2026-10', actor });
    if (!requested.ok) return;
    const { runId, period } = requested;
    const { ranges } = await month.planMonth(runId, null);
    for (const range of ranges) {
      await month.closeRange({ runId, period, ...range });
    }
  }
  const some = [
    ...Array<() => Promise<void>>(10).fill(charge),
    ...[
      hold,
      hold,
      hold,
      onHold,
      onHold,
      onHold,
      onHold,
      refund,
      refund,
      refund,
      grant,
      changeStatus,
    ],
  ];

  for (let round = 0; round < ROUNDS; round += 1) {
    await Promise.all([
      ...Array.from({ length: CALLS_A_ROUND }, () => pick(some)()),
      ...[sweeper.tick(), sweeper.tick(), closeMonth(), closeMonth()],
    ]);
    const { differences } = await verifyRange(database.owner, EVERY_WALLET, 10);
    expect(differences).toEqual([]);
    for (const { walletId } of opened) {
      const { availableMicros, balanceMicros } = await wallets.get({ walletId });
      expect(availableMicros).toBeGreaterThanOrEqual(0n);
      expect(balanceMicros).toBeGreaterThanOrEqual(0n);
    }
    await setNow(nowMs + 3_600_000 * (1 + whole(12)) + 3_600_000);
  }
  expect([...accepted].filter(([, times]) => times !== 1)).toEqual([]);
  await setNow(Date.parse('2026-11-02T00:00:00Z'));
  await Promise.all([closeMonth(), sweeper.tick()]);
  const [closed] = await database.app<{ count: bigint }[]>`
    select count(*) from statements where period = '2026-10'`;
  expect(closed?.count).toBe(6n);
  expect((await verifyRange(database.owner, EVERY_WALLET, 10)).differences).toEqual([]);
});

it('a batch names the item whose user got a second wallet meanwhile, and corrected charges nothing twice', async () => {
  const sql = many;
  const wallets = createWallets(sql);
  const rateCards = createRateCards({ sql, nowMs: () => nowMs });
  const charging = createCharging({ sql, rateCards, now: () => new Date(nowMs) });
  const [first, second] = [`user-${randomUUID()}`, `user-${randomUUID()}`];
  for (const userId of [first, second]) {
    await wallets.open({ userId }, actor);
    const grant = { wallet: { userId }, amountMicros: 1_000_000n, key: 'opening', reason: 'test' };
    await createGrants({ sql }).grant(grant, actor);
  }
  const item = (userId: string, referenceId: string, currency?: string) => {
    const wallet = currency === undefined ? { userId } : { userId, currency };
    return { wallet, usage: call(60), referenceId, overrun: 'refuse' as const };
  };
  await charging.chargeBatch([item(first, '1'), item(second, '1')], actor);
  await wallets.open({ userId: second, currency: 'EUR' }, actor);
  await expect(
    charging.chargeBatch([item(first, '2'), item(second, '2')], actor),
  ).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    publicMessage: expect.stringMatching(/^items\.1\.currency: is required/),
  });
  const corrected = [item(first, '2'), item(second, '2', 'USD')];
  await charging.chargeBatch(corrected, actor);
  for (const userId of [first, second]) {
    expect((await wallets.get({ userId, currency: 'USD' })).balanceMicros).toBe(700_000n);
  }
});
