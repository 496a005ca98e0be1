import { describe, expect, test } from 'vitest';
import { type Command, decide } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { usageKey } from './key.ts';
import { actor, given, nowMs, opened, openHold, requestHash } from './specification.fixtures.ts';
import { type Hold, initialState, type Report, type WalletState } from './state.ts';

const holdKey = '11111111-1111-4111-8111-111111111111';
const captureKey = '22222222-2222-4222-8222-222222222222';
const holdId = '33333333-3333-4333-8333-333333333333';
const rateCardId = '44444444-4444-4444-8444-444444444444';
const link = { holdId, referenceId: 'call-1' };

const toppedUp = (amountMicros: bigint): WalletEvent => ({
  type: 'top_up',
  key: '55555555-5555-4555-8555-555555555555',
  requestHash,
  amountMicros,
  actor,
  detail: {},
});

const authorize = (amountMicros: bigint | null): Command => ({
  type: 'authorize_hold',
  key: holdKey,
  requestHash,
  holdId,
  amountMicros,
  referenceId: 'call-1',
  rateCardId,
  pricing: {},
  usageType: 'call',
  destination: null,
  ttlSeconds: 60,
  actor,
  detail: {},
});
/** A call's usage so far, at 1 micro a second. */
const seconds = (units: number) => ({
  report: { usage: { type: 'call' }, units } satisfies Report,
  amountMicros: BigInt(units),
});
const nothing = { report: null, amountMicros: null };
const extend = (usage: ReturnType<typeof seconds> | typeof nothing, change = {}): Command => ({
  type: 'extend_hold',
  holdId,
  actor,
  addMicros: null,
  ttlSeconds: null,
  ...usage,
  ...change,
});
const capture = (
  usage: ReturnType<typeof seconds> | typeof nothing,
  overrun: 'refuse' | 'arrears' = 'refuse',
): Command => ({
  type: 'capture_hold',
  key: captureKey,
  requestHash,
  holdId,
  actor,
  overrun,
  ...usage,
});
const voided: Command = { type: 'void_hold', key: captureKey, requestHash, holdId, actor };

const held = openHold(60n, link);
const placed = (hold: Partial<Hold> = {}): WalletEvent => ({
  type: 'hold_placed',
  key: holdKey,
  requestHash,
  amountMicros: 60n,
  hold: { ...held, ...hold },
  actor,
  detail: {},
});
/** A hold that has run out by now, after a heartbeat at 50 seconds. */
const overdue = placed({
  expiresAtMs: nowMs,
  report: seconds(50).report,
  amountSoFarMicros: 50n,
});

/** The wallet after commands, each of which must be accepted. */
function walletAfter(events: readonly WalletEvent[], ...commands: Command[]): WalletState {
  let state = events.reduce<WalletState>(evolve, initialState);
  for (const command of commands) {
    const { outcome, events: written } = decide(command, state, nowMs);
    expect(outcome.code).toBe('OK');
    state = written.reduce<WalletState>(evolve, state);
  }
  return state;
}

const live = [opened('live'), toppedUp(100n)];
const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: {} };

describe('a hold', () => {
  test('reserves its amount until it expires, and moves no money', () => {
    given(...live)
      .when(authorize(60n))
      .thenEvents({
        type: 'hold_placed',
        key: usageKey('call', 'call-1'),
        requestHash,
        amountMicros: 60n,
        hold: held,
        actor,
        detail: { ...link, rateCardId, pricing: {}, expiresAt: '2026-11-01T00:01:00.000Z' },
      })
      .answering({ code: 'OK', balanceMicros: 100n, heldMicros: 60n, availableMicros: 40n });
  });

  test('of one micro too much is refused', () => {
    given(...live)
      .when(authorize(101n))
      .thenNothing({ code: 'INSUFFICIENT_FUNDS', availableMicros: 100n });
  });

  test('is placed once per key, and its replay says what it said', () => {
    given(...live, placed())
      .when(authorize(60n))
      .thenNothing({ code: 'OK', replayed: true, availableMicros: 40n });
  });

  test.each([9, 86_401])('cannot last %d seconds', (ttlSeconds) => {
    given(...live)
      .when({ ...authorize(60n), ttlSeconds } as Command)
      .isNeverAllowed();
  });
});

