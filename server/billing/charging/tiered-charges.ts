/**
 * Charges whose price depends on what the wallet has used this month. Each is priced with the units
 * that those before it leave, and the ledger takes it only if they did. So a wallet's charges stand
 * in a line: as many as go well leave together, and those that the ledger found priced with other
 * units, because one before them was refused or another server was faster, are priced anew.
 *
 * The line holds no truth: the ledger compares the units under the wallet's lock.
 */
import { Fault } from '../../faults.ts';
import type { UnitsThisMonth } from '../../rating/price-list.ts';
import type { QueuedCharge, QueuedOutcome } from '../../store/charges.ts';

const MAX_GROUP = 250;
/** Each try costs another server's charge to the same wallet and price. */
const MAX_TRIES = 100;
const RETRY_AFTER_SECONDS = 1;

/** A charge as it is priced with these units, and what it adds to them. */
export interface PricedCharge {
  readonly charge: QueuedCharge;
  readonly counts?: { readonly counter: string; readonly units: number } | undefined;
}

type Price = (unitsThisMonth: UnitsThisMonth) => PricedCharge;

interface Waiting {
  readonly price: Price;
  tries: number;
  readonly resolve: (answer: { charge: QueuedCharge; outcome: QueuedOutcome }) => void;
  readonly reject: (error: unknown) => void;
}

export interface TieredCharges {
  /** Charges in the order of calling, of each wallet; answers what was charged at last. */
  charge(walletId: string, price: Price): Promise<{ charge: QueuedCharge; outcome: QueuedOutcome }>;
}

export function createTieredCharges(options: {
  send: (charge: QueuedCharge) => Promise<QueuedOutcome>;
  unitsThisMonth: (walletId: string) => Promise<UnitsThisMonth>;
}): TieredCharges {
  const { send, unitsThisMonth } = options;
  const lines = new Map<string, Waiting[]>();

  async function run(walletId: string, line: Waiting[]): Promise<void> {
    let width = MAX_GROUP;
    while (line.length > 0) {
      const group = line.splice(0, width);
      const again = await settle(walletId, group);
      line.unshift(...again);
      // After the first that did not go well, one at a time shows what the wallet can still take.
      width = again.length > 0 ? 1 : Math.min(2 * width, MAX_GROUP);
    }
    lines.delete(walletId);
  }

  /** Sends a group and answers it; returns those that must be priced anew. */
  async function settle(walletId: string, group: readonly Waiting[]): Promise<Waiting[]> {
    const sent = await Promise.resolve(unitsThisMonth(walletId)).then(
      (units) => sendInTurn(group, { ...units }),
      (error: unknown) => {
        for (const item of group) {
          item.reject(error);
        }
        return [];
      },
    );
    const again: Waiting[] = [];
    for (const { item, charge, answer } of sent) {
      const outcome = await answer;
      if (outcome instanceof Error) {
        item.reject(outcome);
      } else if (outcome.code !== 'UNITS_MOVED') {
        item.resolve({ charge, outcome });
      } else if (item.tries < MAX_TRIES) {
        item.tries += 1;
        again.push(item);
      } else {
        item.reject(new Fault('OVERLOADED', { retryAfterSeconds: RETRY_AFTER_SECONDS }));
      }
    }
    return again;
  }

  /** The queue keeps a wallet's charges in this order. */
  function sendInTurn(group: readonly Waiting[], units: Record<string, number>) {
    return group.map((item) => {
      const { charge, counts } = item.price(units);
      if (counts !== undefined) {
        units[counts.counter] = (units[counts.counter] ?? 0) + counts.units;
      }
      const answer = send(charge).catch((error: unknown) =>
        error instanceof Error ? error : new Error('a charge failed', { cause: error }),
      );
      return { item, charge, answer };
    });
  }

  return {
    charge(walletId, price) {
      return new Promise((resolve, reject) => {
        const waiting: Waiting = { price, tries: 0, resolve, reject };
        const line = lines.get(walletId);
        if (line !== undefined) {
          line.push(waiting);
          return;
        }
        const started = [waiting];
        lines.set(walletId, started);
        // What else this turn of the event loop brings goes along.
        setImmediate(() => void run(walletId, started));
      });
    },
  };
}
