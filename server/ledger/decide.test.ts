import { describe, expect, test } from 'vitest';
import type { Command } from './decide.ts';
import { maxAmountMicros, maxStandingMicros } from './decision.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { actor, given, live, opened, requestHash } from './specification.fixtures.ts';
import { initialState } from './state.ts';

const unitMicros = 1_000_000n;
const key = '11111111-1111-4111-8111-111111111111';
const otherKey = '22222222-2222-4222-8222-222222222222';
const common = { key, requestHash, actor, detail: { referenceId: 'call-1' } };

const deferred = opened('deferred');
const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: { reason: 'stolen card' } };
const closed: WalletEvent = { type: 'wallet_closed', actor, detail: { reason: 'asked for' } };

const toppedUp = (amountMicros: bigint, topUpKey = otherKey): WalletEvent => ({
  ...common,
  key: topUpKey,
  type: 'top_up',
  amountMicros,
});
const charge = (
  amountMicros: bigint | null,
  overrun: 'refuse' | 'arrears' = 'refuse',
): Command => ({ ...common, type: 'charge_wallet', amountMicros, overrun });
const topUp = (amountMicros: bigint): Command => ({
  ...common,
  type: 'credit_top_up',
  amountMicros,
});
const grant = (amountMicros: bigint): Command => ({
  ...common,
  type: 'grant_credit',
  amountMicros,
});

describe('opening a wallet', () => {
  const open: Command = {
    type: 'open_wallet',
    userId: 'user-1',
    currency: 'USD',
    timezone: 'UTC',
    mode: 'live',
    actor,
  };

  test('writes its first event', () => {
    given().when(open).thenEvents(live).answering({ code: 'OK', replayed: false, seq: 1n });
  });

  test('that is open already writes nothing and keeps its mode', () => {
    given(deferred).when(open).thenNothing({ code: 'OK', replayed: true, seq: 1n });
  });
});

describe('charging a live wallet', () => {
  test('takes the amount from its balance', () => {
    given(live, toppedUp(unitMicros))
      .when(charge(375_000n))
      .thenEvents({ ...common, type: 'charge', takenMicros: 375_000n, owedMicros: 0n })
      .answering({ code: 'OK', seq: 3n, amountMicros: 375_000n, availableMicros: 625_000n });
  });

  test('can take all of it to the last micro', () => {
    given(live, toppedUp(unitMicros))
      .when(charge(unitMicros))
      .thenEvents({ ...common, type: 'charge', takenMicros: unitMicros, owedMicros: 0n })
      .answering({ code: 'OK', availableMicros: 0n });
  });

  test('of one micro too much is refused and writes nothing', () => {
    given(live, toppedUp(unitMicros))
      .when(charge(unitMicros + 1n))
      .thenNothing({
        code: 'INSUFFICIENT_FUNDS',
        seq: 2n,
        amountMicros: unitMicros + 1n,
        availableMicros: unitMicros,
      });
  });

  test('with overrun arrears takes what there is and leaves the rest owed', () => {
    given(live, toppedUp(unitMicros))
      .when(charge(3n * unitMicros, 'arrears'))
      .thenEvents({
        ...common,
        type: 'charge',
        takenMicros: unitMicros,
        owedMicros: 2n * unitMicros,
      })
      .answering({ code: 'OK', balanceMicros: 0n, arrearsMicros: 2n * unitMicros });
  });

  test('may use its overdraft limit and no more', () => {
    const wallet = given(live, toppedUp(unitMicros)).set({ overdraftLimitMicros: unitMicros });
    wallet
      .when(charge(2n * unitMicros))
      .thenEvents({ ...common, type: 'charge', takenMicros: 2n * unitMicros, owedMicros: 0n })
      .answering({ code: 'OK', balanceMicros: -unitMicros, availableMicros: 0n });
    wallet.when(charge(2n * unitMicros + 1n)).thenNothing({ code: 'INSUFFICIENT_FUNDS' });
  });

  test('for nothing is written too, so that its key is remembered', () => {
    given(live)
      .when(charge(0n))
      .thenEvents({ ...common, type: 'charge', takenMicros: 0n, owedMicros: 0n })
      .answering({ code: 'OK', amountMicros: 0n });
  });

  test('whose available is below zero takes nothing and owes everything', () => {
    given(live)
      .set({ overdraftLimitMicros: -5n })
      .when(charge(7n, 'arrears'))
      .thenEvents({ ...common, type: 'charge', takenMicros: 0n, owedMicros: 7n })
      .answering({ code: 'OK', availableMicros: -5n });
  });

  test('loses no digit above 2^53', () => {
    given(live, toppedUp(maxAmountMicros))
      .when(charge(2n ** 53n + 1n))
      .thenEvents({
        ...common,
        type: 'charge',
        takenMicros: 9_007_199_254_740_993n,
        owedMicros: 0n,
      })
      .answering({ code: 'OK', balanceMicros: 990_992_800_745_259_007n });
  });
});

