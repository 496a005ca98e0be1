import { describe, expect, test } from 'vitest';
import { type Command, decide } from './decide.ts';
import { maxAmountMicros, maxStandingMicros } from './decision.ts';
import type { WalletEvent, WalletMode } from './events.ts';
import { evolve } from './evolve.ts';
import { usageKey } from './key.ts';
import type { RefundUsage } from './refunds.ts';
import { actor, given, nowMs, opened, requestHash } from './specification.fixtures.ts';
import { initialState, type WalletState } from './state.ts';

const key = '11111111-1111-4111-8111-111111111111';
const chargeKey = usageKey('call', 'call-1');
const holdKey = '33333333-3333-4333-8333-333333333333';
const holdId = '44444444-4444-4444-8444-444444444444';
const topUpKey = '55555555-5555-4555-8555-555555555555';
const captureKey = '66666666-6666-4666-8666-666666666666';

const toppedUp = (amountMicros: bigint): WalletEvent => ({
  type: 'top_up',
  key: topUpKey,
  requestHash,
  amountMicros,
  actor,
  detail: {},
});
const charged: WalletEvent = {
  type: 'charge',
  key: chargeKey,
  requestHash,
  takenMicros: 70n,
  owedMicros: 30n,
  actor,
  detail: {},
};
const refund = (amountMicros: bigint | null, change: Partial<RefundUsage> = {}): RefundUsage => ({
  type: 'refund_usage',
  key,
  requestHash,
  chargeKey,
  holdKey,
  usageType: 'call',
  amountMicros,
  actor,
  detail: { reason: 'bad line' },
  ...change,
});
const refunded = (amountMicros: bigint, refundKey = key): WalletEvent => ({
  type: 'usage_refund',
  key: refundKey,
  requestHash,
  amountMicros,
  originalSeq: 3n,
  actor,
  detail: { reason: 'bad line', originalSeq: '3' },
});
const live = [opened('live'), toppedUp(70n), charged];

describe('a refund', () => {
  test('credits what was taken and owed, and repays arrears first', () => {
    given(...live)
      .when(refund(null))
      .thenEvents(refunded(100n), { type: 'arrears_repaid', repaidMicros: 30n, bySeq: 4n, actor })
      .answering({
        code: 'OK',
        seq: 4n,
        amountMicros: 100n,
        balanceMicros: 70n,
        arrearsMicros: 0n,
      });
  });

  test('of a part leaves the rest refundable, and no more', () => {
    const wallet = given(...live, refunded(60n, captureKey));
    wallet.when(refund(41n)).thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 40n });
    const repaid = { type: 'arrears_repaid', repaidMicros: 30n, bySeq: 5n, actor } as const;
    wallet.when(refund(null)).thenEvents(refunded(40n), repaid).answering({ amountMicros: 40n });
  });

  test('of what was refunded already is refused', () => {
    given(...live, refunded(100n, captureKey))
      .when(refund(null))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
  });

  test.each([
    ['nothing that is known', { chargeKey: key }],
    ['a credit', { chargeKey: topUpKey, holdKey: topUpKey }],
  ])('of %s is refused', (_what, change) => {
    given(...live)
      .when(refund(1n, change))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
  });

  test('of a charge of nothing is refused', () => {
    given(opened('live'), { ...charged, takenMicros: 0n, owedMicros: 0n })
      .when(refund(null))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
  });

  test('is answered the same again, and another one with its key is refused', () => {
    const wallet = given(...live, refunded(1n));
    wallet.when(refund(1n)).thenNothing({ code: 'OK', replayed: true, seq: 4n, amountMicros: 1n });
    wallet
      .when(refund(2n, { requestHash: 'cd'.repeat(32) }))
      .thenNothing({ code: 'KEY_REUSED', seq: 4n });
  });

  test('reaches a frozen wallet, and not a closed one', () => {
    given(...live, { type: 'wallet_frozen', actor, detail: {} })
      .when(refund(10n))
      .thenEvents(refunded(10n), { type: 'arrears_repaid', repaidMicros: 10n, bySeq: 5n, actor })
      .answering({ code: 'OK' });
    given(...live, { type: 'wallet_closed', actor, detail: {} })
      .when(refund(10n))
      .thenNothing({ code: 'WALLET_CLOSED' });
  });

  test('of nothing or less is never allowed', () => {
    given(...live)
      .when(refund(0n))
      .isNeverAllowed();
    given(...live)
      .when(refund(-1n))
      .isNeverAllowed();
  });

  test('stops at the highest balance', () => {
    const more = (number: number): WalletEvent => ({
      type: 'top_up',
      key: `${number}`.repeat(8),
      requestHash,
      amountMicros: maxAmountMicros,
      actor,
      detail: {},
    });
    expect(maxStandingMicros).toBe(2n * maxAmountMicros);
    given(opened('live'), toppedUp(70n + 1n), charged, more(1), more(2))
      .when(refund(1n))
      .thenNothing({ code: 'LIMIT_EXCEEDED', amountMicros: 1n });
  });

  test('in a deferred wallet is money of its own: what was reserved stays to be settled', () => {
    given(opened('deferred'), toppedUp(70n), {
      type: 'accrual',
      key: chargeKey,
      requestHash,
      reservedMicros: 70n,
      owedMicros: 0n,
      actor,
      detail: {},
    })
      .when(refund(50n))
      .thenEvents(refunded(50n))
      .answering({ balanceMicros: 120n, heldMicros: 70n, availableMicros: 50n });
  });

  test('before the wallet is open has no wallet', () => {
    given().when(refund(1n)).thenNothing({ code: 'WALLET_NOT_FOUND' });
  });
});

