import { describe, test } from 'vitest';
import type { Command } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { ledgerKey } from './key.ts';
import type { PaymentRefund } from './payments.ts';
import { given, live, requestHash } from './specification.fixtures.ts';

const actor = 'support:test';
const paymentKey = '11111111-1111-4111-8111-111111111111';
const refundId = '22222222-2222-4222-8222-222222222222';
const otherKey = '33333333-3333-4333-8333-333333333333';
const cent = 10_000n;

const credit = (type: 'top_up' | 'grant', key: string, amountMicros: bigint): WalletEvent => ({
  ...{ type, key, requestHash, amountMicros, actor, detail: {} },
});
const paid = credit('top_up', paymentKey, 10n * cent);
const granted = credit('grant', otherKey, 5n * cent);
const charged = (takenMicros: bigint, owedMicros = 0n): WalletEvent => ({
  ...{ type: 'charge', key: otherKey, requestHash, takenMicros, owedMicros, actor, detail: {} },
});

const reserve = (
  amountMicros: bigint | null,
  of: { paymentKey?: string | null; whileFrozen?: boolean } = {},
): Command => ({
  type: 'reserve_payment_refund',
  key: refundId,
  requestHash,
  paymentKey,
  amountMicros,
  unitMicros: cent,
  whileFrozen: true,
  ...of,
  actor,
  detail: {},
});
const told = (amountMicros: bigint, failed = false, of = paymentKey): Command => ({
  ...{ type: 'apply_payment_refund', refundId, paymentKey: of, amountMicros, failed, actor },
  detail: {},
});

const refund = (amountMicros: bigint, failed = false): PaymentRefund => {
  return { refundId, paymentKey, amountMicros, failed };
};
const detail = { paymentRefundId: refundId };
const refunded = (amountMicros: bigint): WalletEvent => ({
  ...{ type: 'payment_refund', amountMicros, refund: refund(amountMicros), actor, detail },
});
/** What was asked for under the key, or a part of it; `of` is what was paid, and by which event. */
const reserved = (
  amountMicros: bigint,
  part = refundId,
  of = { paymentKey, seq: 2n },
): WalletEvent => ({
  ...{ type: 'payment_refund', key: part, requestHash, amountMicros, actor },
  refund: { ...refund(amountMicros), refundId: part, paymentKey: of.paymentKey },
  detail: { paymentRefundId: part, refundRequestId: refundId, originalSeq: `${of.seq}` },
});
const failed = (amountMicros: bigint): WalletEvent => ({
  ...{ type: 'payment_refund_failed', amountMicros, refund: refund(amountMicros, true) },
  ...{ actor, detail },
});

describe('a refund of ours', () => {
  test('takes its money before the processor is asked, once per key', () => {
    given(live, paid)
      .when(reserve(4n * cent))
      .thenEvents(reserved(4n * cent))
      .answering({ code: 'OK', replayed: false, balanceMicros: 6n * cent });
    given(live, paid, reserved(4n * cent))
      .when(reserve(4n * cent))
      .thenNothing({ code: 'OK', replayed: true, amountMicros: 4n * cent });
  });

  test('of everything takes what is left of the payment, in whole cents', () => {
    given(live, paid, charged(3n * cent + 1n))
      .when(reserve(null))
      .thenEvents(reserved(6n * cent))
      .answering({ code: 'OK' });
  });

  test('never takes promotional credit, nor what is not free, nor more than the payment', () => {
    given(live, paid, granted)
      .when(reserve(11n * cent))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 10n * cent });
    given(live, paid, charged(10n * cent))
      .when(reserve(null))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
    given(live, credit('top_up', otherKey, 90n * cent), paid, refunded(8n * cent))
      .when({ ...reserve(3n * cent), key: otherKey.replaceAll('3', '4') } as Command)
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 2n * cent });
  });

  test('waits while the bank disputes the payment', () => {
    const ids = { disputeId: 'du_1', paymentKey, freezes: true, state: 'open' as const };
    const dispute = { ...ids, withdrawnMicros: 0n, reinstatedMicros: 0n };
    given(live, paid, { type: 'dispute_opened', dispute, actor, detail: {} })
      .when(reserve(cent))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
  });

  test('waits until what is owed is paid', () => {
    given(live, paid, charged(0n, 3n * cent))
      .when(reserve(null))
      .thenEvents(reserved(7n * cent))
      .answering({ code: 'OK' });
  });

  test('from a frozen wallet is for support to ask, not for its user', () => {
    const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: {} };
    given(live, paid, frozen)
      .when(reserve(cent, { whileFrozen: false }))
      .thenNothing({ code: 'WALLET_FROZEN' });
    given(live, paid, frozen)
      .when(reserve(cent))
      .thenEvents(reserved(cent))
      .answering({ code: 'OK' });
  });

  test('is a whole number of cents, and positive', () => {
    given(live, paid).when(reserve(1n)).isNeverAllowed();
    given(live, paid).when(reserve(0n)).isNeverAllowed();
  });
});

