/** What a fee that the wallet cannot pay leads to, with cards at the Stripe stand-in. */
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { createMonthScenario, type MonthScenario } from '../../dev/month-scenario.ts';
import type { Usage } from '../../rating/usage.ts';
import { insertUserWithRole } from '../../store/accounts.ts';
import { settleDueWallets } from '../../store/holds.ts';
import { verifyRange } from '../../store/ledger.ts';
import {
  AutoTopUpUser,
  type AutoTopUpWorld,
  startAutoTopUpWorld,
} from '../auto-top-ups/auto-top-up.fixtures.ts';
import { createCharging } from '../charging/charging.ts';
import { createGrants } from '../charging/grants.ts';
import { createHolds } from '../charging/holds.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createSubscriptions } from './subscriptions.ts';

const actor = 'test:short';
const dollars = (amount: number) => BigInt(amount) * 1_000_000n;
const to = '+14155550132';
const everyUsage: readonly Usage[] = [
  { type: 'call', durationSeconds: 60, to },
  { type: 'sms', to },
  { type: 'email' },
  { type: 'fax', pages: 1, to },
  { type: 'file_transfer' },
];

let world: AutoTopUpWorld;
let scenario: MonthScenario;

beforeEach(async () => {
  world = await startAutoTopUpWorld('2026-08-01T00:00:00Z');
  scenario = await createMonthScenario(world.database);
  return () => world.close();
});

/** Somebody with an account, a card and a plan of $30 a month; automatic top-up restores $25. */
async function subscriber(card: string): Promise<AutoTopUpUser> {
  const user = await AutoTopUpUser.with(world, [card]);
  await insertUserWithRole(world.database.owner, {
    id: user.userId,
    email: `${user.userId}@example.org`,
    role: 'user',
    passwordHash: '$argon2id$none',
  });
  const { walletId } = await user.wallet();
  const plan = { kind: 'plan', description: 'Plan', monthlyMicros: dollars(30) } as const;
  await createSubscriptions(world.database.app).add(
    { wallet: { walletId }, key: 'p', ...plan },
    actor,
  );
  return user;
}

/** The month is closed; the automatic top-ups that this asks for are made; the sweeper comes by. */
async function closeAugust(): Promise<void> {
  await world.setClock('2026-09-01T02:00:00Z');
  await scenario.run('2026-09-01T02:00:00Z', '2026-08');
  await world.work();
  await sweepAt('2026-09-01T02:00:01Z');
}

async function sweepAt(iso: string): Promise<void> {
  await world.setClock(iso);
  await settleDueWallets(world.database.app, 100);
}

async function standingOf(user: AutoTopUpUser) {
  const { status, availableMicros, arrearsMicros } = await user.wallet();
  return { status, availableMicros, arrearsMicros };
}

async function arrearsNoticesOf({ userId }: AutoTopUpUser): Promise<string[]> {
  const rows = await world.database.owner<{ kind: string }[]>`
    select kind from mail_outbox
    where user_id = ${userId} and (kind like 'arrears%' or kind like 'wallet_%')
    order by created_at`;
  return rows.map(({ kind }) => kind);
}

async function expectSound(): Promise<void> {
  const everything = {
    from: '00000000-0000-0000-0000-000000000000',
    to: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  };
  expect((await verifyRange(world.database.owner, everything, 5)).differences).toEqual([]);
}

it('a card that pays covers what the fee left owed, at once, and nobody is reminded', async () => {
  const user = await subscriber('pm_card_visa');
  await user.turnOn();
  await world.work();
  expect(await user.paidCents()).toEqual([2_500]);
  await closeAugust();
  expect(await user.paidCents(), '5 owed and 25 wanted').toEqual([2_500, 3_000]);
  const paid = { status: 'open', availableMicros: dollars(25), arrearsMicros: 0n };
  expect(await standingOf(user)).toEqual(paid);
  await sweepAt('2026-09-20T00:00:00Z');
  expect(await standingOf(user)).toEqual(paid);
  expect(await arrearsNoticesOf(user)).toEqual([]);
  await expectSound();
});

it('a card that is declined leads by what is there to arrears, grace, suspension and recovery', async () => {
  const user = await subscriber('pm_card_chargeCustomerFail');
  const wallet = await user.wallet();
  const { app } = world.database;
  const now = () => new Date('2026-09-08T12:00:00Z');
  const rateCards = createRateCards({ sql: app, nowMs: () => now().getTime() });
  const charging = createCharging({ sql: app, rateCards, now });
  const holds = createHolds({ sql: app, rateCards, now });
  await createGrants({ sql: app }).grant(
    { wallet, amountMicros: dollars(10), key: 'g', reason: 'test' },
    actor,
  );
  await user.turnOn();

  await closeAugust();
  expect(await user.asked(), 'the card was asked').toBeGreaterThan(0);
  const owing = { availableMicros: 0n, arrearsMicros: dollars(20) };
  expect(await standingOf(user)).toEqual({ status: 'open', ...owing });
  expect(await arrearsNoticesOf(user)).toEqual([]);
  await sweepAt('2026-09-01T03:00:01Z');
  await sweepAt('2026-09-06T02:00:01Z');
  expect(await arrearsNoticesOf(user)).toEqual(['arrears_due', 'arrears_reminder']);
  await sweepAt('2026-09-08T01:59:59Z');
  expect(await standingOf(user), 'in grace').toEqual({ status: 'open', ...owing });

  await sweepAt('2026-09-08T02:00:01Z');
  expect(await standingOf(user)).toEqual({ status: 'frozen', ...owing });
  const frozen = { ok: false, code: 'WALLET_FROZEN' };
  const use = (usage: Usage) =>
    charging.charge({ wallet, usage, referenceId: randomUUID(), overrun: 'arrears' }, actor);
  for (const usage of everyUsage) {
    expect(await use(usage), usage.type).toEqual(frozen);
    const estimate = { usage };
    const call = { wallet, key: randomUUID(), estimate, ttlSeconds: 60 };
    expect(await holds.authorize(call, actor), usage.type).toEqual(frozen);
  }

  const card = await world.stripe.paymentMethods.attach('pm_card_visa', {
    customer: user.customerId,
  });
  user.cards.push(card.id);
  await user.readCards();
  expect(await user.turnOn()).toEqual({ ok: true });
  await world.work();
  expect(await user.paidCents(), '20 owed and 25 wanted').toEqual([4_500]);
  expect(await standingOf(user)).toEqual({
    status: 'open',
    availableMicros: dollars(25),
    arrearsMicros: 0n,
  });
  expect(await use({ type: 'email' })).toMatchObject({ ok: true });
  await sweepAt('2026-09-08T02:00:02Z');
  expect(await arrearsNoticesOf(user)).toEqual([
    ...['arrears_due', 'arrears_reminder', 'wallet_suspended', 'wallet_resumed'],
  ]);
  await expectSound();
});
