import { describe, expect, test } from 'vitest';
import { type Command, decide } from './decide.ts';
import { settleDue } from './due.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { grantsMicros } from './grants.ts';
import {
  actor,
  given,
  live,
  nowMs,
  opened,
  openHold,
  requestHash,
} from './specification.fixtures.ts';
import { type Hold, initialState, type OpenWallet, type WalletState } from './state.ts';

const asked = (key: string) => ({ key, requestHash, actor, detail: {} });
const inSeconds = (seconds: number) => nowMs + seconds * 1_000;

const toppedUp = (amountMicros: bigint): WalletEvent => ({
  ...asked('top-up'),
  type: 'top_up',
  amountMicros,
});
/** Expires so many seconds from now; never without. */
const granted = (amountMicros: bigint, seconds?: number): WalletEvent => ({
  ...asked(`grant ${amountMicros} ${seconds}`),
  type: 'grant',
  amountMicros,
  ...(seconds !== undefined && { expiresAtMs: inSeconds(seconds) }),
});
const charged = (takenMicros: bigint, owedMicros = 0n): WalletEvent => ({
  ...asked('charged'),
  type: 'charge',
  takenMicros,
  owedMicros,
});

const grant = (amountMicros: bigint, seconds?: number): Command => ({
  ...asked('grant'),
  type: 'grant_credit',
  amountMicros,
  ...(seconds !== undefined && { expiresAtMs: inSeconds(seconds) }),
});
const topUp = (amountMicros: bigint): Command => ({
  ...asked('new top-up'),
  type: 'credit_top_up',
  amountMicros,
});
const charge = (amountMicros: bigint, overrun: 'refuse' | 'arrears' = 'refuse'): Command => ({
  ...asked('charge'),
  type: 'charge_wallet',
  amountMicros,
  overrun,
});

/** Of the charge, so much. */
const refund = (key: string, amountMicros: bigint): Command => ({
  ...asked(key),
  type: 'refund_usage',
  chargeKey: 'charge',
  holdKey: 'no hold',
  usageType: 'call',
  amountMicros,
});

/** Placed so many seconds from now; it ends ten minutes from now. */
const hold = (heldMicros: bigint, placedSeconds: number, change: Partial<Hold> = {}): Hold =>
  openHold(heldMicros, {
    ttlSeconds: 600,
    placedAtMs: inSeconds(placedSeconds),
    expiresAtMs: inSeconds(600),
    ...change,
  });
const placed = (placed: Hold): WalletEvent => ({
  ...asked(`hold ${placed.holdId}`),
  type: 'hold_placed',
  amountMicros: placed.heldMicros,
  hold: placed,
});
const capture = (units: number, holdId = 'hold-1'): Command => ({
  type: 'capture_hold',
  key: `capture ${holdId}`,
  requestHash,
  holdId,
  actor,
  report: { usage: { type: 'call' }, units },
  amountMicros: BigInt(units),
  overrun: 'arrears',
});
const voided: Command = { type: 'void_hold', key: 'void', requestHash, holdId: 'hold-1', actor };

const part = (seq: bigint, micros: bigint) => ({ seq, micros });
const expired = (grantSeq: bigint, seconds: number, micros: bigint): WalletEvent => ({
  type: 'grant_expired',
  grantSeq,
  expiresAtMs: inSeconds(seconds),
  endedMicros: micros,
  takenMicros: micros,
  actor: 'system:expiry',
});

function walletWith(...events: WalletEvent[]): OpenWallet {
  const state = events.reduce<WalletState>(evolve, initialState);
  expect.assert(state.opened);
  return state;
}

/** What commands write, one after the other, at instants in seconds from now. */
function written(events: readonly WalletEvent[], ...commands: [number, Command][]) {
  let state = walletWith(...events);
  const all: WalletEvent[] = [];
  for (const [seconds, command] of commands) {
    const decision = decide(command, state, inSeconds(seconds));
    expect(decision.outcome.code).toBe('OK');
    all.push(...decision.events);
    state = decision.events.reduce(evolve, state);
  }
  return { events: all, state };
}

