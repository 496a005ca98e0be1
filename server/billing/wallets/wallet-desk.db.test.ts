/** A wallet at the desk of support, against the Stripe stand-in and a real database. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addUser } from '../../store/accounts.fixtures.ts';
import type { WalletDesk } from '../../views/wallet-desk.ts';
import { createSpendingLimits } from '../charging/spending-limits.ts';
import {
  type MoneyBackWorld,
  type Payment,
  startMoneyBackWorld,
} from '../money-back/money-back.fixtures.ts';
import { createWalletDesk } from './wallet-desk.ts';

const actor = 'support:tester';
let world: MoneyBackWorld;
let desk: WalletDesk;
let payment: Payment;
let email: string;
let users = 0;

beforeAll(async () => {
  world = await startMoneyBackWorld();
  const { wallets, database } = world;
  const sql = database.app;
  desk = createWalletDesk({ sql, wallets, spendingLimits: createSpendingLimits(sql) });
});
afterAll(() => world?.stop());

/** A user with an account who has paid ten dollars. */
beforeEach(async () => {
  users += 1;
  const id = `desk-${users}-`;
  email = `${id}@example.com`;
  await addUser(world.database.owner, id, email);
  payment = await world.pay(id, '10');
  await world.deliverAll();
});

const seen = async () => {
  const view = await desk.get(payment.walletId, undefined);
  expect.assert(view !== null);
  return view;
};

describe('a wallet', () => {
  it('is found by its user, by how the id begins, and by email in any case', async () => {
    for (const query of [payment.userId, payment.userId.slice(0, -1), email, email.toUpperCase()]) {
      const { wallets } = await desk.find(query);
      expect(wallets.map(({ walletId }) => walletId)).toEqual([payment.walletId]);
    }
    for (const query of ['nobody@example.com', 'nobody']) {
      expect(await desk.find(query)).toEqual({ wallets: [], nextCursor: null });
    }
  });

  it('is shown with its money, its events page by page, and what came back of its top-ups', async () => {
    world.standIn.controls.refundCharge(payment.chargeId, 300);
    await world.deliverAll();
    const view = await seen();
    expect(view).toMatchObject({
      email,
      wallet: { balanceMicros: 7_000_000n, status: 'open' },
      topUps: [{ topUpId: payment.topUpId, refundedMicros: 3_000_000n, kind: 'manual' }],
      disputes: [],
      warnings: [],
      autoTopUp: null,
      limits: [],
      exponent: 2,
    });
    expect(view.page.events.map(({ type }) => type)).toEqual([
      'payment_refund',
      'top_up',
      'wallet_opened',
    ]);
    const older = await desk.get(payment.walletId, '2');
    expect(older?.page.events.map(({ type }) => type)).toEqual(['wallet_opened']);
  });

  it('that does not exist is neither shown nor changed', async () => {
    for (const walletId of [randomUUID(), 'no id', '']) {
      expect(await desk.get(walletId, undefined)).toBeNull();
      const change = { walletId, actor };
      const answers = [
        await desk.changeStatus({ ...change, status: 'frozen', reason: 'A test' }),
        await desk.resumeAutoTopUp(change),
        await desk.setLimits({ ...change, limits: [] }),
      ];
      expect(answers.map(({ ok }) => ok)).toEqual([false, false, false]);
    }
  });

  it('is shown with what banks said, and so are those of all wallets', async () => {
    const dispute = world.standIn.controls.disputeCharge(payment.chargeId);
    const warning = world.standIn.controls.warnOfFraud(payment.chargeId);
    await world.deliverAll();
    const { walletId, topUpId } = payment;
    const ofDispute = {
      disputeId: dispute.id,
      walletId,
      topUpId,
      currency: 'USD',
      state: 'open',
      amountMicros: 10_000_000n,
      withdrawnMicros: 10_000_000n,
      reinstatedMicros: 0n,
      freezes: true,
    };
    const ofWarning = { warningId: warning.id, walletId, topUpId, amountMicros: 10_000_000n };
    expect(await seen()).toMatchObject({ disputes: [ofDispute], warnings: [ofWarning] });
    const { disputes } = await desk.disputes({});
    const { warnings } = await desk.warnings({});
    expect(disputes).toContainEqual(expect.objectContaining(ofDispute));
    expect(warnings).toContainEqual(expect.objectContaining(ofWarning));
  });
});