describe('charging a deferred wallet', () => {
  test('reserves the amount at once and leaves the balance', () => {
    given(deferred, toppedUp(unitMicros))
      .when(charge(375_000n))
      .thenEvents({ ...common, type: 'accrual', reservedMicros: 375_000n, owedMicros: 0n })
      .answering({
        code: 'OK',
        balanceMicros: unitMicros,
        heldMicros: 375_000n,
        availableMicros: 625_000n,
      });
  });

  test('beyond its funds is refused, or owed, as in a live one', () => {
    const wallet = given(deferred, toppedUp(unitMicros));
    wallet.when(charge(2n * unitMicros)).thenNothing({ code: 'INSUFFICIENT_FUNDS' });
    wallet
      .when(charge(2n * unitMicros, 'arrears'))
      .thenEvents({
        ...common,
        type: 'accrual',
        reservedMicros: unitMicros,
        owedMicros: unitMicros,
      })
      .answering({ code: 'OK', arrearsMicros: unitMicros, availableMicros: 0n });
  });

  test('is debited when its month is settled, and what is available stays the same', () => {
    given(deferred, toppedUp(unitMicros), {
      ...common,
      type: 'accrual',
      reservedMicros: 375_000n,
      owedMicros: 0n,
      key: 'month-key',
    })
      .when({ ...common, type: 'settle_accruals', amountMicros: 375_000n })
      .thenEvents({ ...common, type: 'accrual_settled', settledMicros: 375_000n })
      .answering({
        code: 'OK',
        balanceMicros: 625_000n,
        heldMicros: 0n,
        availableMicros: 625_000n,
      });
  });

  test('never settles more than it reserved', () => {
    given(deferred, toppedUp(unitMicros))
      .when({ ...common, type: 'settle_accruals', amountMicros: 1n })
      .isNeverAllowed();
  });
});

describe('crediting a wallet', () => {
  test('adds a top-up to its balance', () => {
    given(live)
      .when(topUp(25n * unitMicros))
      .thenEvents({ ...common, type: 'top_up', amountMicros: 25n * unitMicros })
      .answering({ code: 'OK', seq: 2n, balanceMicros: 25n * unitMicros });
  });

  const owing: WalletEvent[] = [
    live,
    { ...common, key: otherKey, type: 'charge', takenMicros: 0n, owedMicros: 3n * unitMicros },
  ];

  test('repays arrears first and answers with the wallet after that', () => {
    given(...owing)
      .when(topUp(5n * unitMicros))
      .thenEvents(
        { ...common, type: 'top_up', amountMicros: 5n * unitMicros },
        { type: 'arrears_repaid', repaidMicros: 3n * unitMicros, bySeq: 3n, actor },
      )
      .answering({
        code: 'OK',
        seq: 3n,
        amountMicros: 5n * unitMicros,
        balanceMicros: 2n * unitMicros,
        arrearsMicros: 0n,
      });
  });

  test('that does not cover the arrears goes into them whole', () => {
    given(...owing)
      .when(topUp(unitMicros))
      .thenEvents(
        { ...common, type: 'top_up', amountMicros: unitMicros },
        { type: 'arrears_repaid', repaidMicros: unitMicros, bySeq: 3n, actor },
      )
      .answering({ code: 'OK', balanceMicros: 0n, arrearsMicros: 2n * unitMicros });
  });

  test('repays no arrears with borrowed money', () => {
    given(live)
      .set({ overdraftLimitMicros: 10n })
      .when(charge(12n, 'arrears'))
      .thenEvents({ ...common, type: 'charge', takenMicros: 10n, owedMicros: 2n })
      .answering({ code: 'OK' });
    given(live, { ...common, key: otherKey, type: 'charge', takenMicros: 10n, owedMicros: 2n })
      .when(topUp(10n))
      .thenEvents({ ...common, type: 'top_up', amountMicros: 10n })
      .answering({ code: 'OK', balanceMicros: 0n, arrearsMicros: 2n });
  });

  test('replays the answer after the repayment', () => {
    given(
      ...owing,
      { ...common, type: 'top_up', amountMicros: 5n * unitMicros },
      { type: 'arrears_repaid', repaidMicros: 3n * unitMicros, bySeq: 3n, actor },
    )
      .when(topUp(5n * unitMicros))
      .thenNothing({ code: 'OK', replayed: true, seq: 3n, balanceMicros: 2n * unitMicros });
  });

  test('that is frozen still works, for paid and for promotional money', () => {
    const wallet = given(live, frozen);
    wallet
      .when(grant(1n))
      .thenEvents({ ...common, type: 'grant', amountMicros: 1n })
      .answering({ code: 'OK' });
    wallet
      .when(topUp(1n))
      .thenEvents({ ...common, type: 'top_up', amountMicros: 1n })
      .answering({ code: 'OK' });
  });

  test('that is closed keeps paid money and refuses promotions', () => {
    const wallet = given(live, closed);
    wallet.when(grant(1n)).thenNothing({ code: 'WALLET_CLOSED' });
    wallet
      .when(topUp(1n))
      .thenEvents({ ...common, type: 'top_up', amountMicros: 1n })
      .answering({ code: 'OK' });
  });

  test('refuses what no column could hold', () => {
    given(live)
      .when(topUp(maxAmountMicros + 1n))
      .thenNothing({ code: 'LIMIT_EXCEEDED' });
    given(live, toppedUp(maxAmountMicros, 'a'), toppedUp(maxAmountMicros, 'b'), toppedUp(1n, 'c'))
      .when(topUp(1n))
      .thenNothing({ code: 'LIMIT_EXCEEDED', balanceMicros: maxStandingMicros + 1n });
  });
});

