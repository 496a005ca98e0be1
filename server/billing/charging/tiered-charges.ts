/**
 * Charges whose price depends on what the wallet has used this month. A wallet's charges stand in a
 * line. Each is priced with the units that the charges before it leave, and the ledger accepts it
 * only if those are the wallet's units. They are sent in groups; where one before was refused, or
 * another server was faster, the ledger turns the rest away and they are priced anew.
 *
 * The line holds no truth: the ledger compares the units under the wallet's lock.
 */
import { Fault } from '../../faults.ts';
import type { UnitsThisMonth } from '../../rating/price-list.ts';
import type { QueuedCharge, QueuedOutcome } from '../../store/charges.ts';

const MAX_GROUP = 250;
/** Beyond a few, each try means that another server has charged the same wallet meanwhile. */
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
  /** Charges, for each wallet in the order of the calls; answers the charge as it was priced last. */
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
      // Once a group failed, charges go one at a time, which shows what the wallet can still take.
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
        // Whatever else arrives in this turn of the event loop goes along.
        setImmediate(() => void run(walletId, started));
      });
    },
  };
}
