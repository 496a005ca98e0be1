import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
} from '../../dev/month-scenario.ts';
import { arrearsTerms, changeArrearsTerms } from '../../store/arrears-terms.ts';
import { chargeWallet } from '../../store/charges.ts';
import { settleDueWallets } from '../../store/holds.ts';
import { verifyRange } from '../../store/ledger.ts';
import { problemsOf } from '../../store/wallets.fixtures.ts';
import { findWallets } from '../../store/wallets.ts';

const actor = 'test:arrears';
let scenario: MonthScenario;

beforeEach(async () => {
  scenario = await createMonthScenario();
  return () => scenario.db.close();
});

/** Only users with an account are told anything. */
async function giveAccount({ id, userId }: TestWallet): Promise<void> {
  await scenario.db.owner`
    insert into users (id, email, password_hash, role)
    values (${userId}, ${`${id}@example.com`}, '$argon2id$', 'user')`;
}

/** A wallet that owes $5 when August is closed, at 02:00 of September 1st. */
async function owing(): Promise<TestWallet> {
  const wallet = await scenario.open('2026-08-10T00:00:00Z');
  await giveAccount(wallet);
  await scenario.charge('2026-08-11T00:00:00Z', wallet, 5_000_000n);
  await scenario.run('2026-09-01T02:00:00Z', '2026-08');
  return wallet;
}

async function turnAutoTopUpOn({ id }: TestWallet): Promise<void> {
  await scenario.db.owner`
    insert into auto_top_ups (wallet_id, livemode, status, threshold_micros, mode,
      amount_micros, monthly_cap_micros, min_charge_micros, max_charge_micros,
      charge_step_micros, changed_at)
    values (${id}, false, 'on', 0, 'add', 10000000, 100000000, 1000000, 50000000,
      10000, now())`;
}

/** Asks for a top-up of $5; the answer's code. */
async function beginTopUp({ id }: TestWallet): Promise<string | undefined> {
  const [row] = await scenario.db.app<{ code: string }[]>`
    select code from start_top_up(${randomUUID()}, ${id}, ${randomUUID()}, 5000000, 500, false)`;
  return row?.code;
}

/** A payment that pays a part of what is owed; its name at Stripe. */
async function payOneDollar({ id, userId }: TestWallet): Promise<string> {
  const topUpId = randomUUID();
  const [paymentIntentId, customerId] = [`pi_${topUpId}`, `cus_${topUpId}`];
  await scenario.db.owner`insert into stripe_customers (user_id, livemode, stripe_customer_id)
    values (${userId}, false, ${customerId})`;
  await scenario.db.app`select start_top_up(${topUpId}, ${id}, ${topUpId}, 1000000, 100, false)`;
  await scenario.db.app`select apply_top_up(${paymentIntentId}, ${topUpId}, ${customerId}, 'USD',
    100, false, ${actor}, ledger_now())`;
  return paymentIntentId;
}

/** The sweeper comes by at an instant. */
async function sweep(at: string): Promise<void> {
  await scenario.db.setClock(at);
  await settleDueWallets(scenario.db.app, 100);
}

async function charge(at: string, { id }: TestWallet) {
  await scenario.db.setClock(at);
  const { code } = await chargeWallet(scenario.db.app, {
    walletId: id,
    key: randomUUID(),
    requestHash: Buffer.alloc(32),
    amountMicros: 1n,
    overrun: 'arrears',
    occurredAt: null,
    actor,
    detail: {},
  });
  return code;
}

async function noticesOf({ userId }: TestWallet): Promise<string[]> {
  const rows = await scenario.db.owner<{ kind: string }[]>`
    select kind from mail_outbox where user_id = ${userId} and kind <> 'statement'
    order by created_at`;
  return rows.map(({ kind }) => kind);
}

/** As its user is shown it. */
async function suspendsAt({ id }: TestWallet): Promise<Date | null | undefined> {
  const [wallet] = await findWallets(scenario.db.app, { walletId: id });
  return wallet?.suspendsAt;
}

