/**
 * Rehearsing a rate card: a draft, or a published card, is run over usage of the past, and what each
 * customer would have paid is set beside what was billed. Nothing is written.
 */

import type { Sql } from '../../store/sql.ts';
import type { CustomerChange, Span, Totals } from '../../views/repricing.ts';
import type { RateCards } from './rate-cards.ts';
import { customerChanges, repricedPages, totalsOf } from './repricing.ts';

type Rehearsal = Span & { readonly cardId: string };

export interface Rehearsing {
  /**
   * Each customer's change, as it is known; null when there is no such card. Refunds are left out on
   * both sides.
   */
  changes(rehearsal: Rehearsal): Promise<AsyncGenerator<CustomerChange> | null>;
  /**
   * The totals; null when there is no such card. `onCustomer` gets each change first; when it
   * answers false, the rehearsal stops there.
   */
  rehearse(
    rehearsal: Rehearsal,
    onCustomer?: (change: CustomerChange) => boolean | Promise<boolean>,
  ): Promise<Totals | null>;
}

export function createRehearsing(options: { sql: Sql; rateCards: RateCards }): Rehearsing {
  async function changes({ cardId, from, to }: Rehearsal) {
    const card = await options.rateCards.anyById(cardId);
    return card === null
      ? null
      : customerChanges(
          repricedPages(options, card, { from, to }),
          ({ billedMicros, correctedMicros }, priceMicros) => ({
            before: billedMicros + correctedMicros,
            after: priceMicros,
          }),
        );
  }

  return {
    changes,
    async rehearse(rehearsal, onCustomer = () => true) {
      const customers = await changes(rehearsal);
      return customers && totalsOf(customers, onCustomer);
    },
  };
}
