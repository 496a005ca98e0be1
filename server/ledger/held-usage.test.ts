import { describe, expect, test } from 'vitest';
import { type Command, decide } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { ledgerKey, usageKey } from './key.ts';
import { given, live, nowMs } from './specification.fixtures.ts';
import { initialState, type Report, type WalletState } from './state.ts';

const actor = 'service:test';
const holdId = '33333333-3333-4333-8333-333333333333';
const callKey = usageKey('call', 'call-1');
const ownKey = ledgerKey('hold', 'call-1');
const afterVoid = ledgerKey('usage_after_void', holdId);
const requestHash = (of: string) => of.padStart(64, '0');
const keyed = (key: string, of: string) => ({ key, requestHash: requestHash(of), actor });

const toppedUp: WalletEvent = {
  type: 'top_up',
  ...keyed(ledgerKey('top_up', '1'), 'a'),
  amountMicros: 1_000n,
  detail: {},
};

/** So many seconds at 1 micro each. */
const seconds = (units: number): Report => ({ usage: { type: 'call', to: '49' }, units });
const charge = (units: number, from?: string): Command => {
  const { usage } = seconds(units);
  return {
    type: 'charge_wallet',
    ...keyed(callKey, `${units}`),
    amountMicros: BigInt(units),
    overrun: 'refuse',
    detail: { usage: { ...usage, durationSeconds: units, ...(from !== undefined && { from }) } },
  };
};
const reported = (units: number) => {
  const { usage } = seconds(units);
  return {
    report: { usage: { ...usage, durationSeconds: units }, units },
    amountMicros: BigInt(units),
  };
};
const authorize = (usageType: string | null = 'call'): Command => ({
  type: 'authorize_hold',
  ...keyed(ownKey, 'b'),
  holdId,
  amountMicros: 60n,
  referenceId: 'call-1',
  rateCardId: '44444444-4444-4444-8444-444444444444',
  pricing: {},
  usageType,
  destination: null,
  ttlSeconds: 60,
  detail: {},
});
const heartbeat = (units: number): Command => {
  return {
    type: 'extend_hold',
    holdId,
    actor,
    addMicros: null,
    ttlSeconds: null,
    ...reported(units),
  };
};
const capture = (units: number): Command => ({
  type: 'capture_hold',
  ...keyed(ledgerKey('hold_capture', holdId), 'c'),
  holdId,
  overrun: 'refuse',
  ...reported(units),
});
const voided: Command = {
  type: 'void_hold',
  ...keyed(ledgerKey('hold_void', holdId), 'd'),
  holdId,
};
const refund: Command = {
  type: 'refund_usage',
  ...keyed(ledgerKey('usage_refund', '1'), 'e'),
  chargeKey: callKey,
  holdKey: ownKey,
  usageType: 'call',
  amountMicros: null,
  detail: {},
};

/** The events that commands wrote, one after the other. */
function written(...commands: (Command | { waitSeconds: number })[]): WalletEvent[] {
  const events = [live, toppedUp];
  let atMs = nowMs;
  for (const command of commands) {
    if ('waitSeconds' in command) {
      atMs += command.waitSeconds * 1_000;
      continue;
    }
    const state = events.reduce<WalletState>(
      (before, event) => evolve(before, event),
      initialState,
    );
    const { outcome, events: written } = decide(command, state, atMs);
    expect(outcome.code).toBe('OK');
    events.push(...written);
  }
  return events;
}

