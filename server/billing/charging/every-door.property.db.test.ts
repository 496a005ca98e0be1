/**
 * One usage that comes by every door in every order, is re-rated in between and outlives its month: what
 * it has billed is what it costs, and all of it can be given back.
 */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createMonthWork } from '../month/month.ts';
import { createRerating } from '../rate-cards/rerating.ts';
import { createHoldSweeper } from './hold-sweeper.ts';
import { actor, callOf, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

const RUNS = Number(process.env.EVERY_DOOR_RUNS ?? 40);
const fundsMicros = 10_000_000n;
const perMinuteMicros = 50_000n;
const referenceId = 'call-1';
const name = { type: 'call', referenceId } as const;

let world: PricingWorld;
let startedAt: Date;
/** Cards with other prices of a minute, for re-ratings alone. */
const cardIds = new Map<bigint, string>();

beforeAll(async () => {
  world = await createPricingWorld();
  for (const micros of [perMinuteMicros, 20_000n, 130_001n, 0n]) {
    const rules = defaultRateCard.rules.map((rule) =>
      rule.type === 'call' ? { ...rule, pricePerMinuteMicros: `${micros}` } : rule,
    );
    const version = cardIds.size + 2;
    const effectiveFrom = new Date(Date.UTC(2990, 0, version)).toISOString();
    const card = { ...defaultRateCard, id: randomUUID(), version, effectiveFrom, rules };
    await world.rateCards.publish(card, actor);
    cardIds.set(micros, card.id);
  }
});

afterAll(() => world?.database.close());

const minutes = fc.integer({ min: 0, max: 4 });
const someMinutes = fc.integer({ min: 1, max: 4 });
const stepArbitrary = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ does: 'authorize' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('extend' as const), minutes: someMinutes }),
  },
  { weight: 2, arbitrary: fc.constant({ does: 'wait' as const }) },
  fc.record({ does: fc.constant('capture' as const), minutes }),
  fc.constant({ does: 'void' as const }),
  { weight: 2, arbitrary: fc.record({ does: fc.constant('charge' as const), minutes }) },
  fc.record({
    does: fc.constant('refund' as const),
    amountMicros: fc.constantFrom(undefined, 33_333n),
  }),
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('rerate' as const),
      to: fc.constantFrom(perMinuteMicros, 20_000n, 130_001n, 0n),
      debits: fc.boolean(),
    }),
  },
  fc.constant({ does: 'closeMonth' as const }),
);
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** What should have become of the usage. */
interface Expected {
  holdId: string | null;
  status: 'new' | 'open' | 'expired' | 'captured' | 'voided' | 'charged';
  /** What the last heartbeat said, in minutes. */
  reported: number | null;
  /** What is billed, in minutes. */
  billed: number | null;
  isRefunded: boolean;
}

const kinds = [
  { mode: 'live', creditMicros: fundsMicros },
  { mode: 'live', creditMicros: 170_000n },
  { mode: 'deferred', creditMicros: 0n },
] as const;

/** A wallet whose funds are partly promotional credit, and an overdraft for the rest. */
async function walletOf({ mode, creditMicros }: (typeof kinds)[number]): Promise<WalletView> {
  const wallet = await world.walletWith(0n, { mode });
  await world.database.owner`
    update wallets set overdraft_limit_micros = ${fundsMicros - creditMicros}
    where id = ${wallet.walletId}`;
  // An event says how far a wallet may be overdrawn, so there must be one, if only of a micro.
  const amountMicros = creditMicros === 0n ? 1n : creditMicros;
  const grant = { wallet, amountMicros, key: 'credit', reason: 'test' };
  await world.grants.grant(grant, actor);
  return wallet;
}

const priceOf = (minutes: number | null) =>
  minutes === null || minutes === 0 ? 0n : 100_000n + perMinuteMicros * BigInt(minutes);

async function settleDue(): Promise<void> {
  const logger = createLogger('silent');
  await createHoldSweeper({ sql: world.database.app, intervalMs: 60_000, logger }).tick();
}

async function rerate(to: bigint, debits: boolean): Promise<void> {
  const rerating = createRerating({ sql: world.database.app, rateCards: world.rateCards });
  const span = { from: startedAt, to: new Date(world.now().getTime() + 1_000) };
  const cardId = cardIds.get(to) ?? '';
  const terms = { id: randomUUID(), cardId, ...span, debits, reason: 'test' };
  const answer = await rerating.run(terms, actor);
  expect.assert(answer.ok);
  expect(answer.progress.refused).toEqual({});
}

async function closeMonth(): Promise<void> {
  const now = world.now();
  await world.setNow(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1, 1));
  await settleDue();
  const sql = world.database.app;
  const month = createMonthWork({ sql, longSql: sql, clock: world.now });
  const requested = await month.request({ period: now.toISOString().slice(0, 7), actor });
  expect.assert(requested.ok);
  const { runId, period } = requested;
  const { ranges } = await month.planMonth(runId, null);
  for (const range of ranges) {
    await month.closeRange({ runId, period, ...range });
  }
}