async function expectSound({ id }: TestWallet): Promise<void> {
  const { differences } = await verifyRange(scenario.db.owner, { from: id, to: id }, 10);
  expect(differences).toEqual([]);
}

describe('a wallet that owes when its month is closed', () => {
  it('is told, reminded, suspended, and open again with the payment of all it owes', async () => {
    const wallet = await owing();
    await sweep('2026-09-01T02:00:01Z');
    expect(await noticesOf(wallet)).toEqual(['arrears_due']);
    await sweep('2026-09-06T01:59:59Z');
    expect(await noticesOf(wallet)).toHaveLength(1);
    await sweep('2026-09-06T02:00:00Z');
    await sweep('2026-09-06T02:00:01Z');
    expect(await noticesOf(wallet)).toEqual(['arrears_due', 'arrears_reminder']);
    expect(await suspendsAt(wallet)).toEqual(new Date('2026-09-08T02:00:00Z'));
    await sweep('2026-09-08T02:00:00Z');
    expect(await suspendsAt(wallet)).toBeNull();
    expect(await charge('2026-09-08T02:00:01Z', wallet)).toBe('WALLET_FROZEN');

    await scenario.grant('2026-09-09T00:00:00Z', wallet, 4_000_000n);
    expect(await charge('2026-09-09T00:00:01Z', wallet)).toBe('WALLET_FROZEN');
    await scenario.grant('2026-09-09T00:00:02Z', wallet, 4_000_000n);
    expect(await charge('2026-09-09T00:00:02Z', wallet)).toBe('OK');
    expect(await noticesOf(wallet)).toEqual([
      'arrears_due',
      'arrears_reminder',
      'wallet_suspended',
      'wallet_resumed',
    ]);
    await expectSound(wallet);
  });

  it('is suspended in time although no sweeper runs, and hears only the last notice', async () => {
    const wallet = await owing();
    expect(await charge('2026-09-08T02:00:00Z', wallet)).toBe('WALLET_FROZEN');
    await sweep('2026-10-01T00:00:00Z');
    expect(await noticesOf(wallet)).toEqual(['wallet_suspended']);
    await expectSound(wallet);
  });

  it('hears nothing when an automatic top-up pays first', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await giveAccount(wallet);
    await turnAutoTopUpOn(wallet);
    await scenario.charge('2026-08-11T00:00:00Z', wallet, 5_000_000n);
    await scenario.run('2026-09-01T02:00:00Z', '2026-08');
    await sweep('2026-09-01T02:00:01Z');
    // Nothing is available, and the threshold is nothing: what is owed asks for the top-up.
    const asked = await scenario.db.app`select wallets_to_top_up(false, 10) as id`;
    expect([...asked]).toEqual([{ id: wallet.id }]);
    await scenario.grant('2026-09-01T02:10:00Z', wallet, 10_000_000n);
    await sweep('2026-09-20T00:00:00Z');
    expect(await noticesOf(wallet)).toEqual([]);
    expect(await charge('2026-09-20T00:00:00Z', wallet)).toBe('OK');
  });

  it('ends with the same balance whether a top-up comes before its fee or after it', async () => {
    const balances = [];
    for (const toppedUpAt of ['2026-09-01T01:59:00Z', '2026-09-01T02:10:00Z']) {
      const wallet = await scenario.open('2026-08-01T00:00:00Z');
      await scenario.grant('2026-08-01T00:00:00Z', wallet, 2_000_000n);
      await scenario.db.app`select add_subscription(${wallet.id}, ${randomUUID()}, ${randomUUID()},
        sha256('plan'), 'plan', 'Monthly plan', 9900000, null, null, ${actor})`;
      const topUp = () => scenario.grant(toppedUpAt, wallet, 10_000_000n);
      const isBefore = toppedUpAt < '2026-09-01T02:00:00Z';
      if (isBefore) await topUp();
      await scenario.run('2026-09-01T02:00:00Z', '2026-08');
      if (!isBefore) await topUp();
      const { balance, available } = await scenario.wallet(wallet);
      balances.push([balance, available]);
    }
    expect(balances).toEqual([
      [2_100_000n, 2_100_000n],
      [2_100_000n, 2_100_000n],
    ]);
  });

  it('can begin a top-up while it is suspended, and not when a person froze it', async () => {
    const wallet = await owing();
    await sweep('2026-09-08T02:00:00Z');
    expect(await beginTopUp(wallet)).not.toBe('WALLET_FROZEN');
    await scenario.db.app`select change_wallet_status(${wallet.id}, 'frozen', ${actor}, '{}')`;
    expect(await beginTopUp(wallet)).toBe('WALLET_FROZEN');
  });

  it.each(['a dispute', 'a person'])(
    'takes no more payments when %s freezes it too',
    async (who) => {
      const wallet = await owing();
      await turnAutoTopUpOn(wallet);
      const paymentIntentId = await payOneDollar(wallet);
      await sweep('2026-09-08T02:00:00Z');
      await (who === 'a dispute'
        ? scenario.db.app`select apply_dispute('dp_1', ${paymentIntentId}, 'USD', 100, 'open',
          'needs_response', 'fraudulent', 0, 0, 'stripe:dp_1', ledger_now(), '{}')`
        : scenario.db.app`select change_wallet_status(${wallet.id}, 'frozen', ${actor}, '{}')`);
      expect(await beginTopUp(wallet)).toBe('WALLET_FROZEN');
      const [automatic] = await scenario.db.app`
      select status, reason from auto_top_ups where wallet_id = ${wallet.id}`;
      expect(automatic).toEqual({ status: 'paused', reason: 'wallet_frozen' });
    },
  );

  it('has as long as the operator’s terms give', async () => {
    const { app, owner } = scenario.db;
    const change = { graceDays: 30, reminderDays: null };
    expect(await changeArrearsTerms(app, change, 'support:ada')).toBe(true);
    expect(await changeArrearsTerms(app, { ...change, reminderDays: 31 }, 'support:eve')).toBe(
      false,
    );
    expect(await arrearsTerms(app)).toMatchObject({
      graceDays: 30,
      reminderDays: 2,
      changedBy: 'support:ada',
    });
    await expect(owner`delete from arrears_terms_changes`).rejects.toThrow('refused');
    const wallet = await owing();
    expect(await charge('2026-10-01T01:59:59Z', wallet)).toBe('OK');
    expect(await charge('2026-10-01T02:00:00Z', wallet)).toBe('WALLET_FROZEN');
  });
});