describe('a grant', () => {
  test('is credit, once per key', () => {
    const event: WalletEvent = { ...asked('grant'), type: 'grant', amountMicros: 5n };
    given(live)
      .when(grant(5n, 60))
      .thenEvents({ ...event, expiresAtMs: inSeconds(60) })
      .answering({
        code: 'OK',
        balanceMicros: 5n,
        detail: { expiresAt: new Date(inSeconds(60)).toISOString() },
      });
    given(live, event).when(grant(5n)).thenNothing({ code: 'OK', replayed: true, seq: 2n });
  });

  test('that would never be there to spend is refused, but not to its key once it was', () => {
    given(live).when(grant(5n, 0)).thenNothing({ code: 'EXPIRES_IN_PAST' });
    const state = walletWith(live);
    const first = decide(grant(5n, 60), state, nowMs);
    const again = decide(grant(5n, 60), first.events.reduce(evolve, state), inSeconds(60));
    expect(again.outcome).toMatchObject({ code: 'OK', replayed: true, seq: 2n });
  });
});

describe('spending', () => {
  test('burns credit before paid money, what expires soonest first and what never does last', () => {
    given(live, toppedUp(10n), granted(3n), granted(3n, 90), granted(3n, 60), granted(2n, 60))
      .when(charge(12n))
      .thenEvents({
        ...asked('charge'),
        type: 'charge',
        takenMicros: 12n,
        owedMicros: 0n,
        grants: [part(5n, 3n), part(6n, 2n), part(4n, 3n), part(3n, 3n)],
      })
      .answering({
        code: 'OK',
        detail: {
          grants: [
            { seq: '5', micros: '3' },
            { seq: '6', micros: '2' },
            { seq: '4', micros: '3' },
            { seq: '3', micros: '3' },
          ],
        },
      });
  });

  test('of a deferred wallet burns at the instant of usage, and settling the month burns nothing', () => {
    const { events, state } = written(
      [opened('deferred'), granted(5n)],
      [0, charge(3n)],
      [0, { ...asked('month'), type: 'settle_accruals', amountMicros: 3n } satisfies Command],
    );
    expect(events).toMatchObject([
      { type: 'accrual', grants: [part(2n, 3n)] },
      { type: 'accrual_settled' },
    ]);
    expect(events[1]).not.toHaveProperty('grants');
    expect(grantsMicros(state)).toBe(2n);
  });

  test('that burns nothing says nothing of credit', () => {
    const { events } = written([live, toppedUp(5n)], [0, charge(3n)]);
    expect(events[0]).not.toHaveProperty('grants');
    expect(decide(charge(0n), walletWith(live, granted(1n)), nowMs).events[0]).not.toHaveProperty(
      'grants',
    );
  });

  test('of arrears burns the grant that repays them', () => {
    given(live, charged(0n, 3n))
      .when(grant(5n, 60))
      .thenEvents(
        { ...asked('grant'), type: 'grant', amountMicros: 5n, expiresAtMs: inSeconds(60) },
        {
          type: 'arrears_repaid',
          repaidMicros: 3n,
          bySeq: 3n,
          actor,
          grants: [part(3n, 3n)],
        },
      )
      .answering({ code: 'OK', balanceMicros: 2n });
  });

  test('burns nothing while a hold only reserves it, and then out of the capture', () => {
    const { events, state } = written(
      [live, toppedUp(10n), granted(5n, 60), placed(hold(8n, 0))],
      [0, capture(4)],
    );
    expect(events).toMatchObject([{ type: 'hold_captured', grants: [part(3n, 4n)] }]);
    expect(state.holds.get('hold-1')?.burned).toEqual([part(3n, 4n)]);
  });
});