/** Takes the step, holds its answer against what is expected, and notes what should be now. */
async function take(step: Step, wallet: WalletView, expected: Expected): Promise<void> {
  const { holdId, status } = expected;
  const runs = status === 'open' || status === 'expired';
  switch (step.does) {
    case 'authorize': {
      const placed = await world.authorize(wallet, callOf(60), referenceId);
      if (status === 'new') {
        expect.assert(placed.ok);
        Object.assign(expected, { holdId: placed.holdId, status: 'open' });
      } else {
        expect(placed).toMatchObject(holdId === null ? { code: 'KEY_REUSED' } : { replayed: true });
      }
      return;
    }
    case 'extend': {
      if (holdId === null) return;
      await world.holds.extend({ holdId, usageSoFar: callOf(60 * step.minutes) }, actor);
      if (runs && step.minutes >= (expected.reported ?? 0)) {
        expected.reported = step.minutes;
        expected.billed = status === 'expired' ? step.minutes : null;
      }
      return;
    }
    case 'capture': {
      if (holdId === null) return;
      const usage = callOf(60 * step.minutes);
      const captured = await world.holds.capture({ holdId, usage, overrun: 'refuse' }, actor);
      if (runs) {
        expect(captured).toMatchObject({ ok: true, replayed: false });
        Object.assign(expected, { status: 'captured', billed: step.minutes });
      }
      return;
    }
    case 'void': {
      if (holdId === null) return;
      const voided = await world.holds.void({ holdId }, actor);
      if (runs) {
        expect(voided).toMatchObject({ ok: true, replayed: false });
        Object.assign(expected, { status: 'voided', billed: null });
      }
      return;
    }
    case 'charge': {
      const charged = await world.charge(wallet, callOf(60 * step.minutes), { referenceId });
      const isNew =
        status === 'new' ||
        status === 'voided' ||
        status === 'open' ||
        (status === 'expired' && step.minutes !== expected.reported);
      if (isNew) {
        expect(charged).toMatchObject({ ok: true, replayed: false });
        expected.status = runs ? 'captured' : 'charged';
        expected.billed = step.minutes;
      } else {
        const isSame = step.minutes === expected.billed;
        expect(charged).toMatchObject(isSame ? { replayed: true } : { code: 'KEY_REUSED' });
      }
      return;
    }
    case 'refund': {
      const { amountMicros } = step;
      const request = { wallet, ...name, amountMicros, key: randomUUID(), reason: 'test' };
      const refunded = await world.refunds.refund(request, actor);
      expected.isRefunded ||= refunded.ok;
      return;
    }
    case 'rerate':
      return rerate(step.to, step.debits);
    case 'wait':
    case 'closeMonth': {
      if (step.does === 'wait') {
        await world.wait(400);
        await settleDue();
      } else {
        await closeMonth();
      }
      if (status === 'open') {
        Object.assign(expected, { status: 'expired', billed: expected.reported });
      }
      return;
    }
    default: {
      const unknown: never = step;
      throw new TypeError(`unknown step ${unknown}`);
    }
  }
}

it('usage that comes by every door in any order bills its price, and all of it comes back', {
  timeout: 30_000 + RUNS * 3_000,
}, async () => {
  const steps = fc.array(stepArbitrary, { minLength: 6, maxLength: 14, size: 'max' });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...kinds), steps, async (kind, steps) => {
      // Re-ratings reach all usage of their span, so every run has a span of its own.
      await world.wait(86_400);
      startedAt = world.now();
      const wallet = await walletOf(kind);
      const before = await world.moneyOf(wallet);
      const spent = async () => {
        const { availableMicros, arrearsMicros } = await world.moneyOf(wallet);
        return before.availableMicros - availableMicros + arrearsMicros;
      };
      const expected: Expected = {
        ...{ holdId: null, status: 'new', reported: null, billed: null, isRefunded: false },
      };
      for (const step of steps) {
        await take(step, wallet, expected);
        if (expected.status === 'voided') {
          expect(await spent()).toBe(0n);
        }
      }
      if (expected.status === 'open') {
        await take({ does: 'void' }, wallet, expected);
      }
      // At the prices of the beginning, whatever re-ratings made of it.
      await rerate(perMinuteMicros, true);
      if (!expected.isRefunded) {
        expect(await spent()).toBe(priceOf(expected.billed));
      }
      const left = await spent();
      expect(left).toBeGreaterThanOrEqual(0n);
      const refund = { wallet, ...name, key: 'all', reason: 'test' };
      expect(await world.refunds.refund(refund, actor)).toMatchObject(
        left === 0n ? { code: 'NOT_REFUNDABLE' } : { ok: true, amountMicros: left },
      );
      await rerate(130_001n, true);
      await closeMonth();
      expect(await world.moneyOf(wallet)).toEqual(before);
      const [credit] = await world.database.app<{ micros: bigint }[]>`
        select grants_micros as micros from wallets where id = ${wallet.walletId}`;
      expect(credit?.micros).toBe(before.balanceMicros);
    }),
    { numRuns: RUNS },
  );
  expect(await world.differences()).toEqual([]);
});