describe('a charge of usage that was authorized', () => {
  test('is a replay of what its hold has billed, whoever called', () => {
    const answer = { code: 'OK', replayed: true, seq: 4n, amountMicros: 50n } as const;
    const detail = { holdId, status: 'captured', billedMicros: '50', units: 50 };
    given(...written(authorize(), capture(50)))
      .when(charge(50))
      .thenNothing({ ...answer, balanceMicros: 950n, detail: expect.objectContaining(detail) });
    given(...written(authorize(), capture(50)))
      .when(charge(50, '+4930'))
      .thenNothing(answer);
  });

  test('is KEY_REUSED with other figures than the hold has billed', () => {
    given(...written(authorize(), capture(50)))
      .when(charge(51))
      .thenNothing({
        code: 'KEY_REUSED',
        seq: 3n,
        detail: expect.objectContaining({ holdId, status: 'captured', billedMicros: '50' }),
      });
  });

  test('names the hold that is open, which bills it when it ends', () => {
    given(...written(authorize(), heartbeat(50)))
      .when(charge(50))
      .thenNothing({
        code: 'KEY_REUSED',
        detail: expect.objectContaining({ holdId, status: 'open', billedMicros: '0' }),
      });
  });

  test('is a replay when the hold ran out after a heartbeat that said as much, else it says so', () => {
    const ranOut = written(authorize(), heartbeat(50));
    const laterMs = nowMs + 60_000;
    const settled = decide(charge(50), ranOut.reduce(evolve, initialState as WalletState), laterMs);
    expect(settled.events).toMatchObject([{ type: 'hold_expired', takenMicros: 50n }]);
    expect(settled.outcome).toMatchObject({ code: 'OK', replayed: true, amountMicros: 50n });
    given(...ranOut, ...settled.events)
      .when(charge(70), laterMs)
      .thenNothing({
        code: 'KEY_REUSED',
        detail: expect.objectContaining({ status: 'expired', billedMicros: '50' }),
      });
  });

  test('bills what a voided hold did not, once, and can be refunded', () => {
    const posted = { ...keyed(afterVoid, '50'), takenMicros: 50n, owedMicros: 0n };
    const { detail } = charge(50) as Extract<Command, { type: 'charge_wallet' }>;
    given(...written(authorize(), voided))
      .when(charge(50))
      .thenEvents({ type: 'charge', ...posted, detail })
      .answering({ code: 'OK', replayed: false, balanceMicros: 950n });
    const billed = written(authorize(), voided, charge(50));
    given(...billed)
      .when(charge(50))
      .thenNothing({ code: 'OK', replayed: true, seq: 5n });
    given(...billed)
      .when(charge(60))
      .thenNothing({ code: 'KEY_REUSED', seq: 5n });
    expect(written(authorize(), voided, charge(50), refund).at(-1)).toMatchObject({
      type: 'usage_refund',
      amountMicros: 50n,
      originalSeq: 5n,
    });
  });
});

describe('an authorization', () => {
  test('of usage that was charged is KEY_REUSED', () => {
    given(...written(charge(50)))
      .when(authorize())
      .thenNothing({ code: 'KEY_REUSED', seq: 3n });
  });

  test('is known by the own key of the hold too, under which holds once were placed', () => {
    const [, , placed] = written(authorize());
    expect.assert(placed?.type === 'hold_placed');
    expect(placed.key).toBe(callKey);
    const old: WalletEvent = { ...placed, key: ownKey };
    const again = { code: 'OK', replayed: true, seq: 3n } as const;
    given(live, toppedUp, old).when(authorize()).thenNothing(again);
    given(live, toppedUp, placed).when(authorize()).thenNothing(again);
  });

  test('without a type is not that of any usage, until a refund asks for it', () => {
    const events = written(authorize(null), capture(50));
    expect(events[2]).toMatchObject({ type: 'hold_placed', key: ownKey });
    given(...events)
      .when(refund)
      .thenEvents(expect.objectContaining({ type: 'usage_refund', amountMicros: 50n }))
      .answering({ code: 'OK' });
  });

  test('of another type of usage is another', () => {
    given(...written(authorize()))
      .when({ ...authorize('sms'), holdId: '55555555-5555-4555-8555-555555555555' } as Command)
      .thenEvents(expect.objectContaining({ key: usageKey('sms', 'call-1') }))
      .answering({ code: 'OK', replayed: false });
  });
});

test('a refund finds the hold under the key of its usage', () => {
  expect(written(authorize(), capture(50), refund).at(-1)).toMatchObject({
    type: 'usage_refund',
    amountMicros: 50n,
    originalSeq: 4n,
  });
});
