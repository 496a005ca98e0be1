/** Given these events, when this command comes, then these events and this answer. */
import { expect } from 'vitest';
import { type Command, decide } from './decide.ts';
import type { Decision } from './decision.ts';
import type { WalletEvent, WalletMode } from './events.ts';
import { evolve } from './evolve.ts';
import { at, type Hold, initialState, type OpenWallet, type WalletState } from './state.ts';

export const nowMs = Date.parse('2026-11-01T00:00:00Z');
export const actor = 'service:test';
export const requestHash = 'ab'.repeat(32);

/** The first event of a wallet in dollars. */
export const opened = (mode: WalletMode): WalletEvent => ({
  type: 'wallet_opened',
  userId: 'user-1',
  currency: 'USD',
  timezone: 'UTC',
  mode,
  actor,
});
export const live = opened('live');

/** given events now / when command, now or at another time / then events and answer; `set` is what support staff changed. */
export function given(...events: WalletEvent[]) {
  return givenWallet(
    events.reduce<WalletState>((state, event) => evolve(at(state, nowMs), event), initialState),
  );
}

function givenWallet(state: WalletState) {
  return {
    set: (changes: Partial<Pick<OpenWallet, 'overdraftLimitMicros'>>) => {
      if (!state.opened) {
        throw new Error('only an open wallet can be changed');
      }
      return givenWallet({ ...state, ...changes });
    },
    when: (command: Command, atMs = nowMs) => ({
      thenEvents: (...expected: WalletEvent[]) => ({
        answering: (outcome: Partial<Decision['outcome']>) => {
          const decision = decide(command, state, atMs);
          expect(decision.events).toEqual(expected);
          expect(decision.outcome).toMatchObject(outcome);
        },
      }),
      thenNothing: (outcome: Partial<Decision['outcome']>) => {
        const decision = decide(command, state, atMs);
        expect(decision.events).toEqual([]);
        expect(decision.outcome).toMatchObject(outcome);
      },
      isNeverAllowed: () => expect(() => decide(command, state, nowMs)).toThrow(RangeError),
    }),
  };
}

/** A hold of so much, which ends in a minute and of which nothing was reported. */
export const openHold = (heldMicros: bigint, change: Partial<Hold> = {}): Hold => ({
  holdId: 'hold-1',
  referenceId: 'call-1',
  status: 'open',
  usageType: 'call',
  destination: null,
  pricing: {},
  placedMicros: heldMicros,
  aheadMicros: heldMicros,
  heldMicros,
  report: null,
  amountSoFarMicros: 0n,
  billedMicros: 0n,
  burned: [],
  ttlSeconds: 60,
  placedAtMs: nowMs,
  expiresAtMs: nowMs + 60_000,
  ...change,
});