describe('a heartbeat', () => {
  test('moves the hold ahead of the usage so far and puts the expiry off', () => {
    const { outcome, events } = decide(
      extend(seconds(30)),
      walletAfter([...live, placed({ expiresAtMs: nowMs + 1_000 })]),
      nowMs,
    );
    expect(events).toMatchObject([
      { type: 'hold_extended', raisedMicros: 30n, hold: { amountSoFarMicros: 30n } },
    ]);
    expect(outcome).toMatchObject({
      code: 'OK',
      heldMicros: 90n,
      lowBalance: false,
      expiresAtMs: nowMs + 60_000,
    });
  });

  test('warns when less is left ahead than was asked for', () => {
    const state = walletAfter([...live, placed()], extend(seconds(40)));
    expect(decide(extend(seconds(41)), state, nowMs).outcome).toMatchObject({
      code: 'OK',
      heldMicros: 100n,
      lowBalance: true,
    });
  });

  test('is refused when nothing is left ahead, and what was delivered stays recorded', () => {
    const { outcome, events } = decide(
      extend(seconds(100)),
      walletAfter([...live, placed()]),
      nowMs,
    );
    expect(outcome).toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
      heldMicros: 100n,
      amountSoFarMicros: 100n,
      expiresAtMs: held.expiresAtMs,
    });
    expect(events).toMatchObject([{ type: 'hold_extended', raisedMicros: 40n }]);
  });

  test('that comes late or twice never takes usage back', () => {
    given(...live, placed({ report: seconds(50).report, amountSoFarMicros: 50n, heldMicros: 110n }))
      .when(extend(seconds(40)))
      .thenNothing({ code: 'OK', amountSoFarMicros: 50n, unitsSoFar: 50 });
  });

  test('may ask for more ahead; asking twice is asking once', () => {
    const more = extend(nothing, { addMicros: 10n });
    expect(walletAfter([...live, placed()], more, more)).toMatchObject({ heldMicros: 70n });
  });

  test('of a frozen wallet covers what was delivered and reserves no more', () => {
    const wallet = walletAfter([...live, placed(), frozen]);
    expect(decide(extend(seconds(70)), wallet, nowMs).outcome).toMatchObject({
      code: 'WALLET_FROZEN',
      heldMicros: 70n,
    });
  });

  test('after the hold ran out is billed, and answered HOLD_NOT_OPEN', () => {
    const { outcome, events } = decide(extend(seconds(55)), walletAfter([...live, overdue]), nowMs);
    expect(outcome).toMatchObject({ code: 'HOLD_NOT_OPEN' });
    expect(events).toMatchObject([
      { type: 'hold_expired', takenMicros: 50n },
      { type: 'charge', takenMicros: 5n, detail: { units: 5, alreadyBilledMicros: '50' } },
    ]);
  });
});

