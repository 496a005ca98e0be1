import { describe, test } from 'vitest';
import type { DemandArrears } from './arrears.ts';
import type { ChargeWallet } from './charges.ts';
import type { CreditTopUp } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { actor, given, live, nowMs, requestHash } from './specification.fixtures.ts';

const keyOf = (digit: number) => `${digit}`.repeat(8).concat('-1111-4111-8111-111111111111');
const dayMs = 86_400_000;
const suspendAtMs = nowMs + 7 * dayMs;

const owing = {
  type: 'charge',
  key: keyOf(1),
  requestHash,
  takenMicros: 0n,
  owedMicros: 50n,
  actor,
  detail: {},
} as const satisfies WalletEvent;
const demand: DemandArrears = {
  type: 'demand_arrears',
  key: keyOf(2),
  requestHash,
  period: '2026-10',
  suspendAtMs,
  actor: 'system:month',
};
const demanded: WalletEvent = { ...demand, type: 'arrears_demanded', arrearsMicros: 50n };
const suspended: WalletEvent = {
  type: 'wallet_frozen',
  bySuspension: true,
  actor: 'system:arrears',
  detail: { reason: 'What is owed was not paid in time' },
};
const resumed: WalletEvent = {
  type: 'wallet_unfrozen',
  actor: 'system:arrears',
  detail: { reason: 'What was owed is paid' },
};
const charge: ChargeWallet = {
  type: 'charge_wallet',
  key: keyOf(3),
  requestHash,
  amountMicros: 1n,
  overrun: 'arrears',
  actor,
  detail: {},
};
const charged: WalletEvent = { ...owing, key: keyOf(3), owedMicros: 1n };
const topUp = (amountMicros: bigint): CreditTopUp => ({
  type: 'credit_top_up',
  key: keyOf(4),
  requestHash,
  amountMicros,
  actor,
  detail: {},
});
const toppedUp = (amountMicros: bigint): WalletEvent => ({
  ...topUp(amountMicros),
  type: 'top_up',
});
const repaid = (repaidMicros: bigint, bySeq: bigint): WalletEvent => ({
  type: 'arrears_repaid',
  repaidMicros,
  bySeq,
  actor,
});
const thaw = { type: 'change_wallet_status', status: 'open', actor, detail: {} } as const;

describe('what is owed when the month is closed', () => {
  test('is demanded, once a month', () => {
    given(live, owing)
      .when(demand)
      .thenEvents(demanded)
      .answering({ code: 'OK', arrearsMicros: 50n });
    given(live, owing, demanded).when(demand).thenNothing({ code: 'OK', replayed: true });
  });

  test('does not keep the wallet from being used before its time', () => {
    given(live, owing, demanded)
      .when(charge, suspendAtMs - 1)
      .thenEvents(charged)
      .answering({ code: 'OK' });
  });
});

describe('a wallet that did not pay in time', () => {
  test('is suspended whether or not anybody looked, and refuses usage', () => {
    given(live, owing, demanded)
      .when(charge, suspendAtMs)
      .thenEvents(suspended)
      .answering({ code: 'WALLET_FROZEN' });
  });

  test('takes payments, and stays suspended while something is owed', () => {
    given(live, owing, demanded, suspended)
      .when(topUp(49n), suspendAtMs)
      .thenEvents(toppedUp(49n), repaid(49n, 5n))
      .answering({ code: 'OK', arrearsMicros: 1n });
  });

  test('is open again with the payment that leaves nothing owed', () => {
    given(live, owing, demanded, suspended)
      .when(topUp(60n), suspendAtMs)
      .thenEvents(toppedUp(60n), repaid(50n, 5n), resumed)
      .answering({ code: 'OK', arrearsMicros: 0n, balanceMicros: 10n });
  });

  test('stays frozen after it has paid when somebody froze it by hand', () => {
    const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: {} };
    given(live, owing, demanded, suspended, frozen)
      .when(topUp(60n), suspendAtMs)
      .thenEvents(toppedUp(60n), repaid(50n, 6n))
      .answering({ code: 'OK', arrearsMicros: 0n });
  });

  test('may owe until the next month is closed when support unfreezes it', () => {
    const unfrozen: WalletEvent = { type: 'wallet_unfrozen', actor, detail: {} };
    given(live, owing, demanded, suspended)
      .when(thaw, suspendAtMs)
      .thenEvents(unfrozen)
      .answering({ code: 'OK' });
    given(live, owing, demanded, suspended, unfrozen)
      .when(charge, suspendAtMs + dayMs)
      .thenEvents(charged)
      .answering({ code: 'OK' });
  });
});

test('a wallet that was frozen when its time came is suspended once it is unfrozen', () => {
  const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: {} };
  const unfrozen: WalletEvent = { type: 'wallet_unfrozen', actor, detail: {} };
  given(live, owing, demanded, frozen).when(charge, suspendAtMs).thenNothing({
    code: 'WALLET_FROZEN',
  });
  given(live, owing, demanded, frozen, unfrozen)
    .when(charge, suspendAtMs)
    .thenEvents(suspended)
    .answering({ code: 'WALLET_FROZEN' });
});