describe('credit that expires', () => {
  test('ends unspent, at its instant and not before, in whatever the wallet is asked', () => {
    const wallet = walletWith(live, toppedUp(10n), granted(5n, 60));
    expect(settleDue(wallet, inSeconds(60) - 1)).toEqual([]);
    expect(settleDue(wallet, inSeconds(60))).toEqual([expired(3n, 60, 5n)]);
    const { outcome } = decide(charge(11n), wallet, inSeconds(60));
    expect(outcome).toMatchObject({ code: 'INSUFFICIENT_FUNDS', availableMicros: 10n });
  });

  test('is settled before a credit comes', () => {
    const { events } = written([live, granted(5n, 60)], [60, topUp(10n)]);
    expect(events).toMatchObject([expired(2n, 60, 5n), { type: 'top_up' }]);
  });

  test('is kept for what a hold reserves of it, and for nothing else', () => {
    const before = [live, toppedUp(10n), granted(5n, 60), placed(hold(3n, 0))];
    const { events, state } = written(before, [60, charge(4n)]);
    expect(events).toMatchObject([expired(3n, 60, 2n), { type: 'charge', takenMicros: 4n }]);
    expect(events[1]).not.toHaveProperty('grants');
    expect(settleDue(state, inSeconds(61))).toEqual([]);
    const later = decide(capture(2), state, inSeconds(61));
    expect(later.events).toMatchObject([{ type: 'hold_captured', grants: [part(3n, 2n)] }]);
    expect(settleDue(later.events.reduce(evolve, state), inSeconds(61))).toEqual([
      expired(3n, 60, 1n),
    ]);
  });

  test('is not taken out of a top-up while a hold keeps it', () => {
    const before = [live, granted(5n, 60), placed(hold(5n, 0))];
    const { events, state } = written(before, [60, topUp(10n)], [61, capture(5)]);
    expect(events).toMatchObject([{ type: 'top_up' }, { grants: [part(2n, 5n)] }]);
    expect(state.balanceMicros).toBe(10n);
  });

  test('is not kept for a hold that was placed after', () => {
    const wallet = walletWith(
      live,
      toppedUp(10n),
      granted(5n, 60),
      placed(hold(5n, 0)),
      placed(hold(5n, 61, { holdId: 'hold-2' })),
    );
    const { events } = decide(voided, wallet, inSeconds(62));
    const next = events.reduce(evolve, wallet);
    expect(settleDue(next, inSeconds(62))).toEqual([expired(3n, 60, 5n)]);
    expect(decide(capture(5, 'hold-2'), next, inSeconds(62)).events).toMatchObject([
      { type: 'grant_expired' },
      { type: 'hold_captured', takenMicros: 5n },
    ]);
  });

  test('falls due with holds in the order of time; at one instant the hold spends it first', () => {
    const report = { usage: { type: 'call' }, units: 4 };
    const ends = (seconds: number) =>
      settleDue(
        walletWith(
          live,
          toppedUp(10n),
          granted(5n, 60),
          placed(hold(3n, 0, { expiresAtMs: inSeconds(seconds), report, amountSoFarMicros: 4n })),
        ),
        inSeconds(100),
      );
    const runsOut = (micros: bigint) => ({ type: 'hold_expired', grants: [part(3n, micros)] });
    expect(ends(59)).toMatchObject([runsOut(4n), expired(3n, 60, 1n)]);
    expect(ends(60)).toMatchObject([runsOut(4n), expired(3n, 60, 1n)]);
    expect(ends(61)).toMatchObject([expired(3n, 60, 2n), runsOut(3n)]);
  });

  test('takes what is there of it: a balance may have sunk below the credit in it', () => {
    const wallet = walletWith(live, charged(4n), granted(5n, 60));
    expect(wallet.balanceMicros).toBe(1n);
    expect(settleDue(wallet, inSeconds(60))).toEqual([{ ...expired(3n, 60, 5n), takenMicros: 1n }]);
  });
});

