/** A wallet that pays at once and one that pays with its month are the same to whoever uses them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closingCommands, demandCommands } from './closing.fixtures.ts';
import { actor } from './commands.fixtures.ts';
import { type Command, decide } from './decide.ts';
import { type Decision, maxStandingMicros } from './decision.ts';
import { deltasOf } from './event-deltas.ts';
import type { WalletEvent, WalletMode } from './events.ts';
import { evolve } from './evolve.ts';
import { grantsMicros } from './grants.ts';
import { commandOf, type Step, steps } from './histories.fixtures.ts';
import { ledgerKey, requestHash } from './key.ts';
import { at, availableMicros, initialState, type OpenWallet, type WalletState } from './state.ts';

const histories = Number(process.env.WALLET_MODE_RUNS ?? 150);

interface Twin {
  readonly mode: WalletMode;
  state: WalletState;
  readonly past: { readonly event: WalletEvent; readonly after: OpenWallet }[];
  /** Usage that is reserved until the month is closed. */
  accruedMicros: bigint;
}

const twinOf = (mode: WalletMode): Twin => ({
  mode,
  state: initialState,
  past: [],
  accruedMicros: 0n,
});

/** What a command is answered; nothing where no caller may send it. */
function run(twin: Twin, command: Command, nowMs: number): Decision['outcome'] | undefined {
  let decided: Decision;
  try {
    decided = decide(command, twin.state, nowMs);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return undefined;
  }
  for (const event of decided.events) {
    const after = evolve(at(twin.state, nowMs), event);
    twin.past.push({ event, after });
    twin.state = after;
    if (event.type === 'accrual' || event.type === 'accrual_settled') {
      twin.accruedMicros += deltasOf(event).heldDeltaMicros;
    }
  }
  return decided.outcome;
}

function closeMonths(twin: Twin, nowMs: number): void {
  const closing = (commandsOf: typeof demandCommands) => {
    expect.assert(twin.state.opened);
    const recorded = { walletId: 'wallet', state: twin.state, past: twin.past };
    for (const command of commandsOf(recorded, nowMs)) {
      run(twin, command, nowMs);
    }
  };
  closing((recorded, nowMs) => closingCommands(recorded, nowMs, () => 'statement'));
  closing(demandCommands);
}

/** What the wallet's user and services see of it. */
function seen({ state, accruedMicros }: Twin) {
  expect.assert(state.opened);
  return {
    status: state.status,
    availableMicros: availableMicros(state),
    arrearsMicros: state.arrearsMicros,
    grantsMicros: grantsMicros(state),
    // What is reserved for the month is spent, and not held for anything that goes on.
    unspentMicros: state.balanceMicros - accruedMicros,
    heldMicros: state.heldMicros - accruedMicros,
    suspendAtMs: state.demand?.suspendAtMs,
  };
}

/** The answer without the numbers that differ by what is reserved. */
function answered(outcome: Decision['outcome'] | undefined) {
  if (outcome === undefined || !('availableMicros' in outcome)) {
    return outcome;
  }
  const { code, availableMicros } = outcome;
  return {
    code,
    availableMicros,
    ...('amountMicros' in outcome && { micros: outcome.amountMicros }),
  };
}

const opening = (mode: WalletMode): Command[] => [
  { type: 'open_wallet', userId: 'user', currency: 'USD', timezone: 'UTC', mode, actor },
  {
    type: 'credit_top_up',
    key: ledgerKey('top_up', 'opening'),
    requestHash: requestHash({}).toString('hex'),
    amountMicros: 2_000_000n,
    actor,
    detail: {},
  },
];

/** Closing a wallet waits until nothing is reserved in it. */
const isOfBoth = (step: Step) =>
  !(step.type === 'command' && 'status' in step.command && step.command.status === 'closed');

/** A wallet with more than this is refused credit by its balance, which is not what it can spend. */
const isBeyondCounting = ({ state }: Twin) =>
  state.opened && state.balanceMicros > maxStandingMicros;

/** Two wallets, one of each mode, to which the same happens at the same time. */
class Twins {
  readonly #twins = [twinOf('live'), twinOf('deferred')] as const;
  #nowMs = Date.parse('2026-03-01T00:00:00Z');
  #last: Step | undefined;

  constructor() {
    for (const twin of this.#twins) {
      for (const command of opening(twin.mode)) run(twin, command, this.#nowMs);
    }
  }

  take(step: Step): void {
    switch (step.type) {
      case 'wait':
        this.#nowMs += step.seconds * 1_000;
        break;
      case 'again':
        if (this.#last !== undefined) this.take(this.#last);
        break;
      case 'set_overdraft':
        for (const twin of this.#twins) {
          expect.assert(twin.state.opened);
          twin.state = { ...twin.state, overdraftLimitMicros: step.limitMicros };
        }
        break;
      case 'close_months':
        for (const twin of this.#twins) closeMonths(twin, this.#nowMs);
        break;
      case 'command': {
        this.#last = step;
        const [live, deferred] = this.#twins.map((twin) =>
          answered(run(twin, commandOf(step, this.#nowMs, twin.state), this.#nowMs)),
        );
        expect(deferred, step.command.type).toEqual(live);
        break;
      }
      default: {
        const unknown: never = step;
        throw new TypeError(`unknown step ${String(unknown)}`);
      }
    }
    const [live, deferred] = this.#twins;
    expect(seen(deferred), step.type).toEqual(seen(live));
  }

  get areBeyondCounting(): boolean {
    return this.#twins.some(isBeyondCounting);
  }

  expectNothingReserved(): void {
    const [, deferred] = this.#twins;
    expect(deferred.accruedMicros).toBe(0n);
  }
}

test('whatever happens, a deferred wallet answers as a live one, and has as much to spend', {
  timeout: 10_000 + histories * 200,
}, () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 30, size: 'max' }), (parts) => {
      const twins = new Twins();
      for (const step of parts.flat().filter(isOfBoth)) {
        twins.take(step);
        if (twins.areBeyondCounting) return;
      }
      // What a hold that ran out has used may be recorded only when the month is closed.
      for (let closings = 0; closings < 2; closings += 1) {
        twins.take({ type: 'wait', wallet: 0, seconds: 62 * 86_400 });
        twins.take({ type: 'close_months', wallet: 0 });
      }
      twins.expectNothingReserved();
    }),
    { numRuns: histories },
  );
});