it('disputes and warnings of all wallets are read page by page, none missed and none twice', async () => {
  const payments = await Promise.all(
    Array.from({ length: 5 }, (_, n) => world.pay(`disputing-${n}`, '10')),
  );
  for (const { chargeId } of payments) {
    world.standIn.controls.disputeCharge(chargeId);
    world.standIn.controls.warnOfFraud(chargeId);
  }
  await world.deliverAll();
  // Rows of one instant are told apart by their ids.
  await world.database.owner`update payment_fraud_warnings set created_at = '2026-10-01'`;
  const pages = async <T>(read: (cursor?: string) => Promise<[T[], string | null]>) => {
    const all: T[] = [];
    let cursor: string | undefined;
    do {
      const [rows, next] = await read(cursor);
      expect(rows.length).toBeLessThanOrEqual(2);
      all.push(...rows);
      cursor = next ?? undefined;
    } while (cursor !== undefined);
    return all;
  };
  const disputes = await pages(async (cursor) => {
    const page = await desk.disputes({ cursor, limit: 2 });
    return [page.disputes, page.nextCursor];
  });
  const warnings = await pages(async (cursor) => {
    const page = await desk.warnings({ cursor, limit: 2 });
    return [page.warnings, page.nextCursor];
  });
  expect(disputes).toEqual((await desk.disputes({})).disputes);
  expect(warnings).toEqual((await desk.warnings({})).warnings);
  expect(disputes.length).toBeGreaterThanOrEqual(5);
  expect(new Set(disputes.map(({ disputeId }) => disputeId)).size).toBe(disputes.length);
  expect(new Set(warnings.map(({ warningId }) => warningId)).size).toBe(warnings.length);
  const newestFirst = disputes.map(({ createdAt }) => createdAt.getTime());
  expect(newestFirst).toEqual(newestFirst.toSorted((a, b) => b - a));
});

describe('support', () => {
  it('freezes and unfreezes a wallet, and its history says who and why', async () => {
    const { walletId } = payment;
    const change = { walletId, actor };
    const freeze = { ...change, status: 'frozen', reason: 'Card reported stolen' } as const;
    expect(await desk.changeStatus(freeze)).toEqual({ ok: true });
    expect((await seen()).wallet.status).toBe('frozen');
    const unfreeze = { ...change, status: 'open', reason: 'It was a mistake' } as const;
    expect(await desk.changeStatus(unfreeze)).toEqual({ ok: true });
    const { page } = await seen();
    expect(page.events.slice(0, 2)).toMatchObject([
      { type: 'wallet_unfrozen', actor, detail: { reason: 'It was a mistake' } },
      { type: 'wallet_frozen', actor, detail: { reason: 'Card reported stolen' } },
    ]);
  });

  it('is told why automatic top-up cannot be resumed', async () => {
    const { walletId } = payment;
    expect(await desk.resumeAutoTopUp({ walletId, actor })).toEqual({
      ok: false,
      message: 'It is off, and only its user can turn it on.',
    });
  });

  it('sets limits and takes them away, by whom stands in the history', async () => {
    const { walletId } = payment;
    const row = { period: 'day', type: 'call', prefix: '+44', amount: '3.50' };
    const empty = { period: 'day', type: '', prefix: '', amount: '' };
    expect(await desk.setLimits({ walletId, limits: [row, empty], actor })).toEqual({ ok: true });
    const { limits, page } = await seen();
    expect(limits).toMatchObject([
      { period: 'day', type: 'call', prefix: '44', amountMicros: 3_500_000n, spentMicros: 0n },
    ]);
    expect(page.events[0]).toMatchObject({ type: 'limits_changed', actor });
    const refused = await desk.setLimits({
      walletId,
      limits: [empty, { ...row, amount: 'x' }],
      actor,
    });
    expect(refused).toEqual({ ok: false, problems: { 1: { amount: expect.any(String) } } });
    expect((await seen()).limits).toHaveLength(1);
    expect(await desk.setLimits({ walletId, limits: [empty], actor })).toEqual({ ok: true });
    expect((await seen()).limits).toEqual([]);
  });
});
