/** Any order of what can happen to automatic top-ups, with Stripe's outcomes made up. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import {
  type AttemptState,
  claimAutoTopUps,
  dropAutoTopUp,
  pauseAutoTopUp,
  postponeAutoTopUp,
  refuseAutoTopUp,
  renewRecoveryLink,
  reserveAutoTopUp,
  resumeAutoTopUp,
  setAutoTopUp,
  spendRecoveryLink,
  walletsToTopUp,
} from '../../store/auto-top-ups.ts';
import { verifyRange } from '../../store/ledger.ts';
import { beginCardRead, recordSavedCards } from '../../store/saved-cards.ts';
import { applyTopUp, recordTopUpAttempt, saveStripeCustomer } from '../../store/top-ups.ts';
import { openWallet } from '../../store/wallets.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database?.close());

const MICROS = 1_000_000n;
const CAP_MICROS = 60n * MICROS;

type Step =
  | { kind: 'trigger' }
  | { kind: 'outcome'; outcome: 'paid' | 'later' | 'never' | 'authentication' | 'api' | 'unknown' }
  | { kind: 'canceled_at_stripe' }
  | { kind: 'dropped' }
  | { kind: 'late_webhook' }
  | { kind: 'use_link' }
  | { kind: 'pause'; reason: 'velocity' | 'user' | 'dispute' }
  | { kind: 'resume' }
  | { kind: 'set' }
  | { kind: 'spend'; dollars: number }
  | { kind: 'wait'; hours: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ kind: 'trigger' }) },
  {
    weight: 8,
    arbitrary: fc
      .constantFrom(
        'paid' as const,
        'paid' as const,
        'later' as const,
        'never' as const,
        'authentication' as const,
        'api' as const,
        'unknown' as const,
      )
      .map((outcome): Step => ({ kind: 'outcome', outcome })),
  },
  fc.constantFrom<Step>(
    { kind: 'canceled_at_stripe' },
    { kind: 'dropped' },
    { kind: 'late_webhook' },
    { kind: 'use_link' },
    { kind: 'resume' },
    { kind: 'set' },
  ),
  fc
    .constantFrom('velocity' as const, 'user' as const, 'dispute' as const)
    .map((reason): Step => ({ kind: 'pause', reason })),
  fc.integer({ min: 1, max: 40 }).map((dollars): Step => ({ kind: 'spend', dollars })),
  fc.constantFrom(1, 7, 30, 24 * 31).map((hours): Step => ({ kind: 'wait', hours })),
);

/** One wallet, and what Stripe would know of its payments. */
class Model {
  readonly userId = `model-${randomUUID()}`;
  readonly customerId = `cus_${this.userId}`;
  readonly walletId = randomUUID();
  nowMs = Date.parse('2026-03-10T12:00:00Z');
  /** Whom Stripe has charged: the amount of each paid payment. */
  readonly paidMicros = new Map<string, bigint>();
  /** Payments that Stripe has not canceled and that were not paid. */
  readonly open = new Set<string>();

  async begin(): Promise<void> {
    const sql = database.app;
    await this.setClock();
    await openWallet(sql, {
      walletId: this.walletId,
      userId: this.userId,
      currency: 'USD',
      timezone: 'UTC',
      mode: 'live',
      actor: 'test:model',
    });
    const { userId, customerId } = this;
    await saveStripeCustomer(sql, { userId, livemode: false, customerId });
    const read = await beginCardRead(sql, customerId);
    await recordSavedCards(
      sql,
      customerId,
      read ?? 0n,
      Array.from({ length: 6 }, (_, n) => ({
        id: `pm_${n}_${userId}`,
        brand: 'visa',
        last4: `000${n}`,
        expMonth: 12,
        expYear: 2040,
      })),
    );
    await this.set();
  }

  setClock = () => database.setClock(new Date(this.nowMs).toISOString());