describe('usage that is given back', () => {
  const report = { usage: { type: 'call' }, units: 12 };
  /** Expired at 30 seconds, when it billed 12: two grants of 4, and 4 of paid money. */
  const ranOut = [
    live,
    toppedUp(4n),
    granted(4n, 60),
    granted(4n, 90),
    placed(
      hold(12n, 0, {
        expiresAtMs: inSeconds(30),
        report,
        amountSoFarMicros: 12n,
        holdId: 'hold-1',
      }),
    ),
  ];

  test.each([
    ['paid money, which was spent last, before credit', 9, []],
    ['what was burned last before what was burned first', 3, [part(4n, 4n), part(3n, 1n)]],
    ['never more than was granted', 0, [part(4n, 4n), part(3n, 4n)]],
  ])('brings back %s', (_what, units, grants) => {
    const { events, state } = written(ranOut, [40, capture(units)]);
    const [runOut, refund] = events;
    expect(runOut).toMatchObject({ grants: [part(3n, 4n), part(4n, 4n)] });
    expect(refund).toMatchObject({ type: 'usage_refund', amountMicros: 12n - BigInt(units) });
    expect((refund && 'grants' in refund && refund.grants) || []).toEqual(grants);
    expect(grantsMicros(state)).toBe(grants.reduce((sum, { micros }) => sum + micros, 0n));
  });

  test('of usage that was owed, and repaid out of credit, is paid money that never expires', () => {
    const { events, state } = written(
      [live, toppedUp(4n)],
      [0, charge(10n, 'arrears')],
      [0, grant(20n, 60)],
      [0, refund('refund', 10n)],
    );
    expect(events.slice(2)).toMatchObject([
      { type: 'arrears_repaid', repaidMicros: 6n, grants: [part(4n, 6n)] },
      { type: 'usage_refund', amountMicros: 10n },
    ]);
    expect(events.at(-1)).not.toHaveProperty('grants');
    expect(grantsMicros(state)).toBe(14n);
    expect(settleDue(state, inSeconds(60))).toEqual([expired(4n, 60, 14n)]);
  });

  test('part by part brings back the same credit as at once', () => {
    const { events, state } = written(
      [live, toppedUp(4n), granted(4n, 60), granted(4n, 90)],
      [0, charge(12n)],
      [0, refund('first', 3n)],
      [0, refund('second', 4n)],
      [0, refund('third', 5n)],
    );
    expect(events).toMatchObject([
      { type: 'charge', grants: [part(3n, 4n), part(4n, 4n)] },
      { type: 'usage_refund', amountMicros: 3n },
      { type: 'usage_refund', amountMicros: 4n, grants: [part(4n, 3n)] },
      { type: 'usage_refund', amountMicros: 5n, grants: [part(4n, 1n), part(3n, 4n)] },
    ]);
    expect(events[1]).not.toHaveProperty('grants');
    expect(grantsMicros(state)).toBe(8n);
  });

  test('is credit that ends at once where it comes back past its expiry', () => {
    const { events, state } = written(ranOut, [70, voided]);
    expect(events).toMatchObject([
      { type: 'hold_expired' },
      { type: 'usage_refund', amountMicros: 12n, grants: [part(4n, 4n), part(3n, 4n)] },
    ]);
    expect(settleDue(state, inSeconds(70))).toEqual([expired(3n, 60, 4n)]);
  });

  test('repays arrears, but not with credit that came back past its expiry', () => {
    const { events } = written([...ranOut], [70, charge(2n, 'arrears')], [70, voided]);
    expect(events.slice(2)).toMatchObject([
      { type: 'usage_refund', amountMicros: 12n },
      { type: 'arrears_repaid', repaidMicros: 2n, grants: [part(4n, 2n)] },
    ]);
    const { events: late } = written([...ranOut], [100, charge(6n, 'arrears')], [100, voided]);
    expect(late.slice(2)).toMatchObject([
      { type: 'usage_refund', amountMicros: 12n },
      { type: 'arrears_repaid', repaidMicros: 4n },
    ]);
    expect(late.at(-1)).not.toHaveProperty('grants');
  });
});