describe('a refund of a hold', () => {
  const seconds = (units: number) => ({
    report: { usage: { type: 'call' }, units },
    amountMicros: BigInt(units),
  });
  const authorize: Command = {
    type: 'authorize_hold',
    key: holdKey,
    requestHash,
    holdId,
    amountMicros: 60n,
    referenceId: 'call-1',
    rateCardId: key,
    pricing: {},
    usageType: 'call',
    destination: null,
    ttlSeconds: 60,
    actor,
    detail: {},
  };
  const extend: Command = {
    type: 'extend_hold',
    holdId,
    actor,
    addMicros: null,
    ttlSeconds: null,
    ...seconds(50),
  };
  const capture = (units: number): Command => ({
    type: 'capture_hold',
    key: captureKey,
    requestHash,
    holdId,
    actor,
    overrun: 'refuse',
    ...seconds(units),
  });
  const voided: Command = { type: 'void_hold', key: captureKey, requestHash, holdId, actor };

  /** Commands of one instant each; all must be accepted. */
  function having(mode: WalletMode, ...commands: (Command | { waitSeconds: number })[]) {
    let atMs = nowMs;
    let state = [opened(mode), toppedUp(200n)].reduce<WalletState>(evolve, initialState);
    for (const command of commands) {
      if ('waitSeconds' in command) {
        atMs += command.waitSeconds * 1_000;
        continue;
      }
      const { outcome, events } = decide(command, state, atMs);
      expect(outcome.code).toBe('OK');
      state = events.reduce<WalletState>(evolve, state);
    }
    return { state, next: (command: Command) => decide(command, state, atMs) };
  }

  test.each(['live', 'deferred'] as const)('that is open in a %s wallet is refused', (mode) => {
    expect(having(mode, authorize, extend).next(refund(1n))).toMatchObject({
      events: [],
      outcome: { code: 'NOT_REFUNDABLE', amountMicros: 0n },
    });
  });

  test.each(['live', 'deferred'] as const)('captured in a %s wallet names its end', (mode) => {
    const { next } = having(mode, authorize, capture(50));
    expect(next(refund(51n)).outcome).toMatchObject({ code: 'NOT_REFUNDABLE', amountMicros: 50n });
    expect(next(refund(null))).toMatchObject({
      events: [{ type: 'usage_refund', amountMicros: 50n, originalSeq: 4n }],
      outcome: { code: 'OK', availableMicros: 200n },
    });
    expect(next(refund(1n, { usageType: 'sms' })).outcome).toMatchObject({
      code: 'NOT_REFUNDABLE',
    });
  });

  const overdue = [authorize, extend, { waitSeconds: 60 }];

  test('that ran out refunds what it billed, and a late final record posts its difference', () => {
    const { state, next } = having('live', ...overdue, refund(20n));
    expect(state).toMatchObject({ balanceMicros: 170n });
    expect(next(capture(70)).events).toMatchObject([{ type: 'charge', takenMicros: 20n }]);
    expect(next(capture(30)).events).toMatchObject([{ type: 'usage_refund', amountMicros: 20n }]);
  });

  test('and the corrections of a late record never give back more than was billed', () => {
    const { next } = having('live', ...overdue, refund(40n));
    expect(next(capture(30)).events).toMatchObject([{ type: 'usage_refund', amountMicros: 10n }]);
    expect(next(voided).events).toMatchObject([{ type: 'usage_refund', amountMicros: 10n }]);
    const all = having('live', ...overdue, refund(null));
    expect(all.next(capture(0)).events).toMatchObject([{ type: 'charge', takenMicros: 0n }]);
    expect(all.next(voided)).toMatchObject({
      events: [{ type: 'hold_voided', releasedMicros: 0n }],
      outcome: { code: 'OK', amountMicros: 0n, balanceMicros: 200n },
    });
  });

  test('that was voided late has nothing left to refund', () => {
    expect(
      having('live', ...overdue, refund(10n), voided).next(refund(null, { key: holdId })).outcome,
    ).toMatchObject({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
  });
});