  set = () =>
    setAutoTopUp(database.app, {
      walletId: this.walletId,
      livemode: false,
      thresholdMicros: 10n * MICROS,
      mode: 'restore',
      amountMicros: 25n * MICROS,
      monthlyCapMicros: CAP_MICROS,
      minChargeMicros: 5n * MICROS,
      maxChargeMicros: 100n * MICROS,
      chargeStepMicros: 10_000n,
      consentVersion: 'test',
      actor: 'user:model',
    });

  /** The charge in flight, read as the owner. */
  async inFlight() {
    const rows = await database.owner<
      {
        topUpId: string;
        state: AttemptState;
        try: number;
        amountMicros: bigint;
        amountMinor: bigint;
      }[]
    >`
      select t.top_up_id as "topUpId", t.state, t.try, t.amount_micros as "amountMicros",
        p.amount_minor as "amountMinor"
      from auto_top_up_attempts t join top_ups p on p.id = t.top_up_id
      where t.wallet_id = ${this.walletId}
        and t.state in ('charging', 'awaiting_user', 'canceling')`;
    expect(rows.length, 'in flight').toBeLessThanOrEqual(1);
    return rows[0];
  }

  async pay(charge: NonNullable<Awaited<ReturnType<Model['inFlight']>>>): Promise<void> {
    this.open.delete(charge.topUpId);
    this.paidMicros.set(charge.topUpId, charge.amountMicros);
    await this.credit(charge.topUpId, charge.amountMinor);
  }

  async credit(topUpId: string, amountReceivedMinor: bigint): Promise<void> {
    const applied = await applyTopUp(database.app, {
      paymentIntentId: `pi_${topUpId}`,
      topUpId,
      customerId: this.customerId,
      currency: 'USD',
      amountReceivedMinor,
      livemode: false,
      actor: `stripe:pi_${topUpId}`,
      occurredAt: new Date(this.nowMs),
    });
    expect(applied.reason).toBeNull();
  }

  async settingsStatus(): Promise<string> {
    const [row] = await database.owner<{ status: string }[]>`
      select status from auto_top_ups where wallet_id = ${this.walletId}`;
    return row?.status ?? 'none';
  }

  async run(step: Step): Promise<void> {
    const sql = database.app;
    const { walletId } = this;
    const charge = await this.inFlight();
    switch (step.kind) {
      case 'trigger': {
        const status = await this.settingsStatus();
        const isDue = (await walletsToTopUp(sql, false, 1_000)).includes(walletId);
        const reserved = await Promise.all(
          [1, 2, 3].map(() => reserveAutoTopUp(sql, walletId, randomUUID())),
        );
        const made = reserved.filter(({ code }) => code === 'RESERVED');
        expect(made.length).toBeLessThanOrEqual(
          charge === undefined && status === 'on' && isDue ? 1 : 0,
        );
        return;
      }
      case 'outcome': {
        if (charge?.state !== 'charging') return;
        if (step.outcome === 'paid') return this.pay(charge);
        if (step.outcome === 'unknown') return postponeAutoTopUp(sql, charge.topUpId);
        const hasPayment = step.outcome !== 'api';
        if (hasPayment) {
          this.open.add(charge.topUpId);
          await recordTopUpAttempt(sql, {
            topUpId: charge.topUpId,
            paymentIntentId: `pi_${charge.topUpId}`,
            status: 'failed',
            failureCode: 'declined',
            failureMessage: null,
          });
        }
        const refusal = {
          topUpId: charge.topUpId,
          try: charge.try,
          class: step.outcome,
          code: 'declined',
          message: null,
          hasPayment: this.open.has(charge.topUpId),
        };
        const state = await refuseAutoTopUp(sql, refusal);
        expect(await refuseAutoTopUp(sql, refusal), 'a second time').toBe(state);
        return;
      }
      case 'canceled_at_stripe':
        if (charge === undefined || !this.open.has(charge.topUpId)) return;
        this.open.delete(charge.topUpId);
        return recordTopUpAttempt(sql, {
          topUpId: charge.topUpId,
          paymentIntentId: `pi_${charge.topUpId}`,
          status: 'canceled',
          failureCode: null,
          failureMessage: null,
        });
      case 'dropped':
        if (charge === undefined || this.open.has(charge.topUpId)) return;
        return dropAutoTopUp(sql, charge.topUpId);
      case 'late_webhook':
        for (const topUpId of this.paidMicros.keys()) {
          await recordTopUpAttempt(sql, {
            topUpId,
            paymentIntentId: `pi_${topUpId}`,
            status: 'canceled',
            failureCode: null,
            failureMessage: null,
          });
        }
        return;
      case 'use_link': {
        const link = await renewRecoveryLink(sql, walletId);
        expect(link === null).toBe(charge?.state !== 'awaiting_user');
        if (link === null || charge === undefined) return;
        expect((await spendRecoveryLink(sql, link.topUpId, link.no)).code).toBe('OK');
        expect((await spendRecoveryLink(sql, link.topUpId, link.no)).code).toBe('USED');
        return this.pay(charge);
      }
      case 'pause':
        await pauseAutoTopUp(sql, { walletId, reason: step.reason, actor: 'test:model' });
        expect(await this.settingsStatus()).not.toBe('on');
        return;
      case 'resume':
        await resumeAutoTopUp(sql, { walletId, actor: 'user:support', bySupport: true });
        return;
      case 'set':
        await this.set();
        return;
      case 'spend':
        await database.owner`
          select charge_wallet(${walletId}, gen_random_uuid(), sha256('x'),
            ${BigInt(step.dollars) * MICROS}, 'arrears', null, 'test:model', '{}')`;
        return;
      case 'wait':
        this.nowMs += step.hours * 3_600_000;
        await this.setClock();
        await claimAutoTopUps(sql, false, 1_000);
        return;
      default: {
        const unknown: never = step;
        throw new TypeError(`unknown step ${unknown}`);
      }
    }
  }

