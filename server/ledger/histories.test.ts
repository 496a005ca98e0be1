import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide } from './decide.ts';
import { evolve } from './evolve.ts';
import { commandOf, openings, type Step, steps } from './histories.fixtures.ts';
import { initialState, type WalletState } from './state.ts';

/** What a random history came to: events, with what they did to credit, and answers. */
function reachedBy(history: readonly Step[]): string[] {
  const reached: string[] = [];
  const states = new Map<number, WalletState>();
  let nowMs = Date.parse('2026-03-01T00:00:00Z');
  for (const step of history) {
    const state = states.get(step.wallet) ?? initialState;
    if (step.type === 'wait') {
      nowMs += step.seconds * 1_000;
    } else if (step.type === 'set_overdraft' && state.opened) {
      states.set(step.wallet, { ...state, overdraftLimitMicros: step.limitMicros });
    } else if (step.type === 'command') {
      try {
        const { outcome, events } = decide(commandOf(step, nowMs), state, nowMs);
        reached.push(outcome.code);
        for (const event of events) {
          const parts = 'grants' in event ? (event.grants ?? []) : [];
          reached.push(event.type, `${event.type}, ${Math.min(parts.length, 2)} grants`);
          const expiry = (seq: bigint) =>
            (state.opened && state.grants.get(seq)?.expiresAtMs) || null;
          if (parts.some(({ seq }) => (expiry(seq) ?? Infinity) <= nowMs)) {
            reached.push(`${event.type}, grant past its expiry`);
          }
          if (event.type === 'payment_refund' && event.key !== undefined) {
            const { paymentRefundId, refundRequestId } = event.detail;
            const isLast = paymentRefundId === refundRequestId;
            reached.push(`payment_refund by reservation, ${isLast ? 'last' : 'earlier'} part`);
          }
          if (event.type === 'wallet_frozen' || event.type === 'wallet_unfrozen') {
            const by = 'disputeId' in event.detail ? 'by dispute' : 'by hand';
            reached.push(`${event.type.slice('wallet_'.length)} ${by}`);
          }
          if (event.type === 'grant_expired') {
            reached.push(
              `grant_expired, ${event.takenMicros < event.endedMicros ? 'gone before' : 'taken whole'}`,
            );
          }
        }
        states.set(step.wallet, events.reduce(evolve, state));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }
  }
  return reached;
}

test('random histories come to every event and refusal, and to credit burned and given back', {
  timeout: 60_000,
}, () => {
  const histories = fc.sample(fc.array(steps, { maxLength: 30, size: 'max' }), {
    seed: 1,
    numRuns: 300,
  });
  const reached = histories.flatMap((parts) => reachedBy([...openings, ...parts.flat()]));
  const spending = ['charge', 'accrual', 'hold_captured', 'hold_expired', 'usage_refund'];
  expect([...new Set(reached)]).toEqual(
    expect.arrayContaining([
      ...['OK', 'WALLET_NOT_FOUND', 'HOLD_NOT_FOUND', 'KEY_REUSED', 'NO_RATE', 'LIMIT_EXCEEDED'],
      ...[
        'WALLET_FROZEN',
        'WALLET_CLOSED',
        'EXPIRES_IN_PAST',
        'INSUFFICIENT_FUNDS',
        'HOLD_NOT_OPEN',
      ],
      ...['USAGE_REQUIRED', 'USAGE_TYPE_DIFFERS'],
      ...['wallet_opened', 'top_up', 'grant', 'hold_placed', 'hold_extended', 'hold_voided'],
      ...[...spending, 'arrears_repaid'].flatMap((type) =>
        [0, 1, 2].map((count) => `${type}, ${count} grants`),
      ),
      ...spending
        .filter((type) => type !== 'charge')
        .map((type) => `${type}, grant past its expiry`),
      ...['grant_expired, taken whole', 'grant_expired, gone before'],
      ...['NOT_REFUNDABLE', 'PAYMENT_NOT_CREDITED', 'PAYMENT_DIFFERS'],
      ...['payment_refund', 'payment_refund_failed', 'dispute_opened', 'dispute_withdrawn'],
      ...['dispute_reinstated', 'dispute_closed', 'frozen by dispute', 'unfrozen by dispute'],
      ...['last', 'earlier'].map((part) => `payment_refund by reservation, ${part} part`),
    ]),
  );
});