describe('a capture', () => {
  test.each([
    ['less than the hold', 20, 20n, 0n],
    ['all of the hold', 60, 60n, 0n],
    ['more than the hold, out of what else is available', 100, 100n, 0n],
    ['more than there is, the rest owed', 130, 100n, 30n],
  ])('takes %s', (_what, units, takenMicros, owedMicros) => {
    const { events, outcome } = decide(
      capture(seconds(units), 'arrears'),
      walletAfter([...live, placed()]),
      nowMs,
    );
    expect(events).toMatchObject([
      { type: 'hold_captured', releasedMicros: 60n, takenMicros, owedMicros },
    ]);
    expect(outcome).toMatchObject({
      code: 'OK',
      amountMicros: BigInt(units),
      heldMicros: 0n,
      availableMicros: 100n - takenMicros,
      arrearsMicros: owedMicros,
    });
  });

  test('of more than there is can be refused, and the hold stays open', () => {
    given(...live, placed())
      .when(capture(seconds(101)))
      .thenNothing({ code: 'INSUFFICIENT_FUNDS', amountMicros: 101n, availableMicros: 100n });
  });

  test('without usage posts what was reported last', () => {
    const state = walletAfter([...live, placed()], extend(seconds(30)), capture(nothing));
    expect(state).toMatchObject({ balanceMicros: 70n, heldMicros: 0n });
  });

  test('without usage, and with none reported, is refused', () => {
    given(...live, placed())
      .when(capture(nothing))
      .thenNothing({ code: 'USAGE_REQUIRED' });
  });

  test('of a frozen wallet is accepted: it was delivered', () => {
    given(...live, placed(), frozen)
      .when(capture(seconds(60)))
      .thenEvents(expect.objectContaining({ type: 'hold_captured', takenMicros: 60n }))
      .answering({ code: 'OK' });
  });

  test('is answered the same again, and another one is refused', () => {
    const state = walletAfter([...live, placed()], capture(seconds(20)));
    expect(decide(capture(seconds(20)), state, nowMs)).toMatchObject({
      events: [],
      outcome: { code: 'OK', replayed: true, amountMicros: 20n },
    });
    const other = { ...capture(seconds(30)), requestHash: 'cd'.repeat(32) } as Command;
    expect(decide(other, state, nowMs)).toMatchObject({
      events: [],
      outcome: { code: 'HOLD_NOT_OPEN' },
    });
  });

  test('in a deferred wallet moves from the hold to an accrual', () => {
    const deferred = [opened('deferred'), toppedUp(100n), placed()];
    const { events } = decide(capture(seconds(20)), walletAfter(deferred), nowMs);
    expect(events).toMatchObject([
      { type: 'hold_captured', releasedMicros: 60n, takenMicros: 0n, owedMicros: 0n },
      { type: 'accrual', reservedMicros: 20n, owedMicros: 0n },
    ]);
  });
});

describe('a hold that ran out', () => {
  const usage = (units: number) =>
    decide(capture(seconds(units)), walletAfter([...live, overdue]), nowMs);

  test('bills its last heartbeat', () => {
    expect(walletAfter([...live, overdue], capture(nothing))).toMatchObject({
      balanceMicros: 50n,
      heldMicros: 0n,
    });
  });

  test('without a heartbeat is released', () => {
    const { events } = decide(
      authorize(60n),
      walletAfter([...live, placed({ expiresAtMs: nowMs })]),
      nowMs,
    );
    expect(events).toMatchObject([{ type: 'hold_expired', releasedMicros: 60n, takenMicros: 0n }]);
  });

  test('posts only the difference to a late final record', () => {
    expect(usage(70).events.slice(1)).toMatchObject([{ type: 'charge', takenMicros: 20n }]);
    expect(usage(50).events.slice(1)).toMatchObject([{ type: 'charge', takenMicros: 0n }]);
    expect(usage(20).events.slice(1)).toMatchObject([{ type: 'usage_refund', amountMicros: 30n }]);
  });

  test('gives all of it back when it is voided', () => {
    expect(walletAfter([...live, overdue], voided)).toMatchObject({
      balanceMicros: 100n,
      heldMicros: 0n,
    });
  });
});

describe('a void', () => {
  test('releases all of the hold and bills nothing of it, whatever a heartbeat said', () => {
    const state = walletAfter([...live, placed()], extend(seconds(30)), voided, voided);
    expect(state).toMatchObject({ balanceMicros: 100n, heldMicros: 0n, arrearsMicros: 0n });
  });

  test('comes too late after a capture', () => {
    const state = walletAfter([...live, placed()], capture(seconds(20)));
    const late = { ...voided, key: '66666666-6666-4666-8666-666666666666' };
    expect(decide(late, state, nowMs)).toMatchObject({
      events: [],
      outcome: { code: 'HOLD_NOT_OPEN' },
    });
  });

  test('closes the hold to a capture', () => {
    const state = walletAfter([...live, placed()], { ...voided, key: holdId });
    expect(decide(capture(seconds(20)), state, nowMs)).toMatchObject({
      events: [],
      outcome: { code: 'HOLD_NOT_OPEN' },
    });
  });
});
