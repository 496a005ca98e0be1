/** What no history may do to money, whatever the order: checked after every event. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closingCommands, demandCommands, type Recorded } from './closing.fixtures.ts';
import { type Command, decide } from './decide.ts';
import { deltasOf } from './event-deltas.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { grantsMicros } from './grants.ts';
import { commandOf, openings, type Step, steps } from './histories.fixtures.ts';
import { at, availableMicros, initialState, type OpenWallet, type WalletState } from './state.ts';

const histories = Number(process.env.CONSERVATION_RUNS ?? 500);

/** Sums over a wallet's events that its standing must agree with. */
interface Sums {
  creditedMicros: bigint;
  billedMicros: bigint;
  refundedMicros: bigint;
  expiredMicros: bigint;
  /** Usage that deferred wallets reserve until the month is closed. */
  accruedMicros: bigint;
  /** What went back to cards and to their banks. */
  returnedMicros: bigint;
}

const noSums: Sums = {
  creditedMicros: 0n,
  billedMicros: 0n,
  refundedMicros: 0n,
  expiredMicros: 0n,
  accruedMicros: 0n,
  returnedMicros: 0n,
};

function sumsAfter(sums: Sums, event: WalletEvent): Sums {
  const { balanceDeltaMicros, heldDeltaMicros, arrearsDeltaMicros } = deltasOf(event);
  switch (event.type) {
    case 'top_up':
    case 'grant':
      return { ...sums, creditedMicros: sums.creditedMicros + balanceDeltaMicros };
    case 'charge':
    case 'fee':
    case 'hold_captured':
    case 'hold_expired':
      return { ...sums, billedMicros: sums.billedMicros + arrearsDeltaMicros - balanceDeltaMicros };
    case 'accrual':
      return {
        ...sums,
        billedMicros: sums.billedMicros + heldDeltaMicros + arrearsDeltaMicros,
        accruedMicros: sums.accruedMicros + heldDeltaMicros,
      };
    case 'accrual_settled':
      return { ...sums, accruedMicros: sums.accruedMicros + heldDeltaMicros };
    case 'usage_refund':
      return { ...sums, refundedMicros: sums.refundedMicros + balanceDeltaMicros };
    case 'payment_refund':
    case 'payment_refund_failed':
    case 'dispute_withdrawn':
    case 'dispute_reinstated':
      return { ...sums, returnedMicros: sums.returnedMicros - balanceDeltaMicros };
    case 'grant_expired':
      return { ...sums, expiredMicros: sums.expiredMicros - balanceDeltaMicros };
    default:
      return sums;
  }
}

function isOfStripe(event: WalletEvent): boolean {
  return event.type === 'payment_refund' && event.key === undefined;
}

function expectConserved(wallet: OpenWallet, sums: Sums, borrowed: boolean, event: string): void {
  const { balanceMicros, heldMicros, arrearsMicros } = wallet;
  expect(
    balanceMicros - sums.accruedMicros - arrearsMicros,
    `${event}: nothing is made or lost`,
  ).toBe(
    sums.creditedMicros +
      sums.refundedMicros -
      sums.billedMicros -
      sums.expiredMicros -
      sums.returnedMicros,
  );
  const holds = [...wallet.holds.values()];
  expect(heldMicros, `${event}: what is held is what holds and reserved usage hold`).toBe(
    holds.reduce((sum, hold) => sum + hold.heldMicros, 0n) + sums.accruedMicros,
  );
  expect(
    sums.refundedMicros,
    `${event}: no more is given back than was billed`,
  ).toBeLessThanOrEqual(sums.billedMicros);
  for (const grant of wallet.grants.values()) {
    expect(grant.leftMicros).toBeGreaterThanOrEqual(0n);
    expect(grant.leftMicros + grant.expiredMicros).toBeLessThanOrEqual(grant.grantedMicros);
  }
  if (!borrowed) {
    expect(
      availableMicros(wallet),
      `${event}: no more is spent than there is`,
    ).toBeGreaterThanOrEqual(0n);
    expect(
      balanceMicros - sums.accruedMicros,
      `${event}: expiring credit never takes paid money`,
    ).toBeGreaterThanOrEqual(grantsMicros(wallet));
  }
}

