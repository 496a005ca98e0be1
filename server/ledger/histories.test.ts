import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closingCommands, demandCommands } from './closing.fixtures.ts';
import { type Command, decide } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { commandOf, openings, type Step, steps } from './histories.fixtures.ts';
import { monthlyUnitsAfter } from './monthly-units.ts';
import { heldUnder } from './originals.ts';
import { at, initialState, type OpenWallet, type WalletState } from './state.ts';

/** What a random history came to: events, with what they did to credit, and answers. */
function reachedBy(history: readonly Step[]): string[] {
  const reached: string[] = [];
  const states = new Map<number, WalletState>();
  const pasts = new Map<number, { event: WalletEvent; after: OpenWallet }[]>();
  let nowMs = Date.parse('2026-03-01T00:00:00Z');

  function take(wallet: number, command: Command): void {
    const state = states.get(wallet) ?? initialState;
    const { outcome, events } = decide(command, state, nowMs);
    reached.push(outcome.code, ...events.flatMap((event) => tellOf(event, state, nowMs)));
    if (command.type === 'charge_wallet' && state.opened) {
      const hold = heldUnder(command.key, state);
      const replayed = 'replayed' in outcome && outcome.replayed;
      reached.push(
        `charge of a hold that is ${hold?.status}: ${outcome.code}${replayed ? ', replayed' : ''}`,
      );
    }
    const past = pasts.get(wallet) ?? [];
    for (const event of events) {
      const after = evolve(at(past.at(-1)?.after ?? state, nowMs), event);
      past.push({ event, after });
      states.set(wallet, after);
    }
    pasts.set(wallet, past);
  }

  for (const step of history) {
    const state = states.get(step.wallet) ?? initialState;
    if (step.type === 'wait') {
      nowMs += step.seconds * 1_000;
    } else if (step.type === 'set_overdraft' && state.opened) {
      states.set(step.wallet, { ...state, overdraftLimitMicros: step.limitMicros });
    } else if (step.type === 'close_months' && state.opened) {
      const recorded = { walletId: 'wallet', state, past: pasts.get(step.wallet) ?? [] };
      for (const command of closingCommands(recorded, nowMs, () => 'statement')) {
        take(step.wallet, command);
      }
      const after = states.get(step.wallet) ?? initialState;
      expect.assert(after.opened);
      for (const command of demandCommands({ ...recorded, state: after }, nowMs)) {
        take(step.wallet, command);
      }
    } else if (step.type === 'command') {
      try {
        take(step.wallet, commandOf(step, nowMs, state));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }
  }
  return reached;
}

function tellOf(event: WalletEvent, state: WalletState, nowMs: number): string[] {
  const told: string[] = [event.type];
  const parts = 'grants' in event ? (event.grants ?? []) : [];
  told.push(`${event.type}, ${Math.min(parts.length, 2)} grants`);
  const expiry = (seq: bigint) => (state.opened && state.grants.get(seq)?.expiresAtMs) || null;
  if (parts.some(({ seq }) => (expiry(seq) ?? Infinity) <= nowMs)) {
    told.push(`${event.type}, grant past its expiry`);
  }
  if ('rerating' in event && event.rerating !== undefined) {
    told.push(`re-rated, ${event.rerating.hold === undefined ? 'charge' : 'hold'} debited`);
  }
  if (event.type === 'usage_refund' && event.originalSeq !== undefined) {
    const { reratingId, correctionMicros, key, hold } = event;
    const of = hold === undefined ? 'charge' : 'hold';
    if (reratingId !== undefined) {
      told.push(`re-rated, ${of} credited`);
    } else if (correctionMicros !== undefined) {
      const by = key === undefined ? 'late record' : 'refund';
      told.push(`${correctionMicros > 0n ? 'debit' : 'credit'} corrected by ${by}, ${of}`);
    }
  }
  if (event.type === 'payment_refund' && event.key !== undefined) {
    const { paymentRefundId, refundRequestId } = event.detail;
    const isLast = paymentRefundId === refundRequestId;
    told.push(`payment_refund by reservation, ${isLast ? 'last' : 'earlier'} part`);
  }
  if (event.type === 'wallet_frozen' || event.type === 'wallet_unfrozen') {
    const isArrears = event.actor === 'system:arrears';
    const by = 'disputeId' in event.detail ? 'by dispute' : isArrears ? 'for arrears' : 'by hand';
    told.push(`${event.type.slice('wallet_'.length)} ${by}`);
  }
  if (event.type === 'grant_expired') {
    told.push(
      `grant_expired, ${event.takenMicros < event.endedMicros ? 'gone before' : 'taken whole'}`,
    );
  }
  if (state.opened && monthlyUnitsAfter(state, event) !== state.monthlyUnits) {
    told.push('units counted');
  }
  if (event.type === 'fee') {
    told.push(`fee, ${event.owedMicros > 0n ? 'owed in part' : 'taken whole'}`);
  }
  return told;
}

const chargeOfHold = (told: string) => `charge of a hold that is ${told}`;

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
      ...['subscription_added', 'subscription_ended', 'accrual_settled', 'fee, owed in part'],
      ...['arrears_demanded', 'frozen for arrears', 'unfrozen for arrears'],
      ...['debited', 'credited'].flatMap((way) => [
        `re-rated, charge ${way}`,
        `re-rated, hold ${way}`,
      ]),
      ...['debit', 'credit'].flatMap((what) => [
        `${what} corrected by refund, charge`,
        `${what} corrected by refund, hold`,
      ]),
      ...['CHANGED', 'debit corrected by late record, hold'],
      ...['goodwill', 'UNITS_MOVED', 'units counted'],
      ...['open: KEY_REUSED', 'captured: OK, replayed', 'captured: KEY_REUSED'].map(chargeOfHold),
      ...['expired: OK, replayed', 'expired: KEY_REUSED', 'voided: OK'].map(chargeOfHold),
      ...['voided: OK, replayed', 'voided: KEY_REUSED'].map(chargeOfHold),
      ...['fee, taken whole', 'fee, 1 grants', 'SUBSCRIPTION_NOT_FOUND', 'MONTH_CLOSED'],
    ]),
  );
});