describe('a key used again', () => {
  const charged: WalletEvent = { ...common, type: 'charge', takenMicros: 10n, owedMicros: 0n };
  const spent = given(live, toppedUp(15n), charged, {
    ...charged,
    key: 'another-charge',
    takenMicros: 5n,
  });

  test('for the same request replays the first answer, whatever happened since', () => {
    spent.when(charge(10n)).thenNothing({
      code: 'OK',
      replayed: true,
      seq: 3n,
      amountMicros: 10n,
      balanceMicros: 5n,
      detail: common.detail,
    });
  });

  test('for another request is refused', () => {
    spent
      .when({
        ...common,
        type: 'charge_wallet',
        amountMicros: 11n,
        overrun: 'refuse',
        requestHash: 'cd',
      })
      .thenNothing({ code: 'KEY_REUSED', replayed: false, seq: 3n });
  });

  test('after a refusal may succeed, for a refusal is not remembered', () => {
    given(live).when(charge(1n)).thenNothing({ code: 'INSUFFICIENT_FUNDS' });
    given(live, toppedUp(1n))
      .when(charge(1n))
      .thenEvents({ ...common, type: 'charge', takenMicros: 1n, owedMicros: 0n })
      .answering({ code: 'OK', replayed: false });
  });
});

describe('refusals come in the documented order', () => {
  const reused: Command = {
    ...common,
    key: otherKey,
    requestHash: 'cd',
    type: 'charge_wallet',
    amountMicros: null,
    overrun: 'refuse',
  };

  test('wallet before everything', () => {
    given().when(reused).thenNothing({ code: 'WALLET_NOT_FOUND' });
  });

  test('key before status', () => {
    given(live, toppedUp(1n), closed).when(reused).thenNothing({ code: 'KEY_REUSED' });
  });

  test('status before rate', () => {
    given(live, frozen).when(charge(null)).thenNothing({ code: 'WALLET_FROZEN' });
    given(live, closed).when(charge(null)).thenNothing({ code: 'WALLET_CLOSED' });
  });

  test('rate before limits and funds', () => {
    given(live).when(charge(null)).thenNothing({ code: 'NO_RATE', amountMicros: null });
  });

  test('limits before funds', () => {
    given(live)
      .when(charge(maxAmountMicros + 1n))
      .thenNothing({ code: 'LIMIT_EXCEEDED' });
    given(live).when(charge(maxAmountMicros)).thenNothing({ code: 'INSUFFICIENT_FUNDS' });
  });
});

describe('what no caller may send', () => {
  test('is an error, not an answer', () => {
    given(live).when(charge(-1n)).isNeverAllowed();
    given(live).when(grant(0n)).isNeverAllowed();
    given(live).when(topUp(-1n)).isNeverAllowed();
  });

  test('includes a history that does not begin with the opening, or opens twice', () => {
    expect(() => evolve(initialState, toppedUp(1n))).toThrow(TypeError);
    expect(() => evolve(evolve(initialState, live), live)).toThrow(TypeError);
  });
});
