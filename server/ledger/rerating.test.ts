import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Command, decide } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import type { RefundUsage } from './refunds.ts';
import type { RerateUsage } from './rerating.ts';
import { actor, given, live, nowMs, requestHash } from './specification.fixtures.ts';
import { initialState, type WalletState } from './state.ts';

const keyOf = (digit: number) => `${digit}`.repeat(8).concat('-1111-4111-8111-111111111111');
const holdId = '44444444-4444-4444-8444-444444444444';
const usage = { type: 'call', to: '+14155550132' };

const toppedUp = (amountMicros: bigint): WalletEvent => ({
  type: 'top_up',
  key: keyOf(1),
  requestHash,
  amountMicros,
  actor,
  detail: {},
});
const charged: WalletEvent = {
  type: 'charge',
  key: keyOf(2),
  requestHash,
  takenMicros: 100n,
  owedMicros: 0n,
  actor,
  detail: { usage, referenceId: 'r' },
};
const used = [live, toppedUp(1_000n), charged];

const rerate = (priceMicros: bigint, change: Partial<RerateUsage> = {}): RerateUsage => ({
  type: 'rerate_usage',
  reratingId: 'first',
  cardId: 'card',
  debits: true,
  reason: 'wrong price',
  originalSeq: 3n,
  billedMicros: 100n,
  priceMicros,
  breakdown: {},
  actor,
  ...change,
});
const refund = (amountMicros: bigint | null, key = keyOf(8)): RefundUsage => ({
  type: 'refund_usage',
  key,
  requestHash,
  chargeKey: keyOf(2),
  holdKey: keyOf(3),
  usageType: 'call',
  amountMicros,
  actor,
  detail: { reason: 'bad line' },
});

/** What the commands write one after the other, and the wallet after it. */
function taking(events: readonly WalletEvent[], ...commands: readonly Command[]) {
  let state = events.reduce<WalletState>(evolve, initialState);
  const answers = commands.map((command) => {
    const { outcome, events: written } = decide(command, state, nowMs);
    state = written.reduce(evolve, state);
    return outcome;
  });
  expect.assert(state.opened);
  return { state, answers };
}

describe('a re-rating', () => {
  test('charges what cost too little, as a correction of its original', () => {
    given(...used)
      .when(rerate(150n))
      .thenEvents({
        type: 'charge',
        key: expect.any(String),
        requestHash: expect.stringMatching(/^[0-9a-f]{64}$/),
        takenMicros: 50n,
        owedMicros: 0n,
        rerating: { reratingId: 'first', originalSeq: 3n },
        actor,
        detail: {
          type: 'call',
          referenceId: 'r',
          reason: 'wrong price',
          rerating: { id: 'first', cardId: 'card', priceMicros: '150' },
          originalSeq: '3',
          usage,
          units: 0,
          breakdown: {},
          alreadyBilledMicros: '100',
        },
      })
      .answering({ code: 'OK', postedMicros: 50n });
  });

  test('gives back what cost too much', () => {
    given(...used)
      .when(rerate(70n))
      .thenEvents({
        type: 'usage_refund',
        key: expect.any(String),
        requestHash: expect.any(String),
        amountMicros: 30n,
        originalSeq: 3n,
        reratingId: 'first',
        actor,
        detail: {
          type: 'call',
          referenceId: 'r',
          reason: 'wrong price',
          rerating: { id: 'first', cardId: 'card', priceMicros: '70' },
          originalSeq: '3',
        },
      })
      .answering({ code: 'OK', postedMicros: -30n });
  });

  test('that only gives back charges nothing, and none posts twice', () => {
    given(...used)
      .when(rerate(150n, { debits: false }))
      .thenNothing({ code: 'OK', postedMicros: 0n });
    const { answers } = taking(used, rerate(150n), rerate(150n), rerate(150n, { reratingId: 'b' }));
    expect(answers).toMatchObject([
      { code: 'OK', postedMicros: 50n },
      { code: 'OK', postedMicros: 50n },
      { code: 'OK', postedMicros: 0n },
    ]);
  });

  test('of what billed another amount, or is no usage, changes nothing', () => {
    given(...used)
      .when(rerate(1n, { billedMicros: 99n }))
      .thenNothing({ code: 'CHANGED' });
    given(...used)
      .when(rerate(1n, { originalSeq: 2n }))
      .thenNothing({ code: 'CHANGED' });
    given(...used)
      .when(rerate(1n, { originalSeq: 9n }))
      .thenNothing({ code: 'CHANGED' });
  });

  test('is refused by a wallet that may not be charged', () => {
    const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: {} };
    given(...used, frozen)
      .when(rerate(150n))
      .thenNothing({ code: 'WALLET_FROZEN', postedMicros: 0n });
    const closed: WalletEvent = { type: 'wallet_closed', actor, detail: {} };
    given(...used, closed)
      .when(rerate(150n))
      .thenNothing({ code: 'WALLET_CLOSED' });
    given(...used, closed)
      .when(rerate(50n))
      .thenNothing({ code: 'WALLET_CLOSED' });
    given(...used)
      .when(rerate(-1n))
      .isNeverAllowed();
  });
});