describe('a refund of unspent money', () => {
  const older = { paymentKey: otherKey, seq: 2n };
  const newer = { paymentKey, seq: 3n };
  const history = [live, credit('top_up', otherKey, 10n * cent), paid];
  const all = { paymentKey: null };
  const firstPart = ledgerKey('payment_refund_part', `${refundId} 1`);

  test('takes it from what was paid last first, each payment a refund of its own', () => {
    given(...history)
      .when(reserve(4n * cent, all))
      .thenEvents(reserved(4n * cent, refundId, newer))
      .answering({ code: 'OK' });
    given(...history)
      .when(reserve(13n * cent, all))
      .thenEvents(reserved(10n * cent, firstPart, newer), reserved(3n * cent, refundId, older))
      .answering({ code: 'OK', seq: 5n, balanceMicros: 7n * cent });
  });

  test('is answered to a replay with the wallet as it was after all of it', () => {
    const parts = [reserved(10n * cent, firstPart, newer), reserved(3n * cent, refundId, older)];
    given(...history, ...parts, credit('grant', firstPart.replaceAll('a', 'b'), cent))
      .when(reserve(13n * cent, all))
      .thenNothing({ code: 'OK', replayed: true, seq: 5n, balanceMicros: 7n * cent });
  });

  test('passes over what is disputed, and is never above what all of it has left', () => {
    const ids = { disputeId: 'du_1', paymentKey, freezes: false, state: 'open' as const };
    const dispute = { ...ids, withdrawnMicros: 0n, reinstatedMicros: 0n };
    const disputed = [
      ...history,
      { type: 'dispute_opened', dispute, actor, detail: {} } as WalletEvent,
    ];
    given(...disputed)
      .when(reserve(null, all))
      .thenEvents(reserved(10n * cent, refundId, older))
      .answering({ code: 'OK' });
    given(...disputed)
      .when(reserve(11n * cent, all))
      .thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 10n * cent });
    given(live).when(reserve(null, all)).thenNothing({ code: 'NOT_REFUNDABLE', amountMicros: 0n });
  });
});

describe('what the processor says of a refund', () => {
  test('debits one that was made there, even below zero, once', () => {
    given(live, paid, charged(8n * cent))
      .when(told(10n * cent))
      .thenEvents(refunded(10n * cent))
      .answering({ code: 'OK', replayed: false, balanceMicros: -8n * cent });
    given(live, paid, refunded(10n * cent))
      .when(told(10n * cent))
      .thenNothing({ code: 'OK', replayed: true });
  });

  test('finds the money of a reservation taken already', () => {
    given(live, paid, reserved(4n * cent))
      .when(told(4n * cent))
      .thenNothing({ code: 'OK', replayed: true, balanceMicros: 6n * cent });
  });

  test('gives back what failed, arrears first, and for good', () => {
    given(live, paid, refunded(10n * cent), charged(0n, 3n * cent))
      .when(told(10n * cent, true))
      .thenEvents(failed(10n * cent), {
        ...{ type: 'arrears_repaid', repaidMicros: 3n * cent, bySeq: 5n, actor },
      })
      .answering({ code: 'OK', balanceMicros: 7n * cent, arrearsMicros: 0n });
    given(live, paid, refunded(10n * cent), failed(10n * cent))
      .when(told(10n * cent))
      .thenNothing({ code: 'OK', replayed: true, balanceMicros: 10n * cent });
  });

  test('tells a refund whole that had failed before it was heard of', () => {
    given(live, paid)
      .when(told(cent, true))
      .thenEvents(refunded(cent), failed(cent))
      .answering({ code: 'OK', balanceMicros: 10n * cent });
  });

  test('is refused when nothing was credited, or another amount', () => {
    given(live).when(told(cent)).thenNothing({ code: 'PAYMENT_NOT_CREDITED' });
    given(live, paid)
      .when(told(11n * cent))
      .thenNothing({ code: 'PAYMENT_DIFFERS' });
    given(live, paid, refunded(cent))
      .when(told(2n * cent))
      .thenNothing({
        code: 'PAYMENT_DIFFERS',
      });
    given().when(told(cent)).thenNothing({ code: 'WALLET_NOT_FOUND' });
    given(live, paid).when(told(0n)).isNeverAllowed();
  });
});