describe('verification finds', () => {
  it.each([
    ['ARREARS_DEMAND', `update wallet_arrears set suspend_at = suspend_at + interval '1 day'`],
    ['ARREARS_FREEZE', 'update wallet_arrears set suspends = true'],
    ['ARREARS_DEMAND', 'delete from wallet_arrears'],
  ])('%s: %s', async (problem, change) => {
    const wallet = await owing();
    await scenario.db.owner.unsafe(change);
    expect(await problemsOf(scenario.db.owner, wallet.id)).toEqual([problem]);
  });

  it('a suspended wallet that its payment would not open', async () => {
    const wallet = await owing();
    await sweep('2026-09-08T02:00:00Z');
    await scenario.db.owner`update wallet_arrears set suspends = false`;
    expect(await problemsOf(scenario.db.owner, wallet.id)).toEqual(['ARREARS_FREEZE']);
  });

  it('a wallet frozen by a person that its payment would open', async () => {
    const wallet = await owing();
    await sweep('2026-09-08T02:00:00Z');
    await scenario.db.app`select change_wallet_status(${wallet.id}, 'frozen', ${actor}, '{}')`;
    await expectSound(wallet);
    await scenario.db.owner`update wallet_arrears set suspends = true`;
    expect(await problemsOf(scenario.db.owner, wallet.id)).toEqual(['ARREARS_FREEZE']);
  });

  it('nothing in a wallet that its operator lets owe', async () => {
    const wallet = await owing();
    await sweep('2026-09-08T02:00:00Z');
    await scenario.db.app`select change_wallet_status(${wallet.id}, 'open', ${actor}, '{}')`;
    await expectSound(wallet);
  });
});
