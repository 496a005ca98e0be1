/** What the callers ask for, and what they must be answered. */
import { randomUUID } from 'node:crypto';
import type { BenchWallets } from './wallets.ts';

/** Shares of charges that repeat a key, and that an empty wallet must refuse. */
export interface Mix {
  readonly repeated: number;
  readonly refused: number;
}

export const PLAIN: Mix = { repeated: 0, refused: 0 };
export const MIXED: Mix = { repeated: 0.01, refused: 0.01 };

/** Counts the charges that were acknowledged, to be compared with the ledger in the end. */
export interface Tally {
  accepted: number;
}

export interface Charge {
  readonly userId: string;
  readonly referenceId: string;
  readonly usage: { readonly type: 'sms'; readonly to: string };
}

export interface ExpectedCharge {
  readonly input: Charge;
  readonly expected: 'accepted' | 'replayed' | 'refused';
}

export interface Traffic {
  next(): ExpectedCharge;
  /** A charge that must be accepted. */
  plain(): Charge;
  /** Takes an answer's JSON. Throws when it is not the one expected. */
  check(charge: ExpectedCharge, json: string): void;
  /** Takes the answer to a batch of plain charges. Throws unless every one was accepted. */
  checkAll(charges: number, json: string): void;
}

/** Charges of one SMS each, over many wallets or on one, which is the first if nobody is named. */
export function createTraffic(options: {
  wallets: BenchWallets;
  hot: boolean;
  hotUser?: string;
  mix: Mix;
  tally: Tally;
}): Traffic {
  const { wallets, hot, hotUser = wallets.hot.userId, mix, tally } = options;
  let acknowledged: Charge | null = null;

  const charge = (userId: string): Charge => ({
    userId,
    referenceId: randomUUID(),
    usage: { type: 'sms', to: '+14155550132' },
  });
  const plain = () => charge(hot ? hotUser : pick(wallets.users));

  return {
    plain,
    next() {
      const dice = Math.random();
      if (dice < mix.repeated && acknowledged !== null) {
        return { input: acknowledged, expected: 'replayed' };
      }
      return dice > 1 - mix.refused
        ? { input: charge(wallets.empty), expected: 'refused' }
        : { input: plain(), expected: 'accepted' };
    },
    check({ input, expected }, json) {
      if (verdictOf(json) !== expected) {
        throw new Error(`a charge should have been ${expected}: ${json.slice(0, 300)}`);
      }
      if (expected === 'accepted') {
        acknowledged = input;
        tally.accepted += 1;
      }
    },
    checkAll(charges, json) {
      const accepted = json.split('"ok":true').length - 1;
      if (accepted !== charges || json.includes('"replayed":true')) {
        throw new Error(`${charges} charges should have been accepted: ${json.slice(0, 300)}`);
      }
      tally.accepted += charges;
    },
  };
}

/** Read off the text: parsing each answer would cost the machine more than it tells. */
function verdictOf(json: string): ExpectedCharge['expected'] | null {
  if (json.includes('"ok":true')) {
    return json.includes('"replayed":true') ? 'replayed' : 'accepted';
  }
  return json.includes('"code":"INSUFFICIENT_FUNDS"') && json.includes('"ok":false')
    ? 'refused'
    : null;
}

export function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) {
    throw new RangeError('there is nothing to pick from');
  }
  return item;
}