function takeAll(history: readonly Step[]): void {
  const states = new Map<number, WalletState>();
  const sums = new Map<number, Sums>();
  const borrowed = new Set<number>();
  const pasts = new Map<number, Recorded['past']>();
  const last = new Map<number, Step>();
  const accepted = new Map<string, unknown>();
  let nowMs = Date.parse('2026-03-01T00:00:00Z');
  const run = (wallet: number, command: Command): void => {
    let decided: ReturnType<typeof decide>;
    try {
      decided = decide(command, states.get(wallet) ?? initialState, nowMs);
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
      return;
    }
    for (const event of decided.events) {
      const after = evolve(at(states.get(wallet) ?? initialState, nowMs), event);
      const total = sumsAfter(sums.get(wallet) ?? noSums, event);
      states.set(wallet, after);
      sums.set(wallet, total);
      pasts.set(wallet, [...(pasts.get(wallet) ?? []), { event, after }]);
      // Stripe and the banks take what they take; what we reserve ourselves must be there.
      if (event.type === 'dispute_withdrawn' || isOfStripe(event)) {
        borrowed.add(wallet);
      }
      expectConserved(after, total, borrowed.has(wallet), event.type);
    }
    const { outcome } = decided;
    if (outcome.code === 'OK' && 'replayed' in outcome && 'key' in command) {
      const name = `${wallet} ${command.key}`;
      const { replayed, ...answer } = outcome;
      const isBilledByHold =
        command.type === 'charge_wallet' && 'billedMicros' in (answer.detail ?? {});
      expect(replayed).toBe(isBilledByHold || accepted.has(name));
      if (isBilledByHold) {
        expect(decided.events.filter((event) => 'key' in event)).toEqual([]);
      } else if (replayed) {
        expect(answer, 'a replay is the first answer').toEqual(accepted.get(name));
      } else {
        accepted.set(name, answer);
      }
    }
  };
  const take = (step: Step): void => {
    const state = states.get(step.wallet) ?? initialState;
    switch (step.type) {
      case 'wait':
        nowMs += step.seconds * 1_000;
        return;
      case 'again': {
        const repeated = last.get(step.wallet);
        if (repeated !== undefined) {
          take(repeated);
        }
        return;
      }
      case 'set_overdraft':
        if (state.opened) {
          borrowed.add(step.wallet);
          states.set(step.wallet, { ...state, overdraftLimitMicros: step.limitMicros });
        }
        return;
      case 'close_months': {
        if (state.opened) {
          const past = pasts.get(step.wallet) ?? [];
          const recorded = { walletId: 'wallet', state, past };
          for (const command of closingCommands(recorded, nowMs, () => 'statement')) {
            run(step.wallet, command);
          }
          const after = states.get(step.wallet) ?? initialState;
          expect.assert(after.opened);
          for (const command of demandCommands({ ...recorded, state: after }, nowMs)) {
            run(step.wallet, command);
          }
        }
        return;
      }
      case 'command':
        last.set(step.wallet, step);
        run(step.wallet, commandOf(step, nowMs, state));
        return;
      default: {
        const unknown: never = step;
        throw new TypeError(`unknown step ${String(unknown)}`);
      }
    }
  };
  for (const step of history) {
    take(step);
  }
}

test('no history makes, loses or spends twice a micro, nor takes paid money for credit that ends', {
  timeout: 10_000 + histories * 60,
}, () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 30, size: 'max' }), (parts) => {
      takeAll([...openings, ...parts.flat()]);
    }),
    { numRuns: histories },
  );
});