describe('a refund of usage that was re-rated', () => {
  test('reaches what was charged later, and no more than was paid in all', () => {
    const { state, answers } = taking(used, rerate(150n), refund(151n), refund(null));
    expect(answers.slice(1)).toMatchObject([
      { code: 'NOT_REFUNDABLE', amountMicros: 150n },
      { code: 'OK', amountMicros: 150n, detail: { originalSeq: '3', correctionMicros: '50' } },
    ]);
    expect(state.balanceMicros).toBe(1_000n);
  });

  test('of a part leaves the same part of a later price', () => {
    const half = refund(75n);
    const { answers, state } = taking(used, rerate(150n), half, rerate(40n, { reratingId: 'b' }));
    expect(answers.at(-1)).toMatchObject({ code: 'OK', postedMicros: -55n });
    expect(state.balanceMicros).toBe(980n);
  });

  test('of all leaves nothing to be charged again, though it had been made cheaper', () => {
    const again = rerate(150n, { reratingId: 'b' });
    const { answers, state } = taking(used, rerate(70n), refund(null), again);
    expect(answers).toMatchObject([{}, { amountMicros: 70n }, { code: 'OK', postedMicros: 0n }]);
    expect(state.balanceMicros).toBe(1_000n);
  });

  test('gives credit back that the re-rating burned, once', () => {
    const granted: WalletEvent = {
      type: 'grant',
      key: keyOf(9),
      requestHash,
      amountMicros: 30n,
      actor,
      detail: {},
    };
    const { state } = taking(
      [...used, granted],
      rerate(150n),
      refund(140n),
      refund(null, keyOf(7)),
    );
    expect(state.grants.get(4n)).toMatchObject({ leftMicros: 30n });
    expect(state.balanceMicros).toBe(1_030n);
  });
});

describe('a hold that ran out and was re-rated', () => {
  const placed: Command = {
    type: 'authorize_hold',
    key: keyOf(3),
    requestHash,
    holdId,
    amountMicros: 200n,
    referenceId: 'h',
    rateCardId: 'card',
    pricing: {},
    usageType: 'call',
    destination: null,
    ttlSeconds: 60,
    actor,
    detail: {},
  };
  const heartbeat: Command = {
    type: 'extend_hold',
    holdId,
    report: { usage, units: 10 },
    amountMicros: 100n,
    addMicros: null,
    ttlSeconds: null,
    actor,
  };
  const capture = (units: number): Command => ({
    type: 'capture_hold',
    key: keyOf(5),
    requestHash,
    holdId,
    report: { usage, units },
    amountMicros: BigInt(units) * 10n,
    overrun: 'arrears',
    actor,
  });
  const voided: Command = { type: 'void_hold', key: keyOf(6), requestHash, holdId, actor };

  /** The hold billed 100, and was priced anew before these commands. */
  function ranOut(priceMicros: bigint, ...commands: readonly Command[]) {
    let state: WalletState = [live, toppedUp(1_000n)].reduce<WalletState>(evolve, initialState);
    const take = (command: Command, atMs: number) => {
      const { outcome, events } = decide(command, state, atMs);
      state = events.reduce(evolve, state);
      return { outcome, events };
    };
    take(placed, nowMs);
    take(heartbeat, nowMs);
    const later = nowMs + 60_000;
    const expired = take({ ...refund(1n), chargeKey: keyOf(9), holdKey: keyOf(9) }, later);
    const originalSeq = 5n;
    expect(expired.events).toMatchObject([{ type: 'hold_expired', takenMicros: 100n }]);
    take(rerate(priceMicros, { originalSeq }), later);
    const taken = commands.map((command) => take(command, later));
    expect.assert(state.opened);
    return { state, taken };
  }

  test.each([
    ['a debit', 150n, 4, 940n],
    ['a debit', 150n, 12, 830n],
    ['a credit', 70n, 4, 990n],
    ['a credit', 70n, 12, 910n],
  ])(
    'by %s (%s) and captured late keeps of it what its usage keeps',
    (_, price, units, balance) => {
      expect(ranOut(price, capture(units)).state.balanceMicros).toBe(balance);
    },
  );

  test('and voided keeps nothing of it', () => {
    for (const price of [150n, 70n, 0n]) {
      const { state, taken } = ranOut(price, voided, refund(null));
      expect(state.balanceMicros).toBe(1_000n);
      expect(taken[1]?.outcome).toMatchObject({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
    }
  });

  test('is answered with the wallet after all of it', () => {
    const { taken } = ranOut(150n, voided);
    expect(taken[0]?.events).toMatchObject([
      { type: 'usage_refund', amountMicros: 50n, originalSeq: 5n, correctionMicros: 50n },
      { type: 'usage_refund', amountMicros: 100n, key: keyOf(6) },
    ]);
    expect(taken[0]?.outcome).toMatchObject({ amountMicros: 100n, balanceMicros: 1_000n });
  });
});

test('whatever was re-rated and refunded, no more came back than was paid, and no less than asked', () => {
  const step = fc.oneof(
    fc.record({ refund: fc.bigInt({ min: 1n, max: 200n }) }),
    fc.record({ price: fc.bigInt({ min: 0n, max: 300n }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      let paid = 100n;
      let state = used.reduce<WalletState>(evolve, initialState);
      steps.forEach((next, index) => {
        const command =
          'price' in next
            ? rerate(next.price, { reratingId: `${index}` })
            : refund(next.refund, keyOf(2).replace(/^\d{8}/, `${10_000_000 + index}`));
        const { outcome, events } = decide(command, state, nowMs);
        state = events.reduce(evolve, state);
        if ('refund' in next) {
          expect(outcome.code).toBe(next.refund > paid ? 'NOT_REFUNDABLE' : 'OK');
          paid -= next.refund > paid ? 0n : next.refund;
        } else {
          expect.assert('postedMicros' in outcome);
          paid += outcome.postedMicros;
        }
        expect(paid).toBeGreaterThanOrEqual(0n);
        expect.assert(state.opened);
        expect(state.balanceMicros - state.arrearsMicros).toBe(1_000n - paid);
      });
    }),
  );
});