  /** What holds after each step. */
  async check(): Promise<void> {
    const months = await database.owner<{ reserved: bigint }[]>`
      select sum(amount_micros)::bigint as reserved from auto_top_up_attempts
      where wallet_id = ${this.walletId} and state <> 'failed' group by period`;
    for (const { reserved } of months) {
      expect(reserved).toBeLessThanOrEqual(CAP_MICROS);
    }
    const [credited] = await database.owner<{ micros: bigint }[]>`
      select coalesce(sum(balance_delta_micros), 0)::bigint as micros from wallet_events
      where wallet_id = ${this.walletId} and type = 'top_up'`;
    const paid = [...this.paidMicros.values()].reduce((sum, micros) => sum + micros, 0n);
    expect(credited?.micros, 'credited is what Stripe was paid').toBe(paid);
    const released = await database.owner<{ id: string }[]>`
      select top_up_id as id from auto_top_up_attempts
      where wallet_id = ${this.walletId} and state = 'failed'`;
    for (const { id } of released) {
      expect(this.paidMicros.has(id) || this.open.has(id), 'released and not over').toBe(false);
    }
  }

  async verify(): Promise<void> {
    const range = { from: this.walletId, to: this.walletId };
    expect((await verifyRange(database.owner, range, 5)).differences).toEqual([]);
  }
}

it('one in flight, never over the cap, credited what was paid, released only what is over', {
  timeout: 120_000,
}, async () => {
  const reached = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 10, maxLength: 40 }), async (history) => {
      const model = new Model();
      await model.begin();
      for (const step of history) {
        await model.run(step);
        await model.check();
        reached.add((await model.inFlight())?.state ?? 'none');
      }
      await model.verify();
      const rows = await database.owner<{ state: string }[]>`
        select state from auto_top_up_attempts where wallet_id = ${model.walletId}`;
      for (const { state } of rows) {
        reached.add(state);
      }
    }),
    { numRuns: 25 },
  );
  expect([...reached].sort()).toEqual(
    expect.arrayContaining([
      'awaiting_user',
      'canceling',
      'charging',
      'failed',
      'none',
      'succeeded',
    ]),
  );
});
